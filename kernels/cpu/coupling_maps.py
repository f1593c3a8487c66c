"""The couplings' elementwise maps on one tile: numbers side by side, in float64 vectors.

With r' = r + 2 and e = exp(-|r'|) (vector_math.py), s = sigmoid(r') and its log follow without
overflow; see the specification for the maps and the derivation of their cotangents.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.layout import Array
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
def map_tile(kind: int, count: int, raw_scale: Array, shift: Array, values: Array,
             decays: Array) -> float:
    """Map values[:count] in place; returns the sum of their log-dets.

    Args:
      kind: of coupling.
      count: how many elements.
      raw_scale, shift, values: float32 or float64, with room for whole groups of LANES.
      decays: float64, of that size; overwritten.
    """
    padded = (count + LANES - 1) // LANES * LANES
    # Beyond the count, scales whose log is 0.
    raw_scale[count:padded] = np.inf if kind < EXP_FORWARD else -2.0
    r, t, x, e = raw_scale[:padded], shift[:padded], values[:padded], decays[:padded]
    if kind == SIGMOID_FORWARD:
        _sigmoid_forward(r, t, x, e)
        return log_sigmoid_sum(r, 2.0, e)
    if kind == SIGMOID_INVERSE:
        _sigmoid_inverse(r, t, x, e)
        return -log_sigmoid_sum(r, 2.0, e)
    if kind == EXP_FORWARD:
        _exp_forward(r, t, x)
        return _log_exp_sum(r)
    if kind == EXP_INVERSE:
        _exp_inverse(r, t, x)
        return -_log_exp_sum(r)
    if kind == SHIFT_FORWARD:
        _shift_forward(t, x)
    else:
        _shift_inverse(t, x)
    return 0.0


@compiled
def _sigmoid_forward(r: Array, t: Array, x: Array, e: Array) -> None:
    for i in range(r.size):
        raw = np.float64(r[i]) + 2.0
        e_i = decay(raw)
        e[i] = e_i
        x[i] = x[i] * (sigmoid_numerator(raw, e_i) / (1.0 + e_i)) + t[i]


@compiled
def _sigmoid_inverse(r: Array, t: Array, x: Array, e: Array) -> None:
    for i in range(r.size):
        raw = np.float64(r[i]) + 2.0
        e_i = decay(raw)
        e[i] = e_i
        moved = np.float64(x[i]) - t[i]
        x[i] = moved * (1.0 + e_i) / sigmoid_numerator(raw, e_i)


@compiled
def _exp_forward(r: Array, t: Array, x: Array) -> None:
    for i in range(r.size):
        x[i] = x[i] * exp(np.float64(r[i]) + 2.0) + t[i]


@compiled
def _exp_inverse(r: Array, t: Array, x: Array) -> None:
    for i in range(r.size):
        x[i] = (np.float64(x[i]) - t[i]) / exp(np.float64(r[i]) + 2.0)


@compiled
def _shift_forward(t: Array, x: Array) -> None:
    for i in range(x.size):
        x[i] = x[i] + t[i]


@compiled
def _shift_inverse(t: Array, x: Array) -> None:
    for i in range(x.size):
        x[i] = x[i] - t[i]


@compiled
def _log_exp_sum(r: Array) -> float:
    """sum of r'."""
    lanes = np.zeros(LANES)
    for start in range(0, r.size, LANES):
        group = r[start:start + LANES]
        for lane in range(LANES):
            lanes[lane] += np.float64(group[lane]) + 2.0
    return lane_sum(lanes)


@compiled
def pull_back_tile(kind: int, count: int, raw_scale: Array, values: Array, bar: Array,
                   log_det_bar: float) -> None:
    """From (raw_scale, values, bar) to their cotangents' places, in place.

    Args:
      kind: of coupling.
      count: how many elements.
      raw_scale: becomes its own cotangent.
      values: x of the specification; becomes the cotangent of what the coupling maps.
      bar: the cotangent of what the coupling gives; becomes that of the shift.
      log_det_bar: the cotangent of the example's log-det.
    """
    r, x, b = raw_scale[:count], values[:count], bar[:count]
    if kind == SIGMOID_FORWARD:
        _sigmoid_forward_vjp(r, x, b, log_det_bar)
    elif kind == SIGMOID_INVERSE:
        _sigmoid_inverse_vjp(r, x, b, log_det_bar)
    elif kind == EXP_FORWARD:
        _exp_forward_vjp(r, x, b, log_det_bar)
    elif kind == EXP_INVERSE:
        _exp_inverse_vjp(r, x, b, log_det_bar)
    elif kind == SHIFT_FORWARD:
        x[:] = b
    else:
        x[:] = b
        for i in range(b.size):
            b[i] = -b[i]


@compiled
def _sigmoid_forward_vjp(r: Array, x: Array, bar: Array, log_det_bar: float) -> None:
    for i in range(r.size):
        raw = np.float64(r[i]) + 2.0
        e_i = decay(raw)
        x_bar = bar[i] * (sigmoid_numerator(raw, e_i) / (1.0 + e_i))
        q = sigmoid_numerator(-raw, e_i) / (1.0 + e_i)
        r[i] = (x_bar * x[i] + log_det_bar) * q
        x[i] = x_bar


@compiled
def _sigmoid_inverse_vjp(r: Array, x: Array, bar: Array, log_det_bar: float) -> None:
    for i in range(r.size):
        raw = np.float64(r[i]) + 2.0
        e_i = decay(raw)
        y_bar = bar[i] * (1.0 + e_i) / sigmoid_numerator(raw, e_i)
        q = sigmoid_numerator(-raw, e_i) / (1.0 + e_i)
        r[i] = -(np.float64(bar[i]) * x[i] + log_det_bar) * q
        x[i] = y_bar
        bar[i] = -y_bar


@compiled
def _exp_forward_vjp(r: Array, x: Array, bar: Array, log_det_bar: float) -> None:
    for i in range(r.size):
        x_bar = bar[i] * exp(np.float64(r[i]) + 2.0)
        r[i] = x_bar * x[i] + log_det_bar
        x[i] = x_bar


@compiled
def _exp_inverse_vjp(r: Array, x: Array, bar: Array, log_det_bar: float) -> None:
    for i in range(r.size):
        y_bar = bar[i] / exp(np.float64(r[i]) + 2.0)
        r[i] = -(np.float64(bar[i]) * x[i] + log_det_bar)
        x[i] = y_bar
        bar[i] = -y_bar
