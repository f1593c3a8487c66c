"""Reduced precision, recognised by what it does to numbers.

    results    every number of the layers that differ is one of the narrower type's
    products   the layer's matrix product or convolutions, with their operands rounded to that type,
               give what was seen, far nearer than with operands as they are
    weights    parameters rounded to that type, as a checkpoint may hold them, give what was seen
    networks   as products, and what a network gives is rounded too, as under autocast

TF32, with 10 bits of mantissa, is a type of products only: what comes out of them is float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.closeness import relative_error
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.diagnosis.searching import Answers
from refglow.validation.diagnosis.segments import Dialects, Segment, evaluated
from refglow.validation.dialects.dialect_glow import DialectGlow, WithOperands
from refglow.validation.dialects.networks import Layers, NetworkConventions, Operands

_DIFFERING = 0.01  # of the largest difference: numbers that differ by less are left alone
_NEARER = 8.0  # times: how much nearer rounded operands must bring the result


def to_mantissa(array: Array, bits: int) -> Array:
    """float64 numbers rounded to `bits` bits after the leading one, ties to even."""
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.rint(mantissa * 2.0 ** (bits + 1)) / 2.0 ** (bits + 1), exponent)


def _through(dtype: type) -> Callable[[Array], Array]:
    def rounded(array: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(array.astype(dtype).astype(np.float64))
    return rounded


# The narrowest first: what is bfloat16's is float16's too, in its range.
NARROW: dict[str, Callable[[Array], Array]] = {
    "bfloat16": lambda array: to_mantissa(array, 7),
    "float16": _through(np.float16),
    "float32": _through(np.float32),
}
OPERANDS: dict[str, Callable[[Array], Array]] = {
    "tf32": lambda array: to_mantissa(array, 10),
    "bfloat16": NARROW["bfloat16"],
    "float16": NARROW["float16"],
}

_EPS = {"float16": 2.0**-10, "tf32": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23}


def eps_of(answer: str) -> float:
    """eps of the number type of an answer about precision, "float16" or "float16 weights"."""
    return _EPS[answer.removesuffix(" weights")]


def explained_by_precision(reference: DialectGlow, group: list[Segment], dialects: Dialects,
                           limit: Callable[[Segment], Measured]
                           ) -> list[tuple[Answers, float]]:
    """[({"precision": type}, share of the limit 1)] if a narrower type explains the group's errors.

    Args:
      reference: in float64.
      group: segments of one kind.
      dialects: what is known of the kinds' dialects.
      limit: of a segment's errors.
    """
    for name, rounded in NARROW.items():
        if _holds_only(group, name, rounded) and _is_plausible(reference, group, dialects, name,
                                                               limit):
            return [({"precision": name}, 1.0)]
    for name in ("bfloat16", "float16"):
        if _has_weights_of(reference, group, dialects, NARROW[name], limit):
            return [({"precision": f"{name} weights"}, 1.0)]
    for name, rounded in OPERANDS.items():
        products = reference.with_products_of(rounded)
        ways = [products] if name not in NARROW else [  # tf32's products come out in float32
            products, replace(products, network=_Rounded(products.network, rounded))]
        if any(all(_is_nearer(reference, narrow, segment, dialects) for segment in group)
               for narrow in ways):
            return [({"precision": name}, 1.0)]
    return []


@dataclass(frozen=True)
class _Rounded:
    """Networks that give numbers of a narrower type, as under autocast."""

    network: WithOperands
    rounded: Callable[[Array], Array]

    def __call__(self, x: Array, layers: Layers, conventions: NetworkConventions,
                 operands: Operands) -> Array:
        return self.rounded(self.network(x, layers, conventions, operands))


def _holds_only(group: list[Segment], name: str, rounded: Callable[[Array], Array]) -> bool:
    """Whether all outputs are numbers of that type."""
    for segment in group:
        output = segment.seen.output.astype(np.float64)
        if not np.array_equal(rounded(output), output):
            return False
        if name != "float32" and _is_fixed_point(output, _EPS[name]):
            return False
    return True


def _is_fixed_point(output: Array, eps: float) -> bool:
    """Whether small numbers are no finer than large ones."""
    largest = np.abs(output).max()
    step = eps * 2.0 ** np.floor(np.log2(largest)) if largest else 1.0
    return bool((np.rint(output / step) * step == output).all())



def _is_plausible(reference: DialectGlow, group: list[Segment], dialects: Dialects, name: str,
                  limit: Callable[[Segment], Measured]) -> bool:
    """Whether the errors are of the size that the type's roundings have."""
    for segment in group:
        eps = float(np.finfo(segment.seen.output.dtype).eps)
        error = relative_error(segment.seen.output, evaluated(reference, segment, dialects)[0])
        if eps >= _EPS[name] or not error <= limit(segment).value / eps * _EPS[name]:
            return False
    return True


def _has_weights_of(reference: DialectGlow, group: list[Segment], dialects: Dialects,
                    rounded: Callable[[Array], Array],
                    limit: Callable[[Segment], Measured]) -> bool:
    """Whether parameters rounded to the type give what was seen, to rounding of its own type."""
    narrow = replace(reference, arrays={
        name: rounded(array) if array.dtype.kind == "f" else array
        for name, array in reference.arrays.items()})
    return all(limit(segment).share(relative_error(
        segment.seen.output, evaluated(narrow, segment, dialects)[0])) <= 1 for segment in group)


def _is_nearer(reference: DialectGlow, narrow: DialectGlow, segment: Segment,
               dialects: Dialects) -> bool:
    """Whether rounding in the segment's products brings the result much nearer.

    Most of the numbers that differ: a hidden number that lies between two of the type's is rounded
    to one in the implementation and may be rounded to the other here.
    """
    if not set(segment.kinds) & {"conv", "coupling", "exit"}:
        return False
    seen = segment.seen.output.astype(np.float64)

    before, after = (np.abs(seen - evaluated(of, segment, dialects)[0])
                     for of in (reference, narrow))
    if not before.max():
        return True  # it says nothing
    differing = before > _DIFFERING * before.max()
    if not differing.any():  # infinitely: no precision does that
        return False
    return bool(np.median(after[differing]) * _NEARER < np.median(before[differing]))
