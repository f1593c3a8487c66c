"""NumPy for stand-ins, where new memory holds something known.

`empty` and `empty_like` of a GPU return whatever was in memory. A stand-in that runs kernels gets
poison: every byte is 0xff, a NaN in every floating-point type and -1 in signed integers, so that an
element which a kernel forgot to write is seen in the result, and a kernel that reads one before it
is written can be told. One that runs nothing gets zeros, which disturb no arithmetic of the host's.
Everything else is NumPy's.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

_POISON = 0xFF


class _FilledNumpy(ModuleType):
    def __init__(self, name: str, byte: int) -> None:
        super().__init__(name, __doc__)
        self._byte = byte

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, *arguments: Any, **options: Any) -> Any:
        return self._filled(np.empty(*arguments, **options))

    def empty_like(self, *arguments: Any, **options: Any) -> Any:
        return self._filled(np.empty_like(*arguments, **options))

    def _filled(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        _bytes(array)[...] = 0 if array.dtype == np.bool_ else self._byte  # a bool is 0 or 1
        return array


POISONED_NUMPY = _FilledNumpy("poisoned_numpy", _POISON)
ZEROED_NUMPY = _FilledNumpy("zeroed_numpy", 0)


def is_poisoned(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array has elements and nobody has written any of them."""
    return array.size > 0 and bool((_bytes(array) == _POISON).all())


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array's bytes, flat and in place if it is contiguous, otherwise a copy."""
    return array.ravel(order="K").view(np.uint8)
