"""Checkpoints: all that a training run needs to go on bit for bit, in one safetensors file.

The arrays stand under "model.<state name>", "optimizer.<name>" and "average.<name>" (none without a
moving average). The rest is JSON in the file's metadata under the key "refglow.training":

    {"format_version": 1, "step": 1200,
     "settings": {"architecture": {"num_steps_per_block": 8, ...}, "optimizer": {...}, ...},
     "random_state": {"seed": 0, "step": 1200}}

A file may come from a stranger. There is no code in it; every array is whole and of the header's
dtype and shape, so that loading takes no more memory than the file's own size justifies. Whether
the arrays fit a model and an optimizer is for their `load_state_dict` to say, and whether the
settings are those of the run that is to go on, for `differences`.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refglow.atomic_file import AnyPath
from refglow.dtypes import Array
from refglow.safetensors_file import naming, object_in, open_safetensors, write_safetensors

METADATA_KEY = "refglow.training"
FORMAT_VERSION = 1

_GROUPS = ("model", "optimizer", "average")
_MAX_DEPTH = 32  # of lists and dicts in one another


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training run between two steps.

    Attributes:
      step: the number of steps made.
      settings: what the run was asked to do (architecture, data, optimizer, seed, ...): dicts with
        string keys, lists, strings, finite numbers, booleans and None.
      random_state: the state of the run's random numbers, `rng.bit_generator.state` or another
        dict like `settings`; integer arrays in it become lists, which NumPy takes back.
      model: the arrays of `glow.state_dict()`: float32, float64, int32 or bool.
      optimizer: those of `optimizer.state_dict()`; int64, too.
      average: those of `MovingAverage.state_dict()`; empty without one.
    """

    step: int
    settings: dict[str, Any]
    random_state: dict[str, Any]
    model: Mapping[str, Array]
    optimizer: Mapping[str, Array]
    average: Mapping[str, Array] = field(default_factory=dict)


def save_checkpoint(path: AnyPath, checkpoint: Checkpoint) -> None:
    """Write a checkpoint file; until it is complete, an old file stands.

    The arrays go to the disk as they are; no second copy of them is made.

    Raises:
      TypeError: if the settings or the random state hold what JSON does not, or the state holds
        arrays of other number types; says which.
      ValueError: if a number in them is NaN or infinite, or they are too large or too deep.
      OSError: if the file cannot be written, as on a full disk.
    """
    entries = {"format_version": FORMAT_VERSION, "step": _plain(checkpoint.step, "step"),
               "settings": _plain(checkpoint.settings, "settings"),
               "random_state": _plain(checkpoint.random_state, "random_state")}
    _check_entries(entries)
    arrays = {f"{group}.{name}": array for group in _GROUPS
              for name, array in getattr(checkpoint, group).items()}
    write_safetensors(path, arrays, METADATA_KEY, entries)


def load_checkpoint(path: AnyPath) -> Checkpoint:
    """The checkpoint in a file that `save_checkpoint` wrote; every array equals the saved one.

    Raises:
      OSError: if there is no readable file at `path`.
      ValueError: if it is not a checkpoint, or a damaged one.
    """
    with open_safetensors(path) as file, naming(path):
        entries = _parsed(file.metadata)
        _check_names(file.kinds)
        groups: dict[str, dict[str, Array]] = {group: {} for group in _GROUPS}
        for name in file.kinds:
            group, _, rest = name.partition(".")
            groups[group][rest] = file.array(name)
    return Checkpoint(entries["step"], entries["settings"], entries["random_state"], **groups)


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What differs between a checkpoint's settings and those asked for, one line for each entry.

    Args:
      a: the settings in the checkpoint.
      b: the settings asked for; tuples count as lists.

    Returns:
      lines such as "architecture.num_steps_per_block: 4 in the checkpoint, 8 asked for", in the
      order of `a`; none if the settings are equal.

    Raises:
      TypeError, ValueError: as for `save_checkpoint`.
    """
    return list(_differences(_plain(a, "settings"), _plain(b, "settings"), ""))


def _differences(a: Any, b: Any, name: str) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a | b:
            yield from _differences(a.get(key, _ABSENT), b.get(key, _ABSENT),
                                    f"{name}.{key}" if name else key)
    elif a != b or isinstance(a, bool) != isinstance(b, bool):  # True == 1
        yield f"{name}: {_short(a)} in the checkpoint, {_short(b)} asked for"


_ABSENT = object()


def _short(value: Any) -> str:
    return "nothing" if value is _ABSENT else reprlib.repr(value)


def _parsed(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The entries in the metadata, checked."""
    entries = object_in(metadata, METADATA_KEY, FORMAT_VERSION, "a checkpoint")
    _check_entries(entries)
    for key in ("settings", "random_state"):
        _plain(entries[key], key)
    return entries


def _check_names(names: Iterable[str]) -> None:
    """Raise ValueError if an array is in no group."""
    odd = sorted(reprlib.repr(name) for name in names if name.partition(".")[0] not in _GROUPS)
    if odd:
        raise ValueError(f"not a checkpoint's arrays (their names must begin with "
                         f"{', '.join(group + '.' for group in _GROUPS)}): {', '.join(odd[:20])}.")


def _plain(value: Any, *place: str) -> Any:
    """`value` as JSON holds it: tuples and integer arrays as lists, NumPy's scalars as Python's.

    Args:
      place: the keys that lead to it, for messages. (Not one string: that would be copied for every
        item of a list, and a stranger's key may be long.)

    Raises:
      TypeError: for what JSON does not hold; names the place.
      ValueError: for NaN, infinity, and nesting deeper than anyone needs.
    """
    if len(place) > _MAX_DEPTH:
        raise ValueError(f"{place[0]} is nested more than {_MAX_DEPTH} deep.")
    if isinstance(value, np.generic) or (
            isinstance(value, np.ndarray) and value.dtype.kind in "biu"):
        value = value.tolist()
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, *place, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, *place, str(k)) for k, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{_dotted(place)} is {value}; it must be finite.")
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"{_dotted(place)} cannot be {reprlib.repr(value)}; JSON holds dicts with "
                    "string keys, lists, strings, numbers, booleans and None.")


def _dotted(place: tuple[str, ...]) -> str:
    return ".".join(key if len(key) < 80 else reprlib.repr(key) for key in place)


def _check_entries(entries: Mapping[str, Any]) -> None:
    """Raise ValueError unless there is every entry, of its type, and no other."""
    if entries.keys() != _ENTRIES.keys():
        raise ValueError(f"a checkpoint must have the entries {', '.join(_ENTRIES)}; got "
                         f"{reprlib.repr(', '.join(entries))}.")
    for key, is_valid in _ENTRIES.items():
        if not is_valid(entries[key]):
            raise ValueError(f"a checkpoint's {key} cannot be {reprlib.repr(entries[key])}.")


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


_ENTRIES: Mapping[str, Callable[[Any], bool]] = {
    "format_version": lambda value: value == FORMAT_VERSION,
    "step": lambda value: type(value) is int and 0 <= value < 2**63,
    "settings": _is_dict,
    "random_state": _is_dict}
