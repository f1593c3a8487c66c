"""What a CUDA kernel and a variant of an op are, as records.

A kernel is a plain Python function in Numba's CUDA dialect. Nothing compiles it when it is defined,
so that the same function can be run by a GPU, run by Numba's simulator, interpreted as PTX and
compiled to a cubin with no driver present:

    def doubled(x, y):
        i = cuda.grid(1)
        if i < x.size:
            y[i] = x[i] + x[i]

    DOUBLED = Kernel(doubled)

A file of an op exports `VARIANTS`, a tuple with a `Variant` for each way it computes something. A
variant names no launch: its host function is run on example arguments and what it launches is
watched (`RecordingDevice`), so that grids, blocks and number types are those that really occur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Dimensions = int | tuple[int, ...]  # of a grid, in blocks, or of a block, in threads; x first
Size = Literal["small", "realistic"]


@dataclass(frozen=True)
class Kernel:
    """A kernel function, and what is promised of its compiled code.

    Attributes:
      function: in Numba's CUDA dialect, undecorated, without a result.
      vectorized: it reads and writes global memory 16 bytes at a time.
      occupancy: the least share of a multiprocessor's warps that are resident, as far as registers,
        shared memory and threads limit it, on every architecture, in every number type and in the
        blocks of its examples. Half hides the latency of memory in most kernels; one that states
        less says why where it is defined, one that reaches more may promise it.
      launch_bounds: the most threads a block may have, promised to the compiler, which may then use
        more registers; None promises nothing.
    """

    function: Callable[..., None]
    vectorized: bool = False
    occupancy: float = 0.5
    launch_bounds: int | None = None

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    Attributes:
      kernel: what runs.
      grid: blocks in x, y and z.
      block: threads of a block in x, y and z.
      arguments: what the kernel's function takes.
      shared_bytes: dynamic shared memory of a block, in bytes.
    """

    kernel: Kernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arguments: tuple[Any, ...]
    shared_bytes: int = 0


@dataclass(frozen=True)
class Variant:
    """One way to compute an op on a device.

    Attributes:
      op: the op's name, that of its specification function, such as "expand_inverse".
      name: what this variant does: "naive", "coalesced", "vectorized", "tiled", "fused", or "only"
        where an op has no ladder.
      idea: one line for people.
      run: the host function; it takes the op's arguments and returns the op's results.
      example: (size, dtype name) -> arguments of `run`, NumPy arrays with random numbers. "small"
        is for the simulator, a few hundred threads and not a multiple of a block; "realistic" is
        for the interpreter, about 10^5 to 10^6 elements.
      bytes_moved: the least bytes that must be read and written, from the arguments of `run`; only
        shapes and types are looked at.
      operations: floating-point operations, likewise; a multiply-add counts as two.
      elements: over how many elements figures "per element" are counted, likewise.
      dtypes: the number types it is compiled for; "bfloat16" arrays are their bits in uint16.
    """

    op: str
    name: str
    idea: str
    run: Callable[..., Any]
    example: Callable[[Size, str], tuple[Any, ...]]
    bytes_moved: Callable[..., int]
    operations: Callable[..., int]
    elements: Callable[..., int]
    dtypes: tuple[str, ...] = ("float32", "float64")
