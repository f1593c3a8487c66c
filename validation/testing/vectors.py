"""Golden vectors for tests: what to compute, on which numbers, and whether it was right."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.golden import DTYPES
from refglow.validation.implementations.found import NotAResultError, read
from refglow.validation.implementations.judging import misfit
from refglow.validation.row import Row
from refglow.validation.testing.copies import Copies
from refglow.validation.vectors.catalogue import BY_NAME, VECTORS
from refglow.validation.vectors.flags import FLAGS
from refglow.validation.vectors.judging import Judge, judge_of
from refglow.validation.vectors.kept import KeptVectors, kept_vectors
from refglow.validation.vectors.operations import OPERATIONS
from refglow.validation.vectors.sampling import samples_of
from refglow.validation.vectors.vector import BOTH, Vector

_MOST_FLAGS = 6  # in a message


class GoldenVector:
    """One vector: an operation's true results for given numbers.

    Attributes:
      name, operation, formula, why: which it is, what it computes, what its numbers are chosen for.
      arguments: the operation's sizes and choices.
      event_ndims: how many of the last dimensions of forward's input are one example.
      flags: the mistakes that it catches.
      parameters: by name, float32 (permutations: ints), as are
      inputs: "forward/input", "inverse/input", cotangents ("forward/value_bar") and tangents.
      results: by number type and name: results["float64"]["forward/value"], correctly rounded.
      places: of the results of which only some numbers are there, which: counted row by row from 0.

    Arrays are copies, each time another: tests share the vector, and may write into them.
    """

    def __init__(self, vector: Vector, kept: KeptVectors) -> None:
        """Read its arrays from the package's file, which `kept` has open."""
        self._vector, self._kept = vector, kept
        self.name, self.operation, self.why = vector.name, vector.operation, vector.why
        self.formula = OPERATIONS[vector.operation].formula
        self.arguments: Mapping[str, Any] = dict(vector.arguments)
        self.event_ndims, self.flags = len(vector.event_shape), vector.flags
        truth = kept.results(vector).values
        given = kept.all_inputs(vector)
        self._samples = samples_of(vector, truth)
        self.places = Copies({name: sample.places for name, sample in self._samples.items()})
        self.parameters = Copies({name.removeprefix("params/"): array
                                  for name, array in given.items() if name.startswith("params/")})
        self.inputs = Copies({name: array for name, array in given.items()
                              if not name.startswith("params/")})
        self.results: Mapping[str, Copies] = MappingProxyType({
            dtype: Copies({name: by_type[dtype] for name, by_type in truth.items()})
            for dtype in DTYPES})

    def __repr__(self) -> str:
        """Its name and operation, for the reports of failed tests."""
        return f"<golden vector {self.name}: {self.operation}>"

    def row(self, name: str, array: Any) -> Row | None:
        """The comparison of a result with the truth: error, tolerance, verdict.

        Args:
          name: "forward/value", "inverse/log_det", "forward/vjp/input_bar", ... (see `results`).
          array: yours, float32 or float64, by whose digits it is judged; the whole result, also
            where only the numbers at `places` are compared.

        Returns:
          the row; None where roundings of the inputs move the result by a tenth or more, so that
          nothing can be said of numbers, but that they are finite.

        Raises:
          AssertionError: if it is no array, of another shape, or not finite where it should be.
          KeyError: if the vector has no such result; lists what it has.
        """
        __tracebackhide__ = True
        if name not in self.results["float64"]:
            raise KeyError(f"{self.name} has no result {name!r}; it has: "
                           f"{', '.join(self.results['float64'])}.")
        expected = self.results["float64"][name]
        yours = self._array(name, array)
        problem = misfit(yours, expected)
        if problem:
            raise AssertionError(f"{name} of {self.name} {problem}.\n{self._words()}")
        return self._judge(name, yours, expected)

    def assert_matches(self, name: str, array: Any) -> Row | None:
        """Fail unless a result is as near to the truth as its number type lets it be.

        Args, Returns: as for `row`.

        Raises:
          AssertionError: if it is not; says by how much, where, and which mistakes it may be.
          KeyError: as `row`.
        """
        __tracebackhide__ = True
        row = self.row(name, array)
        if row is None or row.passed:
            return row
        raise AssertionError(
            f"{name} of {self.name} is off by {row.relative:.1e}; {row.dtype} allows "
            f"{row.tolerance:.1e} ({row.reason}).\n"
            f"{self._where(name, self._array(name, array))}\n{self._words()}")

    def _array(self, name: str, array: Any) -> Array:
        """What is compared of whatever becomes an array: a copy in float32 or float64."""
        __tracebackhide__ = True
        try:
            [copy] = read("inverse", array).arrays.values()
        except NotAResultError as error:
            raise AssertionError(f"{name} of {self.name}: {error}.") from error
        if name not in self._samples:
            return copy
        try:
            return self._samples[name].of(copy)
        except ValueError as error:
            raise AssertionError(f"{name} of {self.name} {error}") from error

    @cached_property
    def _judge(self) -> Judge:
        return judge_of(self._vector, self._kept)

    def _where(self, name: str, yours: Array) -> str:
        """Where it is furthest from the truth."""
        expected = self.results["float64"][name]
        with np.errstate(invalid="ignore"):
            errors = np.abs(yours.astype(np.float64) - expected)
        k, wrong = int(np.argmax(np.nan_to_num(errors))), int((errors > 0).sum())
        sample = self._samples.get(name)
        place = (np.unravel_index(k, errors.shape) if sample is None
                 else np.unravel_index(sample.places[k], sample.shape))
        return (f"Furthest at {list(map(int, place))}: {yours.flat[k]!s} instead of "
                f"{expected.flat[k]!s}; {wrong} of {errors.size} numbers are not exactly the "
                "truth.")

    def _words(self) -> str:
        """What the vector is, and which mistakes it catches."""
        lines = [f"{self.operation}: {self.formula}", f"Its numbers: {self.why}",
                 "Mistakes that it catches:"]
        lines += [f"  - {flag}: {FLAGS[flag].bug} {FLAGS[flag].effect} ({FLAGS[flag].who})"
                  for flag in self.flags[:_MOST_FLAGS]]
        return "\n".join(lines)


