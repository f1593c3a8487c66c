"""Model files: a whole Glow, architecture and arrays, in one safetensors file.

The arrays stand under their names in `glow.state_dict()`: the weights in the model's number type
(float32 or float64), permutations as int32, ActNorms' initialised flags as bool. The architecture
is JSON in the file's metadata under the key "refglow.glow":

    {"format_version": 1,
     "output_shape": [32, 32, 3], "num_glow_blocks": 3, "num_steps_per_block": 32,
     "grab_after_block": null, "use_actnorm": true, "validate_args": false,
     "name": "glow", "dtype": "float32",
     "coupling": {"class": "GlowDefaultNetwork", "num_hidden": 400, "kernel_shape": 3},
     "exit": {"class": "GlowDefaultExitNetwork", "kernel_shape": 3}}

"coupling" and "exit" are descriptions of networks (see `refglow.networks.description`), without
what the place in the model determines. If the networks differ, each is a list with one for every
step (or exit) in the order of the state, null where an exit has no network.

A file may come from a stranger. There is no code in it, and classes are taken from a fixed table.
What the architecture declares is compared with the header, name by name, before an array is read
or a network built, so a file cannot ask for more memory than its own size justifies. Weights that
are NaN or infinite are loaded like any others: a model that has diverged is still a model.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from refglow.atomic_file import AnyPath
from refglow.bijectors.architecture import Architecture, architecture_of
from refglow.bijectors.glow import Glow
from refglow.safetensors_file import (
    ArrayKind,
    naming,
    object_in,
    open_safetensors,
    require_kinds,
    write_safetensors,
)

METADATA_KEY = "refglow.glow"
FORMAT_VERSION = 1

_NUMBER_TYPES = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
_OTHER_ARRAYS = "the arrays are not those of the declared architecture"
_MAX_EVENT_SIZE = 2**31 - 1  # numbers in one image, of which no array in the file tells


def save(path: AnyPath, glow: Glow) -> None:
    """Write the whole model to a safetensors file; until it is complete, an old file stands.

    A network that several steps share is stored, and loaded, once for each of them.

    Args:
      path: where to; by custom it ends in ".safetensors".
      glow: the model, float32 or float64, made of refglow's networks.

    Raises:
      TypeError: if `glow` is not a Glow, of another number type, or has networks that are not
        refglow's; says what to do.
      ValueError: if it is larger than a file may declare (see above).
      OSError: if the file cannot be written.
    """
    if type(glow) is not Glow:
        raise TypeError(f"save takes a Glow; got a {type(glow).__name__}.")
    if glow.dtype not in _NUMBER_TYPES.values():
        raise TypeError(f"safetensors files hold float32 and float64; {glow.name} is {glow.dtype}. "
                        "Save glow.astype('float64') (and cast it back after loading).")
    declared = _to_json(architecture_of(glow))
    _check_declared(declared)
    write_safetensors(path, glow.state_dict(), METADATA_KEY, declared)


def load(path: AnyPath, coupling_bijector_fn: Callable[..., Any] | None = None,
         exit_bijector_fn: Callable[..., Any] | None = None) -> Glow:
    """The model in a file that `save` wrote.

    Args:
      path: the file.
      coupling_bijector_fn, exit_bijector_fn: build the networks, as for Glow, in place of what the
        file says of them; their parameters must have the names and shapes of the file's arrays.

    Returns:
      a new Glow; equal to the saved one in architecture and in every array.

    Raises:
      OSError: if there is no readable file at `path`.
      TypeError: if a function given here makes networks of another number type than the file's.
      ValueError: if it is not a model file, or a damaged one, or its arrays are not those that its
        architecture has (all missing, unknown and unfitting names are listed).
    """
    functions = {"coupling": coupling_bijector_fn, "exit": exit_bijector_fn}
    replaced = {key: None for key, fn in functions.items() if fn is not None}
    with open_safetensors(path) as file, naming(path):
        declared = object_in(file.metadata, METADATA_KEY, FORMAT_VERSION,
                             "a model file") | replaced
        _check_declared(declared)
        architecture = _from_json(declared)
        _check_described(architecture, replaced)
        require_kinds(_declared_kinds(architecture, len(file.kinds)),
                      {name: kind for name, kind in file.kinds.items()
                       if not any(f".{key}." in name for key in replaced)}, _OTHER_ARRAYS)
        glow = architecture.build(coupling_bijector_fn, exit_bijector_fn)
        require_kinds({variable.name: ArrayKind(variable.dtype.name, variable.shape)
                       for variable in glow.variables}, file.kinds, _OTHER_ARRAYS)
        glow.load_state_dict({name: file.array(name) for name in file.kinds})
    return glow


def _to_json(architecture: Architecture) -> dict[str, Any]:
    """The architecture as plain lists, dicts, numbers and strings."""
    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value
    arguments = {key: plain(value) for key, value in vars(architecture).items()}
    return {"format_version": FORMAT_VERSION, **arguments, "dtype": architecture.dtype.name}


def _from_json(declared: Mapping[str, Any]) -> Architecture:
    """The inverse of `_to_json`, for what `_check_declared` has passed."""
    def fixed(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value
    arguments = {key: fixed(value) for key, value in declared.items() if key != "format_version"}
    return Architecture(**arguments | {"dtype": _NUMBER_TYPES[declared["dtype"]]})


def _check_declared(declared: Mapping[str, Any]) -> None:
    """Raise ValueError unless every entry is of its type and the sizes are possible."""
    if declared.keys() != _ENTRIES.keys():
        raise ValueError("the architecture must have the entries "
                         f"{', '.join(_ENTRIES)}; got {reprlib.repr(', '.join(declared))}.")
    for key, is_valid in _ENTRIES.items():
        if not is_valid(declared[key]):
            raise ValueError(f"the architecture's {key} cannot be {reprlib.repr(declared[key])}.")
    steps = declared["num_glow_blocks"] * declared["num_steps_per_block"]
    for key, places in (("coupling", steps), ("exit", declared["num_glow_blocks"])):
        if isinstance(declared[key], list) and len(declared[key]) != places:
            raise ValueError(f"the architecture lists {len(declared[key])} {key} networks for "
                             f"{places} places.")


def _check_described(architecture: Architecture, replaced: Collection[str]) -> None:
    """Raise ValueError if the model has networks of which neither file nor caller tell."""
    needed = {"coupling": architecture.num_steps_per_block > 0,
              "exit": any(leave and grab for _, leave, grab in architecture.blocks())}
    for key, is_needed in needed.items():
        if is_needed and getattr(architecture, key) is None and key not in replaced:
            raise ValueError(f"the file does not describe the {key} networks; give load the "
                             f"function that builds them, {key}_bijector_fn.")


def _declared_kinds(architecture: Architecture, found: int) -> dict[str, ArrayKind]:
    """The kinds of the arrays that the architecture has.

    Raises:
      ValueError: if there are so many more than the `found` ones in the file that naming the
        missing ones would help nobody.
    """
    steps = architecture.num_glow_blocks * architecture.num_steps_per_block
    if steps > found:
        raise ValueError(f"the architecture declares {steps} steps, of at least two arrays each; "
                         f"the file holds {found} arrays.")
    kinds: dict[str, ArrayKind] = {}
    for name, shape, dtype in architecture.state():
        kinds[name] = ArrayKind(dtype.name, shape)
        if len(kinds) > 2 * found + 1000:
            raise ValueError(f"the architecture declares more than {len(kinds) - 1} arrays; the "
                             f"file holds {found}.")
    return kinds


def _is_image_shape(value: Any) -> bool:
    return (isinstance(value, list) and len(value) == 3
            and all(type(size) is int and size >= 1 for size in value)
            and value[0] * value[1] * value[2] <= _MAX_EVENT_SIZE)


def _is_fractions(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(
        type(fraction) in (int, float) and 0 <= fraction <= 1 for fraction in value))


def _is_networks(value: Any) -> bool:
    return value is None or isinstance(value, (dict, list))


_ENTRIES: Mapping[str, Callable[[Any], bool]] = {
    "format_version": lambda value: value == FORMAT_VERSION,
    "output_shape": _is_image_shape,
    "num_glow_blocks": lambda value: type(value) is int and 1 <= value < 32,
    "num_steps_per_block": lambda value: type(value) is int and value >= 0,
    "grab_after_block": _is_fractions,
    "use_actnorm": lambda value: isinstance(value, bool),
    "validate_args": lambda value: isinstance(value, bool),
    "name": lambda value: isinstance(value, str),
    "dtype": lambda value: isinstance(value, str) and value in _NUMBER_TYPES,
    "coupling": _is_networks,
    "exit": _is_networks}

