"""Puzzles 6 to 8: the same numbers, moved with less traffic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, float32

from refglow.bijectors.shift import shift_forward
from refglow.bijectors.transpose import transpose_forward
from refglow.dtypes import Array
from refglow.kernels.cuda.launch_shape import ceil_div
from refglow.kernels.cuda.vector_access import load_vector, store_vector
from refglow.lessons.puzzles.case import Case, Mistake, a_thread_for_each, blank, drawn
from refglow.lessons.puzzles.puzzle import Puzzle
from refglow.lessons.puzzles.recording import READ, WRITE, Recording
from refglow.lessons.puzzles.traffic import global_traffic, shared_traffic

FULL = 4.0  # sectors of 32 bytes that 32 neighbouring float32 numbers lie in


def coalesced(recording: Recording) -> str | None:
    """Whether a request touches more sectors than 32 neighbouring numbers lie in."""
    for kind, verb in ((READ, "reading"), (WRITE, "writing")):
        for name, traffic in global_traffic(recording, kind).items():
            # Those who move 16 bytes at once have more to ask for in a request.
            if traffic.sectors_per_request > max(FULL, traffic.ideal_sectors / traffic.requests):
                return (f"But a request {verb} {name} touches {traffic.sectors_per_request:.1f} "
                        f"sectors, and the 4-byte numbers of 32 threads fit in {FULL:.0f}: let "
                        "neighbouring threads touch neighbouring numbers.")
    return None


# ---- 6: coalescing ----------------------------------------------------------------------------


def strided_shift(x: Any, t: Any, y: Any) -> None:
    """y = x + t, with fewer threads than numbers."""
    i = cuda.grid(1)
    while i < x.size:
        y[i] = x[i] + t[i]
        i += cuda.gridsize(1)


def _strided_case(x: Array, t: Array) -> Case:
    return Case({"x": x, "t": t, "y": blank(x.size)}, {"y": shift_forward(x, t)[0]},
                (1, 1, 1), (32, 1, 1))


def _strided_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_strided_case(drawn(rng, size), drawn(rng, size)) for size in (7, 96, 250)]


STRIDED_SHIFT = Puzzle(
    name="strided_shift", idea="Coalescing: neighbouring threads, neighbouring addresses.",
    task="`y = x + t` again, but there are only 32 threads, one warp, for several times as many "
         "numbers. The kernel below is right: thread i takes a piece of neighbouring numbers. "
         "But at each step the 32 threads touch numbers that lie far apart, each in a sector of "
         "its own. Share the numbers out so that a step of the warp touches 32 neighbours. "
         "`cuda.gridsize(1)` is the number of threads.",
    specification=shift_forward,
    stub="def strided_shift(x, t, y):\n    piece = (x.size + cuda.gridsize(1) - 1) // "
         "cuda.gridsize(1)\n    first = cuda.grid(1) * piece\n"
         "    for i in range(first, min(first + piece, x.size)):\n        y[i] = x[i] + t[i]",
    tiny=_strided_case(np.arange(128, dtype=np.float32), np.full(128, 1000, np.float32)),
    cases=_strided_cases, solution=strided_shift,
    mistakes=(Mistake("That is x - t, the inverse.", lambda x, t, y: {"y": x - t}),),
    limits=(coalesced,))

# ---- 7: 16 bytes at once ----------------------------------------------------------------------


def vector_shift(x: Any, t: Any, y: Any) -> None:
    """y = x + t, four numbers for each thread."""
    numbers = cuda.local.array(4, float32)
    shifts = cuda.local.array(4, float32)
    i = 4 * cuda.grid(1)
    if i < x.size:
        load_vector(x, i, numbers, 0)
        load_vector(t, i, shifts, 0)
        for lane in range(4):
            numbers[lane] += shifts[lane]
        store_vector(y, i, numbers, 0)


def _vector_case(x: Array, t: Array) -> Case:
    return Case({"x": x, "t": t, "y": blank(x.size)}, {"y": shift_forward(x, t)[0]},
                *a_thread_for_each(x.size // 4, 32))


def _vector_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_vector_case(drawn(rng, size), drawn(rng, size)) for size in (4, 128, 244)]


def by_vectors(recording: Recording) -> str | None:
    """Whether threads move less than 16 bytes at once."""
    for kind, verb in ((READ, "read"), (WRITE, "written")):
        for name, traffic in global_traffic(recording, kind).items():
            mean = traffic.bytes_requested / traffic.threads
            if mean < 16:
                return f"But {name} is {verb} {mean:.0f} bytes at a time, not 16."
    return None


VECTOR_SHIFT = Puzzle(
    name="vector_shift", idea="16 bytes at once: a quarter of the requests.",
    task="`y = x + t` once more; thread k takes numbers 4 k to 4 k + 3. `load_vector(x, i, "
         "numbers, 0)` reads `x[i : i + 4]` in one access into a local array, `store_vector(y, "
         "i, numbers, 0)` writes it back (both from `refglow.kernels.cuda.vector_access`). i "
         "must be a multiple of 4. `x.size` is one too.",
    specification=shift_forward,
    stub="def vector_shift(x, t, y):\n    numbers = cuda.local.array(4, float32)\n    ...",
    tiny=_vector_case(np.arange(20, dtype=np.float32), np.full(20, 100, np.float32)),
    cases=_vector_cases, solution=vector_shift,
    mistakes=(Mistake("That is x alone.", lambda x, t, y: {"y": x}),), limits=(by_vectors,))

# ---- 8: a tile in shared memory, without bank conflicts -----------------------------------------


def transpose(x: Any, y: Any) -> None:
    """y[c, p] = x[p, c], 32 x 32 numbers for each block."""
    tile = cuda.shared.array((32, 33), float32)
    first = 32 * cuda.blockIdx.x
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    if first + row < x.shape[0]:
        tile[row, column] = x[first + row, column]
    cuda.syncthreads()
    if first + column < x.shape[0]:
        y[row, first + column] = tile[column, row]


def _transpose_case(x: Array) -> Case:
    return Case({"x": x, "y": blank(*x.shape[::-1])},
                {"y": np.ascontiguousarray(transpose_forward(x, (1, 0))[0])},
                (ceil_div(x.shape[0], 32), 1, 1), (32, 32, 1))


def _transpose_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_transpose_case(drawn(rng, pixels, 32)) for pixels in (3, 40)]


def without_conflicts(recording: Recording) -> str | None:
    """Whether threads of a warp want different words of one bank."""
    for kind, verb in ((WRITE, "writing"), (READ, "reading")):
        traffic = shared_traffic(recording, kind)
        if traffic.conflicts:
            return (f"But {verb} shared memory takes up to {traffic.worst_ways:.0f} passes instead "
                    "of one: the threads of a warp want numbers that are a multiple of 32 words "
                    "apart, and so in one bank. A row of 33 numbers puts them in different banks.")
    return None


TRANSPOSE = Puzzle(
    name="transpose", idea="Through shared memory: coalesced on both sides, no bank conflicts.",
    task="`y[c, p] = x[p, c]` for 32 channels, from channels-last to channels-first. "
         "Neighbouring threads cannot touch neighbours in both arrays: if they do in x, they are "
         "far apart in y. So a block of 32 x 32 threads copies 32 pixels into shared memory "
         "along the rows of x, waits, and copies them out along the rows of y. Block k has "
         "pixels 32 k to 32 k + 31, those that there are.",
    specification=transpose_forward,
    stub="def transpose(x, y):\n    tile = cuda.shared.array((32, 32), float32)\n"
         "    first = 32 * cuda.blockIdx.x\n"
         "    column, row = cuda.threadIdx.x, cuda.threadIdx.y\n    ...",
    tiny=_transpose_case(np.arange(1024, dtype=np.float32).reshape(32, 32)),
    cases=_transpose_cases, solution=transpose,
    mistakes=(Mistake("The numbers are where they were: x as it lies in memory.",
                      lambda x, y: {"y": x.reshape(y.shape)}),),
    limits=(coalesced, without_conflicts))
