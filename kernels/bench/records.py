"""What is measured: a Case with its variants, and the Measurement of each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Arrays: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One function at one size, with the implementations of it that are compared.

    Attributes:
      op: the family that the function belongs to, e.g. "coupling".
      function: its name, e.g. "sigmoid_coupling_forward".
      size: the shapes in words, for people, e.g. "x [64, 256, 12]".
      dtype: name of the number type.
      make_inputs: (rng) -> the arguments of the variants, in their kind of array.
      specification: the function that is right by definition, of NumPy arrays.
      variants: name -> function with the specification's arguments and results.
      bytes_moved: the least that must be read and written: every input once, every result once.
      operations: floating-point operations: additions, multiplications and divisions, and each
        exponential or logarithm as one.
      error: (result, the specification's) -> how far apart they are, as NumPy arrays of one shape
        and number type; infinite where only one of them is finite.
      tolerance: the largest error that is right.
    """

    op: str
    function: str
    size: str
    dtype: str
    make_inputs: Callable[[np.random.Generator], Arrays]
    specification: Callable[..., Any]
    variants: Mapping[str, Callable[..., Any]]
    bytes_moved: int
    operations: int
    error: Callable[[Any, Any], float]
    tolerance: float

    @property
    def intensity(self) -> float:
        """Floating-point operations for each byte that must be moved."""
        return self.operations / self.bytes_moved


@dataclass(frozen=True)
class Summary:
    """Repeated timings of one thing, in seconds per call.

    Attributes:
      seconds: all of them, in the order they were taken.
    """

    seconds: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """The shortest."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle one: what is quoted."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """A quarter of the timings is shorter than the first, a quarter longer than the second."""
        low, high = np.percentile(self.seconds, (25, 75))
        return float(low), float(high)

    @property
    def spread(self) -> float:
        """The distance between the quartiles, as a share of the median."""
        low, high = self.quartiles
        return (high - low) / self.median

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"minimum_seconds": self.minimum, "median_seconds": self.median,
                "quartiles_seconds": list(self.quartiles), "spread": self.spread,
                "seconds": list(self.seconds)}


@dataclass(frozen=True)
class Measurement:
    """What was found about one variant of a case.

    Attributes:
      case, variant: of what.
      error: its largest error against the specification; infinite if it failed or its results are
        of another kind.
      refused: why it was not timed; empty if it is right.
      summary: its timings; None if it was refused.
      calls: how many calls one timing is the mean of.
    """

    case: Case = field(repr=False)
    variant: str
    error: float
    refused: str = ""
    summary: Summary | None = None
    calls: int = 0

    @property
    def bandwidth(self) -> float | None:
        """The bytes that must be moved, per second of the median; None if it was refused."""
        return self.case.bytes_moved / self.summary.median if self.summary else None

    @property
    def rate(self) -> float | None:
        """Floating-point operations per second of the median; None if it was refused."""
        return self.case.operations / self.summary.median if self.summary else None
