"""Lesson 8, exits and the multi-scale latent: an exercise in finding the scales in a vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.bijectors.glow_shapes import blockwise_splits_of
from refglow.bijectors.latents import split_latents
from refglow.dtypes import Array
from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import Exercise
from refglow.lessons.squeeze import unsqueeze

TASK = """Write `two_scales(z, image_shape)` for the latent vector of one image [H, W, C] from a
Glow of two blocks, of which half of the channels exit after the first. z has H W C numbers. Return
`(coarse, fine)`: what went through both blocks, [H/4, W/4, 8C], and what exited after the first,
at the resolution at which it exited, [H/2, W/2, 2C]."""

Shape = tuple[int, int, int]


def two_scales(z: Array, image_shape: Shape) -> tuple[Array, Array]:
    """The coarse tensor first; its last half of channels is the fine scale, squeezed."""
    h, w, c = image_shape
    whole = z.reshape(h // 4, w // 4, 16 * c)
    coarse, squeezed = whole[..., :8 * c], whole[..., 8 * c:]
    tiles = squeezed.reshape(h // 4, w // 4, 2 * c, 2, 2)  # [h, w, c, a, b]
    return coarse, tiles.transpose(0, 3, 1, 4, 2).reshape(h // 2, w // 2, 2 * c)


def _judge(answer: Callable[..., Any]) -> str:
    for z, shape in _cases():
        coarse, fine = require_parts("two_scales", answer(z.copy(), shape), ("coarse", "fine"))
        splits = blockwise_splits_of(shape, 2, None)
        right = split_latents(z, shape, splits)
        given = (f"z = np.arange({z.size}.0)" if z[0] == 0 else "a random z") + (
            f" and image_shape = {shape}")
        require_close("coarse", coarse, right[0], given=given, mistakes=_coarse_mistakes(z, shape))
        require_close("fine", fine, right[1], given=given, mistakes=_fine_mistakes(z, shape))
    return "It finds both scales, for images of any shape."


def _cases() -> Iterator[tuple[Array, Shape]]:
    yield np.arange(32.0), (4, 8, 1)
    rng = np.random.default_rng(8)
    for _ in range(4):
        h, w, c = (int(n) for n in rng.integers(1, 4, size=3))
        yield rng.normal(size=16 * h * (w + h) * c), (4 * h, 4 * (w + h), c)


_CONTIGUOUS = (
    "That cuts z into two ranges, as the example in TFP's documentation does. The scales are "
    "interleaved: every coarse pixel holds a share of each. Reshape first, then cut the channels.")


def _coarse_mistakes(z: Array, shape: Shape) -> dict[str, Array]:
    h, w, c = shape
    size = (h // 4, w // 4, 8 * c)
    whole = z.reshape(h // 4, w // 4, 16 * c)
    return {
        _CONTIGUOUS: z[:z.size // 2].reshape(size),
        "These are the last 8C channels; what went through both blocks comes first.":
            whole[..., 8 * c:],
        "The two are exchanged: coarse comes first.": split_latents(
            z, shape, blockwise_splits_of(shape, 2, None))[1],
        "These are every second channel; the two scales lie in halves of the channels.":
            whole[..., ::2]}


def _fine_mistakes(z: Array, shape: Shape) -> dict[str, Array]:
    h, w, c = shape
    size = (h // 2, w // 2, 2 * c)
    squeezed = z.reshape(h // 4, w // 4, 16 * c)[..., 8 * c:]
    by_tile = squeezed.reshape(h // 4, w // 4, 2, 2, 2 * c).transpose(0, 2, 1, 3, 4)
    return {
        _CONTIGUOUS: z[z.size // 2:].reshape(size),
        "The channels are right, but a reshape alone does not undo a squeeze: tiles are torn "
        "apart (lesson 4).": squeezed.reshape(size),
        "They are still squeezed: undo the squeeze that took them along.": squeezed,
        "Rows and columns of each tile are swapped (lesson 4).": unsqueeze(
            squeezed.swapaxes(0, 1), 2).swapaxes(0, 1),
        "That undoes space_to_depth, k = (a n + b) C + c; Glow's squeeze is k = (c n + a) n + b "
        "(lesson 4).": by_tile.reshape(size)}


exercise = Exercise(TASK, _judge, two_scales)
