"""The state of a refglow Glow and the variables of a TFP Glow: their names, and assigning them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from refglow import bijectors as rgb
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.validation.tfp.glow_structure import tfp_variables
from refglow.validation.tfp.live import name_of


def param_names(tfp_glow: Any) -> list[str]:
    """The names in refglow's state of `tfp_glow.trainable_variables`, in their order.

    A variable that is part of no network (one that a user's function keeps elsewhere) is named
    after its own name.
    """
    names: dict[int, str] = {}
    for name, variable in tfp_variables(tfp_glow).items():
        names.setdefault(id(variable), name)
    return [names.get(id(variable), name_of(variable)) for variable in tfp_glow.trainable_variables]


def to_tfp(glow: rgb.Glow, tfp_glow: Any) -> None:
    """Assign the whole state of `glow` to `tfp_glow`, flags and permutations included.

    Layers inside a network are matched by their order, everything else by name.

    Raises:
      ValueError: listing the differences, if the two are not of the same architecture and number
        type; nothing is assigned then.
    """
    targets = tfp_variables(tfp_glow)
    state = _renamed(glow, targets)
    problems = [f"{what}: {here} in refglow, {there} in TFP" for what, here, there in (
        ("output_shape", list(glow.parameters["output_shape"]),
         list(tfp_glow.parameters["output_shape"])),
        ("blockwise_splits", glow.blockwise_splits, _splits(tfp_glow))) if here != there]
    problems += [f"only in TFP: {name}" for name in targets.keys() - state.keys()]
    problems += [f"only in refglow: {name}" for name in state.keys() - targets.keys()]
    for name in targets.keys() & state.keys():
        value, target = state[name], targets[name]
        here = (value.shape, value.dtype)
        there = (tuple(target.shape), np.dtype(target.dtype.as_numpy_dtype))
        if here[0] != there[0] or (here[1] != there[1] and "f" in (here[1].kind, there[1].kind)):
            problems.append(f"{name}: {here[1]} {list(here[0])} in refglow, "
                            f"{there[1]} {list(there[0])} in TFP")
    if problems:
        raise ValueError("The two Glows differ; nothing was assigned.\n  "
                         + "\n  ".join(sorted(problems)))
    for name, target in targets.items():
        target.assign(state[name])


def _splits(glow: Any) -> list[list[int]]:
    return [list(split) for split in glow.blockwise_splits]


def _renamed(glow: Bijector, targets: dict[str, Any]) -> dict[str, Array]:
    """glow's state; inside networks, by the names that the variables in the same places have.

    The fixed zero bias of a convolution that has none in Keras is left out.
    """
    state: dict[str, Array] = {}
    mine, theirs = _by_network(dict(glow.named_variables())), _by_network(targets)
    for network, variables in mine.items():
        names = list(theirs.get(network, {}))
        kept = list(variables)
        if network and len(kept) > len(names):
            kept = [name for name in kept if not name.endswith("bias")
                    or variables[name].trainable or np.any(variables[name].numpy())]
        if not network or len(kept) != len(names):
            names = kept
        state |= {name: variables[old].numpy() for name, old in zip(names, kept, strict=True)}
    return state


def _by_network(named: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """`named` cut into the variables of each network, and under "" those of no network."""
    groups: dict[str, dict[str, Any]] = {}
    for name, variable in named.items():
        match = re.match(r"block\d+\.(step\d+\.coupling|exit)\.", name)
        groups.setdefault(match.group() if match else "", {})[name] = variable
    return groups
