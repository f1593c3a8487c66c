"""What a stranger's function returned, as named arrays of floating-point numbers.

Shapes and values are judged later; here it is only made sure that there are arrays, and copies of
them: an implementation may write into the same memory at its next call, and a generator of layers
at its next layer, so each array is copied as it comes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.implementations.offerings import RESULTS
from refglow.validation.strangers.text import shown

MOST_BYTES = 2**30  # of one result
_MOST_ARRAYS = 100_000  # in one result: a generator may never end


class NotAResultError(ValueError):
    """What was returned is not what the offering returns."""


@dataclass(frozen=True)
class Found:
    """One call's results.

    Attributes:
      arrays: float32 or float64, by name: those of `RESULTS`, "gradients/PARAMETER",
        "initialize/PARAMETER", "layers/LAYER/output" and "layers/LAYER/log_det".
      dtypes: the number types as they were returned, by the same names.
      layers: the names of the layers in the order in which they came, each as often as it came.
      by_name: whether every array came by itself, under its name: none has to be there.
    """

    arrays: dict[str, Array]
    dtypes: dict[str, str]
    layers: tuple[str, ...] = ()
    by_name: bool = False


def read(offering: str, value: Any) -> Found:
    """The results of a call.

    Args:
      offering: which function was called.
      value: what it returned.

    Raises:
      NotAResultError: if it is no array, or not the arrays that this function returns.
    """
    if offering == "layers":
        return _layers(value)
    if offering in RESULTS:
        values = list(_unnamed(offering, value))
        return _arrays(values, len(values))
    if not isinstance(value, Mapping):
        raise NotAResultError(f"returned {_kind(value)}; expected a dict of arrays by name")
    for name in itertools.islice(value, _MOST_ARRAYS):
        if not isinstance(name, str):
            raise NotAResultError(f"returned a dict with {_kind(name)} among its names")
    return _arrays(((f"{offering}/{name}", array)
                    for name, array in itertools.islice(value.items(), _MOST_ARRAYS)), len(value))


def _unnamed(offering: str, value: Any) -> Iterator[tuple[str, Any]]:
    names = RESULTS[offering]
    if len(names) == 1:
        yield names[0], value
        return
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        raise NotAResultError(f"returned {_kind(value)}; expected a tuple of {len(names)} arrays")
    yield from zip(names, value, strict=True)


def _layers(value: Any) -> Found:
    entries = value.items() if isinstance(value, Mapping) else value
    if isinstance(entries, (str, bytes)) or not hasattr(entries, "__iter__"):
        raise NotAResultError(f"returned {_kind(value)}; expected (name, output) or (name, output, "
                              "log_det) for each layer, or a dict")
    names: list[str] = []
    found = _arrays(_of_layers(entries, names), _MOST_ARRAYS)
    return Found(found.arrays, found.dtypes, tuple(names))


def _of_layers(entries: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    """The arrays of layers by name as they come; adds each layer's name to `names`."""
    for entry in entries:
        if len(names) == _MOST_ARRAYS:
            raise NotAResultError(f"gives more than {_MOST_ARRAYS} layers")
        if not isinstance(entry, (tuple, list)) or len(entry) not in (2, 3) or (
                not isinstance(entry[0], str)):
            raise NotAResultError(f"gives {_kind(entry)} as layer {len(names)}; expected (name, "
                                  "output) or (name, output, log_det)")
        name, output, *rest = entry
        if isinstance(output, (tuple, list)) and not rest:
            output, *rest = output if len(output) == 2 else (output,)
        known = name in names
        names.append(name)
        if not known:
            yield f"layers/{name}/output", output
            yield from ((f"layers/{name}/log_det", log_det) for log_det in rest)


def _arrays(named: Iterable[tuple[str, Any]], number: int) -> Found:
    """The arrays, each copied before the next one is asked for; `number`: how many at most."""
    arrays: dict[str, Array] = {}
    dtypes: dict[str, str] = {}
    size = 0
    for name, value in named:
        arrays[name], dtypes[name] = _floats(value, "" if number == 1 else f"{shown(name)}: ")
        size += arrays[name].nbytes
        if size > MOST_BYTES:
            raise NotAResultError(f"returned more than {MOST_BYTES} bytes")
    return Found(arrays, dtypes)


def _floats(value: Any, what: str) -> tuple[Array, str]:
    """A copy in float32 or float64, and the number type that it had."""
    for step in ("detach", "cpu"):  # a tensor that records gradients, or lies on a device
        if callable(getattr(value, step, None)) and not isinstance(value, np.ndarray):
            value = getattr(value, step)()
    if not (hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        raise NotAResultError(f"{what}returned {_kind(value)}, not an array")
    try:
        array = np.asarray(value if hasattr(value, "__array__") else np.from_dlpack(value))
    except Exception as error:  # whatever a stranger's conversion raises
        raise NotAResultError(f"{what}returned {_kind(value)}, which does not become an array: "
                              f"{error}") from error
    if array.dtype.kind != "f":
        raise NotAResultError(f"{what}returned an array of {array.dtype}, not of floating-point "
                              "numbers")
    if array.nbytes > MOST_BYTES:
        raise NotAResultError(f"{what}returned an array of shape {list(array.shape)}, more than "
                              f"{MOST_BYTES} bytes")
    kept = np.float32 if array.dtype.itemsize <= 4 else np.float64
    return np.array(array, dtype=kept, order="C"), array.dtype.name


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
