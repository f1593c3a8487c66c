"""What the roofline plot shows: a point for each variant, and the ceilings above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refglow.kernels.bench.machine import Ceilings
    from refglow.kernels.bench.records import Measurement


@dataclass(frozen=True)
class Point:
    """One variant in the picture.

    Attributes:
      name: of the function and its size; what its variants have in common.
      variant: which of them.
      intensity: operations per byte; 0 for a function that only moves data.
      rate: operations per second.
      bandwidth: bytes per second.
    """

    name: str
    variant: str
    intensity: float
    rate: float
    bandwidth: float


@dataclass(frozen=True)
class Ceiling:
    """The two limits.

    Attributes:
      bandwidth, bandwidth_label: bytes per second, and what they are, e.g. "copy, measured".
      rate, rate_label: operations per second, and what they are; None if unknown.
    """

    bandwidth: float
    bandwidth_label: str
    rate: float | None
    rate_label: str


def points_of(found: Sequence[Measurement]) -> list[Point]:
    """A point for each variant that was timed.

    Args:
      found: what was measured.
    """
    return [Point(f"{one.case.function}, {one.case.size}", one.variant, one.case.intensity,
                  one.rate, one.bandwidth)
            for one in found if one.rate is not None and one.bandwidth is not None]


def ceiling_of(ceilings: Ceilings, dtype: str) -> Ceiling:
    """The limits that were measured with them.

    Args:
      ceilings: of the same run.
      dtype: of what was measured.
    """
    return _measured(ceilings.bandwidth, ceilings.gemm_rate(dtype), dtype)


def of_report(report: Mapping[str, Any]) -> tuple[list[Point], Ceiling]:
    """Points and ceiling of what `refglow bench cpu --json` or `bench cuda --json` wrote.

    Args:
      report: the JSON, as a dict; of one number type.

    Raises:
      ValueError: if it is something else, or nothing in it was timed.
    """
    try:
        rows = [row for row in report["results"] if row["refused"] is None]
        [dtype] = {row["dtype"] for row in rows}
        rates = report["ceilings"]
        points = [Point(f"{row['function']}, {row['size']}", row["variant"],
                        row["operations"] / row["bytes_moved"], row["operations_per_second"],
                        row["bytes_per_second"]) for row in rows]
        return points, _measured(rates["copy_bytes_per_second"],
                                 rates["gemm_operations_per_second"].get(dtype), dtype)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError("Expected the report that `refglow bench cpu --json FILE` or `refglow "
                         "bench cuda --json FILE` wrote, with timings in one number type; got "
                         f"something else ({type(error).__name__}: {error}).") from error


def _measured(bandwidth: float, rate: float | None, dtype: str) -> Ceiling:
    return Ceiling(bandwidth, "copy, measured", rate, f"{dtype} matrix product, measured")
