"""Lesson 4, the squeeze: an exercise on its way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.bijectors.expand import expand_forward
from refglow.dtypes import Array
from refglow.lessons.comparison import require_close
from refglow.lessons.exercise import Exercise

TASK = """Write `unsqueeze(x, n)`, the way back: it takes `x` of shape `[h, w, k]` and returns the
image `y` of shape `[h n, w n, k / n^2]`, so that squeezing `y` gives `x` again. Start from the
formula, with loops or with `reshape` and `transpose`."""


def unsqueeze(x: Array, n: int) -> Array:
    """Split the channel number into (c, a, b), move a beside h and b beside w, and join them."""
    h, w, k = x.shape
    tiles = x.reshape(h, w, k // n**2, n, n)  # [h, w, c, a, b]
    rows = tiles.transpose(0, 3, 1, 4, 2)     # [h, a, w, b, c]
    return rows.reshape(h * n, w * n, k // n**2)


def _judge(answer: Callable[..., Any]) -> str:
    for x, n in _cases():
        require_close("y", answer(x.copy(), n), expand_forward(x, n)[0],
                      given=f"x = {_in_words(x)} and n = {n}", mistakes=dict(_mistakes(x, n)))
    return "It puts every number back, for tiles of 2 x 2 and 3 x 3 and images of any shape."


def _in_words(x: Array) -> str:
    numbered = x.size == x.max() + 1
    return (f"np.arange({x.size}).reshape{x.shape}" if numbered
            else f"random numbers of shape {x.shape}")


def _cases() -> Iterator[tuple[Array, int]]:
    """Small and numbered, so that a mistake can be followed by hand; then of random shapes."""
    yield np.arange(16.0).reshape(1, 2, 8), 2
    rng = np.random.default_rng(4)
    for n in (2, 3, 2, 1):
        h, w, c = rng.integers(1, 5, size=3)
        yield rng.normal(size=(h, w + h, (c + 1) * n**2)), n


def _mistakes(x: Array, n: int) -> Iterator[tuple[str, Array]]:
    h, w, k = x.shape
    shape = (h * n, w * n, k // n**2)
    orders = {
        "That is a reshape alone: it keeps the order in memory, in which a whole row of the image "
        "comes before the next, so tiles are torn apart.": ((h, w, -1), (0, 1, 2)),
        "Rows and columns of each tile are swapped: in k = (c n + a) n + b the row a counts "
        "slower than the column b.": ((h, w, -1, n, n), (0, 4, 1, 3, 2)),
        "That is the order of space_to_depth, k = (a n + b) C + c. Glow keeps the n^2 numbers of "
        "one image channel together: k = (c n + a) n + b.": ((h, w, n, n, -1), (0, 2, 1, 3, 4)),
        "These are the squeeze's own axes, (0, 2, 4, 1, 3). The way back needs the inverse "
        "permutation, np.argsort of these.": ((h, w, -1, n, n), (0, 2, 4, 1, 3)),
    }
    for words, (split, axes) in orders.items():
        yield words, x.reshape(split).transpose(axes).reshape(shape)


exercise = Exercise(TASK, _judge, unsqueeze)
