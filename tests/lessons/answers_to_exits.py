"""Lesson 8's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.lessons.exits import exercise


def by_glow(z, shape):
    coarse, fine = Glow(shape, 2, 0, dtype=np.float64).split_latents(z)
    return coarse, fine


def by_loops(z, shape):
    h, w, c = shape
    coarse = np.empty((h // 4, w // 4, 8 * c))
    fine = np.empty((h // 2, w // 2, 2 * c))
    for k, number in enumerate(z):
        i, j, channel = np.unravel_index(k, (h // 4, w // 4, 16 * c))
        if channel < 8 * c:
            coarse[i, j, channel] = number
        else:
            of, a, b = np.unravel_index(channel - 8 * c, (2 * c, 2, 2))
            fine[2 * i + a, 2 * j + b, of] = number
    return [coarse.tolist(), fine]


def changed(coarse=lambda whole, half: whole[..., :half], fine=None, split=("c", "a", "b")):
    """The solution with another coarse part, or another way to undo the squeeze."""
    def two_scales(z, shape):
        h, w, c = shape
        whole = z.reshape(h // 4, w // 4, 16 * c)
        sizes = {"c": 2 * c, "a": 2, "b": 2}
        tiles = whole[..., 8 * c:].reshape(h // 4, w // 4, *(sizes[s] for s in split))
        axes = [2 + split.index(s) for s in "abc"]
        moved = tiles.transpose(0, axes[0], 1, axes[1], axes[2])
        unsqueezed = moved.reshape(h // 2, w // 2, 2 * c)
        return coarse(whole, 8 * c), unsqueezed if fine is None else fine(whole[..., 8 * c:], shape)
    return two_scales


def contiguous(z, shape):
    h, w, c = shape
    half = z.size // 2
    return z[:half].reshape(h // 4, w // 4, 8 * c), z[half:].reshape(h // 2, w // 2, 2 * c)


RIGHT_ANSWERS = [exercise.solution, by_glow, by_loops]
WRONG_ANSWERS = {
    "cuts z into two ranges, as the example in TFP's documentation": contiguous,
    "These are the last 8C channels": changed(coarse=lambda whole, half: whole[..., half:]),
    "These are every second channel": changed(coarse=lambda whole, half: whole[..., ::2]),
    "a reshape alone does not undo a squeeze": changed(
        fine=lambda part, shape: part.reshape(shape[0] // 2, shape[1] // 2, 2 * shape[2])),
    "undoes space_to_depth": changed(split=("a", "b", "c")),
    "Rows and columns of each tile are swapped": changed(split=("c", "b", "a")),
    "fine has the shape (1, 2, 8); it should be (2, 4, 2). They are still squeezed": changed(
        fine=lambda part, shape: part),
    "The two are exchanged": lambda z, shape: changed()(z, shape)[::-1],
    "two_scales is to return (coarse, fine)": lambda z, shape: z,
}
