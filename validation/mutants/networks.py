"""The port's convolutional networks: images [B, C, H, W], kernels [kh, kw, in, out].

    y[o, h, w] = bias[o] + sum_{a, b, i} padded[i, h + a, w + b] * kernel[a, b, i, o]

with (k - 1)/2 zeros around the image, and ReLU between two convolutions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from refglow.validation.mutants.operations import bordered, channel_product, leaky_relu
from refglow.validation.mutants.tape import Tensor

Weights = Mapping[str, Tensor]


class PortedNetworks:
    """A network is the convolutions whose weights' names begin with its place."""

    def network(self, weights: Weights, place: str, x: Tensor) -> Tensor:
        """The output of the network at a place, such as "block0.step1.coupling"."""
        layers = self.convolutions(weights, place)
        for layer in layers[:-1]:
            x = self.activation(self.convolution(weights, layer, x))
        return self.last_activation(self.last_convolution(weights, layers[-1], x))

    def convolutions(self, weights: Weights, place: str) -> list[str]:
        """The layers' names, in order: by the numbers in them."""
        found = [name.removesuffix(".kernel") for name in weights
                 if name.startswith(f"{place}.") and name.endswith(".kernel")]
        return sorted(found, key=lambda name: [
            int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])

    def convolution(self, weights: Weights, layer: str, x: Tensor) -> Tensor:
        """One layer: the sum over the kernel's taps, plus the bias."""
        kernel = self.kernel_of(weights[f"{layer}.kernel"])
        rows, columns = kernel.shape[:2]
        h, w = x.shape[2:]
        padded = self.padded(x, rows // 2, columns // 2)
        y = None
        for a in range(rows):
            for b in range(columns):
                term = channel_product(kernel[a, b].transpose(1, 0),
                                       padded[:, :, a:a + h, b:b + w])
                y = term if y is None else y + term
        assert y is not None
        return self.with_bias(y, weights[f"{layer}.bias"])

    def last_convolution(self, weights: Weights, layer: str, x: Tensor) -> Tensor:
        """The network's last layer, a convolution like the others."""
        return self.convolution(weights, layer, x)

    def padded(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """The image with its border."""
        return bordered(x, rows, columns, 0.0) if rows or columns else x

    def kernel_of(self, kernel: Tensor) -> Tensor:
        """The stored kernel as [kh, kw, in, out]."""
        return kernel

    def with_bias(self, y: Tensor, bias: Tensor) -> Tensor:
        """Each output channel plus its number."""
        return y + bias.reshape(1, bias.shape[0], 1, 1)

    def activation(self, x: Tensor) -> Tensor:
        """What stands between two convolutions."""
        return leaky_relu(x, 0.0)

    def last_activation(self, x: Tensor) -> Tensor:
        """What stands after the last convolution."""
        return x
