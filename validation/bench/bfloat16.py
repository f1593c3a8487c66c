"""Cases in bfloat16, whose arrays are bfloat16's bits in uint16: no library is needed to hold them.

A bfloat16 is the upper half of a float32: 8 significant bits, where float16 has 11. A case for
float16 becomes one for bfloat16: as many bytes are moved, and roundings are 8 times as large. The
specification computes with the numbers, in float32, and its values are rounded to bits; log-dets
are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.kernels.bench.records import Arrays, Case

ROUNDINGS_OF_FLOAT16 = 8.0  # eps of bfloat16, in those of float16: 2^-7 / 2^-10


def as_bits(numbers: Array) -> Array:
    """float32 numbers, rounded to the nearest bfloat16, ties to even, as its bits.

    Args:
      numbers: [...], float32 and finite.

    Returns:
      [...], uint16.
    """
    bits = numbers.view(np.uint32)
    # Half a unit of the upper half, less one where that is even, carries into it where it should.
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def as_numbers(bits: Array) -> Array:
    """The numbers, float32, whose bits these are as bfloat16.

    Args:
      bits: [...], uint16.
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def in_bfloat16(case: Case) -> Case:
    """A case for float16 as one for bfloat16; its tolerance is left as it is.

    Args:
      case: of a function of which log-dets have at most one dimension, and values more.
    """
    def make_inputs(rng: np.random.Generator) -> Arrays:
        return tuple(as_bits(value.astype(np.float32))
                     if isinstance(value, np.ndarray) and value.dtype == np.float16 else value
                     for value in case.make_inputs(rng))

    def error(found: Array, expected: Array) -> float:
        return case.error(_numbers(found), _numbers(expected))
    return replace(case, dtype="bfloat16", make_inputs=make_inputs, error=error,
                   specification=_of_bits(case.specification), variants={})


def _of_bits(specification: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(specification)
    def of_bits(*arguments: Any) -> Any:
        results = specification(*map(_numbers, arguments))
        return tuple(as_bits(result.astype(np.float32)) if result.ndim > 1 else result
                     for result in results)
    return of_bits


def _numbers(value: Any) -> Any:
    return as_numbers(value) if getattr(value, "dtype", None) == np.uint16 else value
