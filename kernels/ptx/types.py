"""PTX's fundamental types and the NumPy types that hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]  # one value per lane, or a scalar that stands for all lanes
Lanes = npt.NDArray[np.intp]  # indices of active lanes, ascending

# bf16 has no NumPy type of its own: its columns hold the 16 bits, as do those of packed pairs.
NUMPY_TYPE: dict[str, np.dtype[Any]] = {
    name: np.dtype(dtype)
    for name, dtype in {
        "pred": np.bool_,
        "b8": np.uint8, "u8": np.uint8, "s8": np.int8,
        "b16": np.uint16, "u16": np.uint16, "s16": np.int16,
        "b32": np.uint32, "u32": np.uint32, "s32": np.int32,
        "b64": np.uint64, "u64": np.uint64, "s64": np.int64,
        "f16": np.float16, "f32": np.float32, "f64": np.float64,
        "bf16": np.uint16, "f16x2": np.uint32, "bf16x2": np.uint32,
    }.items()
}
UNSIGNED: dict[int, np.dtype[Any]] = {
    size: np.dtype(dtype)
    for size, dtype in {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}.items()
}


def size_of(type_name: str) -> int:
    """The size in bytes of a PTX type's value."""
    return NUMPY_TYPE[type_name].itemsize


def is_signed(type_name: str) -> bool:
    """Whether a PTX type is a signed integer."""
    return type_name[0] == "s"


def is_float(type_name: str) -> bool:
    """Whether a PTX type is a floating-point number or a pair of them."""
    return type_name[0] == "f" or type_name.startswith("bf")
