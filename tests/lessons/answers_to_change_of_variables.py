"""Lesson 1's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.lessons.change_of_variables import exercise


def by_the_ratio(y, log_p, inverse, slope):
    x = inverse(y)
    return np.log(np.exp(log_p(x)) / abs(slope(x)))


def by_the_slope_of_the_inverse(y, log_p, inverse, slope):
    return [log_p(inverse(v)) + np.log(np.abs(inverse(v + 1e-30j).imag / 1e-30)) for v in y]


RIGHT_ANSWERS = [exercise.solution, by_the_ratio, by_the_slope_of_the_inverse]
WRONG_ANSWERS = {
    "the stretching is missing": lambda y, p, inverse, f: p(inverse(y)),
    "The sign of the log-det": lambda y, p, inverse, f: p(inverse(y)) + np.log(abs(f(inverse(y)))),
    "take |f'(x)|": lambda y, p, inverse, f: p(inverse(y)) - np.log(f(inverse(y))),
    "The slope was taken at y": lambda y, p, inverse, f: p(inverse(y)) - np.log(abs(f(y))),
    "log_p was called with y": lambda y, p, inverse, f: p(y) - np.log(abs(f(inverse(y)))),
    "not its logarithm": lambda y, p, inverse, f: p(inverse(y)) - abs(f(inverse(y))),
    "That is the density.": lambda y, p, inverse, f: np.exp(p(inverse(y))) / abs(f(inverse(y))),
    "has the shape (); it should be (5,)": lambda y, p, inverse, f: p(inverse(y)).sum(),
}
