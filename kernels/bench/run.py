"""One case from beginning to end: variants are verified first, and only right ones are timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.bench.records import Arrays, Case, Measurement
from refglow.kernels.bench.timing import Clock, Rotation, Settings, copies, in_rounds

Results = list[npt.NDArray[Any]]


def measured(case: Case, settings: Settings, clock: Clock,
             progress: Callable[[], None] = lambda: None) -> list[Measurement]:
    """Verify all variants of a case against its specification, then time those that are right.

    Args:
      case: what to measure.
      settings: how thoroughly.
      clock: whose time is measured.
      progress: called for each timing that all variants have.

    Returns:
      for each variant, in the case's order, what was found.
    """
    inputs = case.make_inputs(np.random.default_rng(settings.seed))
    held = tuple(_copy(clock.to_host(value)) for value in inputs)
    expected = _results(case.specification(*held), clock)
    verified = {name: _verified(case, name, inputs, held, expected, clock)
                for name in case.variants}
    rotated = copies(inputs, case.bytes_moved, settings.rotated_bytes)
    rotations = {name: Rotation(case.variants[name], rotated)
                 for name, found in verified.items() if not found.refused}
    timed = in_rounds(rotations, settings, clock, progress)
    return [Measurement(case, name, found.error, found.refused, *timed.get(name, ()))
            for name, found in verified.items()]


def _verified(case: Case, variant: str, inputs: Arrays, held: Arrays, expected: Results,
              clock: Clock) -> Measurement:
    """What a variant's results are worth; not timed yet.

    The inputs are compared with what they were, `held`, as well: a kernel that writes into them
    would make every later call, its own and others', compute something else. They are put right
    again then.
    """
    try:
        found = _results(case.variants[variant](*inputs), clock)
    except Exception as failure:  # whatever it is, it is what this variant does
        return Measurement(case, variant, float("inf"), f"{type(failure).__name__}: {failure}")
    error, complaint = _largest_error(case, found, expected)
    for before, value in zip(held, inputs, strict=True):
        if isinstance(before, np.ndarray) and not _same(before, clock.to_host(value)):
            complaint = complaint or "it changed its arguments"
            value[...] = clock.to_device(before)
    return Measurement(case, variant, error, complaint)


def _largest_error(case: Case, found: Results, expected: Results) -> tuple[float, str]:
    """The largest error of all results, and why it is not right; empty if it is."""
    if len(found) != len(expected):
        return float("inf"), (f"it returns {len(found)} results; the specification "
                              f"{len(expected)}")
    largest = 0.0
    for index, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a.shape != b.shape or a.dtype != b.dtype:
            return float("inf"), (f"its result {index} is {a.dtype} {list(a.shape)}; the "
                                  f"specification's {b.dtype} {list(b.shape)}")
        largest = max(largest, case.error(a, b))
    if largest <= case.tolerance:
        return largest, ""
    return largest, f"its error is {largest:.1e}; {case.tolerance:.1e} is allowed"


def _same(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> bool:
    """Whether two arrays hold the same numbers; a NaN is the same as a NaN."""
    return np.array_equal(before, after, equal_nan=before.dtype.kind == "f")


def _results(value: Any, clock: Clock) -> Results:
    parts = value if isinstance(value, (tuple, list)) else (value,)
    return [np.asarray(clock.to_host(part)) for part in parts]


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
