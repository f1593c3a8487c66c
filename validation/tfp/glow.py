"""Glow and its parts, in both directions: the architecture is built, then the state is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from refglow import bijectors as rgb
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import DEFAULT_FLOAT, DType, common_dtype
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors, tfp_glow_parts
from refglow.validation.tfp.glow_structure import (
    coupling_shape,
    exit_shape,
    levels_of,
    steps_of,
    tfp_variables,
)
from refglow.validation.tfp.leaves import Convert
from refglow.validation.tfp.networks import network_from_tfp, network_twin

# ---- from TFP -----------------------------------------------------------------------------------

def glow_part_from_tfp(kind: str, part: Any, convert: Convert) -> Bijector:
    """The refglow bijector with the architecture and the state of a TFP Glow, or a part of one."""
    variables = tfp_variables(part)
    floating = [np.dtype(v.dtype.as_numpy_dtype) for v in variables.values() if v.dtype.is_floating]
    built = _FROM_TFP[kind](part, convert, common_dtype(list(floating), part.name))
    built.load_state_dict(built.state_dict() | {name: v.numpy() for name, v in variables.items()})
    for name, variable in built.named_variables():
        if name in variables:
            variable.trainable = bool(variables[name].trainable)
    return built


def _glow_from_tfp(glow: Any, convert: Convert, dtype: Any) -> Bijector:
    given, levels = glow.parameters, levels_of(glow)
    fractions = given["grab_after_block"]
    if fractions is not None:
        # A fraction too small to take a channel takes none in TFP; refglow wants that spelt 0.
        fractions = [float(fraction) if grab else 0.0 for fraction, (_, grab, _)
                     in zip(fractions, glow.blockwise_splits[::-1], strict=True)]
    return rgb.Glow(
        [int(size) for size in given["output_shape"]], int(given["num_glow_blocks"]),
        int(given["num_steps_per_block"]),
        _in_turn(network for _, block in levels for network in _couplings(block, convert)),
        _in_turn(network_from_tfp(exit_.exit_layer, exit_shape(exit_), convert)
                 for exit_, _ in levels if exit_.exit_layer is not None),
        fractions, bool(given["use_actnorm"]), validate_args=glow.validate_args, name=glow.name,
        dtype=dtype)


def _block_from_tfp(block: Any, convert: Convert, dtype: Any) -> Bijector:
    given = block.parameters
    return rgb.GlowBlock(given["input_shape"], int(given["num_steps"]),
                         _in_turn(_couplings(block, convert)), bool(given["use_actnorm"]),
                         dtype=dtype, name=block.name)


def _exit_from_tfp(exit_: Any, convert: Convert, dtype: Any) -> Bijector:
    h, w, _ = exit_shape(exit_)
    splits = [int(size) for size in exit_.parameters["blockwise_splits"]]
    return rgb.ExitBijector(
        (h, w, sum(splits)), splits,  # TFP's Glow states another number of channels, unused there
        lambda shape, output_chan: network_from_tfp(exit_.exit_layer, shape, convert),
        dtype=dtype, name=exit_.name)


_FROM_TFP: dict[str, Callable[[Any, Convert, Any], Bijector]] = {
    "Glow": _glow_from_tfp,
    "GlowBlock": _block_from_tfp,
    "ExitBijector": _exit_from_tfp,
    "OneByOneConv": lambda conv, _, dtype: rgb.OneByOneConv(
        int(conv.parameters["event_size"]), dtype=dtype, name=conv.name),
    "ActivationNormalization": lambda actnorm, _, dtype: rgb.ActivationNormalization(
        int(actnorm.parameters["nchan"]), dtype, actnorm.validate_args, actnorm.name),
}
GLOW_PARTS = frozenset(_FROM_TFP)


def _couplings(block: Any, convert: Convert) -> Iterator[Any]:
    for step in steps_of(block):
        yield network_from_tfp(step.network, coupling_shape(block), convert)


def _in_turn(networks: Iterable[Any]) -> Callable[..., Any]:
    """A network function that returns the given networks one after the other."""
    remaining = iter(networks)

    def network_fn(*args: Any, **kwargs: Any) -> Any:
        for network in remaining:
            return network
        raise TypeError("This model's networks were converted one by one; its network function "
                        "cannot build others. Build the Glow with a function of your own.")
    return network_fn


# ---- to TFP -------------------------------------------------------------------------------------

def glow_part_twin(kind: str, part: Any, twin: Convert) -> Any:
    """The TFP bijector with the architecture and the state of a refglow Glow, or a part of one."""
    networks: list[Any] = []
    built = _TWINS[kind](part, twin, networks)
    for network in networks:
        if hasattr(network, "dtype_marker"):
            del network.dtype_marker
    state = part.state_dict()
    for name, variable in tfp_variables(built).items():
        variable.assign(state[name])
    return built


def _glow_twin(glow: rgb.Glow, twin: Convert, networks: list[Any]) -> Any:
    given = glow.parameters
    couplings, exits = [], []
    for part in list(glow.bijectors)[::-1]:
        if isinstance(part, rgb.Blockwise):
            part = part.bijectors[0]
        if isinstance(part, rgb.GlowBlock):
            couplings += _coupling_twins(part, twin)
        if isinstance(part, rgb.Invert) and isinstance(part.bijector, rgb.ExitBijector):
            exits += _exit_twins(part.bijector, twin)
    networks += couplings + exits
    return tfp_bijectors().Glow(
        list(given["output_shape"]), int(given["num_glow_blocks"]), given["num_steps_per_block"],
        _in_turn(couplings), _in_turn(exits), given["grab_after_block"], given["use_actnorm"],
        validate_args=glow.validate_args, name=glow.name)


def _block_twin(block: rgb.GlowBlock, twin: Convert, networks: list[Any]) -> Any:
    given = block.parameters
    networks += _coupling_twins(block, twin)
    return tfp_glow_parts().GlowBlock(
        tuple(given["input_shape"]), given["num_steps"], _in_turn(networks), given["use_actnorm"],
        seedstream=lambda: None)


def _exit_twin(exit_: rgb.ExitBijector, twin: Convert, networks: list[Any]) -> Any:
    given = exit_.parameters
    networks += _exit_twins(exit_, twin)
    return tfp_glow_parts().ExitBijector(
        tuple(given["input_shape"]), list(given["blockwise_splits"]), _in_turn(networks))


_TWINS: dict[str, Callable[[Any, Convert, list[Any]], Any]] = {
    "Glow": _glow_twin,
    "GlowBlock": _block_twin,
    "ExitBijector": _exit_twin,
    "OneByOneConv": lambda conv, *_: tfp_glow_parts().OneByOneConv(
        conv.parameters["event_size"], dtype=tensorflow().as_dtype(conv.dtype), name=conv.name),
    "ActivationNormalization": lambda actnorm, *_: tfp_glow_parts().ActivationNormalization(
        actnorm.parameters["nchan"], tensorflow().as_dtype(actnorm.dtype), actnorm.validate_args,
        actnorm.name),
}


def _coupling_twins(block: rgb.GlowBlock, twin: Convert) -> list[Any]:
    """The networks of a refglow block's steps, for TFP, in the order in which it asks for them."""
    return [network_twin(block._members[f"step{j}.coupling"], coupling_shape(block), twin,
                         _dtype(block)) for j in range(block.parameters["num_steps"])]


def _exit_twins(exit_: rgb.ExitBijector, twin: Convert) -> list[Any]:
    if exit_.exit_layer is None:
        return []
    return [network_twin(exit_.exit_layer, exit_shape(exit_), twin, _dtype(exit_))]


def _dtype(bijector: Bijector) -> DType:
    return bijector.dtype or DEFAULT_FLOAT
