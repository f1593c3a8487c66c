"""Lesson 12, floating point: an exercise in keeping the digits of a log-scale."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.lessons.comparison import as_array
from refglow.lessons.exercise import Exercise, WrongAnswerError

TASK = """Write `log_sigmoid(x)`, the logarithm of 1 / (1 + e^-x), for float64 numbers x [N] between
-1000 and 700. Every number is to be right to 4 ulps: at most four steps from one float64 to the
next. A log-det is a sum of thousands of these."""

_ULPS = 4.0
_DIGITS = 400  # e^-700 added to 1, with 60 digits left
_GIVEN_SIZES = (-1000.0, -745.2, -709.9, -40.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 2.0, 10.0, 36.0, 37.0,
                40.0, 100.0, 700.0)


def log_sigmoid(x: Array) -> Array:
    """min(x, 0) - log(1 + e^-|x|): nothing overflows, and nothing cancels."""
    return np.asarray(np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))))


def _judge(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(12)
    x = np.array([*_GIVEN_SIZES, *rng.uniform(-1000, 700, 20), *rng.uniform(-5, 45, 40)])
    truth = true_log_sigmoid(x)
    found = as_array("log_sigmoid", answer(x.copy()))
    if found.shape != x.shape:
        raise WrongAnswerError(f"log_sigmoid(x) has the shape {found.shape}; it should be "
                               f"{x.shape}, that of x.")
    errors = np.abs(found - truth) / np.spacing(np.abs(truth))
    wrong = ~(errors <= _ULPS)
    if wrong.any():
        worst = int(np.argmax(np.where(np.isnan(errors), np.inf, errors)))
        raise WrongAnswerError(
            f"At x = {x[worst]:.6g} it is {found[worst]:.17g}; the truth is {truth[worst]:.17g}. "
            + _why(found, x, wrong))
    return (f"The largest of {x.size} errors is {errors.max():.1f} ulps. The truth is from "
            f"arithmetic of {_DIGITS} digits.")


def true_log_sigmoid(x: Array) -> Array:
    """The logarithm of 1 / (1 + e^-x), computed with many digits and rounded once.

    Args:
        x: [N], float64.
    """
    with localcontext(prec=_DIGITS):
        return np.array([float(-(1 + (-Decimal(float(v))).exp()).ln()) for v in x])


def _why(found: Array, x: Array, wrong: Array) -> str:
    """The likely mistake, by where the answer is wrong."""
    if not np.isfinite(found).all():
        return "Something overflowed or its logarithm was of 0: e^710 is more than a float64 holds."
    if np.array_equal(np.sign(found), np.ones_like(found)):
        return "The sign is wrong: a sigmoid is below 1, so its logarithm is negative."
    if np.array_equal(found, np.float32(found)):
        return "The digits are those of float32."
    if not found[x > 40].any() and wrong[x > 40].all():
        return ("1 + e^-40 is 1 in float64, and its logarithm 0: for a large x all digits of the "
                "result are in the small number. See np.log1p.")
    if wrong[(x > 0) & (x < 40)].any() and not wrong[x < -40].any():
        return ("The logarithm of a number near 1 shows only the digits that its distance from 1 "
                "has left after rounding.")
    return "That is further away than rounding."


exercise = Exercise(TASK, _judge, log_sigmoid)
