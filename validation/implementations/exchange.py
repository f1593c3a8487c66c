"""Arrays between this process and an implementation's: safetensors files, never pickle.

A message is one line of JSON; arrays that go with it are in a file in a folder that both know. A
file's arrays are called "0", "1", ...; their names, which may be a stranger's, are in the metadata
beside other plain values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refglow.dtypes import Array
from refglow.safetensors_file import file_in_pieces, object_in, open_safetensors
from refglow.validation.implementations.found import Found

KEY = "refglow.call"
VERSION = 1


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
    with open_safetensors(path) as file:
        values = object_in(file.metadata, KEY, VERSION, "a file of arrays for a call")
        arrays = {str(name): file.array(str(k)) for k, name in enumerate(values["names"])}
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
    arrays, values = read_arrays(path)
    return Found(arrays, {str(name): str(dtype) for name, dtype in values["dtypes"].items()},
                 tuple(map(str, values["layers"])))
