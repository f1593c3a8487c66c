"""Image data sets that are read a batch at a time, so that any of them fits in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array


class ImageData(ABC):
    """A sequence of images of one shape, whose values are whole levels.

    Attributes:
      name: what messages call it.
      image_shape: (H, W, C).
      n_bits: bits of a stored level; levels are 0..2^n_bits - 1.
      max_level: the level that stands for white: 2^n_bits - 1, or less (16 in the digits).
    """

    def __init__(self, name: str, image_shape: tuple[int, int, int], n_bits: int,
                 max_level: int | None = None) -> None:
        """Say what the images are; max_level None means 2^n_bits - 1."""
        self.name = name
        self.image_shape = image_shape
        self.n_bits = n_bits
        self.max_level = 2**n_bits - 1 if max_level is None else max_level

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def _read(self, indices: npt.NDArray[np.intp]) -> Array:
        """The images at `indices`, which are all in range."""

    def batch(self, indices: npt.ArrayLike) -> Array:
        """The images at `indices`, in their order.

        Args:
          indices: whole numbers [n] in 0..len - 1; they may repeat.

        Returns:
          Levels, uint8 (uint16 if n_bits > 8) [n, H, W, C]: a new array.

        Raises:
          TypeError: if the indices are not whole numbers in one dimension.
          IndexError: if one of them is out of range.
        """
        return self._read(self._checked(indices))

    def subset(self, indices: npt.ArrayLike, name: str | None = None) -> ImageData:
        """The images at `indices`, as a data set of its own; nothing is read or copied.

        Args:
          indices: whole numbers [n] in 0..len - 1; they may repeat.
          name: what to call it; None means by this data set's name.

        Raises:
          TypeError, IndexError: as for `batch`.
        """
        return _Subset(self, self._checked(indices), self.name if name is None else name)

    def batches(self, size: int) -> Iterator[Array]:
        """All images in order, `size` at a time; the last batch holds what is left.

        Raises:
          ValueError: if size is not at least 1.
        """
        if size < 1:
            raise ValueError(f"{self.name}: a batch must hold at least 1 image; got {size}.")
        return (self._read(np.arange(start, min(start + size, len(self))))
                for start in range(0, len(self), size))

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return f"<{self.name}: {len(self)} images {shape}, {self.n_bits} bits>"

    def _checked(self, indices: npt.ArrayLike) -> npt.NDArray[np.intp]:
        found = np.asarray(indices)
        if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
            raise TypeError(f"{self.name}: indices must be whole numbers in one dimension; got "
                            f"{found.dtype} of shape {list(found.shape)}.")
        outside = found[(found < 0) | (found >= len(self))] if found.size else found
        if outside.size:
            raise IndexError(f"{self.name} holds the images 0..{len(self) - 1}; got the index "
                             f"{outside[0]}.")
        return found.astype(np.intp)


class ArrayImages(ImageData):
    """Images that stand in one array, in memory or mapped from a file."""

    def __init__(self, name: str, images: Array, n_bits: int,
                 max_level: int | None = None) -> None:
        """Take the array.

        Args:
          name: what messages call it.
          images: levels, uint8 or uint16 [N, H, W, C]; kept, not copied.
          n_bits: bits of a level.
          max_level: the level that stands for white; None means 2^n_bits - 1.

        Raises:
          ValueError: if the array is of another dtype or rank, or too narrow for n_bits.
        """
        if images.dtype not in (np.uint8, np.uint16) or images.ndim != 4:
            raise ValueError(f"{name}: images must be uint8 or uint16 [N, H, W, C]; got "
                             f"{images.dtype} of shape {list(images.shape)}.")
        if not 1 <= n_bits <= 8 * images.dtype.itemsize:
            raise ValueError(f"{name}: {images.dtype} holds levels of 1 to "
                             f"{8 * images.dtype.itemsize} bits; got n_bits = {n_bits}.")
        _, height, width, channels = images.shape
        super().__init__(name, (height, width, channels), n_bits, max_level)
        self._images = images

    def __len__(self) -> int:
        """The number of images."""
        return len(self._images)

    def _read(self, indices: npt.NDArray[np.intp]) -> Array:
        return np.array(self._images[indices], order="C")  # not a memmap any more


class _Subset(ImageData):
    """Some images of another data set."""

    def __init__(self, whole: ImageData, indices: npt.NDArray[np.intp], name: str) -> None:
        super().__init__(name, whole.image_shape, whole.n_bits, whole.max_level)
        self._whole = whole
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def _read(self, indices: npt.NDArray[np.intp]) -> Array:
        return self._whole._read(self._indices[indices])
