"""Where TFP's Glow keeps its parts and variables, and what refglow calls them.

TFP's Glow is a chain whose last bijector acts first in `forward`:

    Glow    [Expand, GlowBlock or Blockwise([GlowBlock, Identity]), Invert(ExitBijector)] * blocks
            + [Reshape]                                                    the finest scale first
    block   [ActNorm, Invert(OneByOneConv), Invert(RealNVP)] * steps + [Identity]

Read from its end, each list is in the order of `forward`, in which refglow counts blocks and steps.
Every tf.Variable is found by walking these, and identified by being the same object: the order of
`trainable_variables` is TensorFlow's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refglow.validation.tfp.framework import tfp_bijectors, tfp_kind
from refglow.validation.tfp.networks import network_variables


@dataclass(frozen=True)
class Step:
    """One step of a TFP GlowBlock."""

    network: Any
    conv: Any
    actnorm: Any


def tfp_variables(bijector: Any) -> dict[str, Any]:
    """Every tf.Variable of a TFP Glow, or of a part of it, by its name in refglow's state.

    Raises:
      ImportError: if TFP is not installed.
      TypeError: for anything else.
    """
    tfp_bijectors()
    kind = tfp_kind(bijector)
    if kind not in _VARIABLES:
        raise TypeError("Expected a TFP Glow or a part of one; got "
                        f"{type(bijector).__module__}.{type(bijector).__name__}.")
    return _VARIABLES[kind](bijector)


def _glow_variables(glow: Any) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for i, (exit_, block) in enumerate(levels_of(glow)):
        named |= _prefixed(f"block{i}", tfp_variables(block))
        named |= _prefixed(f"block{i}.exit", tfp_variables(exit_))
    return named


def _block_variables(block: Any) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for j, step in enumerate(steps_of(block)):
        if step.actnorm is not None:
            named |= _prefixed(f"step{j}.actnorm", tfp_variables(step.actnorm))
        named |= _prefixed(f"step{j}.conv", tfp_variables(step.conv))
        named |= _prefixed(f"step{j}.coupling",
                           network_variables(step.network, coupling_shape(block)))
    return named


def _exit_variables(exit_: Any) -> dict[str, Any]:
    if exit_.exit_layer is None:
        return {}
    return network_variables(exit_.exit_layer, exit_shape(exit_))


_VARIABLES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Glow": _glow_variables,
    "GlowBlock": _block_variables,
    "ExitBijector": _exit_variables,
    "OneByOneConv": lambda conv: {"lower_upper": conv._bijector.lower_upper,
                                  "permutation": conv._bijector.permutation},
    "ActivationNormalization": lambda actnorm: {
        "shift": actnorm._m, "log_scale": actnorm._s.pretransformed_input,
        "initialized": actnorm._initialized},
}


def levels_of(glow: Any) -> list[tuple[Any, Any]]:
    """(ExitBijector, GlowBlock) of each scale, the coarsest first."""
    parts = list(glow.bijectors)[::-1][1:]
    return [(parts[k].bijector,
             parts[k + 1] if tfp_kind(parts[k + 1]) == "GlowBlock" else parts[k + 1].bijectors[0])
            for k in range(0, len(parts), 3)]


def steps_of(block: Any) -> list[Step]:
    """The steps of a GlowBlock, in the order in which `forward` applies them."""
    steps: list[Step] = []
    parts = iter(list(block.bijectors)[::-1][1:])
    for coupling in parts:
        conv = next(parts).bijector
        actnorm = next(parts) if block.parameters["use_actnorm"] else None
        steps.append(Step(coupling.coupling_bijector_layer, conv, actnorm))
    return steps


def coupling_shape(block: Any) -> tuple[int, ...]:
    """(H, W, C) of what the coupling networks of a block are given; TFP's or refglow's block."""
    h, w, c = (int(size) for size in block.parameters["input_shape"])
    return h, w, c // 2


def exit_shape(exit_: Any) -> tuple[int, ...]:
    """(H, W, C) of what an exit's network is given; TFP's or refglow's exit."""
    h, w, _ = (int(size) for size in exit_.parameters["input_shape"])
    return h, w, int(exit_.parameters["blockwise_splits"][0])


def _prefixed(prefix: str, named: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{name}": variable for name, variable in named.items()}
