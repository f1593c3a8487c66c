"""A Glow as a list of layers, for comparing two of them one layer at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refglow.validation.tolerances import rounding_layers


@dataclass(frozen=True)
class Layer:
    """One layer of a Glow.

    Attributes:
      name: where it is: "block1.step0.conv", "block0.exit", "block2.expand", "reshape".
      kind: the class it belongs to, for grouping.
      bijector: the bijector, of refglow or TFP.
      channels: how many of the first channels it acts on; None for all.
    """

    name: str
    kind: str
    bijector: Any
    channels: int | None


def layers_towards_latent(glow: Any) -> list[Layer]:
    """The layers of refglow's or TFP's Glow in the order in which `inverse` applies them."""
    splits = [tuple(split) for split in glow.blockwise_splits]
    layers: list[Layer] = []
    parts = list(glow.bijectors)
    for k, i in enumerate(reversed(range(len(splits)))):
        expand, block, exit_ = parts[3 * k:3 * k + 3]
        leave, grab, passed = splits[i]
        channels = leave + grab if passed else None
        layers.append(Layer(f"block{i}.expand", "Expand", expand, None))
        inner = block.bijectors[0] if passed else block
        layers += _steps(i, list(inner.bijectors), channels)
        layers.append(Layer(f"block{i}.exit", "ExitBijector", exit_, None))
    layers.append(Layer("reshape", "Reshape", parts[-1], None))
    return layers


def layer_roundings(layer: Layer) -> int:
    """L of a layer of refglow's; a step's coupling and its network's convolutions are four."""
    return 4 if layer.kind == "RealNVP" else rounding_layers(layer.bijector)


def _steps(block: int, parts: list[Any], channels: int | None) -> list[Layer]:
    """The layers of one block; its last part in the list is the Identity that TFP puts there."""
    kinds = {"ActivationNormalization": "actnorm", "OneByOneConv": "conv", "RealNVP": "coupling"}
    steps = sum(_class_of(part) == "RealNVP" for part in parts)
    layers: list[Layer] = []
    for part in parts:
        kind = _class_of(part)
        if kind in kinds:
            name = f"block{block}.step{steps - 1}.{kinds[kind]}"
            layers.append(Layer(name, kind, part, channels))
            steps -= kind == "RealNVP"
    return layers


def _class_of(part: Any) -> str:
    """The class of a bijector, or of the one that an Invert holds."""
    inner = getattr(part, "bijector", part)
    return type(inner if type(part).__name__.strip("_") == "Invert" else part).__name__
