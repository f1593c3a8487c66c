"""The derivative of any function of arrays along a direction, and how well it is known.

    complex step          J v = Im f(x + i h v) / h
    central differences   J v = (f(x + h v) - f(x - h v)) / 2h,  h halved again and again,
                          extrapolated to h = 0

The first is exact to rounding, because it subtracts nothing; but f must be made of analytic
operations that let complex numbers through. np.abs, a comparison with a cast, or another language
drop the imaginary part, some without a word. So it is used only where differences agree with it.

The second works for any f. Its error has two parts: h^2k, which extrapolation removes term by term,
and the rounding of f, eps |f| / h. Of the tableau of extrapolations the entry is taken whose
estimated error is smallest; the estimate goes with the result.

Source: Squire & Trapp 1998 (complex step); Ridders 1982 (the tableau and its estimate).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from refglow.dtypes import Array, DType

Function: TypeAlias = Callable[[Sequence[Array]], list[Array]]

_IMAGINARY_STEP = 1e-20  # small enough for h^2 to vanish in float64, h itself not in float32
_STEPS = tuple(2.0**-k for k in range(3, 13))  # of differences, relative to the direction
_FAR = 1000.0


@dataclass(frozen=True)
class Derivative:
    """J v for each array of the result, and the error estimated for each number of it."""

    values: list[Array]
    errors: list[Array]


@dataclass(frozen=True)
class ComplexStep:
    """Im f(x + i h v) / h, evaluated in a complex type.

    Attributes:
      f: arrays -> arrays.
      complex_dtype: the type in which f is called.
      dtype: the number type whose rounding the result carries.
      name: what reports call the method, with the reason for the choice.
      exact: whether that rounding is the only error.
    """

    f: Function
    complex_dtype: DType
    dtype: DType
    name: str = "complex step"
    exact: bool = True

    def along(self, leaves: Sequence[Array], direction: Sequence[Array]) -> Derivative:
        """J v at `leaves` along `direction`."""
        outputs = self.f(_shifted(leaves, direction, 1j * _IMAGINARY_STEP, self.complex_dtype))
        values = [np.asarray(y.imag, dtype=np.promote_types(y.real.dtype, np.float64))
                  / _IMAGINARY_STEP for y in outputs]
        return Derivative(values, [np.zeros(v.shape) for v in values])


@dataclass(frozen=True)
class Differences:
    """Central differences, extrapolated.

    Attributes:
      f, dtype, name, exact: as for `ComplexStep`.
      promoted: whether f is called in float64 where the arrays are narrower.
    """

    f: Function
    dtype: DType
    name: str
    promoted: bool
    exact: bool = False

    def along(self, leaves: Sequence[Array], direction: Sequence[Array]) -> Derivative:
        """J v at `leaves` along `direction`."""
        points = _promoted(leaves) if self.promoted else list(leaves)
        with np.errstate(all="ignore"):  # a step may leave f's domain; the NaN is then not chosen
            pairs = [[self.f(_shifted(points, direction, t)) for t in (h, -h)] for h in _STEPS]
            far = self._far(points, direction)
        results = [_extrapolated([up[k] for up, _ in pairs], [down[k] for _, down in pairs],
                                 far[k] if far else None) for k in range(len(pairs[0][0]))]
        return Derivative([value for value, _ in results], [error for _, error in results])

    def _far(self, points: list[Array], direction: Sequence[Array]) -> list[Array] | None:
        """f so far away that what has not changed there does not depend on the direction."""
        try:
            return self.f(_shifted(points, direction, _FAR))
        except Exception:  # outside f's domain: f does depend on it
            return None


Method: TypeAlias = ComplexStep | Differences


def choose_method(f: Function, leaves: Sequence[Array],
                  directions: Sequence[Sequence[Array]]) -> Method:
    """Complex steps if, along each of `directions`, differences agree with them; else differences.

    Args:
      f: arrays -> arrays.
      leaves: where to differentiate.
      directions: along which to compare the two.
    """
    promoted = _takes_float64(f, leaves)
    dtype = _least_precise(f(_promoted(leaves) if promoted else list(leaves)), "f")
    reason = "f does not take complex numbers"
    for complex_dtype in _complex_types(leaves):
        steps = _complex_step_of(f, leaves, directions[0], complex_dtype)
        if steps is not None:
            differences = Differences(f, dtype, "", promoted)
            if all(_agree(steps.along(leaves, v), differences.along(leaves, v))
                   for v in directions):
                return steps
            reason = "f drops imaginary parts or is not analytic"
    return Differences(f, dtype, f"central differences ({reason})", promoted)


def representable(leaf: Array, direction: Array) -> Array:
    """`direction`, rounded so that all steps of differences from `leaf` are floating numbers.

    Args:
      leaf: the array to be moved.
      direction: of its shape.

    Returns:
      the rounded direction, in the number type of leaf.
    """
    h, cast = leaf.dtype.type(_STEPS[-1]), direction.astype(leaf.dtype)
    rounded = np.asarray(((leaf + h * cast) - leaf) / h)
    return np.where(rounded == 0, cast, rounded)


def _complex_types(leaves: Sequence[Array]) -> list[DType]:
    """The complex types to try: float64's or wider, then the one that fits the arrays."""
    fitting = np.result_type(np.complex64, *(x.dtype for x in leaves if x.dtype.kind == "f"))
    wide = np.promote_types(fitting, np.complex128)
    return [wide] if wide == fitting else [wide, fitting]


