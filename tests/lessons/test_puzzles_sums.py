"""Puzzles 11 to 14, sums and products: barriers, races and reuse that typical answers get wrong."""

import math

import pytest
from numba import cuda, float32
from wrong_kernels import accepted, changed, rejected

from refglow.lessons.puzzles import CONVOLUTION, LOG_DET, SHARED_CONVOLUTION, SHIFT_BAR

# ---- 11 ----


def all_threads_add(r, fldj):
    parts = cuda.shared.array(32, float32)
    example, thread = cuda.blockIdx.x, cuda.threadIdx.x
    parts[thread] = r[example, thread] + 2 if thread < r.shape[1] else float32(0)
    parts[thread + 16] = 0
    cuda.syncthreads()
    half = 8
    while half > 0:
        parts[thread] += parts[thread + half]
        cuda.syncthreads()
        half //= 2
    if thread == 0:
        fldj[example] = parts[0]


def all_threads_write(r, fldj):
    parts = cuda.shared.array(16, float32)
    example, thread = cuda.blockIdx.x, cuda.threadIdx.x
    parts[thread] = r[example, thread] + 2 if thread < r.shape[1] else float32(0)
    cuda.syncthreads()
    total = float32(0)
    for k in range(16):
        total += parts[k]
    fldj[example] = total


def one_after_the_other(r, fldj):
    parts = cuda.shared.array(16, float32)
    example, thread = cuda.blockIdx.x, cuda.threadIdx.x
    parts[thread] = r[example, thread] + 2 if thread < r.shape[1] else float32(0)
    cuda.syncthreads()
    if thread == 0:
        total = float32(0)
        for k in range(16):
            total += parts[k]
        fldj[example] = total


def a_tree_of_one_level(r, fldj):
    parts = cuda.shared.array(16, float32)
    example, thread = cuda.blockIdx.x, cuda.threadIdx.x
    parts[thread] = r[example, thread] + 2 if thread < r.shape[1] else float32(0)
    cuda.syncthreads()
    if thread < 8:
        parts[thread] += parts[thread + 8]
    cuda.syncthreads()
    if thread == 0:
        total = float32(0)
        for k in range(8):
            total += parts[k]
        fldj[example] = total


def one_thread_alone(r, fldj):
    if cuda.threadIdx.x == 0:
        total = float32(0)
        for k in range(r.shape[1]):
            total += r[cuda.blockIdx.x, k] + 2
        fldj[cuda.blockIdx.x] = total


def by_atomics(r, fldj):
    total = cuda.shared.array(1, float32)
    example, thread = cuda.blockIdx.x, cuda.threadIdx.x
    if thread == 0:
        total[0] = 0
    cuda.syncthreads()
    if thread < r.shape[1]:
        cuda.atomic.add(total, 0, r[example, thread] + 2)
    cuda.syncthreads()
    if thread == 0:
        fldj[example] = total[0]


def without_guard(r, fldj):
    parts = cuda.shared.array(16, float32)
    parts[cuda.threadIdx.x] = r[cuda.blockIdx.x, cuda.threadIdx.x] + 2
    cuda.syncthreads()
    fldj[cuda.blockIdx.x] = parts[0]


@pytest.mark.parametrize(("kernel", "hint"), [
    (changed(LOG_DET, "cuda.syncthreads()\n    half = 8", "half = 8"), "Race in shared memory"),
    (changed(LOG_DET, "    cuda.syncthreads()\n        half",
             "        cuda.syncthreads()\n        half"), "Divergent barrier"),
    (all_threads_add, "Race in shared memory"), (all_threads_write, "Race in global memory"),
    (one_after_the_other, "one thread reads 16 numbers"),
    (a_tree_of_one_level, "one thread reads 10 numbers of shared memory"),
    (one_thread_alone, "one thread reads 10 numbers of r"), (by_atomics, "A tree's order is fixed"),
    (without_guard, "Out-of-bounds access"),
    (changed(LOG_DET, "parts[thread] = 0", "pass"), "which nobody has written"),
    (changed(LOG_DET, "parts[thread] = 0", "parts[thread] = 2"),
     "added for threads that have no number"),
    (changed(LOG_DET, "thread] + 2", "thread]"), "The 2 of r + 2 is missing"),
    (changed(LOG_DET, "= parts[0]", "= -parts[0]"), "The sign is that of the inverse's log-det")])