class GoldenVectors(Mapping[str, GoldenVector]):
    """All vectors by name, each read when it is first asked for."""

    def __init__(self, kept: KeptVectors) -> None:
        """Those of an open file, kept; see `golden_vectors`."""
        self._kept = kept
        self._read: dict[str, GoldenVector] = {}

    def __getitem__(self, name: str) -> GoldenVector:
        """The vector of a name.

        Raises:
          KeyError: if there is none.
        """
        if name not in BY_NAME:
            raise KeyError(f"There is no golden vector {name!r}; list(...) of these has the names.")
        if name not in self._read:
            self._read[name] = GoldenVector(BY_NAME[name], self._kept)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(BY_NAME)

    def __len__(self) -> int:
        """How many there are."""
        return len(BY_NAME)


@contextmanager
def golden_vectors() -> Iterator[GoldenVectors]:
    """The package's vectors, to be read inside the block."""
    with kept_vectors() as kept:
        yield GoldenVectors(kept)


def names_of(*chosen: str, flags: Collection[str] = (), direction: str | None = None) -> list[str]:
    """The names of vectors.

    Args:
      *chosen: operations ("RealNVP", "real_nvp"), or how names begin ("onebyoneconv-3x"); by
        default all.
      flags: mistakes, of which a vector must catch one; by default any.
      direction: "forward" or "inverse", which a vector must have; by default either.

    Raises:
      ValueError: if there are none of one of them; tells what there is.
    """
    if direction not in (None, *BOTH):
        raise ValueError(f"The direction can be {' or '.join(BOTH)}; got {direction!r}.")
    unknown = sorted(set(flags) - FLAGS.keys())
    if unknown:
        raise ValueError(f"No vector has the flag {unknown[0]!r}; there are: "
                         f"{', '.join(sorted(FLAGS))}.")
    wanted: set[str] = set()
    for text in chosen:
        wanted |= _names(text)
    return [vector.name for vector in VECTORS if (not chosen or vector.name in wanted)
            and (not flags or set(flags) & set(vector.flags))
            and (direction is None or direction in vector.directions)]


def _names(text: str) -> set[str]:
    plain = text.lower().replace("_", "")
    found = ({vector.name for vector in VECTORS if vector.operation.lower() == plain}
             or {vector.name for vector in VECTORS if vector.name.startswith(plain)})
    if not found:
        raise ValueError(f"No operation is called {text!r}, and no vector's name begins so; there "
                         f"are: {', '.join(sorted({v.operation for v in VECTORS}))}.")
    return found
