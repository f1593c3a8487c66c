"""The couplings' elementwise maps on one tile: numbers side by side, in float64 vectors.

With r' = r + 2 and e = exp(-|r'|) (vector_math.py), s = sigmoid(r') and its log follow without
overflow; see the specification for the maps and the derivation of their cotangents.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.addresses import Number, as_number, load, store
from refglow.kernels.cpu.compiled import compiled, inlined
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.vector_math import (
    LANES,
    decay,
    exp,
    lane_sum,
    log_sigmoid_sum,
    sigmoid_numerator,
)

# The kinds of coupling, which the kernels are told as a number; the shift's have no raw scale.
SIGMOID_FORWARD, SIGMOID_INVERSE, EXP_FORWARD, EXP_INVERSE, SHIFT_FORWARD, SHIFT_INVERSE = range(6)
SHIFTS = (SHIFT_FORWARD, SHIFT_INVERSE)


@compiled
def map_tile(kind: int, count: int, r: int, t: int, x: int, e: int, lanes: int,
             one: Number) -> float:
    """Map x[:count] in place; returns the sum of their log-dets.

    Args:
      kind: of coupling.
      count: how many elements.
      r, t, x: addresses of the raw scales, shifts and values, with room for whole groups of LANES;
        of a shift's only `count` are read, and no raw scales.
      e: address of so many float64 numbers, which are overwritten.
      lanes: address of 2 * LANES float64 numbers, which are overwritten.
      one: 1 in the number type.
    """
    padded = (count + LANES - 1) // LANES * LANES
    if kind not in SHIFTS:
        # Beyond the count, scales whose log is 0.
        for i in range(count, padded):
            store(r, i, as_number(np.inf if kind < EXP_FORWARD else -2.0, one))
    if kind == SIGMOID_FORWARD:
        _sigmoid_forward(padded, r, t, x, e, one)
        return log_sigmoid_sum(r, 2.0, e, padded, lanes, one)
    if kind == SIGMOID_INVERSE:
        _sigmoid_inverse(padded, r, t, x, e, one)
        return -log_sigmoid_sum(r, 2.0, e, padded, lanes, one)
    if kind == EXP_FORWARD:
        _exp_forward(padded, r, t, x, one)
        return _log_exp_sum(r, padded, lanes, one)
    if kind == EXP_INVERSE:
        _exp_inverse(padded, r, t, x, one)
        return -_log_exp_sum(r, padded, lanes, one)
    if kind == SHIFT_FORWARD:
        _shift_forward(count, t, x, one)
    else:
        _shift_inverse(count, t, x, one)
    return 0.0


@inlined
def _raw(r: int, i: int, one: Number) -> float:
    """r' = r + 2."""
    return np.float64(load(r, i, one)) + 2.0


@compiled
def _sigmoid_forward(count: int, r: int, t: int, x: int, e: int, one: Number) -> None:
    for i in range(count):
        raw = _raw(r, i, one)
        e_i = decay(raw, one)
        store(e, i, e_i)
        scale = sigmoid_numerator(raw, e_i) / (1.0 + e_i)
        store(x, i, as_number(fma(load(x, i, one), scale, load(t, i, one)), one))


@compiled
def _sigmoid_inverse(count: int, r: int, t: int, x: int, e: int, one: Number) -> None:
    for i in range(count):
        raw = _raw(r, i, one)
        e_i = decay(raw, one)
        store(e, i, e_i)
        moved = np.float64(load(x, i, one)) - load(t, i, one)
        store(x, i, as_number(moved * (1.0 + e_i) / sigmoid_numerator(raw, e_i), one))


@compiled
def _exp_forward(count: int, r: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        scale = exp(_raw(r, i, one))
        store(x, i, as_number(fma(load(x, i, one), scale, load(t, i, one)), one))


@compiled
def _exp_inverse(count: int, r: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        moved = np.float64(load(x, i, one)) - load(t, i, one)
        store(x, i, as_number(moved / exp(_raw(r, i, one)), one))


@compiled
def _shift_forward(count: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        store(x, i, load(x, i, one) + load(t, i, one))


@compiled
def _shift_inverse(count: int, t: int, x: int, one: Number) -> None:
    for i in range(count):
        store(x, i, load(x, i, one) - load(t, i, one))


@compiled
def _log_exp_sum(r: int, count: int, lanes: int, one: Number) -> float:
    """sum of r'."""
    for lane in range(LANES):
        store(lanes, lane, 0.0)
    for start in range(0, count, LANES):
        for lane in range(LANES):
            store(lanes, lane, load(lanes, lane, 1.0) + _raw(r, start + lane, one))
    return lane_sum(lanes)


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
    if kind == SIGMOID_FORWARD:
        _sigmoid_forward_vjp(count, r, x, b, log_det_bar, one)
    elif kind == SIGMOID_INVERSE:
        _sigmoid_inverse_vjp(count, r, x, b, log_det_bar, one)
    elif kind == EXP_FORWARD:
        _exp_forward_vjp(count, r, x, b, log_det_bar, one)
    else:
        _exp_inverse_vjp(count, r, x, b, log_det_bar, one)


@compiled
def negate(b: int, count: int, one: Number) -> None:
    """b[i] = -b[i]: the shift's cotangent from that of what it was taken from."""
    for i in range(count):
        store(b, i, -load(b, i, one))


@compiled
def _sigmoid_forward_vjp(count: int, r: int, x: int, b: int, log_det_bar: float,
                         one: Number) -> None:
    for i in range(count):
        raw = _raw(r, i, one)
        e_i = decay(raw, one)
        x_bar = load(b, i, one) * (sigmoid_numerator(raw, e_i) / (1.0 + e_i))
        q = sigmoid_numerator(-raw, e_i) / (1.0 + e_i)
        store(r, i, as_number(fma(x_bar, load(x, i, one), log_det_bar) * q, one))
        store(x, i, as_number(x_bar, one))


@compiled
def _sigmoid_inverse_vjp(count: int, r: int, x: int, b: int, log_det_bar: float,
                         one: Number) -> None:
    for i in range(count):
        raw, bar = _raw(r, i, one), np.float64(load(b, i, one))
        e_i = decay(raw, one)
        y_bar = as_number(bar * (1.0 + e_i) / sigmoid_numerator(raw, e_i), one)
        q = sigmoid_numerator(-raw, e_i) / (1.0 + e_i)
        store(r, i, as_number(-fma(bar, load(x, i, one), log_det_bar) * q, one))
        store(x, i, y_bar)
        store(b, i, -y_bar)


@compiled
def _exp_forward_vjp(count: int, r: int, x: int, b: int, log_det_bar: float,
                     one: Number) -> None:
    for i in range(count):
        x_bar = load(b, i, one) * exp(_raw(r, i, one))
        store(r, i, as_number(fma(x_bar, load(x, i, one), log_det_bar), one))
        store(x, i, as_number(x_bar, one))


@compiled
def _exp_inverse_vjp(count: int, r: int, x: int, b: int, log_det_bar: float,
                     one: Number) -> None:
    for i in range(count):
        bar = np.float64(load(b, i, one))
        y_bar = as_number(bar / exp(_raw(r, i, one)), one)
        store(r, i, as_number(-fma(bar, load(x, i, one), log_det_bar), one))
        store(x, i, y_bar)
        store(b, i, -y_bar)
