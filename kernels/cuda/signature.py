"""The Numba types of a launch's arguments, as Numba gives them to arrays on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np


def signature_of(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The Numba type of each argument of a launch.

    Args:
      arguments: NumPy arrays and numbers.

    Returns:
      Numba types. An array is C-contiguous, Fortran-contiguous or any, and can be written.
    """
    return tuple(_array_type(argument) if isinstance(argument, np.ndarray) else _number(argument)
                 for argument in arguments)


def _array_type(array: np.ndarray[Any, Any]) -> Any:
    from numba import types
    from numba.np.numpy_support import from_dtype

    layout = "A"
    if 0 not in array.strides:  # as Numba types a device array
        layout = "C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "A"
    return types.Array(from_dtype(array.dtype), array.ndim, layout)


def _number(value: Any) -> Any:
    import numba

    return numba.typeof(value)
