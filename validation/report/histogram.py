"""How large the errors of an array's numbers are: a histogram in ulps.

The error of each number is |yours - true|, in ulps of the *largest* number of the array, as in
`Row.ulps`: a number that is small because larger ones cancelled in it cannot be known better than
they are. So the last bin holds what the row is judged by. Edges are powers of two.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array, DType

_MOST_BINS = 20
_LEAST_EXPONENT = -1  # half an ulp, the error of one rounding
_MOST_ULPS = 2.0**1023  # the largest power of two


@dataclass(frozen=True)
class Bin:
    """Numbers whose error is at most `upto` ulps, and more than those of the bin before."""

    upto: float
    count: int


@dataclass(frozen=True)
class Histogram:
    """Errors by size.

    Attributes:
      ulp: the unit: the gap between neighbouring floats at the largest number.
      bins: from 0 upwards, without gaps; edges are powers of two, or of four, ... where the errors
        reach far.
      not_finite: how many errors are not finite (or beyond 2^1023 ulps).
      tolerance: the largest error that passes, in the same unit.
    """

    ulp: float
    bins: tuple[Bin, ...]
    not_finite: int
    tolerance: float

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.not_finite + sum(one.count for one in self.bins)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"bins": [asdict(one) for one in self.bins]}


def histogram_of(errors: Array, largest: float, tolerance: float, dtype: DType) -> Histogram:
    """The histogram of an array's errors.

    Args:
      errors: |yours - true|, float64; NaN or infinite where either is.
      largest: max|true|.
      tolerance: the largest error that passes, as they are.
      dtype: the number type whose ulps are counted.
    """
    ulp = float(np.spacing(np.dtype(dtype).type(largest)))
    with np.errstate(all="ignore"):
        ulps = errors.reshape(-1) / ulp
    finite = ulps[ulps <= _MOST_ULPS]
    edges = np.array([0.0, *_edges(float(finite.max(initial=0.0)))])
    counts = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=len(edges))
    bins = tuple(Bin(float(edge), int(count)) for edge, count in zip(edges, counts, strict=True))
    return Histogram(ulp, bins, int(ulps.size - finite.size), tolerance / ulp)


def _edges(largest: float) -> list[float]:
    """Powers of two from one half to the first that is not below the largest error."""
    if largest == 0:
        return []
    # frexp: largest = mantissa 2^exponent with mantissa in [1/2, 1).
    mantissa, exponent = math.frexp(largest)
    last = max(_LEAST_EXPONENT, exponent - (mantissa == 0.5))
    stride = -(-(last - _LEAST_EXPONENT + 1) // _MOST_BINS)
    count = -(-(last - _LEAST_EXPONENT) // stride) + 1
    exponents = [_LEAST_EXPONENT + stride * k for k in range(count)]
    return [math.ldexp(1.0, min(exponent, 1023)) for exponent in exponents]
