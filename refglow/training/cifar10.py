"""CIFAR-10 in its official "binary version", memory-mapped.

A file is a sequence of records of 3073 bytes: the label, then 1024 bytes each of red, green and
blue, every one a 32x32 plane by rows.

Source: https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array
from refglow.training.image_data import ImageData

_RECORD = 1 + 3 * 32 * 32
_SUBFOLDER = "cifar-10-batches-bin"
_TRAINING_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST_FILES = ("test_batch.bin",)


def open_cifar10(folder: Path) -> tuple[ImageData, ImageData]:
    """CIFAR-10, 32x32x3, split as published: (data_batch_1..5.bin, test_batch.bin).

    Args:
      folder: holds the six files, or the subfolder cifar-10-batches-bin that holds them.

    Raises:
      FileNotFoundError: if the folder or one of the files is missing.
      ValueError: if a file is empty or not made of whole records; names it and its size.
    """
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder with CIFAR-10", str(folder))
    inside = folder / _SUBFOLDER
    place = inside if inside.is_dir() else folder
    missing = [name for name in _TRAINING_FILES + _TEST_FILES if not (place / name).is_file()]
    if missing:
        python = (" It holds the Python version; refglow reads the \"binary version\" "
                  "(cifar-10-binary.tar.gz)." if (place / "data_batch_1").is_file()
                  or (place / "cifar-10-batches-py").is_dir() else "")
        raise FileNotFoundError(f"{place} lacks {', '.join(missing)} of CIFAR-10.{python}")
    return (_Records("CIFAR-10 (training)", [place / name for name in _TRAINING_FILES]),
            _Records("CIFAR-10 (test)", [place / name for name in _TEST_FILES]))


class _Records(ImageData):
    """The records of several files, one after the other."""

    def __init__(self, name: str, paths: list[Path]) -> None:
        super().__init__(name, (32, 32, 3), n_bits=8)
        self._files = [_mapped(path) for path in paths]
        self._starts = np.cumsum([0] + [len(file) for file in self._files])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _read(self, indices: npt.NDArray[np.intp]) -> Array:
        records = np.empty((len(indices), _RECORD), np.uint8)
        for file, start, end in zip(self._files, self._starts, self._starts[1:], strict=False):
            here = (start <= indices) & (indices < end)
            records[here] = file[indices[here] - start]
        planes = records[:, 1:].reshape(-1, 3, 32, 32)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _mapped(path: Path) -> Array:
    """The file's records, uint8 [N, 3073]."""
    size = path.stat().st_size
    if size == 0 or size % _RECORD:
        raise ValueError(f"{path} is {size} bytes long, not a whole number of CIFAR-10's "
                         f"{_RECORD}-byte records (published: 10000 of them, "
                         f"{10000 * _RECORD} bytes); download or unpack it again.")
    return np.memmap(path, np.uint8, mode="r", shape=(size // _RECORD, _RECORD))
