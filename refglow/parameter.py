"""Parameters given to bijectors and distributions: numbers, arrays or Variables.

A Python number or list is weak: it takes the number type of the array it is combined with. An
array or Variable fixes the number type of the bijector that holds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import is_array, is_on_gpu, require_one_place
from refglow.dtypes import DEFAULT_FLOAT, Array, DType, as_array, is_weak
from refglow.elementary import constant
from refglow.variable import Variable


def parameter(value: Any, owner: str, what: str) -> Any:
    """`value` as it is to be stored: None, a Variable, a weak number or list, or an array.

    Raises:
      TypeError: if it holds no numbers, or is a Variable of integers.
    """
    if isinstance(value, Variable) and value.dtype.kind not in "fcO":
        raise TypeError(f"{owner}: {what} is a Variable of dtype {value.dtype}; make it a floating "
                        f"one: Variable(value, dtype='{DEFAULT_FLOAT}').")
    if value is None or isinstance(value, Variable) or is_weak(value):
        return value
    return as_array(value, None, owner, what)


def parameter_dtype(stored: Any) -> DType | None:
    """The number type that a stored parameter fixes; None if it is weak or absent."""
    return getattr(stored, "dtype", None)


def at(stored: Any, x: Array) -> Array:
    """The parameter's value in the number type of x, where x is.

    A Variable has a copy on each GPU, and a number is written there; other arrays stay where they
    are.

    Raises:
      TypeError, ValueError: if it is an array (no Variable) that is elsewhere.
    """
    if isinstance(stored, Variable):
        return stored.value_for(x)
    if not is_array(stored) or (is_on_gpu(x) and isinstance(stored, np.ndarray)
                                and not stored.ndim):
        return constant(stored, x)
    if not (isinstance(stored, np.ndarray) and isinstance(x, np.ndarray)):
        require_one_place("A parameter that is no Variable", parameter=stored, input=x)
    value: Array = stored
    return value


def shown(stored: Any) -> Any:
    """The parameter as its property returns it: None, the Variable, or an array."""
    if stored is None or isinstance(stored, Variable):
        return stored
    return stored if is_array(stored) else np.asarray(stored, dtype=DEFAULT_FLOAT)
