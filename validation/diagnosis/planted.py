"""How good the diagnosis is: planted mistakes, alone and in pairs, and implementations without any.

The implementations are those of `refglow.validation.mutants`, which share no arithmetic and no
tables with refglow. A mistake is

    detected    if anything differs
    named       if the explanation is one of the keys that are accepted for it, and nothing else is
                explained or left unexplained; of a pair, if both are among the explanations
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from refglow import bijectors as tfb
from refglow.bijectors import Glow
from refglow.validation.diagnosis.diagnose import diagnose
from refglow.validation.diagnosis.finding import Diagnosis
from refglow.validation.diagnosis.observing import observe
from refglow.validation.implementations.model import architecture_of
from refglow.validation.live import random_glow
from refglow.validation.mutants import (
    ALL_MUTANTS,
    Mutant,
    PortedGlow,
    can_combine,
    combined,
)
from refglow.validation.random_models import (
    random_architecture,
    random_images,
    randomize_weights,
)

_BATCH = 4
_GAIN = 0.5  # of the weights: larger ones make maps that cannot be undone in float32


@dataclass(frozen=True)
class Outcome:
    """What the diagnosis made of one implementation.

    Attributes:
      name, bug, origin: of the mistake, or of both.
      accepted: for each mistake the keys "question=answer" that name it.
      diagnosis: what was found.
    """

    name: str
    bug: str
    origin: str
    accepted: tuple[tuple[str, ...], ...]
    diagnosis: Diagnosis

    @property
    def found(self) -> tuple[str, ...]:
        """The explanations as keys."""
        return tuple(f"{question}={answer}"
                     for question, answer in self.diagnosis.answers.items())

    @property
    def named(self) -> bool:
        """Whether every mistake is named and nothing else is said."""
        keys = set(itertools.chain.from_iterable(self.accepted))
        return (all(set(self.found) & set(some) for some in self.accepted)
                and set(self.found) <= keys
                and all(finding.is_explained for finding in self.diagnosis.findings))

    @property
    def both_named(self) -> bool:
        """Whether every mistake is among what is said."""
        return all(set(self.found) & set(some) for some in self.accepted)


def mistakes(only: str = "") -> list[Mutant]:
    """The planted mistakes whose names begin so.

    Raises:
      ValueError: if there are none.
    """
    chosen = [mutant for mutant in ALL_MUTANTS if mutant.name.startswith(only)]
    if not chosen:
        raise ValueError(f"No planted mistake has a name that begins with {only!r}. Names begin "
                         f"with {', '.join(sorted({m.name.split('-')[0] for m in ALL_MUTANTS}))}.")
    return chosen


def singles(mutants: Iterable[Mutant], seed: int, with_layers: bool = True) -> Iterator[Outcome]:
    """Planted mistakes, each alone.

    Args:
      mutants: the mistakes.
      seed: of the models' weights and the images.
      with_layers: whether the diagnosis sees the layers' outputs.
    """
    for mutant in mutants:
        yield _outcome(mutant, (mutant.explains,), seed, with_layers)


def pairs(count: int, seed: int, with_layers: bool = True) -> Iterator[Outcome]:
    """Pairs of planted mistakes that can be made at once, drawn at random.

    Of mistakes that no convention describes there are none: there is nothing to name.

    Args:
      count: how many.
      seed: of the pairs, the models' weights and the images.
      with_layers: whether the diagnosis sees the layers' outputs.
    """
    named = [mutant for mutant in ALL_MUTANTS if mutant.explains]
    possible = [pair for pair in itertools.combinations(named, 2) if can_combine(*pair)]
    drawn = np.random.default_rng(seed).choice(len(possible), size=count, replace=False)
    for index in drawn:
        one, other = possible[index]
        yield _outcome(combined(one, other), (one.explains, other.explains), seed, with_layers)


def without_mistakes(count: int, seed: int) -> Iterator[tuple[str, Diagnosis]]:
    """(number type, diagnosis) of the port on random architectures, in float64 and float32.

    Args:
      count: how many architectures.
      seed: they are drawn from.
    """
    for k in range(count):
        for dtype in (np.float64, np.float32):
            rng = np.random.default_rng([seed, k])
            glow = random_glow(random_architecture(rng), rng, dtype)
            yield np.dtype(dtype).name, _diagnosed(glow, PortedGlow(
                architecture_of(glow), glow.state_dict()), rng, True)


def _outcome(mutant: Mutant, accepted: tuple[tuple[str, ...], ...], seed: int,
             with_layers: bool) -> Outcome:
    glow = _model(seed, equal_blocks="blocks-reversed" in mutant.name)
    port = mutant.build(architecture_of(glow), glow.state_dict())
    with np.errstate(all="ignore"):
        diagnosis = _diagnosed(glow, port, np.random.default_rng(seed + 1), with_layers)
    return Outcome(mutant.name, mutant.bug, mutant.origin, accepted, diagnosis)


def _diagnosed(glow: Glow, port: PortedGlow, rng: np.random.Generator,
               with_layers: bool) -> Diagnosis:
    shape = tuple(int(size) for size in glow.parameters["output_shape"])
    x, others = (random_images(rng, _BATCH, shape).astype(glow.dtype) for _ in range(2))
    observed = observe(port, x, glow.inverse(others))
    return diagnose(glow, observed if with_layers else replace(observed, layers=()))


def _model(seed: int, equal_blocks: bool) -> Glow:
    """A small Glow; with equal blocks, those can use each other's weights."""
    arguments = (dict(output_shape=(8, 8, 2), grab_after_block=(0.75, 0.75)) if equal_blocks
                 else dict(output_shape=(8, 8, 3)))
    rng = np.random.default_rng(seed)
    glow = tfb.Glow(num_glow_blocks=2, num_steps_per_block=3, seed=rng, dtype=np.float64,
                    coupling_bijector_fn=partial(tfb.GlowDefaultNetwork, num_hidden=6),
                    **arguments)
    randomize_weights(glow, rng, _GAIN)
    return glow
