"""What optimizers and moving averages share: numbers and arrays that go by variables' names."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping

import numpy as np

from refglow.dtypes import Array, DType
from refglow.safetensors_file import ArrayKind
from refglow.variable import Variable


def frozen(array: Array) -> Array:
    """The array, made read-only."""
    array = np.asarray(array)  # NumPy's arithmetic makes scalars of arrays without dimensions
    array.flags.writeable = False
    return array


def number_in_range(name: str, value: float, below: float = math.inf) -> float:
    """`value` as a Python float, which leaves float32 arrays float32.

    Raises:
      ValueError: if it is not in [0, below).
    """
    number = float(value)
    if not 0 <= number < below:
        raise ValueError(f"{name} must be at least 0 and below {below:g}; got {value}.")
    return number


def by_name(variables: Iterable[Variable]) -> dict[str, Variable]:
    """The variables by their names.

    Raises:
      ValueError: if two have one name.
    """
    found: dict[str, Variable] = {}
    for variable in variables:
        if found.setdefault(variable.name, variable) is not variable:
            raise ValueError(f"Two variables are called {variable.name!r}; their gradients and "
                             "moments could not be told apart.")
    return found


def kinds_of(arrays: Mapping[str, Array | Variable]) -> dict[str, ArrayKind]:
    """The dtypes and shapes of arrays by name."""
    return {name: _kind(array.dtype, array.shape) for name, array in arrays.items()}


@functools.lru_cache(4096)
def _kind(dtype: DType, shape: tuple[int, ...]) -> ArrayKind:
    """One object for all that are alike: a thousand of them are compared at every step."""
    return ArrayKind(dtype.name, shape)
