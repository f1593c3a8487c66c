"""Puzzles 1 to 3: maps, where each thread makes one number out of numbers of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda

from refglow.bijectors.activation_normalization import activation_normalization_inverse
from refglow.bijectors.shift import shift_forward
from refglow.dtypes import Array
from refglow.kernels.cuda.launch_shape import ceil_div
from refglow.lessons.puzzles.case import Case, Mistake, a_thread_for_each, blank, drawn
from refglow.lessons.puzzles.puzzle import Puzzle

# ---- 1: a number for each thread --------------------------------------------------------------


def shift(x: Any, t: Any, y: Any) -> None:
    """y = x + t."""
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] + t[i]


def _shift_case(x: Array, t: Array, threads: int) -> Case:
    return Case({"x": x, "t": t, "y": blank(x.size)}, {"y": shift_forward(x, t)[0]},
                *a_thread_for_each(x.size, threads))


def _shift_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_shift_case(drawn(rng, size), drawn(rng, size), threads)
            for size, threads in ((1, 4), (8, 8), (33, 32))]


SHIFT = Puzzle(
    name="shift", idea="A thread for each number, and a guard.",
    task="`y[i] = x[i] + t[i]` for every i. `cuda.grid(1)` is the number of this thread in the "
         "whole grid. Blocks are whole, so there may be more threads than numbers: the last ones "
         "must do nothing.",
    specification=shift_forward,
    stub="def shift(x, t, y):\n    i = cuda.grid(1)\n    ...",
    tiny=_shift_case(np.arange(10, dtype=np.float32), np.full(10, 100, np.float32), 4),
    cases=_shift_cases, solution=shift,
    mistakes=(Mistake("That is x - t, the inverse.", lambda x, t, y: {"y": x - t}),
              Mistake("That is x alone.", lambda x, t, y: {"y": x})))

# ---- 2: two indices ---------------------------------------------------------------------------


def channel_shift(x: Any, m: Any, y: Any) -> None:
    """y[p, c] = x[p, c] + m[c]."""
    c, p = cuda.grid(2)
    if p < x.shape[0] and c < x.shape[1]:
        y[p, c] = x[p, c] + m[c]


def _channel_case(x: Array, m: Array, block: tuple[int, int]) -> Case:
    pixels, channels = x.shape
    return Case({"x": x, "m": m, "y": blank(pixels, channels)}, {"y": shift_forward(x, m)[0]},
                (ceil_div(channels, block[0]), ceil_div(pixels, block[1]), 1), (*block, 1))


def _channel_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_channel_case(drawn(rng, pixels, channels), drawn(rng, channels), block)
            for pixels, channels, block in ((4, 4, (4, 2)), (2, 9, (4, 4)), (13, 6, (8, 4)))]


CHANNEL_SHIFT = Puzzle(
    name="channel_shift", idea="Two indices: threads have as many dimensions as the array.",
    task="`y[p, c] = x[p, c] + m[c]` for every pixel p and channel c. The grid has two "
         "dimensions; its first, x, counts channels, its second, y, pixels. Both need a guard.",
    specification=shift_forward,
    stub="def channel_shift(x, m, y):\n    c, p = cuda.grid(2)\n    ...",
    tiny=_channel_case(np.arange(15, dtype=np.float32).reshape(5, 3),
                       np.array([100, 200, 300], np.float32), (4, 2)),
    cases=_channel_cases, solution=channel_shift,
    mistakes=(Mistake("That is x - m, the inverse.", lambda x, m, y: {"y": x - m}),
              Mistake("That adds the pixel's number of m, not the channel's.",
                      lambda x, m, y: {"y": x + np.resize(m, len(x))[:, None]})))

# ---- 3: a channel from a flat index -----------------------------------------------------------


def actnorm(x: Any, m: Any, v: Any, z: Any) -> None:
    """z = (x + m) exp(v), with m and v of the number's channel."""
    i = cuda.grid(1)
    if i < x.size:
        c = i % m.size
        z[i] = (x[i] + m[c]) * math.exp(v[c])


def _actnorm_case(x: Array, m: Array, v: Array, threads: int) -> Case:
    z = activation_normalization_inverse(x, m, v)[0].reshape(-1)
    return Case({"x": x.reshape(-1), "m": m, "v": v, "z": blank(x.size)}, {"z": z},
                *a_thread_for_each(x.size, threads))


def _actnorm_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_actnorm_case(drawn(rng, pixels, channels), drawn(rng, channels), drawn(rng, channels),
                          threads)
            for pixels, channels, threads in ((1, 1, 4), (3, 4, 4), (7, 6, 32))]


def _by_channel(x: Array, numbers: Array) -> Array:
    return np.resize(numbers, x.size)


ACTNORM = Puzzle(
    name="actnorm", idea="The channel of a number is the remainder of its place.",
    task="`z[i] = (x[i] + m[c]) exp(v[c])` for every number of an image, where c is the number's "
         "channel. x is flat, the channels of a pixel lie next to each other, and there are "
         "`m.size` of them.",
    specification=activation_normalization_inverse,
    stub="def actnorm(x, m, v, z):\n    i = cuda.grid(1)\n    ...",
    tiny=_actnorm_case(np.arange(10, dtype=np.float32).reshape(5, 2),
                       np.array([-1, 1], np.float32), np.log([2, 3]).astype(np.float32), 4),
    cases=_actnorm_cases, solution=actnorm,
    mistakes=(
        Mistake("That scales first and shifts then, x exp(v) + m.",
                lambda x, m, v, z: {"z": x * np.exp(_by_channel(x, v)) + _by_channel(x, m)}),
        Mistake("That divides by exp(v).",
                lambda x, m, v, z: {"z": (x + _by_channel(x, m)) / np.exp(_by_channel(x, v))}),
        Mistake("That is the forward direction, x exp(-v) - m.",
                lambda x, m, v, z: {"z": activation_normalization_inverse(
                    x.reshape(-1, m.size), 0 * m, -v)[0].reshape(-1) - _by_channel(x, m)})))
