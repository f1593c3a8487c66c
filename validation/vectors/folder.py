"""A folder of vectors for other languages: writing it, and checking one against the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from refglow.atomic_file import write_atomically
from refglow.dtypes import Array
from refglow.safetensors_file import open_safetensors
from refglow.validation.schemas import misfits
from refglow.validation.strangers.files import (
    json_bytes,
    parsed_json,
    sha256_of,
    small_content,
)
from refglow.validation.strangers.text import one_line, shown
from refglow.validation.vectors.catalogue import BY_NAME, VECTORS
from refglow.validation.vectors.kept import KeptVectors
from refglow.validation.vectors.manifest import Exported, exported, manifest_schema
from refglow.validation.vectors.operations import OPERATIONS
from refglow.validation.vectors.vector import Vector

_MOST_TOLD = 5  # differences of one vector


@dataclass(frozen=True)
class Checked:
    """What was found about one vector.

    Attributes:
      name: the vector's, or the manifest's file.
      problems: what is wrong with it; empty if nothing is.
    """

    name: str
    problems: tuple[str, ...]


def write_vector(folder: Path, vector: Vector, kept: KeptVectors) -> None:
    """Write a vector's two files into folder/vectors.

    Raises:
      OSError: if they cannot be written.
    """
    files = exported(vector, kept)
    place = folder / "vectors"
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / f"{vector.name}.safetensors", files.content)
    write_atomically(place / f"{vector.name}.json", json_bytes(files.manifest))


def write_rest(folder: Path) -> None:
    """Write what is beside the vectors: index, schema, generators, examples, explanation.

    The index lists all vectors of the folder, whichever call wrote them.
    """
    there = {path.stem for path in (folder / "vectors").glob("*.json")}
    index = [{"name": vector.name, "operation": vector.operation, "flags": list(vector.flags),
              "manifest": f"vectors/{vector.name}.json"} for vector in VECTORS
             if vector.name in there]
    write_atomically(folder / "index.json", json_bytes(index))
    for name, content in _companions().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / name, content)


def _companions() -> dict[str, bytes]:
    """The files that are the same in every folder."""
    package = resources.files("refglow.validation.vectors")
    formulas = {name: operation.formula for name, operation in sorted(OPERATIONS.items())}
    files = {"vector.schema.json": json_bytes(manifest_schema()),
             "operations.json": json_bytes(formulas),
             "README.md": (package / "FOLDER.md").read_bytes(),
             "generators/counter_random.py": _without_refglow(
                 (package / "counter_random.py").read_bytes())}
    return files | {name: (package / name).read_bytes() for name in (
        "generators/counter_random.c", "generators/counter_random.jl", "examples/glow.mjs",
        "examples/step.c")}


def _without_refglow(source: bytes) -> bytes:
    """The Python generator for people who have NumPy alone."""
    return source.replace(b"from refglow.dtypes import Array\n",
                          b"from numpy import ndarray as Array\n")


def checked_folder(folder: Path, kept: KeptVectors) -> Iterator[Checked]:
    """Each vector of a folder, and what stands beside them, compared with the package's.

    Raises:
      OSError: if the folder cannot be read.
      ValueError: if there is no manifest in it.
    """
    manifests = sorted((folder / "vectors").glob("*.json")) if folder.is_dir() else []
    if not manifests:
        raise ValueError(f"{folder} holds no vectors: there is no file vectors/NAME.json in it. "
                         "refglow vectors export makes such a folder.")
    schema = manifest_schema()
    for path in manifests:
        try:
            problems = _problems(path, schema, kept)
        except (OSError, ValueError, RecursionError) as error:
            problems = [str(error)]
        yield _checked(path.stem, problems)
    names = {path.stem for path in manifests}
    yield _checked("beside the vectors", _problems_beside(folder, names))


def _checked(name: str, problems: list[str]) -> Checked:
    """What was found, fit for a terminal: names and messages hold strangers' text."""
    return Checked(shown(name), tuple(one_line(problem) for problem in problems[:_MOST_TOLD]))


def _problems_beside(folder: Path, manifests: set[str]) -> list[str]:
    """Files that every folder has, changed or missing; arrays without a manifest; the index."""
    problems = []
    for name, content in _companions().items():
        try:
            if small_content(folder / name) != content:
                problems.append(f"{name} is not refglow's.")
        except (OSError, ValueError) as error:
            problems.append(str(error))
    try:
        index = {entry["name"] for entry in json.loads(small_content(folder / "index.json"))}
        problems += [f"index.json lists {name}, of which there is no manifest."
                     for name in sorted(index - manifests)]
        problems += [f"index.json does not list {name}." for name in sorted(manifests - index)]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        problems.append(f"index.json cannot be read: {error}")
    arrays = {path.stem for path in (folder / "vectors").glob("*.safetensors")}
    return problems + [f"{name}.safetensors has no manifest."
                       for name in sorted(arrays - manifests)]


def _problems(path: Path, schema: dict[str, Any], kept: KeptVectors) -> list[str]:
    manifest = parsed_json(path)
    wrong = [f"{path.name}: {text}"
             for text in misfits(manifest, schema, "the manifest", _MOST_TOLD)]
    if wrong:
        return wrong
    if manifest["name"] != path.stem:
        return [f"{path.name} is the manifest of {manifest['name']!r}."]
    vector = BY_NAME.get(manifest["name"])
    if vector is None:
        return [f"This version of refglow has no vector {manifest['name']!r}."]
    expected = exported(vector, kept)
    return (_manifest_problems(path, manifest, expected)
            + _array_problems(path.with_name(manifest["file"]), expected))


def _manifest_problems(path: Path, manifest: dict[str, Any], expected: Exported) -> list[str]:
    ours = json.loads(json_bytes(expected.manifest))
    return [f"{path.name}: {key!r} is not refglow's." for key in ours
            if manifest[key] != ours[key] and key != "sha256"]


def _array_problems(path: Path, expected: Exported) -> list[str]:
    with open_safetensors(path) as file:
        names = set(file.kinds)
        problems = [f"{path.name} lacks {name}." for name in sorted(expected.arrays.keys() - names)]
        problems += [f"{path.name} holds {name}, which the vector has not."
                     for name in sorted(names - expected.arrays.keys())]
        for name in sorted(names & expected.arrays.keys()):
            array, kind = expected.arrays[name], file.kinds[name]
            if (kind.dtype, kind.shape) != (array.dtype.name, array.shape):
                problems.append(f"{path.name}: {name} is {kind}; it must be "
                                f"{array.dtype.name}{list(array.shape)}.")
            elif not np.array_equal(file.array(name), array, equal_nan=False):
                problems.append(f"{path.name}: {name} holds other numbers"
                                f"{_first(file.array(name), array)}")
    if not problems and sha256_of(path) != expected.manifest["sha256"]:
        problems.append(f"{path.name} has the right arrays, but not the bytes that were exported.")
    return problems


def _first(found: Array, expected: Array) -> str:
    """Where two arrays differ first."""
    index = tuple(map(int, np.argwhere(found != expected)[0]))
    return f", at {list(index)} {found[index]} instead of {expected[index]}."
