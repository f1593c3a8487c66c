"""assert_conforms: an implementation's results are the specification's, or the test fails."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.validation.diagnosis.of_conformance import to_diagnose
from refglow.validation.golden import DTYPES
from refglow.validation.implementations.calls import ObjectCalls
from refglow.validation.implementations.conformance import Conformance, conformance_of
from refglow.validation.implementations.model import (
    IMAGES,
    architecture_of,
    default_glow,
    images_for,
    parameters_of,
)
from refglow.validation.implementations.offerings import OFFERINGS, built, offered
from refglow.validation.implementations.reference import reference_of
from refglow.validation.testing.asked import AskedCalls
from refglow.validation.testing.failure import failure
from refglow.validation.testing.levels import (
    asked_at,
    givers_of,
    is_required,
    looked_at,
)


@dataclass(frozen=True)
class _Compared:
    """One number type: the built implementation, what was found, and what it raised first."""

    implementation: Any
    conformance: Conformance
    raised: BaseException | None


def assert_conforms(implementation: Any, level: str = "density", *, glow: Glow | None = None,
                    images: Any = None, dtype: Any = None, seed: int = 0,
                    seconds: float = 20.0) -> tuple[Conformance, ...]:
    """Fail unless an implementation of Glow computes what refglow's specification says.

    It is called in this process, which nothing protects from a crash or from waiting forever;
    `refglow validate --implementation` does.

    Args:
      implementation: a function or class of (architecture, parameters) that makes your Glow, or an
        object, which must have the weights of `glow`. What it may offer: see
        `refglow.validation.implementations`.
      level: how much it must offer and have right: "offered", "values", "log_dets", "density",
        "layers", "gradients" or "all" (see `levels.py`).
      glow: the model; by default 3 blocks of 8 steps, random in every weight.
      images: [B, H, W, C], finite; by default four, random.
      dtype: float32 or float64; by default both, one after the other.
      seed: of what is random.
      seconds: how long to look for what explains a difference.

    Returns:
      what was found, for each number type.

    Raises:
      AssertionError: if something differs, cannot be compared, or is not offered; says what, which
        layer differs first, and which convention or mistake explains it.
      ValueError: if the level or model is none, or the images do not fit it.
      TypeError: for an object without its model.
    """
    __tracebackhide__ = True  # by which pytest shows the caller's line, not these
    asked, looked = asked_at(level), looked_at(level)
    if glow is None and not isinstance(implementation, type) and offered(implementation):
        raise TypeError("An object has weights of its own: give the model that has the same, "
                        "glow=...; or a function of (architecture, parameters) that makes it.")
    model = default_glow(seed) if glow is None else glow
    if images is None:
        images = images_for(model, IMAGES, seed)
    found = [_compared(implementation, model.astype(number_type), images, looked)
             for number_type in _number_types(dtype)]
    conformances = tuple(one.conformance for one in found)
    lacking = _lacking(conformances, asked)
    if not lacking and all(one.passed for one in conformances):
        return conformances
    raised = next((one.raised for one in found if one.raised is not None), None)
    raise AssertionError(failure(
        level, conformances, lacking, _with_layers(found, looked), seconds,
        _command(implementation, glow is None, seed))) from raised


def _number_types(dtype: Any) -> tuple[Any, ...]:
    if dtype is None:
        return DTYPES
    number_type = np.dtype(dtype)
    if number_type.name not in DTYPES:
        raise ValueError(f"dtype can be {' or '.join(DTYPES)}; got {number_type}.")
    return (number_type,)


def _compared(target: Any, glow: Glow, images: Any, looked: Sequence[str]) -> _Compared:
    __tracebackhide__ = True
    reference = reference_of(glow, images)
    implementation = built(target, architecture_of(glow), parameters_of(glow))
    calls = AskedCalls(ObjectCalls(implementation), looked)
    return _Compared(implementation, conformance_of(reference, calls), calls.raised)


def _lacking(found: Sequence[Conformance], asked: Sequence[str]) -> list[str]:
    """What is asked for and was not given, or not compared, in words; empty if all was."""
    said = []
    for one in found:
        if not one.offered and not asked:
            said.append(f"it offers none of {', '.join(OFFERINGS)}")
        said += [problem for result in asked for problem in _absent(one, result)]
    given = dict.fromkeys(said)
    return list(given) or [
        f"{result} is too ill-conditioned with this model to be compared in "
        f"{' or '.join(one.dtype for one in found)}"
        for result in asked if _required(found[0], result) and not _was_judged(found, result)]


def _required(one: Conformance, result: str) -> list[str]:
    """The names of the arrays of a result; none of ActNorm's start, in a model without."""
    return [name for name in one.reference.truth
            if name.partition("/")[0] == result and is_required(name)]


def _absent(one: Conformance, result: str) -> list[str]:
    """What one number type lacks of a result; what failed is told elsewhere."""
    names, givers = _required(one, result), givers_of(result)
    if not names:
        return []
    if not set(givers) & set(one.offered):
        return [f"{' or '.join(givers)} is not offered"]
    given = {name for call in one.raw.values() for name in call.arrays}
    missing = [name.partition("/")[2] for name in names if name not in given]
    if not missing or result == "layers" or not set(givers) & set(one.raw):
        return []
    return [f"{result} lacks {len(missing)} of {len(names)}: {', '.join(missing[:3])}"]


def _was_judged(found: Sequence[Conformance], result: str) -> bool:
    """Whether a result was compared, or failed, in some number type."""
    return any(result in (row.bijector, row.prop) for one in found for row in one.rows) or any(
        call.offering in givers_of(result) for one in found for call in one.failed)


def _with_layers(found: Sequence[_Compared], looked: Sequence[str]) -> Conformance | None:
    """The first number type that differs, with layers, which tell most, wherever they are offered.

    None where nothing differs, or nothing was given.
    """
    differing = to_diagnose([one.conformance for one in found])
    if differing is None:
        return None
    [implementation] = [one.implementation for one in found if one.conformance is differing]
    if "layers" in looked or "layers" not in offered(implementation):
        return differing
    return conformance_of(differing.reference, AskedCalls(
        ObjectCalls(implementation), (*looked, "layers")))


def _command(implementation: Any, is_random: bool, seed: int) -> str:
    """What to run to see more; with the builder's place, if it can be imported from there."""
    source = "FILE.py:NAME"
    if inspect.isfunction(implementation) or inspect.isclass(implementation):
        name, path = implementation.__qualname__, inspect.getsourcefile(implementation)
        if path is not None and name.isidentifier():
            source = f"{os.path.relpath(path)}:{name}"
    chosen = f"--seed {seed}" if is_random else "--model MODEL.safetensors"
    return f"refglow validate --implementation {source} {chosen} --html report.html"
