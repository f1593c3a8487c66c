"""Arrays as kernels take them: flat, contiguous, of a supported number type."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.vector_access import VECTOR_BYTES

FLOATING = ("float32", "float64")
ALL_TYPES = (*FLOATING, "float16", "bfloat16", "uint16")  # uint16: the bits of bfloat16


def flat(device: Device, array: Any) -> Any:
    """The numbers of `array` in their order, one-dimensional; a copy only where one is needed.

    Args:
      device: where the array is.
      array: any shape, strides and alignment.

    Returns:
      [size], contiguous, aligned to its elements; bfloat16 as its bits in uint16.
    """
    contiguous = device.xp.ascontiguousarray(array).reshape(-1)
    if _address(contiguous) % contiguous.dtype.itemsize:
        contiguous = contiguous.copy()
    return contiguous.view(np.uint16) if contiguous.dtype.name == "bfloat16" else contiguous


def vector_aligned(*arrays: Any) -> bool:
    """Whether all these arrays start at a multiple of 16 bytes."""
    return all(_address(array) % VECTOR_BYTES == 0 for array in arrays)


def lanes_in_vector(dtype: np.dtype[Any]) -> int:
    """How many numbers of this type are 16 bytes."""
    return VECTOR_BYTES // dtype.itemsize


def require_one_dtype(op: str, supported: tuple[str, ...], **arrays: Any) -> np.dtype[Any]:
    """The one number type of these arrays.

    Args:
      op: who asks, for the message.
      supported: names of the number types that the op's kernels are written for.
      arrays: by the names of the op's parameters.

    Raises:
      TypeError: the type is not supported, or they differ.
    """
    (first, array), *others = arrays.items()
    dtype: np.dtype[Any] = array.dtype
    if dtype.name not in supported or not dtype.isnative:
        raise TypeError(f"{op}: {first} must be {', '.join(supported[:-1])} or {supported[-1]}, in "
                        f"the machine's byte order; got {dtype}. Convert it with "
                        f"{first}.astype(...).")
    for name, other in others:
        if other.dtype != dtype:
            raise TypeError(f"{op}: {name} must be {dtype}, as {first} is; got {other.dtype}. "
                            f"Convert it with {name}.astype({dtype.name!r}).")
    return dtype


def require_shape(op: str, name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the array has this shape."""
    if tuple(array.shape) != shape:
        raise ValueError(f"{op}: {name} must have shape {shape}; got {tuple(array.shape)}.")


def negated(array: Any) -> Any:
    """-array, contiguous; of bfloat16 as its bits in uint16, the sign is the highest of them."""
    return array ^ np.uint16(0x8000) if array.dtype == np.uint16 else -array


def example_numbers(shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    """Standard normal numbers for a record's example, a NumPy array; bfloat16 as its bits."""
    numbers = np.random.default_rng(seed).standard_normal(shape)
    if dtype == "bfloat16":
        return (numbers.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return numbers.astype(dtype)


def _address(array: Any) -> int:
    interface = getattr(array, "__cuda_array_interface__", None) or array.__array_interface__
    return int(interface["data"][0])
