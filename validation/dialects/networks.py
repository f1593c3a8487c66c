"""Coupling networks of convolutions, in every convention that is met.

A network is its convolutions: arrays `kernel` [kh, kw, in, out] and `bias` [out], and for some
projects `gain` [out] of the last one, or `shift` and `log_scale` [out] of a hidden ActNorm. Between
two convolutions stands the activation.

    "border indicator"   zeros around the image, and one more input channel, 1 there and 0 inside
    "ones, last"         the last convolution is padded with ones, the others with zeros
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import exp, relu, sigmoid, softplus, tanh
from refglow.networks.conv2d import conv2d

Layers = list[Mapping[str, Array]]
Operands = Callable[[Array], Array]  # what is done to the operands of a product


def as_they_are(operand: Array) -> Array:
    """Operands of products in the number type that they have."""
    return operand


@dataclass(frozen=True)
class NetworkConventions:
    """The part of a dialect that says how a network is computed; names in the tables below."""

    padding: str = "zeros"
    activation: str = "relu"
    kernel: str = "as given"
    bias: str = "added"
    gain: str = "none"


# (x, layers, conventions) -> what the network gives, as `network_output` computes it
NetworkFunction = Callable[[Array, Layers, NetworkConventions], Array]


def _padded_by(mode: str) -> Callable[[Array, int, int], Array]:
    def pad(x: Array, rows: int, columns: int) -> Array:
        widths = [(0, 0), (rows, rows), (columns, columns), (0, 0)]
        if mode == "reflect":  # NumPy's "reflect" repeats what is too short; PyTorch refuses it
            rows, columns = min(rows, x.shape[1] - 1), min(columns, x.shape[2] - 1)
            if (rows, columns) != (widths[1][0], widths[2][0]):
                raise ValueError(f"An image of {x.shape[1]} x {x.shape[2]} cannot be reflected.")
        constant = {"zeros": 0.0, "ones": 1.0}
        if mode in constant:
            return np.pad(x, widths, constant_values=x.dtype.type(constant[mode]))
        return np.pad(x, widths, mode=mode)  # type: ignore[call-overload, no-any-return]
    return pad


def _with_border_indicator(x: Array, rows: int, columns: int) -> Array:
    inside = np.concatenate([x, np.zeros_like(x[..., :1])], axis=-1)
    padded = _padded_by("zeros")(inside, rows, columns)
    h, w = x.shape[1:3]
    padded[..., -1] = 1
    padded[:, rows:rows + h, columns:columns + w, -1] = 0
    return padded


PADDINGS: dict[str, Callable[[Array, int, int], Array]] = {
    "zeros": _padded_by("zeros"), "ones": _padded_by("ones"), "edge": _padded_by("edge"),
    "reflect": _padded_by("reflect"), "wrap": _padded_by("wrap"),
    "border indicator": _with_border_indicator,
    "ones, last": _padded_by("ones"),
}

def _leaky_relu(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, slope * x)


# PyTorch's and TensorFlow's default slopes below 0, then others that are met.
LEAKY = {f"leaky relu {slope}": slope for slope in (0.01, 0.2, 0.05, 0.1, 0.3)}

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    **{name: _leaky_relu(slope) for name, slope in LEAKY.items()},
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * _normal_cdf(x),
    "silu": lambda x: x * sigmoid(x),
    "tanh": tanh,
    "softplus": softplus,
    "none": lambda x: x,
    "relu also at the end": relu,
    "residual middle layer": relu,
    "none after the second": relu,
}

KERNELS: dict[str, Callable[[Array], Array]] = {
    "as given": lambda kernel: kernel,
    "rotated by 180 degrees": lambda kernel: kernel[::-1, ::-1],
    "height and width exchanged": lambda kernel: np.swapaxes(kernel, 0, 1),
    "reshaped as [out, in, kh, kw]": lambda kernel: kernel.reshape(
        kernel.shape[3], kernel.shape[2], *kernel.shape[:2]).transpose(2, 3, 1, 0),
    "inputs and outputs exchanged": lambda kernel: (
        np.swapaxes(kernel, 2, 3) if kernel.shape[2] == kernel.shape[3] else kernel),
}

GAINS: dict[str, Callable[[Array], Array]] = {
    "none": np.ones_like,
    "exp(3 gain)": lambda gain: exp(3 * gain),
    "exp(gain)": exp,
}

BIASES: dict[str, Callable[[Array], Array]] = {
    "added": lambda bias: bias,
    "left out": np.zeros_like,
    "twice": lambda bias: 2 * bias,
    "the first for all": lambda bias: np.full_like(bias, bias[0]),
}


def network_output(x: Array, layers: Layers, conventions: NetworkConventions,
                   operands: Operands = as_they_are) -> Array:
    """What the network gives for x.

    Args:
      x: [B, H, W, I].
      layers: of each convolution its arrays by role.
      conventions: how they are used.
      operands: what is done to images and kernels before they are multiplied.

    Returns:
      [B, H, W, O].
    """
    for k, layer in enumerate(layers):
        last = k == len(layers) - 1
        y = _convolution(operands(x), layer, conventions, last, operands)
        residual = conventions.activation == "residual middle layer" and k > 0 and not last
        x = x + y if residual else y
        if "shift" in layer:
            x = (x + layer["shift"]) * exp(layer["log_scale"])
        if "gain" in layer:
            x = x * GAINS[conventions.gain](layer["gain"])
        if conventions.activation == "none after the second" and k == 1:
            continue
        if not last or conventions.activation == "relu also at the end":
            x = ACTIVATIONS[conventions.activation](x)
    return x


def _convolution(x: Array, layer: Mapping[str, Array], conventions: NetworkConventions,
                 last: bool, operands: Operands) -> Array:
    kernel = operands(KERNELS[conventions.kernel](layer["kernel"]))
    bias = layer.get("bias", np.zeros(kernel.shape[-1], kernel.dtype))
    bias = BIASES[conventions.bias](bias)
    padding = conventions.padding
    if padding == "ones, last" and not last:
        padding = "zeros"
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    if padding == "zeros" or (rows == columns == 0 and padding != "border indicator"):
        return conv2d(x, kernel, bias, "same")
    return conv2d(PADDINGS[padding](x, rows, columns), kernel, bias, "valid")


def _normal_cdf(x: Array) -> Array:
    from scipy.special import ndtr
    return np.asarray(ndtr(x), x.dtype)