def _complex_step_of(f: Function, leaves: Sequence[Array], direction: Sequence[Array],
                     complex_dtype: DType) -> ComplexStep | None:
    """The method, if f takes complex numbers of this type."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            outputs = f(_shifted(leaves, direction, 1j * _IMAGINARY_STEP, complex_dtype))
    except Exception:  # whatever a stranger's code says to complex numbers
        return None
    return ComplexStep(f, complex_dtype, _least_precise(outputs, "c"))


def _takes_float64(f: Function, leaves: Sequence[Array]) -> bool:
    """Whether f computes in float64 if the arrays are."""
    try:
        return all(y.dtype.kind != "f" or y.itemsize >= 8 for y in f(_promoted(leaves)))
    except Exception:  # a stranger's code that insists on its number type
        return False


def _promoted(leaves: Sequence[Array]) -> list[Array]:
    """The arrays, floating ones in float64 or better."""
    return [leaf.astype(np.promote_types(leaf.dtype, np.float64)) if leaf.dtype.kind == "f"
            else leaf for leaf in leaves]


def _shifted(leaves: Sequence[Array], direction: Sequence[Array], t: complex,
             dtype: DType | None = None) -> list[Array]:
    """leaf + t v, in `dtype` or each array's own; what is not floating stays."""
    types = [dtype or leaf.dtype for leaf in leaves]
    return [leaf.astype(kind) + t * dot.astype(kind) if leaf.dtype.kind == "f" else leaf
            for leaf, dot, kind in zip(leaves, direction, types, strict=True)]


def _least_precise(arrays: Sequence[Array], kind: str) -> DType:
    """The real number type of the least precise array of a kind; float64 if there is none."""
    dtypes = [a.real.dtype for a in arrays if a.dtype.kind == kind]
    return max(dtypes, key=lambda d: float(np.finfo(d).eps), default=np.dtype(np.float64))


def _agree(exact: Derivative, differences: Derivative) -> bool:
    """Whether a complex step is within the differences' own error."""
    for a, b, error in zip(exact.values, differences.values, differences.errors, strict=True):
        if a.shape != b.shape or not np.isfinite(a).all():
            return False
        known = np.isfinite(error)
        limit = 10 * error[known].max(initial=0.0) + 1e-9 * np.abs(a).max(initial=0.0)
        if np.abs(a - b)[known].max(initial=0.0) > limit:
            return False
    return True


def _extrapolated(above: list[Array], below: list[Array],
                  far: Array | None) -> tuple[Array, Array]:
    """(the derivative, its estimated error), from f(x + h v) and f(x - h v) at all steps."""
    if above[0].dtype.kind != "f":
        return np.zeros(above[0].shape), np.zeros(above[0].shape)
    eps = float(np.finfo(above[0].dtype).eps)
    size = float(np.nanmax([np.abs(y[np.isfinite(y)]).max(initial=0.0) for y in above + below]))
    best = np.full(above[0].shape, np.nan)
    error = np.full(above[0].shape, np.inf)
    before: list[Array] = []
    with np.errstate(all="ignore"):
        for h, up, down in zip(_STEPS, above, below, strict=True):
            row = [np.asarray((up.astype(np.float64) - down) / (2 * h))]
            for j, old in enumerate(before, start=1):
                row.append((4.0**j * row[-1] - old) / (4.0**j - 1))
                estimate = eps * size / h + np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - old))
                better = estimate < error  # False for NaN
                best, error = np.where(better, row[-1], best), np.where(better, estimate, error)
            before = row
    constant = np.all([y == above[0] for y in [*above, *below]], axis=0)
    return best, np.where(constant & (far == above[0]), 0.0, error) if far is not None else error