def test_log_det(kernel, hint):
    rejected(LOG_DET, kernel, hint)


# ---- 12 ----


@pytest.mark.parametrize(("kernel", "hint"), [
    (changed(SHIFT_BAR, "cuda.atomic.add(m_bar, c, ", "m_bar[c] += ("), "Race in global memory"),
    (changed(SHIFT_BAR, " * math.exp(v[c])", ""), "exp(v) is missing"),
    (changed(SHIFT_BAR, "* math", "/ math"), "divides by exp(v)"),
    (changed(SHIFT_BAR, "c, z_bar", "c, -z_bar"), "The sign is that of the forward direction"),
    (changed(SHIFT_BAR, "i < z_bar", "i <= z_bar"), "Out-of-bounds access")])
def test_shift_bar(kernel, hint):
    rejected(SHIFT_BAR, kernel, hint)


def a_thread_for_each_channel(z_bar, v, m_bar):
    c = cuda.grid(1)
    if c < m_bar.size:
        total = float32(0)
        for p in range(z_bar.shape[0]):
            total += z_bar[p, c]
        m_bar[c] = total * math.exp(v[c])


def test_shift_bar_another_way():
    accepted(SHIFT_BAR, a_thread_for_each_channel)


# ---- 13 and 14 ----


def never_cleared(x, w, y):
    o, p = cuda.grid(2)
    if p < x.shape[0]:
        for i in range(x.shape[1]):
            y[p, o] += w[o, i] * x[p, i]


def overwritten(x, w, y):
    o, p = cuda.grid(2)
    if p < x.shape[0]:
        for i in range(x.shape[1]):
            y[p, o] = w[o, i] * x[p, i]


def exchanged(x, w, y):
    p, o = cuda.grid(2)
    if p < x.shape[0] and o < x.shape[1]:
        total = float32(0)
        for i in range(x.shape[1]):
            total += w[o, i] * x[p, i]
        y[p, o] = total


def pixel_unguarded(x, w, y):
    o, p = cuda.grid(2)
    total = float32(0)
    for i in range(x.shape[1]):
        total += w[o, i] * x[p, i]
    y[p, o] = total


@pytest.mark.parametrize(("kernel", "hint"), [
    (changed(CONVOLUTION, "w[o, i] *", "w[i, o] *"), "The matrix is transposed"),
    (changed(CONVOLUTION, "range(x.shape[1])", "range(o, o + 1)"), "the diagonal of the matrix"),
    (changed(CONVOLUTION, "range(x.shape[1])", "range(x.shape[1] - 1)"),
     "The last channel is left out"),
    (never_cleared, "which nobody has written"),
    (overwritten, "the last term of the sum"), (exchanged, "never written"),
    (pixel_unguarded, "Out-of-bounds access")])
def test_convolution(kernel, hint):
    rejected(CONVOLUTION, kernel, hint)


def gone_before_the_barrier(x, w, y):
    matrix = cuda.shared.array((4, 4), float32)
    o, p = cuda.grid(2)
    if p >= x.shape[0]:
        return
    if cuda.threadIdx.y < 4:
        matrix[cuda.threadIdx.y, o] = w[cuda.threadIdx.y, o]
    cuda.syncthreads()
    total = float32(0)
    for i in range(4):
        total += matrix[o, i] * x[p, i]
    y[p, o] = total


def everyone_copies_a_row(x, w, y):
    matrix = cuda.shared.array((4, 4), float32)
    o, p = cuda.grid(2)
    for k in range(4):
        matrix[k, o] = w[k, o]
    cuda.syncthreads()
    if p < x.shape[0]:
        total = float32(0)
        for i in range(4):
            total += matrix[o, i] * x[p, i]
        y[p, o] = total


@pytest.mark.parametrize(("kernel", "hint"), [
    (changed(SHARED_CONVOLUTION, "    cuda.syncthreads()\n", ""), "Race in shared memory"),
    (gone_before_the_barrier, "Divergent barrier"),
    (everyone_copies_a_row, "Race in shared memory"),
    (CONVOLUTION.solution, "48 numbers of w")])
def test_shared_convolution(kernel, hint):
    rejected(SHARED_CONVOLUTION, kernel, hint)
