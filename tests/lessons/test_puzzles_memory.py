"""Puzzles 6 to 8, traffic: right numbers by too many sectors, bytes or passes are told so."""

import pytest
from numba import cuda, float32
from wrong_kernels import accepted, changed, rejected

from refglow.kernels.cuda.vector_access import load_vector, store_vector
from refglow.lessons.puzzles import STRIDED_SHIFT, TRANSPOSE, VECTOR_SHIFT

# ---- 6 ----


def by_pieces(x, t, y):
    piece = (x.size + cuda.gridsize(1) - 1) // cuda.gridsize(1)
    first = cuda.grid(1) * piece
    for i in range(first, min(first + piece, x.size)):
        y[i] = x[i] + t[i]


def once_only(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] + t[i]


def by_the_block_too_far(x, t, y):
    i = cuda.grid(1)
    while i <= x.size:
        y[i] = x[i] + t[i]
        i += cuda.gridsize(1)


def by_pairs(x, t, y):
    for first in range(2 * cuda.grid(1), x.size, 2 * cuda.gridsize(1)):
        for i in range(first, min(first + 2, x.size)):
            y[i] = x[i] + t[i]


def every_thread_all(x, t, y):
    for i in range(x.size):
        y[i] = x[i] + t[i]


@pytest.mark.parametrize(("kernel", "hint"), [
    (by_pieces, "touches 16.0 sectors"), (by_pairs, "touches 8.0 sectors"),
    (once_only, "96 of the 128 elements of y are never"),
    (by_the_block_too_far, "x[128], outside"), (every_thread_all, "Race"),
    (changed(STRIDED_SHIFT, "x[i] + t", "x[i] - t"), "x - t, the inverse")])
def test_strided_shift(kernel, hint):
    rejected(STRIDED_SHIFT, kernel, hint)


def by_rounds(x, t, y):
    for first in range(0, x.size, cuda.gridsize(1)):
        if first + cuda.grid(1) < x.size:
            y[first + cuda.grid(1)] = x[first + cuda.grid(1)] + t[first + cuda.grid(1)]


def test_strided_shift_another_way():
    accepted(STRIDED_SHIFT, by_rounds)


# ---- 7 ----


def one_by_one(x, t, y):
    i = 4 * cuda.grid(1)
    if i < x.size:
        for lane in range(4):
            y[i + lane] = x[i + lane] + t[i + lane]


def misaligned(x, t, y):
    numbers = cuda.local.array(4, float32)
    i = cuda.grid(1)
    if i < x.size:
        load_vector(x, i, numbers, 0)
        store_vector(y, i, numbers, 0)


def without_guard(x, t, y):
    numbers = cuda.local.array(4, float32)
    load_vector(x, 4 * cuda.grid(1), numbers, 0)
    store_vector(y, 4 * cuda.grid(1), numbers, 0)


def shift_forgotten(x, t, y):
    numbers = cuda.local.array(4, float32)
    i = 4 * cuda.grid(1)
    if i < x.size:
        load_vector(x, i, numbers, 0)
        store_vector(y, i, numbers, 0)


def vectors_read_only(x, t, y):
    numbers = cuda.local.array(4, float32)
    shifts = cuda.local.array(4, float32)
    i = 4 * cuda.grid(1)
    if i < x.size:
        load_vector(x, i, numbers, 0)
        load_vector(t, i, shifts, 0)
        for lane in range(4):
            y[i + lane] = numbers[lane] + shifts[lane]


@pytest.mark.parametrize(("kernel", "hint"), [
    (one_by_one, "x is read 4 bytes at a time"), (misaligned, "a multiple of 4 numbers"),
    (without_guard, "x[20:24], outside"), (shift_forgotten, "x alone"),
    (vectors_read_only, "y is written 4 bytes at a time")])
def test_vector_shift(kernel, hint):
    rejected(VECTOR_SHIFT, kernel, hint)


# ---- 8 ----


def conflicting(x, y):
    tile = cuda.shared.array((32, 32), float32)
    first = 32 * cuda.blockIdx.x
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    if first + row < x.shape[0]:
        tile[row, column] = x[first + row, column]
    cuda.syncthreads()
    if first + column < x.shape[0]:
        y[row, first + column] = tile[column, row]


def without_tile(x, y):
    p, c = 32 * cuda.blockIdx.x + cuda.threadIdx.x, cuda.threadIdx.y
    if p < x.shape[0]:
        y[c, p] = x[p, c]


def without_barrier(x, y):
    tile = cuda.shared.array((32, 33), float32)
    first = 32 * cuda.blockIdx.x
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    if first + row < x.shape[0]:
        tile[row, column] = x[first + row, column]
    if first + column < x.shape[0]:
        y[row, first + column] = tile[column, row]


def one_guard_missing(x, y):
    tile = cuda.shared.array((32, 33), float32)
    first = 32 * cuda.blockIdx.x
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    tile[row, column] = x[first + row, column]
    cuda.syncthreads()
    if first + column < x.shape[0]:
        y[row, first + column] = tile[column, row]


def not_moved(x, y):
    p = 32 * cuda.blockIdx.x + cuda.threadIdx.y
    if p < x.shape[0]:
        i = 32 * p + cuda.threadIdx.x
        y[i // y.shape[1], i % y.shape[1]] = x[p, cuda.threadIdx.x]


@pytest.mark.parametrize(("kernel", "hint"), [
    (conflicting, "up to 32 passes"), (without_tile, "touches 32.0 sectors"),
    (not_moved, "where they were"), (without_barrier, "Race in shared memory"),
    (one_guard_missing, "outside of its 3 x 32")])
def test_transpose(kernel, hint):
    rejected(TRANSPOSE, kernel, hint)
