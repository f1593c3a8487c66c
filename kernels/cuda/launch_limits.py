"""Which launches every GPU accepts, so that a stand-in refuses what a GPU would refuse."""

from __future__ import annotations

from typing import Any

from refglow.kernels.cuda.kernel import Dimensions, Kernel, Launch

# The CUDA programming guide's table of technical specifications, the same for every compute
# capability since 5.0.
_GRID_LIMITS = (2**31 - 1, 65535, 65535)
_BLOCK_LIMITS = (1024, 1024, 64)
_MOST_THREADS = 1024
# Static shared memory is limited to 48 KiB; more than that of dynamic shared memory needs an
# attribute to be set, which Numba's launches do not do.
_MOST_SHARED_BYTES = 48 * 1024


def checked_launch(kernel: Kernel, grid: Dimensions, block: Dimensions,
                   arguments: tuple[Any, ...], shared_bytes: int = 0) -> Launch | None:
    """The launch with all three dimensions of its grid and block; None for a grid of no blocks.

    Raises:
      ValueError: a dimension or the shared memory is beyond what a GPU accepts.
    """
    blocks = _three(kernel, "grid", grid, _GRID_LIMITS)
    threads = _three(kernel, "block", block, _BLOCK_LIMITS)
    count = threads[0] * threads[1] * threads[2]
    if not 1 <= count <= (kernel.launch_bounds or _MOST_THREADS):
        raise ValueError(f"{kernel.name}: a block can have 1 to "
                         f"{kernel.launch_bounds or _MOST_THREADS} threads; got {count}, as "
                         f"{threads}.")
    if not 0 <= shared_bytes <= _MOST_SHARED_BYTES:
        raise ValueError(f"{kernel.name}: a block can have up to {_MOST_SHARED_BYTES:,} bytes of "
                         f"shared memory; got {shared_bytes:,}.")
    if 0 in blocks:
        return None
    return Launch(kernel, blocks, threads, arguments, shared_bytes)


def _three(kernel: Kernel, what: str, given: Dimensions,
           limits: tuple[int, int, int]) -> tuple[int, int, int]:
    dimensions = (given,) if isinstance(given, int) else tuple(given)
    if not 1 <= len(dimensions) <= 3 or any(n < 0 for n in dimensions):
        raise ValueError(f"{kernel.name}: a {what} is a number or up to three, none below 0; got "
                         f"{given!r}.")
    full = (*dimensions, 1, 1)[:3]
    if any(n > limit for n, limit in zip(full, limits, strict=True)):
        raise ValueError(f"{kernel.name}: a {what} can be at most {limits} in (x, y, z); got "
                         f"{full}.")
    x, y, z = full
    return int(x), int(y), int(z)
