"""The affine maps of couplings and exits: what is done with a network's raw scale r and shift t.

Towards the latent, with s = s(r) from SCALES. "(x - t) / s" is a Gaussian's whitening. The
log-det of an element is  power * log s,  power 1, -1 or 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import exp, log, log_sigmoid, sigmoid, softplus, tanh

Map = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class Affine:
    """An elementwise map of x, given s and t, and back; its log-det is power * log s."""

    to_latent: Map
    to_image: Map
    power: int


@dataclass(frozen=True)
class Scale:
    """s as a function of the raw scale r, and its logarithm."""

    value: Callable[[Array], Array]
    log: Callable[[Array], Array]


AFFINES: dict[str, Affine] = {
    "s x + t": Affine(lambda x, s, t: s * x + t, lambda z, s, t: (z - t) / s, 1),
    "s (x + t)": Affine(lambda x, s, t: s * (x + t), lambda z, s, t: z / s - t, 1),
    "s (x - t)": Affine(lambda x, s, t: s * (x - t), lambda z, s, t: z / s + t, 1),
    "s x - t": Affine(lambda x, s, t: s * x - t, lambda z, s, t: (z + t) / s, 1),
    "(x - t) / s": Affine(lambda x, s, t: (x - t) / s, lambda z, s, t: s * z + t, -1),
    "(x + t) / s": Affine(lambda x, s, t: (x + t) / s, lambda z, s, t: s * z - t, -1),
    "x / s + t": Affine(lambda x, s, t: x / s + t, lambda z, s, t: (z - t) * s, -1),
    "x / s - t": Affine(lambda x, s, t: x / s - t, lambda z, s, t: (z + t) * s, -1),
    "x + t": Affine(lambda x, s, t: x + t, lambda z, s, t: z - t, 0),
    "x - t": Affine(lambda x, s, t: x - t, lambda z, s, t: z + t, 0),
    "s x + t / 10": Affine(lambda x, s, t: s * x + t / 10, lambda z, s, t: (z - t / 10) / s, 1),
    "s x + (t + 2)": Affine(lambda x, s, t: s * x + (t + 2), lambda z, s, t: (z - t - 2) / s, 1),
    "s^2 x + t": Affine(lambda x, s, t: s * s * x + t, lambda z, s, t: (z - t) / (s * s), 1),
    "s x": Affine(lambda x, s, t: s * x, lambda z, s, t: z / s, 1),
    "left out": Affine(lambda x, s, t: x, lambda z, s, t: z, 0),
}

def _exp_of(log_scale: Callable[[Array], Array]) -> Scale:
    return Scale(lambda r: exp(log_scale(r)), log_scale)


SCALES: dict[str, Scale] = {
    "sigmoid(r + 2)": Scale(lambda r: sigmoid(r + 2), lambda r: log_sigmoid(r + 2)),
    "exp(r + 2)": Scale(lambda r: exp(r + 2), lambda r: r + 2),
    "sigmoid(r)": Scale(sigmoid, log_sigmoid),
    "sigmoid(r + 1)": Scale(lambda r: sigmoid(r + 1), lambda r: log_sigmoid(r + 1)),
    "sigmoid(r - 2)": Scale(lambda r: sigmoid(r - 2), lambda r: log_sigmoid(r - 2)),
    "sigmoid(2 r)": Scale(lambda r: sigmoid(2 * r), lambda r: log_sigmoid(2 * r)),
    "sigmoid(r + 2) + 0.001": Scale(lambda r: sigmoid(r + 2) + 1e-3,
                                    lambda r: log(sigmoid(r + 2) + 1e-3)),
    "2 sigmoid(r)": Scale(lambda r: 2 * sigmoid(r), lambda r: log_sigmoid(r) + np.log(2.0)),
    "exp(r)": Scale(exp, lambda r: r),
    "exp(tanh(r))": _exp_of(tanh),
    "exp(1.272 atan(r))": _exp_of(lambda r: 1.272 * np.arctan(r)),
    "exp(2 tanh(r / 10))": _exp_of(lambda r: 2 * tanh(r / 10)),
    "exp(2 tanh(r))": _exp_of(lambda r: 2 * tanh(r)),
    # FrEIA's clamps other than its default 2: 0.636 clamp atan(r), clamp tanh(r).
    "exp(0.636 atan(r))": _exp_of(lambda r: 0.636 * np.arctan(r)),
    "exp(0.7632 atan(r))": _exp_of(lambda r: 0.7632 * np.arctan(r)),
    "exp(0.954 atan(r))": _exp_of(lambda r: 0.954 * np.arctan(r)),
    "exp(1.908 atan(r))": _exp_of(lambda r: 1.908 * np.arctan(r)),
    "exp(1.2 tanh(r))": _exp_of(lambda r: 1.2 * tanh(r)),
    "exp(1.5 tanh(r))": _exp_of(lambda r: 1.5 * tanh(r)),
    "exp(3 tanh(r))": _exp_of(lambda r: 3 * tanh(r)),
    "softplus(r)": Scale(softplus, lambda r: log(softplus(r))),
    "sigmoid(r) + 2": Scale(lambda r: sigmoid(r) + 2, lambda r: log(sigmoid(r) + 2)),
    "1 + r": Scale(lambda r: 1 + r, lambda r: np.log(np.abs(1 + r))),
}

# Which channels of a network's output [.., 2n] are r and which t.
LAYOUTS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "[r, t]": lambda out: (out[..., :out.shape[-1] // 2], out[..., out.shape[-1] // 2:]),
    "[t, r]": lambda out: (out[..., out.shape[-1] // 2:], out[..., :out.shape[-1] // 2]),
    "interleaved r, t": lambda out: (out[..., 0::2], out[..., 1::2]),
    "interleaved t, r": lambda out: (out[..., 1::2], out[..., 0::2]),
}


def joined(layout: str, r: Array, t: Array) -> Array:
    """The inverse of LAYOUTS[layout]: [..., 2n] from r and t, [..., n]."""
    if layout == "[r, t]":
        return np.concatenate([r, t], axis=-1)
    if layout == "[t, r]":
        return np.concatenate([t, r], axis=-1)
    first, second = (r, t) if layout == "interleaved r, t" else (t, r)
    return np.stack([first, second], axis=-1).reshape(*r.shape[:-1], 2 * r.shape[-1])
