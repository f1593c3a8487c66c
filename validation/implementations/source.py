"""FILE.py:NAME or module:NAME: where an implementation is, and getting it from there.

Importing it runs a stranger's code; `ProcessCalls` does it in a process of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from refglow.validation.strangers.text import shown

_MOST_NAMES = 20  # in a message


class NoSuchNameError(ValueError):
    """The file or module is there, and has no such name."""


@dataclass(frozen=True)
class Source:
    """Where an implementation is.

    Attributes:
      place: the path of a file, or a module's name.
      name: what to take from it; may be dotted.
      is_file: which of the two.
    """

    place: str
    name: str
    is_file: bool


def source_of(text: str) -> Source:
    """The source that a user wrote.

    Args:
      text: FILE.py:NAME or module:NAME.

    Raises:
      ValueError: if it is neither, or there is no such file.
    """
    place, colon, name = text.rpartition(":")
    parts = name.split(".")
    if not colon or not place or not all(part.isidentifier() for part in parts):
        raise ValueError(f"An implementation is FILE.py:NAME or module:NAME; got {shown(text)!r}.")
    is_file = place.endswith(".py") or os.sep in place
    if is_file and not Path(place).is_file():
        raise ValueError(f"There is no file {shown(place)}.")
    if not is_file and not all(part.isidentifier() for part in place.split(".")):
        raise ValueError(f"{shown(place)!r} is neither a file that ends in .py nor the name of a "
                         "module.")
    return Source(os.path.abspath(place) if is_file else place, name, is_file)


def imported(source: Source) -> ModuleType:
    """The module, run. A file's folder, or else the working directory, comes first in sys.path."""
    if not source.is_file:
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(source.place)
    path = Path(source.place)
    sys.path.insert(0, str(path.parent))
    name = f"implementation_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def named(module: ModuleType, source: Source) -> Any:
    """What the module has of that name.

    Raises:
      NoSuchNameError: if it has none; lists what there is.
    """
    found: Any = module
    for part in source.name.split("."):
        if not hasattr(found, part):
            there = [name for name in vars(module) if not name.startswith("_")]
            raise NoSuchNameError(
                f"{shown(source.place)} has no {source.name}; it has: "
                f"{', '.join(there[:_MOST_NAMES]) or 'no public names'}.")
        found = getattr(found, part)
    return found
