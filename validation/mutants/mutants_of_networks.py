"""Mistakes in the convolutional networks: padding, activation, kernels, biases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow.validation.mutants.mutant import Mutant, changed
from refglow.validation.mutants.networks import Weights
from refglow.validation.mutants.operations import (
    bordered,
    elementwise,
    leaky_relu,
    sigmoid,
    softplus,
    tanh,
)
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Tensor


def _by_indices(mode: Any) -> Any:
    """Padding that repeats pixels of the image, by NumPy's name for it."""
    def padded(self: Any, x: Tensor, rows: int, columns: int) -> Tensor:
        for axis, width in ((2, rows), (3, columns)):
            x = x.taken(np.pad(np.arange(x.shape[axis]), width, mode=mode), axis)
        return x
    return changed(padded=padded)


def _elu(x: Tensor) -> Tensor:
    low = np.exp(np.minimum(x.value, 0))
    return elementwise(x, np.where(x.value > 0, x.value, low - 1), np.where(x.value > 0, 1, low))


def _gelu(x: Tensor) -> Tensor:
    erf = np.vectorize(math.erf, otypes=[np.float64])(x.value / math.sqrt(2))
    below = ((1 + erf) / 2).astype(x.value.dtype)
    density = np.exp(-x.value**2 / 2) / math.sqrt(2 * math.pi)
    return elementwise(x, x.value * below, below + x.value * density)


class LastPaddedWithOnes(PortedGlow):
    """The last convolution's border is 1, the others' 0."""

    def last_convolution(self, weights: Weights, layer: str, x: Tensor) -> Tensor:
        """The convolution of the image with a border of ones, cut to the image."""
        kernel = self.kernel_of(weights[f"{layer}.kernel"])
        rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
        if not rows and not columns:
            return super().last_convolution(weights, layer, x)
        wide = self.convolution(weights, layer, bordered(x, rows, columns, 1.0))
        return wide[:, :, rows:-rows or None, columns:-columns or None]


class InputsOutputsExchanged(PortedGlow):
    """A kernel's inputs and outputs are exchanged, where both are as many."""

    def kernel_of(self, kernel: Tensor) -> Tensor:
        """[kh, kw, out, in] where the shapes cannot tell."""
        square = kernel.shape[2] == kernel.shape[3]
        return kernel.transpose(0, 1, 3, 2) if square else kernel


class KernelReshaped(PortedGlow):
    """Kernels are reshaped to [out, in, kh, kw] where their axes should be moved."""

    def kernel_of(self, kernel: Tensor) -> Tensor:
        """[kh, kw, in, out] read as [out, in, kh, kw]."""
        rows, columns, inputs, outputs = kernel.shape
        return kernel.reshape(outputs, inputs, rows, columns).transpose(2, 3, 1, 0)


class SecondActivationMissing(PortedGlow):
    """Of three convolutions, the second is followed by nothing."""

    def network(self, weights: Weights, place: str, x: Tensor) -> Tensor:
        """Conv, relu, conv, conv."""
        first, *others = self.convolutions(weights, place)
        x = self.convolution(weights, first, x)
        if others:
            x = self.activation(x)
        for layer in others:
            x = self.convolution(weights, layer, x)
        return x


class ResidualMiddle(PortedGlow):
    """The second convolution is added to its input."""

    def network(self, weights: Weights, place: str, x: Tensor) -> Tensor:
        """Conv, relu, (x + conv x), relu, conv."""
        layers = self.convolutions(weights, place)
        for layer in layers[:-1]:
            y = self.convolution(weights, layer, x)
            x = self.activation(x + y if layer != layers[0] else y)
        return self.last_activation(self.last_convolution(weights, layers[-1], x))


class FirstBiasForAll(PortedGlow):
    """Every output channel gets the first one's bias."""

    def with_bias(self, y: Tensor, bias: Tensor) -> Tensor:
        """Plus the first number."""
        return y + bias[:1].reshape(1, 1, 1, 1)


def _activated(function: Any) -> Any:
    return changed(activation=lambda self, x: function(x))


