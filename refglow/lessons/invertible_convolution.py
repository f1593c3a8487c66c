"""Lesson 5, the invertible 1x1 convolution: an exercise in its packed factors and its log-det."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.bijectors.scale_matvec_lu import scale_matvec_lu_forward
from refglow.dtypes import Array
from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import Exercise

TASK = """Write `convolve(x, lower_upper, p)` for an image `x` of shape `[H, W, C]`. It returns
`(y, fldj)`: at every pixel `y = W x` with `W = P L U`, and the log-det of the whole image, one
number. `lower_upper` holds `U` on and above the diagonal and `L` below it, without its ones; row
`i` of `L U` is row `p[i]` of `W`."""


def convolve(x: Array, lower_upper: Array, p: Array) -> tuple[Array, float]:
    """Unpack the factors, put the rows where they belong, multiply every pixel's channels."""
    height, width, channels = x.shape
    lower = np.tril(lower_upper, -1) + np.eye(channels)
    matrix = np.empty_like(lower)
    matrix[p] = lower @ np.triu(lower_upper)
    log_det = np.log(np.abs(np.diagonal(lower_upper))).sum()
    return x @ matrix.T, height * width * log_det


def _judge(answer: Callable[..., Any]) -> str:
    for given, x, lower_upper, p in _cases():
        y, fldj = require_parts("convolve", answer(x.copy(), lower_upper.copy(), p.copy()),
                                ("y", "fldj"))
        right, per_pixel = scale_matvec_lu_forward(x, lower_upper, p)
        require_close("y", y, right, given=given, mistakes=dict(_mistakes_of_y(x, lower_upper, p)))
        require_close("fldj", fldj, x[..., 0].size * per_pixel, given=given,
                      mistakes=dict(_mistakes_of_log_det(x, lower_upper)))
    return "It unpacks P, L and U, and counts every pixel's log-det."


def _cases() -> Iterator[tuple[str, Array, Array, Array]]:
    """The permutations are not their own inverses: with those the wrong way passes, too."""
    x = np.arange(1.0, 19.0).reshape(2, 3, 3)
    lower_upper = np.array([[2.0, 1.0, 0.0], [0.5, -1.0, 1.0], [0.0, 0.25, 4.0]])
    yield ("x = np.arange(1.0, 19.0).reshape(2, 3, 3), lower_upper = [[2, 1, 0], [0.5, -1, 1], [0, "
           "0.25, 4]] and p = [2, 0, 1]", x, lower_upper, np.array([2, 0, 1]))
    rng = np.random.default_rng(5)
    for height, width, channels in ((3, 2, 4), (2, 5, 3), (1, 4, 6)):
        p = np.arange(channels)
        while (p[p] == np.arange(channels)).all():
            p = rng.permutation(channels)
        yield (f"a random image of shape ({height}, {width}, {channels}) and p = {p.tolist()}",
               rng.normal(size=(height, width, channels)),
               rng.normal(size=(channels, channels)), p)


def _mistakes_of_y(x: Array, lower_upper: Array, p: Array) -> Iterator[tuple[str, Array]]:
    eye, back = np.eye(len(p)), np.argsort(p)
    lower, upper = np.tril(lower_upper, -1) + eye, np.triu(lower_upper)
    matrix = (lower @ upper)[back]
    yield ("The rows are permuted the wrong way round: (L U)[p] puts row p[i] in place i. Row i is "
           "to go to place p[i]: W[p] = L U.", x @ (lower @ upper)[p].T)
    yield "P is missing: that multiplies by L U.", x @ (lower @ upper).T
    yield ("W is transposed: x @ W multiplies the channels, as a row, from the left. W x for all "
           "pixels at once is x @ W.T.", x @ matrix)
    yield ("The ones of L are missing: they are not stored, so add the identity.",
           x @ (np.tril(lower_upper, -1) @ upper)[back].T)
    yield ("L has U's diagonal: np.tril(lower_upper) includes it. Take np.tril(lower_upper, -1) "
           "and add the identity.", x @ (np.tril(lower_upper) @ upper)[back].T)
    yield ("L and U are in the wrong order.", x @ (upper @ lower)[back].T)
    yield ("The columns were permuted, that is L U P. P moves the rows of L U.",
           x @ (lower @ upper)[:, back].T)
    yield ("lower_upper was multiplied by as it is. It holds two matrices: unpack them.",
           x @ lower_upper.T)


def _mistakes_of_log_det(x: Array, lower_upper: Array) -> Iterator[tuple[str, Array]]:
    height, width, _ = x.shape
    diagonal = np.diagonal(lower_upper)
    log_det = np.log(np.abs(diagonal)).sum()
    yield ("That is the log-det of one pixel. All H W pixels are stretched: multiply by H W.",
           log_det)
    yield "That counts the batch or the rows only: multiply by H W.", height * log_det
    yield "That counts the columns only: multiply by H W.", width * log_det
    yield "The sign is wrong: this is the forward direction.", -height * width * log_det
    with np.errstate(all="ignore"):
        yield ("U's diagonal has negative numbers, which have no logarithm: take |U_ii|.",
               height * width * np.log(diagonal).sum())
    yield "U's diagonal was added up, not its logarithms.", height * width * diagonal.sum()
    yield ("One value for each pixel was returned: add them up.",
           np.full((height, width), log_det))


exercise = Exercise(TASK, _judge, convolve)
