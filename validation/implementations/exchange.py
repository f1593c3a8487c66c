"""Arrays between this process and an implementation's: safetensors files, never pickle.

A message is one line of JSON; arrays that go with it are in a file in a folder that both know. A
file's arrays are called "0", "1", ...; their names, which may be a stranger's, are in the metadata
beside other plain values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from refglow.dtypes import Array
from refglow.safetensors_file import file_in_pieces, naming, object_in, open_safetensors
from refglow.validation.implementations.found import MOST_BYTES, Found

KEY = "refglow.call"
VERSION = 1
_MOST_FILE = MOST_BYTES + 2**26  # bytes: a call's arrays, their names and the header


def write_arrays(path: Path, arrays: Mapping[str, Array], values: Mapping[str, Any]) -> None:
    """Write named arrays and plain values.

    Args:
      path: where to; nobody reads it before a message says so.
      arrays: float32, float64, int32, int64 or bool.
      values: for JSON.
    """
    text = json.dumps({"format_version": VERSION, "names": list(arrays), **values})
    numbered = {str(k): array for k, array in enumerate(arrays.values())}
    with open(path, "wb") as file:
        file.writelines(file_in_pieces(numbered, {KEY: text}))


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays by name, the other values); the file is deleted.

    Raises:
      OSError, ValueError: if it is not there, or not such a file.
    """
    with open_safetensors(path) as file, naming(path):
        values = object_in(file.metadata, KEY, VERSION, "a file of arrays for a call")
        names = values.get("names")
        if not _is_texts(names) or len(set(names)) != len(names) or (
                {str(k) for k in range(len(names))} != file.kinds.keys()):
            raise ValueError(f"its names are not those of its {len(file.kinds)} arrays.")
        arrays = {name: file.array(str(k)) for k, name in enumerate(names)}
    path.unlink()
    return arrays, values


def write_found(path: Path, found: Found) -> None:
    """Write what a call gave."""
    write_arrays(path, found.arrays, {"dtypes": found.dtypes, "layers": list(found.layers)})


def read_found(path: Path) -> Found:
    """Read what `write_found` wrote; the file is deleted.

    Raises:
      OSError, ValueError: as `read_arrays`.
    """
    size = path.stat().st_size
    if size > _MOST_FILE:
        raise ValueError(f"{path} is {size} bytes long; at most {_MOST_FILE} are read.")
    arrays, values = read_arrays(path)
    dtypes, layers = values.get("dtypes"), values.get("layers")
    with naming(path):
        if not isinstance(dtypes, dict) or dtypes.keys() != arrays.keys() or not _is_texts(
                list(dtypes.values())) or not _is_texts(layers):
            raise ValueError("it does not tell of number types and layers.")
        if any(array.dtype.kind != "f" for array in arrays.values()):
            raise ValueError("it holds other arrays than of floating-point numbers.")
    return Found(arrays, dtypes, tuple(layers))


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
