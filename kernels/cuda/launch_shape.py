"""How many blocks and threads a launch has, from the size of its data."""

from __future__ import annotations

# Kernels go through their data with a stride of the whole grid, so a grid need not be larger than
# what fills any GPU several times over: 148 multiprocessors times 32 blocks are 4736.
MOST_BLOCKS = 16384
MOST_BLOCKS_IN_Y = 65535  # CUDA's limit for the second dimension of a grid
THREADS = 256
_WARP = 32


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


def blocks_for(items: int, threads: int = THREADS) -> int:
    """How many blocks give each item a thread, up to the number that fills a GPU."""
    return max(1, min(ceil_div(items, threads), MOST_BLOCKS))


def power_of_two_threads(items: int, most: int = THREADS) -> int:
    """How many threads a block has that sums `items` in a tree: a power of two from 32 to most."""
    threads = _WARP
    while threads < items and threads < most:
        threads *= 2
    return threads
