"""The pictures that come with scikit-learn: data to train on without a download.

Both splits are fixed for good, so that test figures of different runs compare.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array
from refglow.extras import from_extra
from refglow.training.image_data import ArrayImages, ImageData

_DIGITS_SPLIT_SEED = 0


def open_digits() -> tuple[ImageData, ImageData]:
    """scikit-learn's handwritten digits, 8x8x1, split into (1198 for training, 599 for testing).

    Levels are 0..16: 17 of them, so 5 bits. The test third are the images that get the 599
    smallest of 1797 random 64-bit words, word i for image i, from NumPy's PCG64 with seed 0 (a
    stream that NumPy promises never to change). Both parts keep scikit-learn's order.

    Raises:
      ImportError: if scikit-learn is missing.

    Source: UCI machine learning repository, "Optical recognition of handwritten digits", test part.
    """
    digits = _datasets("The digits").load_digits().images.astype(np.uint8)[..., np.newaxis]
    images = ArrayImages("digits", digits, n_bits=5, max_level=16)
    order = np.argsort(np.random.PCG64(_DIGITS_SPLIT_SEED).random_raw(len(images)), kind="stable")
    num_test = len(images) // 3
    return (images.subset(np.sort(order[num_test:]), "digits (training)"),
            images.subset(np.sort(order[:num_test]), "digits (test)"))


def open_photographs(image_size: int = 32) -> tuple[ImageData, ImageData]:
    """Square patches of scikit-learn's china.jpg and flower.jpg, split into (training, test).

    The right third of each photograph (its last floor(640 / 3) = 213 columns) is the test region,
    the rest the training region; no patch reaches across. Patches are cut row by row from the
    upper left corner of a region, every floor(image_size / 4) pixels (at least 1) for training, so
    that they overlap, and every image_size pixels for testing, so that they do not. With
    image_size 32 this makes 5000 and 156.

    Args:
      image_size: side of a patch in pixels, 1..213.

    Raises:
      ImportError: if scikit-learn or Pillow is missing.
      ValueError: if a patch does not fit into the test region.
    """
    with from_extra("train", "The photographs"):
        importlib.import_module("PIL")
    photographs: list[Array] = _datasets("The photographs").load_sample_images().images
    pixels = np.stack(photographs)
    _, height, width, _ = pixels.shape
    test_width = width // 3
    largest = min(height, test_width)
    if not 1 <= image_size <= largest:
        raise ValueError(f"The photographs' test regions are {test_width} pixels wide and {height} "
                         f"high, so image_size must be 1..{largest}; got {image_size}.")
    first_test = width - test_width
    return (_Patches("photographs (training)", pixels[:, :, :first_test], image_size,
                     stride=max(1, image_size // 4)),
            _Patches("photographs (test)", pixels[:, :, first_test:], image_size,
                     stride=image_size))


class _Patches(ImageData):
    """Square patches at a regular stride; patch i is cut out when it is asked for."""

    def __init__(self, name: str, pixels: Array, size: int, stride: int) -> None:
        super().__init__(name, (size, size, pixels.shape[-1]), n_bits=8)
        # [photograph, row, column, C, H, W]: a view, which holds no pixel twice.
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (size, size), axis=(1, 2))
        self._patches = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)

    def __len__(self) -> int:
        return math.prod(self._patches.shape[:3])

    def _read(self, indices: npt.NDArray[np.intp]) -> Array:
        place = np.unravel_index(indices, self._patches.shape[:3])
        return np.ascontiguousarray(self._patches[place])


def _datasets(what: str) -> Any:
    """sklearn.datasets (which has no type hints)."""
    with from_extra("train", what):
        return importlib.import_module("sklearn.datasets")
