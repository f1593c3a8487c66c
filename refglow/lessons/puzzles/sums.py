"""Puzzles 11 and 12: many threads, one number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, float32

from refglow.bijectors.activation_normalization import (
    activation_normalization_inverse,
    activation_normalization_inverse_vjp,
)
from refglow.bijectors.coupling import exp_coupling_forward
from refglow.dtypes import Array
from refglow.lessons.puzzles.case import Case, Mistake, a_thread_for_each, blank, drawn
from refglow.lessons.puzzles.puzzle import Puzzle
from refglow.lessons.puzzles.recording import ATOMIC, READ, Recording

THREADS = 16

# ---- 11: a tree in shared memory --------------------------------------------------------------


def log_det(r: Any, fldj: Any) -> None:
    """fldj[n] = sum of r[n, :] + 2, a block of 16 threads for each example."""
    parts = cuda.shared.array(16, float32)
    example, thread = cuda.blockIdx.x, cuda.threadIdx.x
    parts[thread] = 0
    if thread < r.shape[1]:
        parts[thread] = r[example, thread] + 2
    cuda.syncthreads()
    half = 8
    while half > 0:
        if thread < half:
            parts[thread] += parts[thread + half]
        cuda.syncthreads()
        half //= 2
    if thread == 0:
        fldj[example] = parts[0]


def _log_det_case(output: Array) -> Case:
    mapped = output.shape[2] // 2
    x = np.zeros((*output.shape[:2], 2 * mapped), np.float32)
    fldj = exp_coupling_forward(x, output, mapped)[1].astype(np.float32)
    r = np.ascontiguousarray(output[..., :mapped]).reshape(len(output), -1)
    return Case({"r": r, "fldj": blank(len(r))}, {"fldj": fldj}, (len(r), 1, 1), (THREADS, 1, 1))


def _log_det_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_log_det_case(drawn(rng, *sizes)) for sizes in ((1, 8, 4), (3, 1, 2), (2, 3, 8))]


def as_a_tree(recording: Recording) -> str | None:
    """Whether one thread adds more numbers than a tree has levels, or they come in any order."""
    if len(recording.of_kinds(ATOMIC).table):
        return ("But atomic additions come in whatever order the threads do, and with it the "
                "roundings of the sum may change from run to run. A tree's order is fixed.")
    most = _most_of_a_thread(recording.of("r").elements())
    if most > 1:
        return (f"But one thread reads {most} numbers of r, one after the other, while others "
                "wait. Let each thread put one number in shared memory, and add up there.")
    most = _most_of_a_thread(recording.of_shared_memory().of_kinds(READ).elements())
    levels = int(math.log2(THREADS))
    if most > 2 * levels + 1:
        return (f"But one thread reads {most} numbers of shared memory, one after the other, while "
                f"others wait. Halve the threads at each step: {levels} steps, two reads in each.")
    return None


def _most_of_a_thread(rows: Recording) -> int:
    """How many rows the thread with the most of them has."""
    return int(np.bincount(rows.threads, minlength=1).max())


_TINY_OUTPUT = np.concatenate([np.arange(20, dtype=np.float32).reshape(2, 5, 2) - 2,
                               np.zeros((2, 5, 2), np.float32)], axis=2)

LOG_DET = Puzzle(
    name="log_det", idea="A sum over a block: a tree in shared memory, with barriers.",
    task="`fldj[n]` is the sum over k of `r[n, k] + 2`, the log-det of an exp coupling. A block "
         "of 16 threads adds up one example, which has at most 16 numbers. Each thread puts its "
         "number in shared memory (a 0 where there is none). Then the first 8 threads add the "
         "number 8 places on to their own, then 4 threads the number 4 places on, then 2, then "
         "1. `cuda.syncthreads()` waits until all threads of the block have come to it.",
    specification=exp_coupling_forward,
    stub="def log_det(r, fldj):\n    parts = cuda.shared.array(16, float32)\n"
         "    example, thread = cuda.blockIdx.x, cuda.threadIdx.x\n    ...",
    tiny=_log_det_case(_TINY_OUTPUT), cases=_log_det_cases, solution=log_det,
    mistakes=(
        Mistake("The 2 of r + 2 is missing.", lambda r, fldj: {"fldj": r.sum(axis=1)}),
        Mistake("The 2 was added for threads that have no number, too.",
                lambda r, fldj: {"fldj": r.sum(axis=1) + 2 * THREADS}),
        Mistake("The sign is that of the inverse's log-det.",
                lambda r, fldj: {"fldj": -(r + 2).sum(axis=1)})),
    limits=(as_a_tree,))

# ---- 12: the derivative of a broadcast --------------------------------------------------------


def shift_bar(z_bar: Any, v: Any, m_bar: Any) -> None:
    """m_bar[c] += z_bar[p, c] exp(v[c]), over all pixels."""
    i = cuda.grid(1)
    if i < z_bar.size:
        c = i % z_bar.shape[1]
        cuda.atomic.add(m_bar, c, z_bar[i // z_bar.shape[1], c] * math.exp(v[c]))


def _shift_bar_case(z_bar: Array, v: Array) -> Case:
    z = activation_normalization_inverse(z_bar, 0 * v, v)[0]
    m_bar = activation_normalization_inverse_vjp(z, 0 * v, v, z_bar, np.zeros((), np.float32))[1]
    return Case({"z_bar": z_bar, "v": v, "m_bar": np.zeros_like(v)}, {"m_bar": m_bar},
                *a_thread_for_each(z_bar.size, THREADS))


def _shift_bar_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_shift_bar_case(np.abs(drawn(rng, pixels, channels)), drawn(rng, channels))
            for pixels, channels in ((1, 1), (16, 2), (9, 5))]


SHIFT_BAR = Puzzle(
    name="shift_bar", idea="The derivative of a broadcast is a sum: many threads, one address.",
    task="ActNorm adds `m[c]` in every pixel, `z = (x + m) exp(v)`. So the cotangent of `m[c]` "
         "is the sum over the pixels p of `z_bar[p, c] exp(v[c])`. m_bar holds zeros. `m_bar[c] "
         "+= ...` is two accesses, a read and a write, and other threads come between them; "
         "`cuda.atomic.add(array, index, value)` is one.",
    specification=activation_normalization_inverse_vjp,
    stub="def shift_bar(z_bar, v, m_bar):\n    i = cuda.grid(1)\n    ...",
    tiny=_shift_bar_case(np.arange(20, dtype=np.float32).reshape(10, 2),
                         np.log([1, 2]).astype(np.float32)),
    cases=_shift_bar_cases, solution=shift_bar,
    mistakes=(
        Mistake("The factor exp(v) is missing.",
                lambda z_bar, v, m_bar: {"m_bar": z_bar.sum(axis=0)}),
        Mistake("That divides by exp(v).",
                lambda z_bar, v, m_bar: {"m_bar": z_bar.sum(axis=0) / np.exp(v)}),
        Mistake("The sign is that of the forward direction.",
                lambda z_bar, v, m_bar: {"m_bar": -z_bar.sum(axis=0) * np.exp(v)})))
