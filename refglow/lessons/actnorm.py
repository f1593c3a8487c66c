"""Lesson 3, ActNorm: an exercise on its data-dependent start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.bijectors.activation_normalization import channel_statistics
from refglow.dtypes import Array
from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import Exercise

TASK = """Write `start(batch)`, which returns `(shift, log_scale)` for a batch of images of shape
`[N, H, W, C]`: two arrays of shape `[C]` with which `(batch + shift) * exp(log_scale)` has mean 0
and standard deviation 1 in each channel, over all pixels of all images."""


def start(batch: Array) -> tuple[Array, Array]:
    """Minus the mean, and minus the logarithm of the standard deviation."""
    axes = (0, 1, 2)
    return -batch.mean(axis=axes), -np.log(batch.std(axis=axes))


def _judge(answer: Callable[..., Any]) -> str:
    for name, batch in _cases():
        shift, log_scale = require_parts("start", answer(batch.copy()), ("shift", "log_scale"))
        mean, deviation = channel_statistics(batch, 0.0)
        require_close("shift", shift, -mean, given=name,
                      mistakes=dict(_mistakes_of_shift(batch, mean, deviation)))
        require_close("log_scale", log_scale, -np.log(deviation), given=name,
                      mistakes=dict(_mistakes_of_log_scale(batch, deviation)))
    return "It normalises every channel, whatever its mean and spread."


def _cases() -> Iterator[tuple[str, Array]]:
    column = np.array([1.0, 3.0, 5.0, 7.0]).reshape(1, 4, 1, 1)
    yield "the channels [1, 3, 5, 7] and [10, 10, 10, 30]", np.concatenate(
        [column, np.array([10.0, 10.0, 10.0, 30.0]).reshape(column.shape)], axis=-1)
    rng = np.random.default_rng(3)
    for shape in ((2, 3, 4, 3), (5, 2, 2, 1), (3, 1, 6, 4)):
        spread, centre = np.exp(rng.normal(size=shape[-1])), 5 * rng.normal(size=shape[-1])
        yield f"a random batch of shape {shape}", centre + spread * rng.normal(size=shape)


def _mistakes_of_shift(batch: Array, mean: Array, deviation: Array) -> Iterator[tuple[str, Array]]:
    yield "The sign is wrong: the shift is added, so it must be minus the mean.", mean
    yield ("That shift is for batch * exp(log_scale) + shift. Here the shift comes first, then the "
           "scale.", -mean / deviation)
    yield from _of_other_axes(batch, lambda b, axes: -b.mean(axis=axes))


def _mistakes_of_log_scale(batch: Array, deviation: Array) -> Iterator[tuple[str, Array]]:
    count = batch[..., 0].size
    sample = deviation * np.sqrt(count / (count - 1))
    yield ("The sign is wrong: a channel that spreads far must be made smaller, so its log-scale "
           "is negative.", np.log(deviation))
    yield "That is the scale. Its logarithm was asked for.", 1 / deviation
    yield ("That uses the sample standard deviation, which divides by the count minus 1 (ddof=1). "
           "The batch itself is to have standard deviation 1: divide by the count.",
           -np.log(sample))
    yield ("That is the logarithm of the variance. Half of it is that of the standard deviation.",
           -2 * np.log(deviation))
    yield from _of_other_axes(batch, lambda b, axes: -np.log(b.std(axis=axes)))


def _of_other_axes(batch: Array, statistic: Callable[[Array, Any], Array]
                   ) -> Iterator[tuple[str, Array]]:
    whole = np.asarray(statistic(batch, None))
    yield "That is one number for all channels: keep the last axis.", whole
    yield ("That is the same number for all channels: keep the last axis.",
           np.full(batch.shape[-1], whole))
    yield ("That keeps the images apart. One number for each channel serves all images: average "
           "over the axes 0, 1 and 2.", statistic(batch, (1, 2)))
    yield ("That is over the first axis alone, for each pixel. Average over the axes 0, 1 and 2.",
           statistic(batch, 0))


exercise = Exercise(TASK, _judge, start)
