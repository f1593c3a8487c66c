"""The couplings' elementwise maps on one tile: numbers side by side, in vectors of their type.

With r' = r + 2 and e = exp(-|r'|) (vector_math.py), s = sigmoid(r') and its log follow without
overflow; see the specification for the maps and the derivation of their cotangents.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.addresses import Number, as_number, load, store
from refglow.kernels.cpu.compiled import compiled, inlined
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.lane_sums import LANES, add_log_sigmoids, add_shifted
from refglow.kernels.cpu.vector_math import decay, exp, sigmoid_numerator

# The kinds of coupling, which the kernels are told as a number; the shift's have no raw scale.
SIGMOID_FORWARD, SIGMOID_INVERSE, EXP_FORWARD, EXP_INVERSE, SHIFT_FORWARD, SHIFT_INVERSE = range(6)
# Exact in float32, and no float64 in an expression of float32 numbers.
_ZERO, _TWO = np.float32(0), np.float32(2)

# From there on exp is 0 or infinite, whatever rounding r + 2 has left out, and r may be infinite.
_ROUNDED = np.float32(2.0**10)

SHIFTS = (SHIFT_FORWARD, SHIFT_INVERSE)
INVERSES = (SIGMOID_INVERSE, EXP_INVERSE, SHIFT_INVERSE)


@compiled
def map_tile(kind: int, count: int, r: int, t: int, x: int, e: int, log_det: int,
             one: Number) -> None:
    """Map x[:count] in place, and add the logs of their scales to a log-det.

    Args:
      kind: of coupling.
      count: how many elements.
      r, t, x: addresses of the raw scales, shifts and values, with room for whole groups of LANES;
        of a shift's only `count` are read, and no raw scales.
      e: address of room for as many numbers, which is overwritten.
      log_det: address of its state (lane_sums.py).
      one: 1 in the number type.
    """
    padded = (count + LANES - 1) // LANES * LANES
    if kind not in SHIFTS:
        # Beyond the count, scales whose log is 0.
        for i in range(count, padded):
            store(r, i, as_number(np.inf if kind < EXP_FORWARD else -2.0, one))
    if kind == SIGMOID_FORWARD:
        _sigmoid_forward(padded, r, t, x, e, one)
    elif kind == SIGMOID_INVERSE:
        _sigmoid_inverse(padded, r, t, x, e, one)
    elif kind == EXP_FORWARD:
        _exp_forward(padded, r, t, x, one)
    elif kind == EXP_INVERSE:
        _exp_inverse(padded, r, t, x, one)
    elif kind == SHIFT_FORWARD:
        _shift_forward(count, t, x, one)
    else:
        _shift_inverse(count, t, x, one)
    if kind < EXP_FORWARD:
        add_log_sigmoids(r, 2.0, e, padded, log_det, one)
    elif kind not in SHIFTS:
        add_shifted(r, 2.0, padded, log_det, one)


@inlined
def _raised(r: int, i: int, one: Number) -> tuple[Number, Number]:
    """r' = r + 2 as a number and what its rounding has left out, exactly.

    For |r| <= 2 that is Dekker's sum of two numbers. For r < -2 nothing is rounded; for r > 2,
    r' - 2 is not rounded, and the difference is that of the first sum.
    """
    raw = load(r, i, one)
    raised = raw + _TWO
    return raised, raw - (raised - _TWO) if abs(raised) < _ROUNDED else _ZERO * one


@compiled
def _sigmoid_forward(count: int, r: int, t: int, x: int, e: int, one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        e_i = decay(raw, low, one)
        store(e, i, e_i)
        scale = sigmoid_numerator(raw, e_i, one) / (one + e_i)
        store(x, i, fma(load(x, i, one), scale, load(t, i, one)))


@compiled
def _sigmoid_inverse(count: int, r: int, t: int, x: int, e: int, one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        e_i = decay(raw, low, one)
        store(e, i, e_i)
        moved = load(x, i, one) - load(t, i, one)
        store(x, i, moved * (one + e_i) / sigmoid_numerator(raw, e_i, one))


@compiled
def _exp_forward(count: int, r: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        scale = exp(raw, low, one)
        store(x, i, fma(load(x, i, one), scale, load(t, i, one)))


@compiled
def _exp_inverse(count: int, r: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        store(x, i, (load(x, i, one) - load(t, i, one)) / exp(raw, low, one))


@compiled
def _shift_forward(count: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        store(x, i, load(x, i, one) + load(t, i, one))


@compiled
def _shift_inverse(count: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        store(x, i, load(x, i, one) - load(t, i, one))


@compiled
def pull_back_tile(kind: int, count: int, r: int, x: int, b: int, log_det_bar: float,
                   one: Number) -> None:
    """From (r, x, b) to their cotangents' places, in place.

    Args:
      kind: of coupling with a raw scale.
      count: how many elements.
      r: address of the raw scales; they become their own cotangents.
      x: of the specification's x; becomes the cotangent of what the coupling maps.
      b: of the cotangent of what the coupling gives; becomes that of the shift.
      log_det_bar: the cotangent of the example's log-det.
      one: 1 in the number type.
    """
    from_log_det = as_number(log_det_bar, one)
    if kind == SIGMOID_FORWARD:
        _sigmoid_forward_vjp(count, r, x, b, from_log_det, one)
    elif kind == SIGMOID_INVERSE:
        _sigmoid_inverse_vjp(count, r, x, b, from_log_det, one)
    elif kind == EXP_FORWARD:
        _exp_forward_vjp(count, r, x, b, from_log_det, one)
    else:
        _exp_inverse_vjp(count, r, x, b, from_log_det, one)


@compiled
def negate(b: int, count: int, one: Number) -> None:
    """b[i] = -b[i]: the shift's cotangent from that of what it was taken from."""
    for i in range(count):
        store(b, i, -load(b, i, one))


@compiled
def _sigmoid_forward_vjp(count: int, r: int, x: int, b: int, log_det_bar: Number,
                         one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        e_i = decay(raw, low, one)
        x_bar = load(b, i, one) * (sigmoid_numerator(raw, e_i, one) / (one + e_i))
        q = sigmoid_numerator(-raw, e_i, one) / (one + e_i)
        store(r, i, fma(x_bar, load(x, i, one), log_det_bar) * q)
        store(x, i, x_bar)


@compiled
def _sigmoid_inverse_vjp(count: int, r: int, x: int, b: int, log_det_bar: Number,
                         one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        bar, e_i = load(b, i, one), decay(raw, low, one)
        y_bar = bar * (one + e_i) / sigmoid_numerator(raw, e_i, one)
        q = sigmoid_numerator(-raw, e_i, one) / (one + e_i)
        store(r, i, -fma(bar, load(x, i, one), log_det_bar) * q)
        store(x, i, y_bar)
        store(b, i, -y_bar)


@compiled
def _exp_forward_vjp(count: int, r: int, x: int, b: int, log_det_bar: Number,
                     one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        x_bar = load(b, i, one) * exp(raw, low, one)
        store(r, i, fma(x_bar, load(x, i, one), log_det_bar))
        store(x, i, x_bar)


@compiled
def _exp_inverse_vjp(count: int, r: int, x: int, b: int, log_det_bar: Number,
                     one: Number) -> None:
    for i in range(count):
        raw, low = _raised(r, i, one)
        bar = load(b, i, one)
        y_bar = bar / exp(raw, low, one)
        store(r, i, -fma(bar, load(x, i, one), log_det_bar))
        store(x, i, y_bar)
        store(b, i, -y_bar)
