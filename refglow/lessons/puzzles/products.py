"""Puzzles 13 and 14: the 1x1 convolution, a matrix times each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, float32

from refglow.bijectors.scale_matvec_lu import lu_reconstruct, scale_matvec_lu_forward
from refglow.dtypes import Array
from refglow.kernels.cuda.launch_shape import ceil_div
from refglow.lessons.puzzles.case import Case, Mistake, blank, drawn
from refglow.lessons.puzzles.puzzle import Puzzle
from refglow.lessons.puzzles.recording import Recording
from refglow.lessons.puzzles.traffic import reads_of_block

CHANNELS = 4
PIXELS_OF_BLOCK = 8


def convolution(x: Any, w: Any, y: Any) -> None:
    """y[p, o] = sum_i w[o, i] x[p, i]."""
    o, p = cuda.grid(2)
    if p < x.shape[0]:
        total = float32(0)
        for i in range(x.shape[1]):
            total += w[o, i] * x[p, i]
        y[p, o] = total


def shared_convolution(x: Any, w: Any, y: Any) -> None:
    """y[p, o] = sum_i w[o, i] x[p, i], the matrix read once by each block."""
    matrix = cuda.shared.array((4, 4), float32)
    o, p = cuda.grid(2)
    if cuda.threadIdx.y < 4:
        matrix[cuda.threadIdx.y, o] = w[cuda.threadIdx.y, o]
    cuda.syncthreads()
    if p < x.shape[0]:
        total = float32(0)
        for i in range(4):
            total += matrix[o, i] * x[p, i]
        y[p, o] = total


def _case(x: Array, lower_upper: Array, permutation: Array) -> Case:
    w = lu_reconstruct(lower_upper, permutation).astype(np.float32)
    return Case({"x": x, "w": w, "y": blank(*x.shape)},
                {"y": scale_matvec_lu_forward(x, lower_upper, permutation)[0]},
                (1, ceil_div(len(x), PIXELS_OF_BLOCK), 1), (CHANNELS, PIXELS_OF_BLOCK, 1))


def _cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_case(drawn(rng, pixels, CHANNELS), drawn(rng, CHANNELS, CHANNELS),
                  rng.permutation(CHANNELS)) for pixels in (1, 16, 21)]


# L = [[1, 0, ..], [1, 1, ..], ..], U = the identity with 10 above its diagonal, rows turned by one.
_TINY = _case(np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 2, 3, 4]], np.float32),
              np.eye(4, dtype=np.float32) + np.tri(4, k=-1, dtype=np.float32)
              + 10 * np.eye(4, k=1, dtype=np.float32), np.array([1, 2, 3, 0]))
_MISTAKES = (
    Mistake("The matrix is transposed: y[p, o] is the sum over i of w[o, i] x[p, i].",
            lambda x, w, y: {"y": x @ w}),
    Mistake("That takes the diagonal of the matrix alone.",
            lambda x, w, y: {"y": x * np.diag(w)}),
    Mistake("The last channel is left out of the sum.",
            lambda x, w, y: {"y": x[:, :-1] @ w[:, :-1].T}),
    Mistake("That is the last term of the sum alone.",
            lambda x, w, y: {"y": x[:, -1:] * w[:, -1]}))


def matrix_read_once(recording: Recording) -> str | None:
    """Whether a block reads the matrix more than once."""
    reads = reads_of_block(recording, "w")
    if reads > CHANNELS**2:
        return (f"But a block reads {reads} numbers of w from global memory, and w has "
                f"{CHANNELS**2}: let 16 threads copy it into shared memory once.")
    return None


CONVOLUTION = Puzzle(
    name="convolution", idea="A loop in each thread: a row of the matrix times a pixel.",
    task="`y[p, o]` is the sum over i of `w[o, i] x[p, i]`, for every pixel p and channel o. The "
         "grid's first dimension counts output channels and has just as many threads, its second "
         "counts pixels. Add up in a variable of the thread, `float32(0)` at first.",
    specification=scale_matvec_lu_forward,
    stub="def convolution(x, w, y):\n    o, p = cuda.grid(2)\n    ...",
    tiny=_TINY, cases=_cases, solution=convolution, mistakes=_MISTAKES)

SHARED_CONVOLUTION = Puzzle(
    name="shared_convolution", idea="What a whole block needs is read once, and shared.",
    task="The same product, of 4 channels, but a block (4 x 8 threads) may read each number of w "
         "only once from global memory. Copy w into shared memory, wait, then multiply. The "
         "barrier must be reached by every thread, also by those that have no pixel.",
    specification=scale_matvec_lu_forward,
    stub="def shared_convolution(x, w, y):\n    matrix = cuda.shared.array((4, 4), float32)\n"
         "    o, p = cuda.grid(2)\n    ...",
    tiny=_TINY, cases=_cases, solution=shared_convolution, mistakes=_MISTAKES,
    limits=(matrix_read_once,))
