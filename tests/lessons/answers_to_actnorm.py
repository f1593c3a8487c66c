"""Lesson 3's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.lessons.actnorm import exercise

PIXELS = (0, 1, 2)


def by_the_layer(batch):
    layer = ActivationNormalization(batch.shape[-1], np.float64)
    layer.initialize(batch)
    return layer.shift.numpy(), layer.log_scale.numpy()


def by_loops(batch):
    columns = batch.reshape(-1, batch.shape[-1]).T
    means = [sum(c) / len(c) for c in columns]
    variances = [sum((c - m) ** 2) / len(c) for c, m in zip(columns, means, strict=True)]
    return [-m for m in means], [-0.5 * np.log(v) for v in variances]


def with_shift(shift):
    return lambda batch: (shift(batch), -np.log(batch.std(axis=PIXELS)))


def with_log_scale(log_scale):
    return lambda batch: (-batch.mean(axis=PIXELS), log_scale(batch))


RIGHT_ANSWERS = [exercise.solution, by_the_layer, by_loops]
WRONG_ANSWERS = {
    "it must be minus the mean": with_shift(lambda b: b.mean(axis=PIXELS)),
    "Here the shift comes first": with_shift(lambda b: -b.mean(axis=PIXELS) / b.std(axis=PIXELS)),
    "must be made smaller": with_log_scale(lambda b: np.log(b.std(axis=PIXELS))),
    "That is the scale": with_log_scale(lambda b: 1 / b.std(axis=PIXELS)),
    "(ddof=1)": with_log_scale(lambda b: -np.log(b.std(axis=PIXELS, ddof=1))),
    "the logarithm of the variance": with_log_scale(lambda b: -np.log(b.var(axis=PIXELS))),
    "one number for all channels": with_log_scale(lambda b: -np.log(b.std())),
    "the same number for all channels": with_shift(lambda b: np.full(b.shape[-1], -b.mean())),
    "keeps the images apart": with_shift(lambda b: -b.mean(axis=(1, 2))),
    "over the first axis alone": with_shift(lambda b: -b.mean(axis=0)),
    "shift[1] is -10; it should be -15": with_shift(lambda b: -np.median(b, axis=PIXELS)),
    "to return (shift, log_scale)": lambda b: -b.mean(axis=PIXELS),
}
