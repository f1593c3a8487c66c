"""Which models the explorer page can compute, and compute fast enough to be played with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow.bijectors.architecture import networks_of
from refglow.bijectors.glow import Glow
from refglow.layer_name import block_of
from refglow.networks import Conv2D, ReLU, Sequential

MOST_BYTES = 1_900_000  # of weights: written as text they take four thirds, and the page has 3 MB
MOST_OPERATIONS = 30_000_000  # for a sample: 50 ms in a browser


def require_fits(glow: Glow) -> None:
    """Check that the page can compute a model and show its images.

    Raises:
      ValueError: if the model has another number type than float32 or float64, images that are
        neither grey nor RGB, networks of other layers than the page's, weights that are not finite,
        or if it is too large; says which, and what is possible.
    """
    if glow.dtype not in (np.float32, np.float64):
        raise ValueError(f"The page takes models in float32 and float64; {glow.name} is "
                         f"{glow.dtype}. Give glow.astype('float64').")
    channels = glow.parameters["output_shape"][2]
    if channels not in (1, 3):
        raise ValueError(f"The page shows grey images and RGB, of 1 or 3 channels; those of "
                         f"{glow.name} have {channels}.")
    for name, network in _networks(glow):
        if network is not None:
            _require_convolutions(name, network)
    _require_finite(glow)
    _require_small(glow)


def operations_of(glow: Glow) -> int:
    """Floating-point operations of the convolutions for one image, two for each product and sum."""
    height, width, _ = glow.parameters["output_shape"]
    blocks = len(glow.blockwise_splits)
    total = 0
    for variable in glow.variables:
        block = block_of(variable.name)
        pixels = height * width // 4**(blocks - block)
        if variable.name.endswith((".kernel", ".lower_upper")):
            total += 2 * pixels * math.prod(variable.shape)
    return total


def _networks(glow: Glow) -> list[tuple[str, Any]]:
    """(name, network or None) of all couplings and exits."""
    blocks, steps = range(len(glow.blockwise_splits)), range(glow.parameters["num_steps_per_block"])
    couplings, exits = networks_of(glow)
    names = [f"block{i}.step{j}.coupling" for i in blocks for j in steps]
    names += [f"block{i}.exit" for i in blocks]
    return list(zip(names, couplings + exits, strict=True))


def _require_convolutions(name: str, network: Any) -> None:
    """Convolutions conv1, conv2, ... that keep the size, with ReLUs between them."""
    layers = network.layers.items() if isinstance(network, Sequential) else [("", network)]
    for k, (layer_name, layer) in enumerate(layers):
        is_right = (isinstance(layer, ReLU) if k % 2
                    else _is_convolution(layer_name, layer, k // 2 + 1))
        if not is_right:
            where = f" at its layer {layer_name!r}" if layer_name else ""
            raise ValueError("The page computes networks of convolutions called conv1, conv2, ..., "
                             "with padding 'same' and a ReLU between each two; "
                             f"{name} is something else{where}.")
    if len(layers) % 2 == 0:
        raise ValueError(f"The page computes networks that end in a convolution; {name} does not.")


def _is_convolution(name: str, layer: Any, number: int) -> bool:
    return isinstance(layer, Conv2D) and name == f"conv{number}" and layer.padding == "same"


def _require_finite(glow: Glow) -> None:
    for variable in glow.variables:
        if not np.isfinite(variable.numpy()).all():
            raise ValueError(f"{variable.name} has numbers that are not finite, so there is "
                             "nothing to see. refglow audit says where they come from.")


def _require_small(glow: Glow) -> None:
    size = sum(variable.numpy().nbytes for variable in glow.variables)
    if size > MOST_BYTES:
        raise ValueError(f"The model's arrays take {size:,} bytes; the page has room for "
                         f"{MOST_BYTES:,}. Fewer steps or hidden channels make it smaller.")
    operations = operations_of(glow)
    if operations > MOST_OPERATIONS:
        raise ValueError(f"An image takes {operations:,} operations; to follow a finger, the page "
                         f"can do {MOST_OPERATIONS:,}. Smaller images, fewer steps or hidden "
                         "channels take less.")
