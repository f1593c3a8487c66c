"""Puzzles 9 and 10: half of the numbers go another way, forwards and backwards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda

from refglow.bijectors.coupling import sigmoid_coupling_forward, sigmoid_coupling_forward_vjp
from refglow.dtypes import Array
from refglow.elementary import sigmoid
from refglow.lessons.puzzles.case import Case, Mistake, Numbers, a_thread_for_each, blank, drawn
from refglow.lessons.puzzles.puzzle import Puzzle

THREADS = 8
_SIZES = ((1, 2, 1), (4, 4, 2), (5, 7, 3))  # pixels, channels, how many of them decide


def _halves(output: Array) -> tuple[Array, Array]:
    """(r, t)."""
    mapped = output.shape[1] // 2
    return output[:, :mapped], output[:, mapped:]


# ---- 9: forwards ------------------------------------------------------------------------------


def coupling(x: Any, output: Any, y: Any, deciding: int) -> None:
    """[x0 | x1] -> [x0 | x1 sigmoid(r + 2) + t]."""
    i = cuda.grid(1)
    if i < x.size:
        p, c = i // x.shape[1], i % x.shape[1]
        if c < deciding:
            y[p, c] = x[p, c]
        else:
            j = c - deciding
            scale = 1 / (1 + math.exp(-(output[p, j] + 2)))
            y[p, c] = x[p, c] * scale + output[p, output.shape[1] // 2 + j]


def _case(x: Array, output: Array, deciding: int) -> Case:
    y = sigmoid_coupling_forward(x[None], output[None], deciding)[0][0]
    return Case({"x": x, "output": output, "y": blank(*x.shape), "deciding": deciding}, {"y": y},
                *a_thread_for_each(x.size, THREADS))


def _cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_case(drawn(rng, pixels, channels), drawn(rng, pixels, 2 * (channels - deciding)),
                  deciding) for pixels, channels, deciding in _SIZES]


def _with(affine: Any) -> Any:
    """The results with another map of x1, r, t."""
    def gives(x: Array, output: Array, y: Array, deciding: int) -> Numbers:
        return {"y": np.concatenate(
            [x[:, :deciding], affine(x[:, deciding:], *_halves(output))], axis=1)}
    return gives


def _wrong_half(x: Array, output: Array, y: Array, deciding: int) -> Numbers:
    r, t = _halves(output)
    mapped = x[:, :r.shape[1]] * sigmoid(r + 2) + t
    return {"y": np.concatenate([mapped, x[:, r.shape[1]:]], axis=1)}


COUPLING = Puzzle(
    name="coupling", idea="One half is copied, the other transformed.",
    task="The first `deciding` channels of x go to y as they are; the others become `x sigmoid(r "
         "+ 2) + t`. x and y are [pixels, channels]. A pixel of output holds the numbers r of "
         "its transformed channels first, then their numbers t.",
    specification=sigmoid_coupling_forward,
    stub="def coupling(x, output, y, deciding):\n    i = cuda.grid(1)\n"
         "    if i < x.size:\n        p, c = i // x.shape[1], i % x.shape[1]\n        ...",
    tiny=_case(np.arange(12, dtype=np.float32).reshape(3, 4),
               np.array([[-2, -2, 100, 100], [-1, -1, 200, 200], [0, 0, 300, 300]], np.float32), 2),
    cases=_cases, solution=coupling,
    mistakes=(
        Mistake("The wrong half is transformed: the first `deciding` channels stay.", _wrong_half),
        Mistake("That is (x + t) sigmoid(r + 2), as some other libraries have it.",
                _with(lambda x, r, t: (x + t) * sigmoid(r + 2))),
        Mistake("The 2 of r + 2 is missing.", _with(lambda x, r, t: x * sigmoid(r) + t)),
        Mistake("r and t are exchanged.", _with(lambda x, r, t: x * sigmoid(t + 2) + r)),
        Mistake("That is exp(r + 2) where sigmoid(r + 2) belongs.",
                _with(lambda x, r, t: x * np.exp(r + 2) + t)),
        Mistake("That is the inverse, (x - t) / sigmoid(r + 2).",
                _with(lambda x, r, t: (x - t) / sigmoid(r + 2)))))

# ---- 10: backwards ----------------------------------------------------------------------------


def coupling_vjp(x: Any, output: Any, y_bar: Any, fldj_bar: Any, x_bar: Any, output_bar: Any,
                 deciding: int) -> None:
    """x_bar = s y_bar, r_bar = (x s y_bar + fldj_bar) (1 - s), t_bar = y_bar."""
    i = cuda.grid(1)
    if i < x.size:
        p, c = i // x.shape[1], i % x.shape[1]
        if c < deciding:
            x_bar[p, c] = y_bar[p, c]
        else:
            j = c - deciding
            scale = 1 / (1 + math.exp(-(output[p, j] + 2)))
            x_bar[p, c] = scale * y_bar[p, c]
            output_bar[p, j] = (x[p, c] * scale * y_bar[p, c] + fldj_bar[0]) * (1 - scale)
            output_bar[p, output.shape[1] // 2 + j] = y_bar[p, c]


def _vjp_case(x: Array, output: Array, y_bar: Array, fldj_bar: Array, deciding: int) -> Case:
    x_bar, output_bar = sigmoid_coupling_forward_vjp(x[None], output[None], deciding, y_bar[None],
                                                     fldj_bar)
    return Case({"x": x, "output": output, "y_bar": y_bar, "fldj_bar": fldj_bar,
                 "x_bar": blank(*x.shape), "output_bar": blank(*output.shape),
                 "deciding": deciding},
                {"x_bar": x_bar[0], "output_bar": output_bar[0]},
                *a_thread_for_each(x.size, THREADS))


def _vjp_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_vjp_case(drawn(rng, pixels, channels), drawn(rng, pixels, 2 * (channels - deciding)),
                      drawn(rng, pixels, channels), drawn(rng, 1), deciding)
            for pixels, channels, deciding in _SIZES]


def _vjp_with(bars: Any, copied: float = 1.0) -> Any:
    """The results with another map of x1, s, y1_bar, fldj_bar to the bars of x1, r, t."""
    def gives(x: Array, output: Array, y_bar: Array, fldj_bar: Array, x_bar: Array,
              output_bar: Array, deciding: int) -> Numbers:
        scale = sigmoid(_halves(output)[0] + 2)
        x1_bar, r_bar, t_bar = bars(x[:, deciding:], scale, y_bar[:, deciding:], fldj_bar[0])
        return {"x_bar": np.concatenate([copied * y_bar[:, :deciding], x1_bar], axis=1),
                "output_bar": np.concatenate([r_bar, t_bar], axis=1)}
    return gives


COUPLING_VJP = Puzzle(
    name="coupling_vjp", idea="Backwards: one thread, all cotangents of its number.",
    task="With `s = sigmoid(r + 2)`, puzzle 9 computed `y1 = x1 s + t`, and the log-det is the "
         "sum of log s. Given the cotangents y_bar of y and `fldj_bar[0]` of the log-det, write "
         "those of x and of output: `x1_bar = s y1_bar`, `r_bar = (x1 s y1_bar + fldj_bar[0]) (1 "
         "- s)`, `t_bar = y1_bar`, and the copied half hands its cotangent on.",
    specification=sigmoid_coupling_forward_vjp,
    stub="def coupling_vjp(x, output, y_bar, fldj_bar, x_bar, output_bar, deciding):\n"
         "    i = cuda.grid(1)\n    if i < x.size:\n"
         "        p, c = i // x.shape[1], i % x.shape[1]\n        ...",
    tiny=_vjp_case(np.arange(8, dtype=np.float32).reshape(2, 4),
                   np.array([[-2, -2, 100, 100], [-1, -1, 200, 200]], np.float32),
                   np.ones((2, 4), np.float32), np.array([10], np.float32), 2),
    cases=_vjp_cases, solution=coupling_vjp,
    mistakes=(
        Mistake("The log-det's cotangent is missing in r_bar.", _vjp_with(
            lambda x, s, bar, log_det: (s * bar, x * s * bar * (1 - s), bar))),
        Mistake("The factor 1 - s is missing in r_bar: log s has the derivative 1 - s.", _vjp_with(
            lambda x, s, bar, log_det: (s * bar, x * s * bar + log_det, bar))),
        Mistake("r_bar and t_bar are exchanged.", _vjp_with(
            lambda x, s, bar, log_det: (s * bar, bar, (x * s * bar + log_det) * (1 - s)))),
        Mistake("x1_bar lacks the factor s.", _vjp_with(
            lambda x, s, bar, log_det: (bar, (x * s * bar + log_det) * (1 - s), bar))),
        Mistake("The copied half hands its cotangent on, as y_bar, not 0.", _vjp_with(
            lambda x, s, bar, log_det: (s * bar, (x * s * bar + log_det) * (1 - s), bar), 0.0))))