_ACTIVATIONS = (
    ("network-leaky-relu", "The activation is LeakyReLU with PyTorch's slope 0.01.",
     "normflows with its default's slope", "leaky relu 0.01",
     _activated(lambda x: leaky_relu(x, 0.01))),
    ("network-leaky-relu-tensorflow", "The activation is LeakyReLU with TensorFlow's slope 0.2.",
     "classic", "leaky relu 0.2", _activated(lambda x: leaky_relu(x, 0.2))),
    ("network-elu", "The activation is ELU.", "classic", "elu", _activated(_elu)),
    ("network-gelu", "The activation is GELU.", "classic", "gelu", _activated(_gelu)),
    ("network-silu", "The activation is SiLU.", "classic", "silu",
     _activated(lambda x: x * sigmoid(x))),
    ("network-tanh", "The activation is tanh.", "classic", "tanh", _activated(tanh)),
    ("network-softplus", "The activation is softplus.", "classic", "softplus",
     _activated(softplus)),
    ("network-no-activation", "There is no activation.", "classic", "none",
     _activated(lambda x: x)),
    ("network-relu-at-the-end", "There is a ReLU after the last convolution too.",
     "InvertibleNetworks.jl", "relu also at the end",
     changed(last_activation=lambda self, x: leaky_relu(x, 0.0))),
)

MUTANTS = (
    Mutant("padding-ones", "The border is 1, in all convolutions.", "rosinality, in all layers",
           ("padding=ones",), "coupling", changed(
               padded=lambda self, x, rows, columns: bordered(x, rows, columns, 1.0))),
    Mutant("padding-edge", "The border repeats the edge.", "classic", ("padding=edge",),
           "coupling", _by_indices("edge")),
    Mutant("padding-reflect", "The border is a reflection.", "classic", ("padding=reflect",),
           "coupling", _by_indices("reflect")),
    Mutant("padding-wrap", "The image is continued periodically.", "classic", ("padding=wrap",),
           "coupling", _by_indices("wrap")),
    Mutant("padding-ones-in-the-last", "The last convolution's border is 1.", "rosinality",
           ("padding=ones, last",),
           "coupling", LastPaddedWithOnes),
    *(Mutant(name, bug, origin, (f"activation={key}",), "coupling", change)
      for name, bug, origin, key, change in _ACTIVATIONS),
    Mutant("network-second-activation-missing", "The second convolution has no activation.",
           "classic", ("activation=none after the second",), "coupling", SecondActivationMissing),
    Mutant("network-residual", "The middle layer is a residual one.", "InvertibleNetworks.jl",
           ("activation=residual middle layer",),
           "coupling", ResidualMiddle),
    Mutant("kernel-rotated", "Kernels are rotated: a convolution, not a cross-correlation.",
           "classic: Julia's conv; InvertibleNetworks.jl's transposed convolution",
           ("kernel=rotated by 180 degrees",), "coupling",
           changed(kernel_of=lambda self, kernel: kernel.flip(0, 1))),
    Mutant("kernel-height-width", "Kernels' height and width are exchanged.",
           "classic: column-major order", ("kernel=height and width exchanged",), "coupling",
           changed(kernel_of=lambda self, kernel: kernel.transpose(1, 0, 2, 3))),
    Mutant("kernel-inputs-outputs", "Inputs and outputs of square kernels are exchanged.",
           "classic: nn.Linear's [out, in]", ("kernel=inputs and outputs exchanged",), "coupling",
           InputsOutputsExchanged),
    Mutant("kernel-reshaped", "Kernels are reshaped to PyTorch's layout, not transposed.",
           "classic", ("kernel=reshaped as [out, in, kh, kw]",), "coupling", KernelReshaped),
    Mutant("bias-left-out", "The convolutions have no bias.", "InvertibleNetworks.jl",
           ("bias=left out",), "coupling", changed(with_bias=lambda self, y, bias: y)),
    Mutant("bias-first-for-all", "The first bias is added to all channels.", "classic",
           ("bias=the first for all",),
           "coupling", FirstBiasForAll),
    Mutant("bias-twice", "The bias is added twice.", "classic", ("bias=twice",), "coupling",
           changed(
        with_bias=lambda self, y, bias: y + bias.reshape(1, bias.shape[0], 1, 1) * 2.0)),
)
