"""Glow's default networks.

    GlowDefaultNetwork       conv k x k -> ReLU -> conv 1 x 1 -> ReLU -> conv k x k  (zero start)
    GlowDefaultExitNetwork   conv k x k                                              (zero start)

Both return twice the channels: [raw scale | shift] of an affine coupling. The last convolution
starts at zero, so that every coupling starts as a fixed scaling. (A test whose weights are still
at that start proves nothing about which half conditions which.)

Source: Kingma & Dhariwal 2018, section 3.3; tfp.bijectors.GlowDefaultNetwork.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.dtypes import DEFAULT_FLOAT
from refglow.networks.conv2d import Conv2D
from refglow.networks.relu import ReLU
from refglow.networks.sequential import Sequential


class GlowDefaultNetwork(Sequential):
    """The coupling network: three convolutions, [..., H, W, C] to [..., H, W, 2C]."""

    def __init__(self, input_shape: Sequence[int], num_hidden: int = 400, kernel_shape: int = 3,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT,
                 seed: int | np.random.Generator | None = None) -> None:
        """Build it.

        Args:
          input_shape: (H, W, C).
          num_hidden: the number of hidden channels.
          kernel_shape: the side of the first and last kernels, odd.
          dtype: the number type.
          seed: int or NumPy Generator for the start.
        """
        channels, rng = int(tuple(input_shape)[-1]), np.random.default_rng(seed)
        super().__init__({
            "conv1": Conv2D(channels, num_hidden, kernel_shape, "same", "he_normal", rng, dtype),
            "relu1": ReLU(),
            "conv2": Conv2D(num_hidden, num_hidden, 1, "same", "he_normal", rng, dtype),
            "relu2": ReLU(),
            "conv3": Conv2D(num_hidden, 2 * channels, kernel_shape, "same", "zeros", rng, dtype)})
        self._arguments = {"input_shape": [channels], "num_hidden": num_hidden,
                           "kernel_shape": kernel_shape}

    def config(self) -> dict[str, Any]:
        """The arguments, without the random start; of input_shape, what matters: the channels."""
        return dict(self._arguments)


class GlowDefaultExitNetwork(Sequential):
    """The exit network: one convolution, [..., H, W, C] to [..., H, W, 2 output_chan]."""

    def __init__(self, input_shape: Sequence[int], output_chan: int, kernel_shape: int = 3,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT) -> None:
        """Build it.

        Args:
          input_shape: (H, W, C).
          output_chan: the number of exiting channels.
          kernel_shape: the side of the kernel, odd.
          dtype: the number type.
        """
        channels = int(tuple(input_shape)[-1])
        super().__init__({
            "conv1": Conv2D(channels, 2 * output_chan, kernel_shape, "same", "zeros", dtype=dtype)})
        self._arguments = {"input_shape": [channels], "output_chan": output_chan,
                           "kernel_shape": kernel_shape}

    def config(self) -> dict[str, Any]:
        """The arguments; of input_shape, what matters: the channels."""
        return dict(self._arguments)
