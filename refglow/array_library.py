"""Where arrays are: on the host, NumPy's, or on a GPU, CuPy's.

NumPy's functions hand CuPy arrays over to CuPy's functions of the same names (NEP 13, NEP 18), and
`numpy.zeros(..., like=x)` makes an array where x is (NEP 35). So functions that are written with
NumPy compute on a GPU when they are given its arrays, and what they return is there too. Three
things do not go by themselves, and are here:

    asarray(x)      numpy.asarray would bring x to the host, which CuPy refuses to do unasked
    zeros((), x)    as with `like=`, and x may also be one of NumPy's scalars
    placed_like     a host array, where another array is

and the error for arrays that are not all in one place. CuPy is not imported here: whoever has a
CuPy array has imported it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt


def is_on_gpu(value: Any) -> bool:
    """Whether `value` is a CuPy array."""
    if isinstance(value, np.ndarray):
        return False
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, getattr(cupy, "ndarray", ()))


def is_array(value: Any) -> bool:
    """Whether `value` is an array of NumPy or of CuPy (and not, say, a NumPy scalar)."""
    return isinstance(value, np.ndarray) or is_on_gpu(value)


def asarray(value: Any, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """numpy.asarray, but what is on a GPU stays there.

    Args:
      value: array-like.
      dtype: the number type of the result; None: that of `value`.
    """
    if is_on_gpu(value):
        on_gpu: npt.NDArray[Any] = value if dtype is None else value.astype(dtype, copy=False)
        return on_gpu
    return np.asarray(value, dtype=dtype)


def zeros(shape: tuple[int, ...], like: Any,
          dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """An array of zeros where `like` is.

    Args:
      shape: its shape.
      like: an array or a NumPy scalar.
      dtype: the number type; None: that of `like`.
    """
    chosen = like.dtype if dtype is None else dtype
    return np.zeros(shape, chosen, like=like) if is_on_gpu(like) else np.zeros(shape, chosen)


def to_host(value: Any) -> npt.NDArray[Any]:
    """`value` as a NumPy array; one that is on a GPU is brought to the host."""
    array: npt.NDArray[Any] = value.get() if is_on_gpu(value) else np.asarray(value)
    return array


def placed_like(array: npt.NDArray[Any], like: Any) -> npt.NDArray[Any]:
    """A host array where `like` is: itself, or a copy of it on a GPU."""
    return placed_on(array, like.device) if is_on_gpu(like) else array


def placed_on(array: npt.NDArray[Any], device: Any) -> npt.NDArray[Any]:
    """A copy of a host array on a GPU, a `cupy.cuda.Device`."""
    with device:
        copy: npt.NDArray[Any] = sys.modules["cupy"].asarray(array)
    return copy


def require_one_place(owner: str, **arrays: Any) -> None:
    """Raise unless all these arrays are on the host, or all on one GPU.

    Args:
      owner: who computes with them, for the message.
      arrays: by the names that the caller knows them by.

    Raises:
      TypeError: some are NumPy's and some CuPy's.
      ValueError: they are on different GPUs.
    """
    places = {name: _place_of(array) for name, array in arrays.items()}
    if len(set(places.values())) <= 1:
        return
    found = ", ".join(f"{name} is {'on the host' if place is None else f'on GPU {place}'}"
                      for name, place in places.items())
    if None in places.values():
        raise TypeError(f"{owner}: its arrays are not in one place: {found}. Convert all of them "
                        "with cupy.asarray(...), or all of them with cupy.asnumpy(...).")
    raise ValueError(f"{owner}: its arrays are not in one place: {found}. Bring them to one GPU: "
                     "with cupy.cuda.Device(...): array = cupy.asarray(array)")


def require_current_gpu(owner: str, what: str, array: Any) -> None:
    """Raise unless the GPU that a CuPy array is on is CuPy's current one, on which it computes.

    Args:
      owner, what: who computes with the array, and what it is to them; used in messages only.
      array: a CuPy array.

    Raises:
      ValueError: another GPU is the current one.
    """
    current = sys.modules["cupy"].cuda.Device().id
    if array.device.id != current:
        raise ValueError(f"{owner}: {what} is on GPU {array.device.id}, and CuPy computes on GPU "
                         f"{current}, its current one. Compute inside of: "
                         f"with cupy.cuda.Device({array.device.id}): ...")


def _place_of(array: Any) -> int | None:
    """The number of the GPU that the array is on; None: the host."""
    return int(array.device.id) if is_on_gpu(array) else None
