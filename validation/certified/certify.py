"""Raising precision until every result is known to the last bit of a number type."""

from __future__ import annotations

from collections.abc import Callable

from refglow.dtypes import Array
from refglow.validation.certified.ball import UndecidedError, precision
from refglow.validation.certified.certified_results import Certified
from refglow.validation.certified.nearest import nearest
from refglow.validation.golden import DTYPES

FIRST_BITS, MOST_BITS = 128, 8192

Results = dict[str, Array]  # by name, object arrays of Balls


def certified(compute: Callable[[], Results], first_bits: int = FIRST_BITS) -> Certified:
    """The results of a computation with balls, correctly rounded.

    Args:
      compute: evaluates, at the precision in force, what is asked; it is called again with twice as
        many bits while a comparison or a rounding is undecided.
      first_bits: of the first attempt.

    Raises:
      UndecidedError: if 8192 bits do not decide it: a result is exactly between two floating-point
        numbers, a branch depends on whether a number that is computed is exactly 0, or a function
        is asked for outside its domain.
      TypeError: for a float beside Balls; all inputs and parameters have to be Balls (`balls`).
    """
    bits = first_bits
    while True:
        try:
            with precision(bits):
                return Certified({name: {dtype: nearest(array, dtype) for dtype in DTYPES}
                                  for name, array in compute().items()}, bits)
        except UndecidedError as error:
            bits *= 2
            if bits > MOST_BITS:
                error.add_note(f"({bits // 2} bits of precision do not decide it.)")
                raise
