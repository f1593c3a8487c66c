"""Lesson 2, the log-det of a matrix: an exercise in finding it by elimination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.lessons.comparison import require_close
from refglow.lessons.exercise import Exercise

TASK = """Write `log_abs_det(a)`, which returns `log|det a|` of an invertible square matrix. Use
elimination, with nothing from `np.linalg`. Think of three things: a zero may stand where you want
to divide, the determinant may be negative, and it may be too large for a floating-point number."""


def log_abs_det(a: Array) -> float:
    """Make zeros below the diagonal, column by column; add up the logs of what stands on it."""
    work, total = np.array(a, dtype=float), 0.0
    for k in range(len(work)):
        pivot = k + int(np.argmax(np.abs(work[k:, k])))
        work[[k, pivot]] = work[[pivot, k]]           # det P = -1: |det| stays
        total += np.log(np.abs(work[k, k]))
        factors = work[k + 1:, k] / work[k, k]
        work[k + 1:] -= np.outer(factors, work[k])    # det L = 1
    return float(total)


def _judge(answer: Callable[..., Any]) -> str:
    for name, a in _cases():
        _, right = np.linalg.slogdet(a)
        before = a.copy()
        require_close("log_abs_det", answer(a), right, given=name, mistakes=dict(_mistakes(a)))
        require_close("a after the call", a, before, given=name, mistakes={
            "Work on a copy: whoever called still needs the matrix.": a})
    return "It agrees with np.linalg.slogdet, with zeros to divide by and up to 300 x 300."


def _cases() -> Iterator[tuple[str, Array]]:
    yield "a = [[2, 1], [1, 3]]", np.array([[2.0, 1.0], [1.0, 3.0]])
    rng = np.random.default_rng(2)
    for n in (3, 6, 7, 8):
        a = rng.normal(size=(n, n))
        yield f"a random {n} x {n} matrix of determinant {np.linalg.det(a):.3g}", a
    for rows in ([[1, 2], [3, 4]], [[0, -2], [3, 1]], [[-1, -2, -3], [2, 4, 1], [1, 1, 1]]):
        yield f"a = {rows}", np.array(rows, dtype=float)
    yield "a random 300 x 300 matrix", 10 * rng.normal(size=(300, 300))


def _mistakes(a: Array) -> Iterator[tuple[str, float]]:
    with np.errstate(all="ignore"):
        det = float(np.linalg.det(a))
        yield ("That is the sum over the diagonal of a as it is. Eliminate first: only of a "
               "triangular matrix is the determinant the product of the diagonal.",
               float(np.log(np.abs(np.diagonal(a))).sum()))
    if np.isfinite(det):
        yield "That is the determinant. Its logarithm was asked for.", det
    if np.isinf(det):
        yield ("The product overflowed: it is larger than any float64. Add logarithms instead.",
               np.inf)
    if _meets_a_zero(a):
        yield ("A zero stood where you divide. Bring up a row from below in which no zero stands; "
               "the number largest in absolute value is the best choice (partial pivoting).",
               np.nan)
    yield ("Something negative has no logarithm: the determinant, or a number on the diagonal. "
           "Take absolute values first.", np.nan)


def _meets_a_zero(a: Array) -> bool:
    """Whether elimination without exchanges of rows comes to a zero where it divides."""
    work = a.copy()
    for k in range(len(work)):
        if work[k, k] == 0:
            return True
        work[k + 1:] -= np.outer(work[k + 1:, k] / work[k, k], work[k])
    return False


exercise = Exercise(TASK, _judge, log_abs_det)
