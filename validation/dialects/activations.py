"""From one piecewise linear activation to another, with twice as many hidden channels.

With f_a(x) = x for x > 0 and a x else (relu: a = 0; none: a = 1), f_a and f_b are both made of x
and |x|, and so, where b is not 1,

    f_a(x) = p f_b(x) + q f_b(-x),    p - q = (1 + a) / (1 + b),    p + q = (1 - a) / (1 - b)

A hidden convolution gives y and -y, and the one after it has its kernel times p and times q.
"""

from __future__ import annotations

import numpy as np

from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.networks import LEAKY
from refglow.validation.dialects.plain_networks import Convolution, Network

# Between two convolutions: f(x) = slope * x for x < 0. All of them take 1 to 1.
SLOPES = {"relu": 0.0, **LEAKY, "none": 1.0, "relu also at the end": 0.0}


def with_activation(network: Network, there: str, here: str, padding: str) -> Network:
    """A network with the activation `there`, as one with the activation `here`.

    Args:
      network: plain.
      there, here: names in ACTIVATIONS.
      padding: its padding.

    Raises:
      NotRepresentableError: if that is another function.
    """
    at_end = "relu also at the end"
    if len(network) == 1 and at_end not in (there, here):
        return network
    if at_end in (there, here) or there not in SLOPES or here not in SLOPES or here == "none":
        raise NotRepresentableError(f"the activation {there!r} is not made of {here!r}")
    if "ones" in padding:
        raise NotRepresentableError(
            "it would take twice as many hidden channels, and what is padded with ones is not "
            "the activation of anything")
    a, b = SLOPES[there], SLOPES[here]
    difference, total = (1 + a) / (1 + b), (1 - a) / (1 - b)
    p, q = (total + difference) / 2, (total - difference) / 2
    names = list(network)
    return {name: _doubled(network[name], (p, q) if name != names[0] else None,
                           name != names[-1], padding) for name in names}


def _doubled(layer: Convolution, factors: tuple[float, float] | None, hidden: bool,
             padding: str) -> Convolution:
    layer = dict(layer)
    if factors is not None:
        kernel = layer["kernel"]
        images = kernel[:, :, :-1] if padding == "border indicator" else kernel
        rest = kernel[:, :, images.shape[2]:]
        layer["kernel"] = np.concatenate([factors[0] * images, factors[1] * images, rest], axis=2)
    if hidden:
        for role, value in layer.items():
            sign = 1 if role in ("log_scale", "log_gain") else -1
            layer[role] = np.concatenate([value, sign * value], axis=-1)
    return layer
