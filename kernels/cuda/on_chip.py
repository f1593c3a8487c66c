"""Pixels for kernels that stage them in shared memory by vectors of 16 bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.layout import flat, lanes_in_vector, vector_aligned

SHARED_BYTES = 48 * 1024  # what every GPU gives a block without being asked


def row_stride(channels: int, lanes: int) -> int:
    """How many numbers apart the pixels of a tile are: an odd number of vectors.

    Threads that read the same channels, each of its own pixel, then reach different banks.
    """
    return (channels // lanes | 1) * lanes


def fits_on_chip(channels: int, dtype: np.dtype[Any], pixels: int) -> bool:
    """Whether a C x C matrix and that many pixels fit in shared memory, in whole vectors.

    Args:
      channels: C.
      dtype: float32 or float64.
      pixels: of the tile.
    """
    lanes = lanes_in_vector(dtype)
    numbers = channels * (channels + 2) + pixels * row_stride(channels, lanes)
    return channels % lanes == 0 and numbers * dtype.itemsize <= SHARED_BYTES


def aligned_flat(device: Device, array: Any) -> Any:
    """As `flat`, and starting at a multiple of 16 bytes."""
    numbers = flat(device, array)
    return numbers if vector_aligned(numbers) else numbers.copy()
