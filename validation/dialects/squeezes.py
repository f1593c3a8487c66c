"""Squeezes: how 2 x 2 tiles of pixels become channels, in every order that is met.

With y[h, w, k] the squeezed image and a, b the row and column inside a tile, an order such as
"c a b" says how k counts channel, row and column, the slowest first: k = (c 2 + a) 2 + b. That is
refglow's `expand_inverse`; the other orders are that with its channels exchanged. The others are
a checkerboard's, and what ports do by mistake: reshaping without moving axes, or cutting the image
in four.

    "reshape NHWC"   x [H, W, C] read in memory order as [H/2, W/2, 4C]
    "reshape NCHW"   x [C, H, W] read in memory order as [4C, H/2, W/2]
    "c diagonal"     "c a b" with a tile's diagonal first: (0, 0), (1, 1), (0, 1), (1, 0)
    "quadrants"      (a h)(b w) c -> h w (c a b): a, b say in which half of the image a pixel is
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refglow.bijectors.expand import expand_forward, expand_inverse
from refglow.dtypes import Array


@dataclass(frozen=True)
class Squeeze:
    """A squeeze [B, H, W, C] -> [B, H/2, W/2, 4C] and the way back."""

    squeeze: Callable[[Array], Array]
    unsqueeze: Callable[[Array], Array]


def _ordered(order: str) -> Squeeze:
    letters = order.split()

    def channels(count: int) -> Array:
        """For each channel of this order, which channel of "c a b" it is."""
        sizes = {"c": count // 4, "a": 2, "b": 2}
        in_reference = np.arange(count).reshape(sizes["c"], 2, 2)
        return in_reference.transpose(["cab".index(letter) for letter in letters]).ravel()

    def squeeze(x: Array) -> Array:
        y, _ = expand_inverse(x, 2)
        return y[..., channels(y.shape[-1])]

    def unsqueeze(y: Array) -> Array:
        return expand_forward(y[..., np.argsort(channels(y.shape[-1]))], 2)[0]
    return Squeeze(squeeze, unsqueeze)


def _reshape_nhwc(x: Array) -> Array:
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, w // 2, 4 * c)


def _reshape_nhwc_back(y: Array) -> Array:
    b, h, w, c = y.shape
    return y.reshape(b, 2 * h, 2 * w, c // 4)


def _reshape_nchw(x: Array) -> Array:
    b, h, w, c = x.shape
    return np.moveaxis(np.moveaxis(x, -1, 1).reshape(b, 4 * c, h // 2, w // 2), 1, -1)


def _reshape_nchw_back(y: Array) -> Array:
    b, h, w, c = y.shape
    return np.moveaxis(np.moveaxis(y, -1, 1).reshape(b, c // 4, 2 * h, 2 * w), 1, -1)


def _quadrants(x: Array) -> Array:
    b, h, w, c = x.shape
    parts = x.reshape(b, 2, h // 2, 2, w // 2, c)
    return parts.transpose(0, 2, 4, 5, 1, 3).reshape(b, h // 2, w // 2, 4 * c)


def _quadrants_back(y: Array) -> Array:
    b, h, w, c = y.shape
    parts = y.reshape(b, h, w, c // 4, 2, 2)
    return parts.transpose(0, 4, 1, 5, 2, 3).reshape(b, 2 * h, 2 * w, c // 4)


def _diagonal_first(y: Array) -> Array:
    """Where each channel stands in "c a b"."""
    return np.array([4 * (k // 4) + (0, 3, 1, 2)[k % 4] for k in range(y.shape[-1])])


SQUEEZES: dict[str, Squeeze] = {
    **{order: _ordered(order) for order in (
        "c a b", *sorted({" ".join(p) for p in itertools.permutations("cab")} - {"c a b"}))},
    "c diagonal": Squeeze(
        lambda x: expand_inverse(x, 2)[0][..., _diagonal_first(np.empty(4 * x.shape[-1]))],
        lambda y: expand_forward(y[..., np.argsort(_diagonal_first(y))], 2)[0]),
    "reshape NHWC": Squeeze(_reshape_nhwc, _reshape_nhwc_back),
    "reshape NCHW": Squeeze(_reshape_nchw, _reshape_nchw_back),
    "quadrants": Squeeze(_quadrants, _quadrants_back),
}
