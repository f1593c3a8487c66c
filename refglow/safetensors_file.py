"""safetensors files: named arrays and a dict of strings, with no code in them.

The format: eight bytes with the header's length, a JSON header with each array's dtype, shape and
place, then the arrays' bytes. Reading one from a stranger takes no memory beyond its own size.

Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from refglow.atomic_file import AnyPath, write_atomically
from refglow.dtypes import Array

# The dtypes that refglow's models hold, by their names in the format.
_DTYPE_NAMES: Mapping[str, str] = {"F32": "float32", "F64": "float64", "I32": "int32",
                                   "BOOL": "bool"}


@dataclass(frozen=True)
class ArrayKind:
    """What the header says of an array: its dtype and shape."""

    dtype: str  # NumPy's name; of a dtype that refglow does not use, the format's name
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


class SafetensorsFile:
    """An open file.

    Attributes:
      metadata: the dict of strings.
      kinds: every array's dtype and shape, from the header alone.
    """

    def __init__(self, handle: Any) -> None:
        """Read the header through the library's handle."""
        self._handle = handle
        self.metadata: dict[str, str] = handle.metadata() or {}
        self.kinds: dict[str, ArrayKind] = {}
        names: list[str] = handle.keys()
        for name in names:
            part = handle.get_slice(name)
            dtype = part.get_dtype()
            self.kinds[name] = ArrayKind(_DTYPE_NAMES.get(dtype, dtype), tuple(part.get_shape()))

    def array(self, name: str) -> Array:
        """The array called `name`.

        Raises:
          ValueError: if it is of a dtype that refglow does not use, or boolean with other bytes
            than 0 and 1.
        """
        if self.kinds[name].dtype not in _DTYPE_NAMES.values():
            raise ValueError(f"{name!r} holds {self.kinds[name].dtype}, not one of "
                             f"{', '.join(_DTYPE_NAMES.values())}.")
        array: Array = self._handle.get_tensor(name)
        if array.dtype == np.bool_ and (array.view(np.uint8) > 1).any():
            raise ValueError(f"{name!r} is boolean, but holds bytes that are neither 0 nor 1.")
        return array


@contextmanager
def open_safetensors(path: AnyPath) -> Iterator[SafetensorsFile]:
    """Open a safetensors file for reading.

    Raises:
      OSError: if there is no readable file at `path`.
      ValueError: if it is not a safetensors file, or only a part of one.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "It is a directory, not a file", os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is not a regular file", os.fspath(path))
    with open(path, "rb"):  # for Python's own error, which names the path, if it is not readable
        pass
    try:
        with safe_open(path, framework="numpy") as handle:
            yield SafetensorsFile(handle)
    except SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is not a whole safetensors file: {error}.") from error


def write_safetensors(path: AnyPath, arrays: Mapping[str, Array],
                      metadata: Mapping[str, str]) -> None:
    """Write a safetensors file; the path holds the old file or the new one, never a part.

    Raises:
      OSError: if it cannot be written.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    write_atomically(path, save(contiguous, dict(metadata)))
