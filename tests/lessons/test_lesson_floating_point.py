"""Lesson 12's exercise: which answers it takes, and what it says to the others."""

import math

import numpy as np
import pytest

from refglow import elementary
from refglow.lessons.floating_point import exercise, true_log_sigmoid


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
    "has the shape ()": lambda x: elementary.log_sigmoid(x).sum(),
    "is a `return` missing?": lambda x: None,
}


def test_the_truth_is_that_of_mpmath():
    mpmath = pytest.importorskip("mpmath", reason="the truth is held against mpmath's")
    x = np.array([-1000.0, -3.25, 0.0, 2.0, 37.0, 700.0])
    with mpmath.workdps(700):
        expected = [float(-mpmath.log(1 + mpmath.exp(-mpmath.mpf(v)))) for v in x]
    assert true_log_sigmoid(x).tolist() == expected


@pytest.mark.parametrize("answer", RIGHT_ANSWERS)
def test_right_answers_are_accepted(answer):
    verdict = exercise.check(answer)
    assert verdict.right, verdict


@pytest.mark.parametrize("words", WRONG_ANSWERS)
def test_wrong_answers_are_told_what_is_wrong(words):
    verdict = exercise.check(WRONG_ANSWERS[words])
    assert not verdict.right and words in verdict.message, verdict
