"""How the pixels of a batch are cut into tiles, and how much memory that takes.

Every pixel's numbers are computed by the same operations in the same order, whatever tile, image or
batch it lies in; so the cut decides about speed only, and may depend on the number of threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numba

from refglow.kernels.cpu.layout import rounded_up
from refglow.kernels.cpu.micro_product import ROWS

# Three tiles of 128 x 400 float32 numbers, two of hidden activations and one of sums of them, are
# 600 KB: with the block of weights in use they fit a second-level cache of 1 MB.
MOST_ROWS = 128

# Terms to be scattered are kept for so many pixels, or for one image if that has more.
CHUNK_PIXELS = 8192

# Starting threads and waiting for them costs some 20 microseconds, and much more on a busy machine;
# in 20 one thread computes about so many products.
FEW_PRODUCTS = 1 << 19


@contextlib.contextmanager
def threads_for(products: int) -> Iterator[None]:
    """Kernels called inside, on this thread, run on no other if they have few products to compute.

    Args:
      products: how many multiplications of numbers, each with an addition, there are.
    """
    threads = numba.get_num_threads()
    if products >= FEW_PRODUCTS or threads == 1:
        yield
        return
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)


@dataclass(frozen=True)
class Tiles:
    """The cut of `pixels` pixels: tile k holds pixels k * rows to (k + 1) * rows - 1."""

    count: int
    rows: int
    workers: int


def tiles_of(pixels: int) -> Tiles:
    """Tiles of at most MOST_ROWS pixels, a multiple of ROWS each, as many for each thread."""
    workers = numba.get_num_threads()
    count = rounded_up(-(-pixels // MOST_ROWS), workers)
    rows = rounded_up(-(-pixels // count), ROWS)
    return Tiles(-(-pixels // rows), rows, workers)


def fixed_tiles_of(pixels: int) -> Tiles:
    """A cut that does not depend on the number of threads, for sums over tiles.

    At least 16 tiles where there are 8 pixels for each.
    """
    rows = min(MOST_ROWS, rounded_up(-(-pixels // 16), ROWS))
    return Tiles(-(-pixels // rows), rows, numba.get_num_threads())


def images_in_chunk(pixels_of_image: int) -> int:
    """How many images are worked on at a time."""
    return max(1, CHUNK_PIXELS // max(1, pixels_of_image))
