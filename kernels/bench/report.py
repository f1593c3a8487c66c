"""The figures of a run, as a plain dict for programs and as rows of a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from refglow.kernels.bench.machine import Ceilings
from refglow.kernels.bench.records import Case, Measurement

COLUMNS = ("function", "variant", "median", "fastest", "spread", "times the\nfirst's",
           "GB/s", "of copy", "GFLOP/s", "of GEMM", "error")
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
      heading: the case: what lines of one case have in common.
      cells: text, as many as COLUMNS.
      refused: why there are no figures; empty if there are.
    """

    heading: str
    cells: tuple[str, ...]
    refused: str


def ranked(measurements: Iterable[Measurement]) -> list[Measurement]:
    """Variants of each case from fastest to slowest, the refused ones last; cases as they come."""
    cases: dict[int, list[Measurement]] = {}
    for found in measurements:
        cases.setdefault(id(found.case), []).append(found)
    return [found for group in cases.values() for found in sorted(group, key=_order)]


def _order(found: Measurement) -> float:
    return found.summary.median if found.summary else float("inf")


def as_dict(found: Measurement, ceilings: Ceilings) -> dict[str, Any]:
    """One measurement for JSON.

    Args:
      found: what was measured.
      ceilings: what its rates are shares of; measured in the same run.
    """
    case, (of_copy, of_gemm) = found.case, shares(found, ceilings)
    return {"op": case.op, "function": case.function, "variant": found.variant, "size": case.size,
            "dtype": case.dtype, "bytes_moved": case.bytes_moved, "operations": case.operations,
            "error": found.error, "tolerance": case.tolerance, "refused": found.refused or None,
            "calls_per_timing": found.calls, "bytes_per_second": found.bandwidth,
            "operations_per_second": found.rate, "share_of_copy_bandwidth": of_copy,
            "share_of_gemm_rate": of_gemm,
            **(found.summary.as_dict() if found.summary else {})}


def shares(found: Measurement, ceilings: Ceilings) -> tuple[float | None, float | None]:
    """A measurement's bandwidth over the copy bandwidth, its operations' rate over the GEMM rate.

    Args:
      found: what was measured.
      ceilings: of the same run.

    Returns:
      both; None for what was not measured, or where a function has no operations.
    """
    gemm = ceilings.gemm_rate(found.case.dtype)
    of_copy = None if found.bandwidth is None else found.bandwidth / ceilings.bandwidth
    return of_copy, found.rate / gemm if found.rate and gemm else None


def rows(measurements: Sequence[Measurement], ceilings: Ceilings) -> list[Row]:
    """The lines of the table, ranked.

    Args:
      measurements: in any order.
      ceilings: of the same run.
    """
    firsts = {id(found.case): found for found in reversed(measurements) if found.summary}
    return [_row(found, firsts.get(id(found.case)), ceilings) for found in ranked(measurements)]


def _row(found: Measurement, first: Measurement | None, ceilings: Ceilings) -> Row:
    heading = _heading(found.case)
    if found.summary is None or first is None or first.summary is None:
        return Row(heading, (found.case.function, found.variant, *[""] * 8, f"{found.error:.0e}"),
                   found.refused)
    of_copy, of_gemm = shares(found, ceilings)
    times = found.summary.median / first.summary.median
    return Row(heading, (
        found.case.function, found.variant, duration(found.summary.median),
        duration(found.summary.minimum), f"{found.summary.spread:.0%}", f"{times:.2f}",
        _giga(found.bandwidth), _percent(of_copy), _giga(found.rate), _percent(of_gemm),
        f"{found.error:.0e}"), "")


def _heading(case: Case) -> str:
    return f"{case.op}: {case.size}, {case.dtype}"


def duration(seconds: float) -> str:
    """Seconds with three digits, in a unit that suits."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _giga(value: float | None) -> str:
    return f"{value / 1e9:.3g}" if value else ""


def _percent(value: float | None) -> str:
    return f"{value:.0%}" if value is not None else ""
