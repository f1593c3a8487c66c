"""What a program wrote into a folder's results: arrays by number type, and what is wrong with them.

A file that cannot be read, or an array that is none of the results, does not stop the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refglow.dtypes import Array
from refglow.safetensors_file import ArrayKind, SafetensorsFile, open_safetensors
from refglow.validation.golden import DTYPES
from refglow.validation.model_folder.reading import ModelFolder, inside
from refglow.validation.model_folder.writing import RESULTS
from refglow.validation.strangers.text import one_line, shown

_SUFFIX = ".safetensors"
_MOST_FILES = 10_000
_MOST_NAMES = 6  # in a message


@dataclass
class Results:
    """What was found.

    Attributes:
      arrays: {number type: {name: array}}, of the names that the manifest lists.
      problems: what could not be taken as a result; each counts as wrong.
      others: files that are not looked at.
    """

    arrays: dict[str, dict[str, Array]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def read_results(model: ModelFolder) -> Results:
    """All that is in the files of a folder's results.

    Raises:
      ValueError: if there is no file; says where it should be.
    """
    found, places = Results(), dict[tuple[str, str], str]()
    paths = _files(model.path)
    for path in paths:
        name = f"{RESULTS}/{shown(path.name)}"
        if path.suffix != _SUFFIX:
            found.others.append(name)
            continue
        try:
            with open_safetensors(inside(model.path, f"{RESULTS}/{path.name}")) as file:
                for problem in _taken(file, name, model.manifest["results"], found.arrays, places):
                    found.problems.append(f"{name}: {problem}")
        except (OSError, ValueError) as error:
            text = one_line(str(error).replace(str(path), name))
            found.problems.append(text if name in text else f"{name}: {text}")
    if len(found.others) == len(paths):
        raise ValueError(f"{model.path} holds no results: there is no file {RESULTS}/NAME{_SUFFIX} "
                         f"in it. README.md there tells what goes into one.")
    return found


def _files(folder: Path) -> list[Path]:
    """What is in the results' folder, but for hidden files."""
    place = inside(folder, RESULTS)
    paths = sorted(path for path in place.iterdir() if not path.name.startswith(".")) if (
        place.is_dir()) else []
    if len(paths) > _MOST_FILES:
        raise ValueError(f"{place} holds {len(paths)} files; at most {_MOST_FILES} are read.")
    return paths


def _taken(file: SafetensorsFile, name: str, wanted: Mapping[str, Mapping[str, Any]],
           arrays: dict[str, dict[str, Array]], places: dict[tuple[str, str], str]
           ) -> Iterator[str]:
    """Put a file's arrays to the others; the problems.

    Args:
      file, name: it.
      wanted: the results that there are, as in the manifest.
      arrays: takes them, by number type and name.
      places: in which file each was.
    """
    unknown = [other for other in file.kinds if other not in wanted]
    if unknown:
        listed = ", ".join(shown(other) for other in unknown[:_MOST_NAMES])
        more = f" and {len(unknown) - _MOST_NAMES} more" if len(unknown) > _MOST_NAMES else ""
        yield f"what model.json does not list among the results: {listed}{more}"
    for result, described in wanted.items():
        kind = file.kinds.get(result)
        if kind is None:
            continue
        problem = _unreadable(kind, described["shape"])
        if not problem and (kind.dtype, result) in places:
            problem = f"is in {places[kind.dtype, result]} too, and judged as it is there"
        if problem:
            yield f"{result} {problem}"
            continue
        places[kind.dtype, result] = name
        arrays.setdefault(kind.dtype, {})[result] = file.array(result)


def _unreadable(kind: ArrayKind, shape: Sequence[int]) -> str:
    """Why an array is not read; empty if it is. Another shape of no more numbers is judged."""
    if kind.dtype not in DTYPES:
        return f"is {kind.dtype}; it can be {' or '.join(DTYPES)}"
    if math.prod(kind.shape) > math.prod(shape):
        return f"has shape {list(kind.shape)}; expected {list(shape)}"
    return ""
