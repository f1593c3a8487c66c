"""From one padding to another.

With constants around the image, a convolution adds to its sum over the image, at a pixel whose tap
(a, b) falls outside, a number of that tap for each output:

    "zeros"              0
    "ones"               the sum of the tap's weights over the inputs
    "border indicator"   the indicator channel's weight

So what pads with zeros or ones can be padded with the border indicator. From any of them to zeros
or ones it takes one more input channel. With c[a, b] the numbers that are wanted,

    "zeros"   a channel that is 1: weights -c, and a bias, as
              sum of c outside = sum of all c - sum of c inside
    "ones"    a channel that is 0, around which stands 1: weights c - (the tap's other weights)

A hidden convolution gives such a channel, its weights 0 and its bias 1 or 0, which the activation
keeps. Before a first convolution another one is put, 1x1, which gives x, -x and that channel; with
an activation f of slope a below 0, x = (f(x) - f(-x)) / (1 + a).
"""

from __future__ import annotations

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.activations import SLOPES
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.plain_networks import Convolution, Network
from refglow.validation.tolerances import summed_again

_FIRST = "border"  # the convolution put before the first
_CONSTANT = ("zeros", "ones", "border indicator")


def padded(network: Network, there: str, here: str, activation: str) -> Network:
    """A network that pads as `there`, as one that pads as `here`.

    Args:
      network: plain.
      there, here: names in PADDINGS.
      activation: its activation.

    Raises:
      NotRepresentableError: if that is another function.
    """
    last = list(network)[-1]
    result: Network = {}
    for name, layer in network.items():
        here_, there_ = _of_one(here, name == last), _of_one(there, name == last)
        converted, constants = _converted(layer, there_, here_)
        if constants is not None:
            result = _with_constant(result, converted, here_, activation)
            converted = _seeing_constant(converted, constants, list(result) == [_FIRST], here_,
                                         activation)
        result[name] = converted
    return result


def _of_one(padding: str, last: bool) -> str:
    """The padding of one convolution."""
    if padding != "ones, last":
        return padding
    return "ones" if last else "zeros"


def _converted(layer: Convolution, there: str, here: str) -> tuple[Convolution, Array | None]:
    """The convolution with another padding, and what it still has to add outside the image."""
    if there == here:
        return layer, None
    kernel = layer["kernel"]
    taps = kernel if there != "border indicator" else kernel[:, :, :-1]
    plain = layer | {"kernel": taps}
    if there in _CONSTANT and here in _CONSTANT:
        outside = _outside(kernel, there)
        if here == "border indicator":
            return layer | {"kernel": np.concatenate([taps, outside[:, :, None]], axis=2)}, None
        difference = outside - _outside(taps, here)
        if (np.abs(difference) <= summed_again(kernel.dtype) * np.abs(kernel).sum(axis=2)).all():
            return plain, None
        return plain, outside
    if _off_centre(taps).any() or (there == "border indicator" and _outside(kernel, there).any()):
        raise NotRepresentableError("kernels reach beyond the border, where other numbers are")
    if here == "border indicator":
        return layer | {"kernel": np.concatenate([taps, np.zeros_like(taps[:, :, :1])],
                                                 axis=2)}, None
    return plain, None


def _with_constant(before: Network, layer: Convolution, here: str, activation: str) -> Network:
    """The convolutions before this one, so that the last of their output channels is constant."""
    if activation not in SLOPES:
        raise NotRepresentableError(
            "what stands around the image adds to pixels at the border what depends on their "
            f"position; it would take a constant hidden channel, which {activation!r} changes")
    value = 1 if here == "zeros" else 0
    if before:
        last = list(before)[-1]
        hidden = {role: np.concatenate([old, np.zeros_like(old[..., :1])], axis=-1)
                  for role, old in before[last].items()}
        hidden["bias"][-1] = value
        return before | {last: hidden}
    dtype, count = layer["kernel"].dtype, layer["kernel"].shape[2]
    one = np.eye(count, dtype=dtype)
    kernel = np.concatenate([one, -one, np.zeros((count, 1), dtype)], axis=1)
    bias = np.zeros(2 * count + 1, dtype)
    bias[-1] = value
    return {_FIRST: {"kernel": kernel[None, None], "bias": bias}}


def _seeing_constant(layer: Convolution, wanted: Array, first: bool, here: str,
                     activation: str) -> Convolution:
    """A convolution that adds wanted [kh, kw, out] outside the image, by its last input."""
    taps = layer["kernel"]
    if first:
        taps = taps / (1 + SLOPES[activation])
        taps = np.concatenate([taps, -taps], axis=2)
    weights = -wanted if here == "zeros" else wanted - _off_centre(taps.sum(axis=2))
    bias = layer["bias"] + (wanted.sum(axis=(0, 1)) if here == "zeros" else 0)
    return layer | {"kernel": np.concatenate([taps, weights[:, :, None]], axis=2), "bias": bias}


def _off_centre(weights: Array) -> Array:
    """[kh, kw, ...] with zeros in the middle."""
    weights = weights.copy()
    weights[weights.shape[0] // 2, weights.shape[1] // 2] = 0
    return weights


def _outside(kernel: Array, padding: str) -> Array:
    """What each tap adds outside the image, [kh, kw, out]."""
    if padding == "zeros":
        return np.zeros_like(kernel[:, :, 0])
    return _off_centre(kernel[:, :, -1] if padding == "border indicator" else kernel.sum(axis=2))
