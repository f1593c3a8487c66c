"""When a GPU's memory is not enough: one error that says how much was asked for and is free.

    with device_memory_errors():
        y = expand_inverse(x)

Ops return new arrays and change none of their arguments, so that what could not be allocated leaves
nothing half-written behind.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation and CUDA_ERROR_OUT_OF_MEMORY alike


class DeviceMemoryError(MemoryError):
    """A GPU's memory is not enough.

    Attributes:
      asked: bytes that were asked for, or None if that is not known.
      free: bytes that were free on the GPU.
      total: bytes of the GPU's memory.
    """

    def __init__(self, asked: int | None, free: int, total: int, pooled: int) -> None:
        """Word the message; `pooled` are bytes that CuPy's memory pool holds and nobody uses."""
        self.asked, self.free, self.total = asked, free, total
        wanted = "an allocation" if asked is None else f"an allocation of {asked:,} bytes"
        super().__init__(
            f"The GPU's memory is not enough for {wanted}: {free:,} of {total:,} bytes are free, "
            f"and CuPy holds {pooled:,} unused ones. Use smaller batches, delete arrays that are "
            "not needed, or give CuPy's back: cupy.get_default_memory_pool().free_all_blocks()")


@contextmanager
def device_memory_errors() -> Iterator[None]:
    """While it lasts, running out of a GPU's memory raises DeviceMemoryError."""
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        cupy = sys.modules["cupy"]
        free, total = cupy.cuda.runtime.memGetInfo()
        pooled = cupy.get_default_memory_pool().free_bytes()
        raise DeviceMemoryError(_bytes_asked(error), free, total, pooled) from error


@functools.cache
def saying_when_memory_runs_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for which running out of a GPU's memory raises DeviceMemoryError."""
    @functools.wraps(function)
    def guarded(*arguments: Any, **options: Any) -> Any:
        with device_memory_errors():
            return function(*arguments, **options)
    return guarded


def _is_out_of_memory(error: Exception) -> bool:
    """Whether CuPy's pool, the CUDA runtime or Numba's driver says that memory ran out."""
    cupy: Any = sys.modules.get("cupy")
    if cupy is None:
        return False
    if isinstance(error, cupy.cuda.memory.OutOfMemoryError):
        return True
    codes = (getattr(error, "status", None), getattr(error, "code", None))  # CuPy's, Numba's
    return type(error).__module__.split(".")[0] in ("cupy", "cupy_backends", "numba") and (
        _OUT_OF_MEMORY in codes)


def _bytes_asked(error: Exception) -> int | None:
    """The number of bytes in CuPy's message."""
    found = re.search(r"allocating ([\d,]+) bytes", str(error))
    return int(found[1].replace(",", "")) if found else None
