"""Lesson 2's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np
import scipy.linalg

from refglow.lessons.log_det import exercise


def by_scipy(a):
    factors, _ = scipy.linalg.lu_factor(a)
    return np.log(np.abs(np.diagonal(factors))).sum()


def by_reflections(a):
    return np.log(np.abs(np.diagonal(np.linalg.qr(a).R))).sum()


def diagonal_of_u(a, pivoting=True):
    work = np.array(a, dtype=float)
    for k in range(len(work)):
        if pivoting:
            rows = [k, k + np.argmax(np.abs(work[k:, k]))]
            work[rows] = work[rows[::-1]]
        work[k + 1:] -= np.outer(work[k + 1:, k] / work[k, k], work[k])
    return np.diagonal(work)


def by_the_largest_with_its_sign(a):
    """Of 0 and -1 it takes 0."""
    work = np.array(a, dtype=float)
    for k in range(len(work)):
        rows = [k, k + np.argmax(work[k:, k])]
        work[rows] = work[rows[::-1]]
        work[k + 1:] -= np.outer(work[k + 1:, k] / work[k, k], work[k])
    return np.log(np.abs(np.diagonal(work))).sum()


def in_place(a):
    a[:] = scipy.linalg.lu(a)[2]
    return np.log(np.abs(np.diagonal(a))).sum()


RIGHT_ANSWERS = [exercise.solution, by_scipy, by_reflections]
WRONG_ANSWERS = {
    "Eliminate first": lambda a: np.log(np.abs(np.diagonal(a))).sum(),
    "Its logarithm was asked for": lambda a: np.prod(diagonal_of_u(a)),
    "The product overflowed": lambda a: np.log(np.abs(np.prod(diagonal_of_u(a)))),
    "or a number on the diagonal. Take absolute values first":
        lambda a: np.log(diagonal_of_u(a)).sum(),
    "Take absolute values first": lambda a: np.log(np.linalg.det(a)),
    "partial pivoting": lambda a: np.log(np.abs(diagonal_of_u(a, pivoting=False))).sum(),
    "largest in absolute value": by_the_largest_with_its_sign,
    "Work on a copy": in_place,
}
