"""What the kernels of the flow's operations make of their arguments before they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from refglow.kernels.cpu.layout import Array

# Work is handed to threads in chunks of about so many numbers, some 10 microseconds' worth. Where a
# chunk begins depends on shapes alone, never on the number of threads, and neither do results.
CHUNK = 1 << 14

# Within a chunk so many numbers at a time are worked on in the first-level cache.
TILE = 1 << 10

# A chunk's number, as Python counts and as a parallel loop does; made signed, compiled.py says why.
Chunk: TypeAlias = int | np.int64

_TYPES = np.dtype(np.float32), np.dtype(np.float64)


def common_dtype(*arrays: Array) -> np.dtype[Any]:
    """The number type of the arrays, float32 or float64, in the machine's byte order.

    Raises:
      TypeError: if they are of different types, or of another.
    """
    dtype = arrays[0].dtype.newbyteorder("=")
    if dtype not in _TYPES or any(a.dtype != dtype and a.dtype.newbyteorder("=") != dtype
                                  for a in arrays):
        found = ", ".join(sorted({str(a.dtype) for a in arrays}))
        raise TypeError(f"The CPU kernels take float32 or float64 arrays, all of one type; got "
                        f"{found}.")
    return dtype


def flat(array: Array, dtype: np.dtype[Any]) -> Array:
    """The numbers in order, as a kernel reads them: contiguous, aligned, native; read-only.

    What is already so is not copied.
    """
    ready = np.ascontiguousarray(array, dtype)
    numbers = (ready if ready.flags.aligned else ready.copy()).reshape(-1)
    numbers.setflags(write=False)
    return numbers


def native(array: Array) -> Array:
    """The array, copied if its bytes are not in the machine's order."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def require_shape(what: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the array is of this shape: a kernel would read past its end."""
    if array.shape != shape:
        raise ValueError(f"{what} is of shape {list(array.shape)}; it must be {list(shape)}.")


def parts_of(total: int, part: int) -> int:
    """How many parts of that size, the last perhaps smaller, make up the total."""
    return -(-total // part)


def run_chunks(one: Callable[..., None], all_of_them: Callable[..., None], chunks: int,
               *arguments: Any) -> None:
    """Run a kernel on every chunk; on this thread if there is one only, which saves starting more.

    Args:
      one: called with the arguments and the number of a chunk.
      all_of_them: called with the arguments and how many chunks there are; calls `one` for each.
    """
    if chunks == 1:
        one(*arguments, 0)
    elif chunks > 1:
        all_of_them(*arguments, chunks)
