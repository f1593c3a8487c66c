"""The condition of a map, measured.

Perturb the input and every trainable parameter by random relative amounts of about delta = 1e-7
(each number by its own sign and size), and see how far the results move:

    kappa = max over draws of  (max|f~(x~) - f(x)| / max|f(x)|) / delta,          at least 1

A log-scale v stands for the scale exp(v), which other implementations keep or compute: it is the
scale that is perturbed by a relative delta, so v by an absolute one.

Rounding the data once already moves the results by kappa * eps / 2, so no implementation can be
expected to agree with another to fewer digits lost than that. Measured in float64.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.validation.compare import difference, element_differences

DELTA = 1e-7
UNBOUNDED = float(np.finfo(np.float64).max)  # kappa of what moves of DELTA make infinite or NaN
SPREAD = 0.5  # of the sizes of moves, around DELTA
DRAWS = 3
MORE_DRAWS = 24  # where three leave in doubt whether an error is rounding
# Of a sum of two numbers, one draw in two moves both the same way: with 24 no element is missed,
# and moves need no sizes of their own, by which each kappa would be another.
_DRAWS_FOR_ELEMENTS = 24


def measured_condition(bijector: Bijector, f: Callable[[Sequence[Array]], Sequence[Array]],
                       inputs: Sequence[Array],
                       results: Sequence[Array] | None = None) -> list[float]:
    """kappa for each result of `f`, which evaluates `bijector` (float64) in some direction.

    The bijector's parameters are perturbed and put back.

    Args:
      bijector, f: what is evaluated.
      inputs: what at.
      results: what `f` gives there, if that is known.
    """
    rng = np.random.default_rng(0)
    state = bijector.state_dict()
    trainable = {variable.name for variable in bijector.trainable_variables}
    base = f(inputs) if results is None else results

    def moved() -> Sequence[Array]:
        bijector.load_state_dict({
            name: moved_number(name, value, rng) if name in trainable else value
            for name, value in state.items()})
        return f([moved_number("", array, rng) for array in inputs])
    try:
        return largest_moves(base, moved)
    finally:
        bijector.load_state_dict(state)


def largest_moves(base: Sequence[Array], moved: Callable[[], Sequence[Array]],
                  draws: int = DRAWS) -> list[float]:
    """kappa of each result: how far it moves, over DELTA, at least 1; the largest of some draws.

    Args:
      base: the results.
      moved: evaluates them again with all data moved by about DELTA, each time otherwise.
      draws: how many.

    Returns:
      UNBOUNDED for a result of which a move makes numbers infinite or NaN that were finite.
    """
    condition = [1.0] * len(base)
    for _ in range(draws):
        for k, (there, here) in enumerate(zip(moved(), base, strict=True)):
            condition[k] = max(condition[k], _move(there, here))
    return condition


def _move(there: Array, here: Array) -> float:
    """How far one result moves, over DELTA; 1 for zeros, which have no relative moves."""
    if (np.isfinite(there) != np.isfinite(here)).any():
        return UNBOUNDED
    size = difference(there, here).relative / DELTA
    return size if np.isfinite(size) else 1.0


def largest_element_moves(base: Sequence[Array],
                          moved: Callable[[], Sequence[Array]]) -> list[Array]:
    """As `largest_moves`, kappa of each element of each result: how far it moves itself.

    Of an element that is zero, and moves, it is some huge number.

    Args:
      base, moved: as for `largest_moves`; all moves are of size DELTA (`spread` 0).
    """
    condition = [np.ones(np.shape(here)) for here in base]
    for _ in range(_DRAWS_FOR_ELEMENTS):
        for k, (there, here) in enumerate(zip(moved(), base, strict=True)):
            with np.errstate(over="ignore"):
                moves = element_differences(there, here, np.float64) / DELTA
            moves = np.minimum(moves, np.finfo(np.float64).max)
            both = np.isfinite(there) & np.isfinite(here)
            condition[k] = np.maximum(condition[k], np.where(both, moves, 1.0))
    return condition


def moved_number(name: str, value: Array, rng: np.random.Generator,
                 spread: float = SPREAD) -> Any:
    """float64 numbers, each moved by about a relative DELTA of its own; log-scales absolutely.

    By between half of DELTA and one and a half, up or down. Were all moves DELTA, those of a sum of
    four numbers would cancel in three draws of eight, and in all three draws of one map of twenty.

    Args:
      name: of the parameter or input; its last part, after a dot or a slash, tells log-scales.
      value: [...], float64.
      rng: chooses the moves.
      spread: of their sizes, as a share of DELTA.
    """
    sizes = DELTA * (rng.uniform(1 - spread, 1 + spread, value.shape) if spread else 1.0)
    moves = rng.choice([-1.0, 1.0], size=value.shape) * sizes
    return value + moves if re.split(r"[./]", name)[-1] == "log_scale" else value * (1 + moves)
