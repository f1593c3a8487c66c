"""PyTorch evaluating nothing but the coupling networks of a Glow: the strictest peer for speed.

No split, no coupling, no 1x1 convolution, no log-det: only conv2d, ReLU, conv2d, ReLU, conv2d for
each step, in inference mode, the inputs made beforehand in the layout that is used, ReLU in place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array

if TYPE_CHECKING:
    import torch

LAYOUTS = ("nchw", "channels_last")


class TorchNetworks:
    """The coupling networks of a Glow, each with a random input of its own."""

    def __init__(self, glow: Glow, batch: int, layout: str) -> None:
        """Copy the weights of the Glow's coupling networks, and draw their inputs.

        Args:
          glow: float32, with GlowDefaultNetworks.
          batch: B.
          layout: how images and weights lie in memory, one of LAYOUTS.

        Raises:
          ImportError: if PyTorch is not installed.
          ValueError: if the layout is not one of these.
        """
        import torch
        if layout not in LAYOUTS:
            raise ValueError(f"A layout can be {' or '.join(LAYOUTS)}; got {layout!r}.")
        self._format = (torch.channels_last if layout == "channels_last"
                        else torch.contiguous_format)
        rng = np.random.default_rng(3)
        self.inputs: list[Array] = []
        self.weights: list[list[Array]] = []
        height, width, _ = glow.parameters["output_shape"]
        for block, arrays in _networks(glow):
            squeezes = int(glow.parameters["num_glow_blocks"]) - block
            shape = (batch, height >> squeezes, width >> squeezes, arrays[0].shape[2])
            self.inputs.append(rng.standard_normal(shape).astype(np.float32))
            self.weights.append(arrays)
        self._images = [self._tensor(np.moveaxis(x, -1, 1)) for x in self.inputs]
        self._layers = [[(self._tensor(kernel.transpose(3, 2, 0, 1)), torch.tensor(bias),
                          kernel.shape[0] // 2)
                         for kernel, bias in zip(arrays[::2], arrays[1::2], strict=True)]
                        for arrays in self.weights]

    def evaluate(self) -> list[Array]:
        """Every network's output, [B, H, W, O], in the order of `weights`."""
        import torch
        with torch.inference_mode():
            return [np.moveaxis(self._output(x, layers).numpy(), 1, -1)
                    for x, layers in zip(self._images, self._layers, strict=True)]

    @staticmethod
    def _output(x: torch.Tensor, layers: list[tuple[torch.Tensor, torch.Tensor, int]]
                ) -> torch.Tensor:
        import torch
        *hidden, (kernel, bias, padding) = layers
        for inner, inner_bias, inner_padding in hidden:
            x = torch.nn.functional.conv2d(x, inner, inner_bias, padding=inner_padding)
            x = torch.relu_(x)
        return torch.nn.functional.conv2d(x, kernel, bias, padding=padding)

    def _tensor(self, array: Array) -> torch.Tensor:
        import torch
        return torch.tensor(np.ascontiguousarray(array)).contiguous(memory_format=self._format)


def _networks(glow: Glow) -> list[tuple[int, list[Array]]]:
    """(index of the block, [kernel, bias, kernel, bias, ...]) of each coupling network."""
    found: dict[tuple[int, int], list[Array]] = {}
    for name, array in glow.state_dict().items():
        place = re.match(r"block(\d+)\.step(\d+)\.coupling\.", name)
        if place:
            found.setdefault((int(place[1]), int(place[2])), []).append(array)
    return [(block, arrays) for (block, _), arrays in found.items()]
