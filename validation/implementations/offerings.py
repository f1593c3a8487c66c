"""What an implementation may offer, and how an implementation comes from what a user names."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any

from refglow.dtypes import Array

# What each takes: images or latents.
OFFERINGS: Mapping[str, str] = {
    "inverse": "x", "inverse_log_det_jacobian": "x", "inverse_and_log_det": "x",
    "forward": "z", "forward_log_det_jacobian": "z", "forward_and_log_det": "z",
    "log_prob": "x", "bits_per_dim": "x", "layers": "x", "gradients": "x", "initialize": "x"}

# The names of the results of those that return arrays, and not arrays by name.
RESULTS: Mapping[str, tuple[str, ...]] = {
    name: ((name,) if "_and_" not in name else
           (name.split("_")[0], f"{name.split('_')[0]}_log_det_jacobian"))
    for name in OFFERINGS if name not in ("layers", "gradients", "initialize")}


def offered(implementation: Any) -> tuple[str, ...]:
    """The names of what an object offers: its attributes of these names that can be called."""
    return tuple(name for name in OFFERINGS if callable(getattr(implementation, name, None)))


def absent(offered_names: Collection[str]) -> tuple[str, ...]:
    """The names of what is not offered; two results at once only if one of them is not.

    Args:
      offered_names: the names of what is.
    """
    given = {result for name in offered_names for result in RESULTS.get(name, ())}
    return tuple(name for name in OFFERINGS if name not in offered_names
                 and not (name in RESULTS and given.issuperset(RESULTS[name])))


def built(target: Any, architecture: Mapping[str, Any], parameters: Mapping[str, Array]) -> Any:
    """The implementation that a user's function, class, module or object stands for.

    Args:
      target: a function or class called with (architecture, parameters), a class without such
        arguments called with none, or a module or object that offers something itself; the last
        gets no parameters and must have those of the model it is held against.
      architecture: see `architecture_of`.
      parameters: by state name; each implementation gets copies of its own.
    """
    if not inspect.isclass(target) and offered(target):
        return target
    if inspect.isclass(target) and target.__init__ is object.__init__ and (
            target.__new__ is object.__new__):
        return target()
    return target(dict(architecture), {name: array.copy() for name, array in parameters.items()})
