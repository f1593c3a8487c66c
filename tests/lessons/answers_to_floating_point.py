"""Lesson 12's exercise: answers that are right, and wrong ones by what they are told."""

import math

import numpy as np

from refglow import elementary
from refglow.lessons.floating_point import exercise


def by_cases(x):
    return [-math.log1p(math.exp(-v)) if v > 0 else v - math.log1p(math.exp(v)) for v in x]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


RIGHT_ANSWERS = [exercise.solution, elementary.log_sigmoid,
                 lambda x: -np.logaddexp(0, -x), by_cases]
WRONG_ANSWERS = {
    "Something overflowed": lambda x: np.log(sigmoid(x)),
    "e^710 is more than a float64 holds": lambda x: -np.log1p(np.exp(-x)),
    "1 + e^-40 is 1 in float64": lambda x: np.where(x < -30, x, -np.log(1 + np.exp(-x))),
    "The logarithm of a number near 1": lambda x: np.where(
        x < 0, x - np.log1p(np.exp(np.minimum(x, 0))), np.where(
            x > 36, -np.exp(-np.abs(x)), np.log(sigmoid(np.abs(x))))),
    "The digits are those of float32": lambda x: elementary.log_sigmoid(x.astype(np.float32)),
    "The sign is wrong": lambda x: np.logaddexp(0, -x),
    "further away than rounding": lambda x: elementary.log_sigmoid(x + 2),
    "That is further": lambda x: elementary.log_sigmoid(x) * (1 + 2.0**-49),
    "has the shape ()": lambda x: elementary.log_sigmoid(x).sum(),
    "is a `return` missing?": lambda x: None,
}
