"""Glow's couplings for one number: the scalar functions that every coupling kernel is made with.

A map takes (x, r, t) to (y, log-det); its vjp takes (x, r, y_bar, fldj_bar), for an inverse
(x, r, x_bar, ildj_bar) with its result x, to the cotangents of (x, r, t). The formulas and their
derivation are the specification's (refglow.bijectors.glow_coupling): with s = sigmoid(r + 2) and
q = d log s / dr = sigmoid(-(r + 2)), or s = exp(r + 2) and q = 1,

    forward   y = x s + t        fldj = log s     x_bar = s y_bar
                                                  r_bar = (x s y_bar + fldj_bar) q,  t_bar = y_bar
    inverse   x = (y - t) / s    ildj = -log s    y_bar = x_bar / s
                                                  r_bar = -(x x_bar + ildj_bar) q,   t_bar = -y_bar

The shift coupling ignores r: its kernels pass t's number for it.
"""

from __future__ import annotations

import math

import numpy as np

from refglow.kernels.cpu.compiled import inlined
from refglow.kernels.scalar import Number, log_sigmoid, sigmoid

_TWO = np.float32(2)
_ZERO = np.float32(0)

Pair = tuple[Number, Number]
Triple = tuple[Number, Number, Number]


@inlined
def sigmoid_forward(x: Number, r: Number, t: Number) -> Pair:
    """(x sigmoid(r + 2) + t, log sigmoid(r + 2))."""
    raw = r + _TWO
    return x * sigmoid(raw) + t, log_sigmoid(raw)


@inlined
def sigmoid_inverse(y: Number, r: Number, t: Number) -> Pair:
    """((y - t) / sigmoid(r + 2), -log sigmoid(r + 2))."""
    raw = r + _TWO
    return (y - t) / sigmoid(raw), -log_sigmoid(raw)


@inlined
def exp_forward(x: Number, r: Number, t: Number) -> Pair:
    """(x exp(r + 2) + t, r + 2)."""
    raw = r + _TWO
    return x * math.exp(raw) + t, raw


@inlined
def exp_inverse(y: Number, r: Number, t: Number) -> Pair:
    """((y - t) / exp(r + 2), -(r + 2))."""
    raw = r + _TWO
    return (y - t) / math.exp(raw), -raw


@inlined
def shift_forward(x: Number, r: Number, t: Number) -> Pair:
    """(x + t, 0)."""
    return x + t, _ZERO


@inlined
def shift_inverse(y: Number, r: Number, t: Number) -> Pair:
    """(y - t, 0)."""
    return y - t, _ZERO


@inlined
def sigmoid_forward_vjp(x: Number, r: Number, y_bar: Number, fldj_bar: Number) -> Triple:
    """(x_bar, r_bar, t_bar) of `sigmoid_forward`."""
    raw = r + _TWO
    x_bar = sigmoid(raw) * y_bar
    return x_bar, (x * x_bar + fldj_bar) * sigmoid(-raw), y_bar


@inlined
def sigmoid_inverse_vjp(x: Number, r: Number, x_bar: Number, ildj_bar: Number) -> Triple:
    """(y_bar, r_bar, t_bar) of `sigmoid_inverse`."""
    raw = r + _TWO
    y_bar = x_bar / sigmoid(raw)
    return y_bar, -(x * x_bar + ildj_bar) * sigmoid(-raw), -y_bar


@inlined
def exp_forward_vjp(x: Number, r: Number, y_bar: Number, fldj_bar: Number) -> Triple:
    """(x_bar, r_bar, t_bar) of `exp_forward`."""
    x_bar = math.exp(r + _TWO) * y_bar
    return x_bar, x * x_bar + fldj_bar, y_bar


@inlined
def exp_inverse_vjp(x: Number, r: Number, x_bar: Number, ildj_bar: Number) -> Triple:
    """(y_bar, r_bar, t_bar) of `exp_inverse`."""
    y_bar = x_bar / math.exp(r + _TWO)
    return y_bar, -(x * x_bar + ildj_bar), -y_bar
