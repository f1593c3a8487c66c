"""safetensors files: named arrays and a dict of strings, with no code in them.

The format: eight bytes with the header's length, a JSON header with each array's dtype, shape and
place, then the arrays' bytes. Reading one from a stranger takes no memory beyond its own size;
writing one takes no second copy of the arrays.

Source: https://github.com/huggingface/safetensors, "Format".
"""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from refglow.atomic_file import AnyPath, write_atomically
from refglow.dtypes import Array
from refglow.regular_file import require_regular

# The dtypes that refglow's files hold, by their names in the format; in the order in which arrays
# stand in a file, so that each begins at a multiple of its numbers' size.
_DTYPE_NAMES: Mapping[str, str] = {"I64": "int64", "F64": "float64", "F32": "float32",
                                   "I32": "int32", "BOOL": "bool"}
_FORMAT_NAMES: Mapping[str, str] = {name: key for key, name in _DTYPE_NAMES.items()}
_MAX_TEXT = 2**24  # characters of JSON in the metadata


@dataclass(frozen=True)
class ArrayKind:
    """What the header says of an array: its dtype and shape."""

    dtype: str  # NumPy's name; of a dtype that refglow does not use, the format's name
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def require_kinds(expected: Mapping[str, ArrayKind], found: Mapping[str, ArrayKind],
                  complaint: str) -> None:
    """Compare what there is with what is needed.

    Raises:
      ValueError: the complaint and every difference, if there is one.
    """
    if expected == found:
        return
    problems = [f"missing: {name!r}" for name in expected.keys() - found.keys()]
    problems += [f"unknown: {name!r}" for name in found.keys() - expected.keys()]
    problems += [f"misfit: {name!r} is {found[name]}, needs {expected[name]}"
                 for name in expected.keys() & found.keys() if found[name] != expected[name]]
    if problems:
        raise ValueError(f"{complaint}.\n  " + "\n  ".join(sorted(problems)))


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
    require_regular(path)
    try:
        with safe_open(path, framework="numpy") as handle:
            yield SafetensorsFile(handle)
    except SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is not a whole safetensors file: {error}.") from error


@contextmanager
def naming(path: AnyPath) -> Iterator[None]:
    """Put the file's name in front of what a ValueError says."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from error


def object_in(metadata: Mapping[str, str], key: str, version: int, what: str) -> dict[str, Any]:
    """The JSON object under `key` in a file's metadata, if it is of the version that is read.

    Args:
      metadata: the dict of strings.
      key: where in it the object is.
      version: what its entry "format_version" must be.
      what: what the file would be, such as "a model file"; for the message.

    Raises:
      ValueError: if there is none, or it is too long, not valid JSON or of another version.
    """
    text = metadata.get(key)
    if text is None:
        raise ValueError(f"not {what}: its metadata has no entry {key!r}.")
    if len(text) > _MAX_TEXT:
        raise ValueError(f"the metadata entry {key!r} has {len(text)} characters; at most "
                         f"{_MAX_TEXT} are read.")
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the metadata entry {key!r} is not valid JSON: {error}.") from error
    if not isinstance(found, dict):
        raise ValueError(f"the metadata entry {key!r} is not a JSON object.")
    if type(declared := found.get("format_version")) is not int or declared != version:
        raise ValueError(f"its format_version is {reprlib.repr(declared)}; this refglow reads "
                         f"version {version}.")
    return found


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def write_safetensors(path: AnyPath, arrays: Mapping[str, Array], key: str,
                      value: Mapping[str, Any]) -> None:
    """Write a safetensors file; the path holds the old file or the new one, never a part.

    The arrays go to the disk as they are; no second copy of them is made.

    Args:
      path: where to.
      arrays: by name; float32, float64, int32, int64 or bool.
      key: the name of the metadata's only entry.
      value: what is put there, as JSON; `object_in` reads it.

    Raises:
      TypeError: if an array is of another dtype; names it.
      ValueError: if the value is longer than `object_in` reads.
      OSError: if it cannot be written.
    """
    for name, array in arrays.items():
        if array.dtype.name not in _FORMAT_NAMES:
            raise TypeError(f"{name} holds {array.dtype}; a file holds arrays of "
                            f"{', '.join(_FORMAT_NAMES)}.")
    text = json.dumps(value, allow_nan=False)
    if len(text) > _MAX_TEXT:
        raise ValueError(f"What is to be written beside the arrays takes {len(text)} characters of "
                         f"JSON; a file holds at most {_MAX_TEXT}.")
    write_atomically(path, file_in_pieces(arrays, {key: text}))


def file_in_pieces(arrays: Mapping[str, Array], metadata: Mapping[str, str]
                   ) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, as safetensors.numpy.save puts them into one object.

    Args:
      arrays: by name; float32, float64, int32, int64 or bool.
      metadata: the dict of strings.

    Source: https://github.com/huggingface/safetensors, "Format". The library orders the arrays by
      dtype, the largest first, and then by name.
    """
    order = sorted(arrays, key=lambda name: (list(_FORMAT_NAMES).index(arrays[name].dtype.name),
                                             name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in order:
        begin, end = end, end + arrays[name].nbytes
        header[name] = {"dtype": _FORMAT_NAMES[arrays[name].dtype.name],
                        "shape": list(arrays[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        flat = np.ravel(arrays[name])  # a copy, of this one array, only if it is not contiguous
        little_endian = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
        yield little_endian.view(np.uint8).data
