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
from typing import Any

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array
from refglow.validation.compare import difference
from refglow.validation.diagnosis.diagnose import diagnose
from refglow.validation.diagnosis.finding import Diagnosis
from refglow.validation.diagnosis.observed import Observed
from refglow.validation.diagnosis.observing import observe
from refglow.validation.implementations.model import architecture_of
from refglow.validation.live import WEIGHT_GAIN, random_glow
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
_SHOWS = 1e-10  # of a result's size: what a mistake changes at least where it can be seen

# The models that mistakes are planted in. "exits" are the fractions that leave after a block, the
# coarsest first.
FAMILIES: dict[str, dict[str, Any]] = {
    "two-blocks": dict(output_shape=(8, 8, 3), num_glow_blocks=2, num_steps_per_block=3),
    "three-blocks": dict(output_shape=(16, 16, 1), num_glow_blocks=3, num_steps_per_block=2,
                         grab_after_block=(0.25, 0.5, 0.75)),
    "no-actnorm": dict(output_shape=(8, 8, 4), num_glow_blocks=2, num_steps_per_block=2,
                       use_actnorm=False),
    "additive": dict(output_shape=(8, 16, 2), num_glow_blocks=2, num_steps_per_block=3,
                     affine=False, affine_exits=False),
}


@dataclass(frozen=True)
class Outcome:
    """What the diagnosis made of one implementation.

    Attributes:
      name, bug, origin: of the mistake, or of both.
      accepted: for each mistake the keys "question=answer" that name it.
      diagnosis: what was found.
      shows: whether the mistake changes anything that is offered of this model.
    """

    name: str
    bug: str
    origin: str
    accepted: tuple[tuple[str, ...], ...]
    diagnosis: Diagnosis
    shows: bool = True

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
                and all(finding.is_convention for finding in self.diagnosis.findings))

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


def singles(mutants: Iterable[Mutant], seed: int, with_layers: bool = True,
            family: str = "two-blocks") -> Iterator[Outcome]:
    """Planted mistakes, each alone; of those that this model cannot have, none.

    Args:
      mutants: the mistakes.
      seed: of the models' weights and the images.
      with_layers: whether the diagnosis sees the layers' outputs.
      family: a name in FAMILIES.
    """
    for mutant in mutants:
        outcome = _outcome(mutant, (mutant.explains,), seed, with_layers, family)
        if outcome is not None:
            yield outcome


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
        outcome = _outcome(combined(one, other), (one.explains, other.explains), seed, with_layers,
                           "two-blocks")
        assert outcome is not None
        yield outcome


def without_mistakes(count: int, seed: int,
                     gain: float = WEIGHT_GAIN) -> Iterator[tuple[str, Diagnosis]]:
    """(number type, diagnosis) of the port on random architectures, in float64 and float32.

    Args:
      count: how many architectures.
      seed: they are drawn from.
      gain: of the weights (see `randomize_weights`).
    """
    for k in range(count):
        for dtype in (np.float64, np.float32):
            rng = np.random.default_rng([seed, k])
            glow = random_glow(random_architecture(rng), rng, dtype, gain)
            yield np.dtype(dtype).name, _diagnosed(glow, PortedGlow(
                architecture_of(glow), glow.state_dict()), rng)


def _outcome(mutant: Mutant, accepted: tuple[tuple[str, ...], ...], seed: int,
             with_layers: bool, family: str) -> Outcome | None:
    """None if the mistake cannot be made in this family, which a ValueError says."""
    glow = _model(seed, family, equal_blocks="blocks-reversed" in mutant.name)
    architecture, parameters = architecture_of(glow), glow.state_dict()
    rng = np.random.default_rng(seed + 1)
    x, z = _data(glow, rng)
    with np.errstate(all="ignore"):
        try:
            wrong = mutant.build(architecture, parameters)
        except ValueError:
            return None
        observed = observe(wrong, x, z)
        right = observe(PortedGlow(architecture, parameters), x, z)
        diagnosis = diagnose(glow, observed if with_layers else replace(observed, layers=()))
    return Outcome(mutant.name, mutant.bug, mutant.origin, accepted, diagnosis,
                   _differ(observed, right))


def _differ(observed: Observed, right: Observed) -> bool:
    """Whether any result is another one, by more than roundings."""
    if [layer.name for layer in observed.layers] != [layer.name for layer in right.layers]:
        return True
    pairs_of_results = zip(_results(observed), _results(right), strict=True)
    return observed.directions_exchanged or any(
        np.shape(a) != np.shape(b) or difference(a, b).relative > _SHOWS
        for a, b in pairs_of_results)


def _results(observed: Observed) -> Iterator[Array]:
    """All arrays; where a result is missing, an empty one."""
    for name in ("latents", "inverse_log_det", "log_prob", "bits_per_dim", "forward_images",
                 "forward_log_det"):
        value = getattr(observed, name)
        yield np.zeros(0) if value is None else value
    for layer in observed.layers:
        yield layer.output
        yield np.zeros(0) if layer.log_det is None else layer.log_det
    for arrays in (observed.started, observed.gradients):
        yield from (arrays[name] for name in sorted(arrays))


def _diagnosed(glow: Glow, port: PortedGlow, rng: np.random.Generator) -> Diagnosis:
    with np.errstate(all="ignore"):  # large weights may overflow: what comes of it is compared
        return diagnose(glow, observe(port, *_data(glow, rng)))


def _data(glow: Glow, rng: np.random.Generator) -> tuple[Array, Array]:
    """(images, latents of other images)."""
    shape = tuple(int(size) for size in glow.parameters["output_shape"])
    x, others = (random_images(rng, _BATCH, shape).astype(glow.dtype) for _ in range(2))
    return x, glow.inverse(others)


def _model(seed: int, family: str, equal_blocks: bool) -> Glow:
    """A small Glow; with equal blocks, those can use each other's weights."""
    arguments = dict(use_actnorm=True, affine=True, affine_exits=True, num_hidden=6,
                     grab_after_block=None) | FAMILIES[family]
    if equal_blocks:
        channels = 2 if family == "two-blocks" else arguments["output_shape"][2]
        arguments |= dict(output_shape=(*arguments["output_shape"][:2], channels),
                          grab_after_block=(0.75,) * arguments["num_glow_blocks"])
    rng = np.random.default_rng(seed)
    glow = random_glow(arguments, rng, np.float64)
    randomize_weights(glow, rng, _GAIN)
    return glow
