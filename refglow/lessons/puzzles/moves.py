"""Puzzles 4 and 5: numbers change their places, as squeeze and its inverse have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda

from refglow.bijectors.expand import expand_forward, expand_inverse
from refglow.dtypes import Array
from refglow.lessons.puzzles.case import Case, Mistake, a_thread_for_each, blank, drawn
from refglow.lessons.puzzles.puzzle import Puzzle

_SIZES = ((2, 2, 1), (4, 6, 2), (2, 8, 3))  # H, W, C of images
THREADS = 8


def _cut(image: Array, order: str) -> Array:
    """The squeeze with the parts of a channel's index in another order, such as "abc"."""
    h, w, c = image.shape
    tiles = image.reshape(h // 2, 2, w // 2, 2, c)
    axes = {"a": 1, "b": 3, "c": 4}
    return tiles.transpose(0, 2, *(axes[part] for part in order)).reshape(h // 2, w // 2, 4 * c)


def _joined(squeezed: Array, order: str) -> Array:
    """What undoes `_cut`."""
    h, w, k = squeezed.shape
    places = _cut(np.arange(h * w * k).reshape(2 * h, 2 * w, k // 4), order)
    image = np.empty(squeezed.size, np.float32)
    image[places.reshape(-1)] = squeezed.reshape(-1)
    return image.reshape(2 * h, 2 * w, k // 4)


# ---- 4: gather --------------------------------------------------------------------------------


def squeeze(image: Any, squeezed: Any) -> None:
    """squeezed[h, w, (2 c + a) 2 + b] = image[2 h + a, 2 w + b, c]."""
    i = cuda.grid(1)
    if i < squeezed.size:
        _, columns, depth = squeezed.shape
        k = i % depth
        w = i // depth % columns
        h = i // (depth * columns)
        c, a, b = k // 4, k // 2 % 2, k % 2
        squeezed[h, w, k] = image[2 * h + a, 2 * w + b, c]


def _squeeze_case(image: Array) -> Case:
    expected = expand_inverse(image, 2)[0]
    return Case({"image": image, "squeezed": blank(*expected.shape)}, {"squeezed": expected},
                *a_thread_for_each(image.size, THREADS))


def _squeeze_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_squeeze_case(drawn(rng, *sizes)) for sizes in _SIZES]


_TINY = np.arange(24, dtype=np.float32).reshape(2, 6, 2)

SQUEEZE = Puzzle(
    name="squeeze", idea="Gather: write in order, and work out where to read.",
    task="`squeezed[h, w, (2 c + a) 2 + b] = image[2 h + a, 2 w + b, c]` with blocks of 2 x 2 "
         "pixels. Thread i writes number i of squeezed, counted along its channels, then "
         "columns, then rows. Take i apart with `//` and `%`.",
    specification=expand_inverse,
    stub="def squeeze(image, squeezed):\n    i = cuda.grid(1)\n"
         "    if i < squeezed.size:\n        rows, columns, depth = squeezed.shape\n        ...",
    tiny=_squeeze_case(_TINY), cases=_squeeze_cases, solution=squeeze,
    mistakes=(
        Mistake("That is the squeeze with the pixel's place first, (2 a + b) C + c, as "
                "space_to_depth orders it.",
                lambda image, squeezed: {"squeezed": _cut(image, "abc")}),
        Mistake("a and b are exchanged: a is the row in the 2 x 2 block.",
                lambda image, squeezed: {"squeezed": _cut(image, "cba")}),
        Mistake("a and b are exchanged, and the pixel's place comes first.",
                lambda image, squeezed: {"squeezed": _cut(image, "bac")}),
        Mistake("The numbers are where they were: image as it lies in memory.",
                lambda image, squeezed: {"squeezed": image.reshape(squeezed.shape)})))

# ---- 5: scatter -------------------------------------------------------------------------------


def unsqueeze(squeezed: Any, image: Any) -> None:
    """image[2 h + a, 2 w + b, c] = squeezed[h, w, (2 c + a) 2 + b]."""
    i = cuda.grid(1)
    if i < squeezed.size:
        _, columns, depth = squeezed.shape
        k = i % depth
        w = i // depth % columns
        h = i // (depth * columns)
        c, a, b = k // 4, k // 2 % 2, k % 2
        image[2 * h + a, 2 * w + b, c] = squeezed[h, w, k]


def _unsqueeze_case(squeezed: Array) -> Case:
    expected = expand_forward(squeezed, 2)[0]
    return Case({"squeezed": squeezed, "image": blank(*expected.shape)}, {"image": expected},
                *a_thread_for_each(squeezed.size, THREADS))


def _unsqueeze_cases(rng: np.random.Generator) -> Sequence[Case]:
    return [_unsqueeze_case(drawn(rng, h // 2, w // 2, 4 * c)) for h, w, c in _SIZES]


UNSQUEEZE = Puzzle(
    name="unsqueeze", idea="Scatter: read in order, and work out where to write.",
    task="`image[2 h + a, 2 w + b, c] = squeezed[h, w, (2 c + a) 2 + b]`, which undoes puzzle 4. "
         "Thread i reads number i of squeezed. Every number of image must be written by one "
         "thread, and by one only.",
    specification=expand_forward,
    stub="def unsqueeze(squeezed, image):\n    i = cuda.grid(1)\n"
         "    if i < squeezed.size:\n        rows, columns, depth = squeezed.shape\n        ...",
    tiny=_unsqueeze_case(_TINY.reshape(1, 3, 8)), cases=_unsqueeze_cases, solution=unsqueeze,
    mistakes=(
        Mistake("That undoes a squeeze with the pixel's place first, as depth_to_space does.",
                lambda squeezed, image: {"image": _joined(squeezed, "abc")}),
        Mistake("a and b are exchanged: a is the row in the 2 x 2 block.",
                lambda squeezed, image: {"image": _joined(squeezed, "cba")}),
        Mistake("The numbers are where they were: squeezed as it lies in memory.",
                lambda squeezed, image: {"image": squeezed.reshape(image.shape)})))
