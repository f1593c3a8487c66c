"""An implementation's results against the truth: rows, and what is no row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.compare import difference
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.reference import Reference
from refglow.validation.row import Row, compared
from refglow.validation.strangers.text import one_line, shown
from refglow.validation.tolerances import LARGEST_USEFUL, Tolerance

_MOST_NAMES = 6  # in a message


@dataclass(frozen=True)
class FailedCall:
    """A call, or one result of it, that could not be compared.

    Attributes:
      offering: what was called, or "build" or "import".
      dtype: the number type that it was given.
      reason: what happened, on one line.
      output: the last lines that the implementation printed; may be empty.
    """

    offering: str
    dtype: str
    reason: str
    output: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class Judgement:
    """What was found so far.

    Attributes:
      rows: comparisons.
      failed: what could not be compared, and counts as wrong.
      skipped: what was not compared, and why; it does not count.
      remarks: what is worth knowing and is no comparison.
    """

    rows: list[Row] = field(default_factory=list)
    failed: list[FailedCall] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, group: str, prop: str, actual: Array, expected: Array, tolerance: Tolerance,
            reference: Reference, kappa: float) -> Row | None:
        """Compare an array; the row, unless its tolerance is so wide that agreeing says nothing.

        Args:
          group, prop: what to call it.
          actual, expected: of one shape; expected is float64.
          tolerance: the error that passes.
          reference: for the number type.
          kappa: the condition, for the row.
        """
        row = compared(group, prop, reference.dtype, actual, expected, tolerance, kappa)
        if row.passed and tolerance.relative >= LARGEST_USEFUL:
            self.skipped.append(f"{group}, {prop}, {reference.dtype}: too ill-conditioned to tell "
                                f"(an error of {tolerance.relative:.1g} would be rounding)")
            return None
        self.rows.append(row)
        return row

    def fail(self, offering: str, reference: Reference, reason: str, output: str = "") -> None:
        """Count something as wrong that has no numbers to compare."""
        self.failed.append(FailedCall(offering, reference.dtype.name, one_line(reason), output))


def judge(judgement: Judgement, offering: str, found: Found, reference: Reference) -> list[str]:
    """Compare one call's results with the truth.

    Args:
      judgement: takes what is found.
      offering: what was called.
      found: what it gave.
      reference: the truth.

    Returns:
      the names of the results that are arrays of the right shape, with finite numbers where the
      truth has some.
    """
    if offering == "layers":
        _judge_names(judgement, found, reference)
    unknown = [name for name in found.arrays if name not in reference.truth]
    if unknown and offering != "layers":
        judgement.fail(offering, reference, f"gives what the model does not have: "
                       f"{_listed(name.partition('/')[2] for name in unknown)}")
    usable = []
    for name, array in found.arrays.items():
        if name in unknown:
            continue
        problem = misfit(array, reference.truth[name])
        prop = name.partition("/")[2] or name
        why = reference.not_held(name)
        if why and array.shape == reference.truth[name].shape:
            judgement.skipped.append(f"{offering}, {prop}, {reference.dtype}: {why}")
            continue
        if problem:
            what = "" if len(found.arrays) == 1 else f"{prop} "
            judgement.fail(offering, reference, f"{what}{problem}")
            continue
        usable.append(name)
        judgement.add(offering, prop, array, reference.truth[name], reference.tolerance(name),
                      reference, reference.conditions[name])
    _remark_on_types(judgement, offering, found, reference)
    _skip_missing(judgement, offering, found, reference)
    return usable


def misfit(array: Array, expected: Array) -> str:
    """Why an array cannot be compared with what it should be; empty if it can."""
    if array.shape != expected.shape:
        first = array.ndim == 4 and np.moveaxis(array, 1, -1).shape == expected.shape
        return (f"has shape {list(array.shape)}; expected {list(expected.shape)}"
                f"{': channels come last' if first else ''}")
    wrong = ~np.isfinite(array) & np.isfinite(expected)
    if wrong.any():
        first = np.argwhere(wrong)[0]
        return (f"holds {array[tuple(first)]} at {list(map(int, first))} and is not finite at "
                f"{int(wrong.sum())} of {array.size} places")
    return ""


def _judge_names(judgement: Judgement, found: Found, reference: Reference) -> None:
    """One failure each for names that are unknown, missing, repeated, or in another order."""
    expected = [layer.name for layer in reference.layers]
    counts = Counter(found.layers)
    in_order = [name for name in counts if name in set(expected)]
    problems = {
        "unknown": [name for name in counts if name not in set(expected)],
        "missing": [name for name in expected if name not in counts and not found.by_name],
        "repeated": [name for name, count in counts.items() if count > 1],
        "not in the order from image to latent": [
            name for name, should in zip(in_order, [n for n in expected if n in counts],
                                         strict=True) if name != should]}
    for problem, names in problems.items():
        if names:
            judgement.fail("layers", reference, f"{len(names)} of the layers' names "
                           f"{'are' if len(names) > 1 else 'is'} {problem}: {_listed(names)}")


def remark_on_another(judgement: Judgement, result: str, one: Array, other: Array,
                      offering: str, reference: Reference) -> None:
    """Say so where two calls that give the same result give other numbers, and one is wrong."""
    apart = difference(one, other, np.float64).relative
    wrong = any(row.prop == result and not row.passed for row in judgement.rows)
    eps = max(np.finfo(dtype).eps for dtype in (one.dtype, other.dtype, reference.dtype))
    if wrong and not apart <= math.sqrt(eps):
        judgement.remarks.append(
            f"{offering} and the call before it give another {result} for the same data, by "
            f"{apart:.0e} ({reference.dtype}): one of them is wrong, or something is random or "
            "remembers calls (dropout, noise, an ActNorm that starts again)")


def _remark_on_types(judgement: Judgement, offering: str, found: Found,
                     reference: Reference) -> None:
    others = sorted(set(found.dtypes.values()) - {reference.dtype.name})
    if others:
        judgement.remarks.append(f"{offering} was given {reference.dtype} and returned "
                                 f"{', '.join(others)}")


def _skip_missing(judgement: Judgement, offering: str, found: Found,
                  reference: Reference) -> None:
    """Say which of the arrays by name were not given (layers' log-dets too)."""
    absent = [name.partition("/")[2] for name in reference.truth
              if name.startswith(f"{offering}/") and name not in found.arrays
              and not (name.startswith("layers/") and name.split("/")[1] not in found.layers
                       and not found.by_name)]
    if absent:
        judgement.skipped.append(f"{offering}, {reference.dtype}: {len(absent)} not given "
                                 f"({_listed(absent)})")


def _listed(names: Iterable[str]) -> str:
    some = [shown(name) for name in names]
    return ", ".join(some[:_MOST_NAMES]) + (f" and {len(some) - _MOST_NAMES} more"
                                            if len(some) > _MOST_NAMES else "")
