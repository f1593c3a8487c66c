"""From one padding to another.

With constants around the image, a convolution adds to its sum over the image, at a pixel whose tap
(a, b) falls outside, a number of that tap for each output:

    "zeros"              0
    "ones"               the sum of the tap's weights over the inputs
    "border indicator"   the indicator channel's weight

So what pads with zeros or ones can be padded with the border indicator, always; the other way
only if these numbers are as they must be. The tap in the middle never falls outside.
"""

from __future__ import annotations

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.plain_networks import Convolution, Network
from refglow.validation.tolerances import summed_again

_CONSTANT = ("zeros", "ones", "border indicator")


def padded(network: Network, there: str, here: str) -> Network:
    """A network that pads as `there`, as one that pads as `here`.

    Raises:
      NotRepresentableError: if that is another function.
    """
    last = list(network)[-1]
    return {name: _converted(layer, _of_one(there, name == last), _of_one(here, name == last))
            for name, layer in network.items()}


def _of_one(padding: str, last: bool) -> str:
    """The padding of one convolution."""
    if padding != "ones, last":
        return padding
    return "ones" if last else "zeros"


def _converted(layer: Convolution, there: str, here: str) -> Convolution:
    if there == here:
        return layer
    kernel = layer["kernel"]
    taps = kernel if there != "border indicator" else kernel[:, :, :-1]
    if there in _CONSTANT and here in _CONSTANT:
        outside = _outside(kernel, there)
        if here == "border indicator":
            return layer | {"kernel": np.concatenate([taps, outside[:, :, None]], axis=2)}
        difference = outside - _outside(taps, here)
        if (np.abs(difference) > summed_again(kernel.dtype) * np.abs(kernel).sum(axis=2)).any():
            raise NotRepresentableError(
                "what stands around the image adds to pixels at the border what depends on their "
                "position there, and a bias does not")
        return layer | {"kernel": taps}
    if _off_centre(taps).any() or (there == "border indicator" and _outside(kernel, there).any()):
        raise NotRepresentableError("kernels reach beyond the border, where there are other numbers")
    if here == "border indicator":
        return layer | {"kernel": np.concatenate([taps, np.zeros_like(taps[:, :, :1])], axis=2)}
    return layer | {"kernel": taps}


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
