"""Arrays as the kernels read them: flat, with known strides, padded where vectors need it."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from refglow.kernels.cpu.micro_product import ROWS
from refglow.kernels.cpu.vector_registers import lanes_of

Array: TypeAlias = npt.NDArray[Any]

LINE_BYTES = 64  # of the caches


def rounded_up(n: int, multiple: int) -> int:
    """The least multiple of `multiple` that is at least n."""
    return -(-n // multiple) * multiple


def width_of_hidden(filters: int, dtype: np.dtype[Any]) -> int:
    """How many columns a hidden layer's array has: whole vectors, and whole blocks of rows."""
    return rounded_up(filters, max(lanes_of(dtype), ROWS))


def read_only(array: Array) -> Array:
    """A view of the array that cannot be written.

    Numba compiles a function once for read-only arrays and once for others. What a kernel only
    reads is always passed read-only, because parameters are.
    """
    view = array.view()
    view.setflags(write=False)
    return view


def as_pixels(images: Array) -> tuple[Array, int]:
    """(flat, stride): pixel p has its channels at flat[p * stride], in one piece; read-only.

    The first channels of an array with more of them, x[..., :k], are read in place; anything else
    that is not contiguous is copied.

    Args:
      images: [..., H, W, C], in the machine's byte order.
    """
    size, channels = images.itemsize, images.shape[-1]
    # A view wherever one stride leads from each pixel to the next; else NumPy copies.
    rows = images.reshape(math.prod(images.shape[:-1]), channels)
    stride, step = rows.strides
    in_place = (rows.flags.aligned and stride >= channels * size and stride % size == 0
                and (step == size or channels == 1))
    if rows.flags.c_contiguous or not in_place:
        return read_only(np.ascontiguousarray(rows).reshape(-1)), channels
    length = (len(rows) - 1) * stride // size + channels
    return read_only(np.lib.stride_tricks.as_strided(rows, (length,), (size,))), stride // size


def with_columns(matrix: Array, columns: int) -> Array:
    """The matrix (or vector), with zeros up to that many columns; read-only, and contiguous."""
    return padded(matrix, (*matrix.shape[:-1], columns))


def padded(array: Array, shape: tuple[int, ...]) -> Array:
    """The array, with zeros behind its numbers up to that shape; read-only, and contiguous."""
    if array.shape == shape:
        return read_only(np.ascontiguousarray(array))
    larger = np.zeros(shape, array.dtype)
    larger[tuple(map(slice, array.shape))] = array
    return read_only(larger)


def workspace(dtype: np.dtype[Any], *shapes: tuple[int, ...]) -> list[Array]:
    """Uninitialised arrays of those shapes, each from a cache line's start, in one block of memory.

    A vector that lies across two lines is read as two. The pair convolution, which reads nearly as
    often as it multiplies, would take a quarter longer.

    One block, because of how the C library hands memory out: large blocks come from the system,
    page by page as they are first touched, which costs as much as the work in them; one that was
    freed is kept for the next request of its size, many smaller ones are given back.
    """
    line = LINE_BYTES // dtype.itemsize
    sizes = [rounded_up(math.prod(shape), line) for shape in shapes]
    block, arrays = np.empty(line + sum(sizes), dtype), []
    start = -block.ctypes.data % LINE_BYTES // dtype.itemsize
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(block[start:start + math.prod(shape)].reshape(shape))
        start += size
    return arrays
