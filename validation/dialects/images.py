"""What an implementation does to images before the first squeeze, and undoes after the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refglow.dtypes import Array


@dataclass(frozen=True)
class Reading:
    """A map of images [B, H, W, C], and back; no log-det is counted for it."""

    to_latent: Callable[[Array], Array]
    to_image: Callable[[Array], Array]


def _as_nchw(x: Array) -> Array:
    b, h, w, c = x.shape
    return np.moveaxis(x.reshape(b, c, h, w), 1, -1)


def _from_nchw(x: Array) -> Array:
    return np.moveaxis(x, -1, 1).reshape(x.shape)


READINGS: dict[str, Reading] = {
    "as given": Reading(lambda x: x, lambda x: x),
    "last channel first": Reading(lambda x: x[..., ::-1], lambda x: x[..., ::-1]),
    "[H, W, C] read as [C, H, W]": Reading(_as_nchw, _from_nchw),
    "height and width exchanged": Reading(lambda x: np.swapaxes(x, 1, 2),
                                          lambda x: np.swapaxes(x, 1, 2)),
    "upside down": Reading(lambda x: x[:, ::-1], lambda x: x[:, ::-1]),
    "minus 1/2": Reading(lambda x: x - 0.5, lambda x: x + 0.5),
    "plus 1/2": Reading(lambda x: x + 0.5, lambda x: x - 0.5),
    "times 256/255": Reading(lambda x: x * (256 / 255), lambda x: x * (255 / 256)),
    "times 255/256": Reading(lambda x: x * (255 / 256), lambda x: x * (256 / 255)),
    "divided by 255": Reading(lambda x: x / 255, lambda x: x * 255),
    "256 (x + 1/2)": Reading(lambda x: 256 * (x + 0.5), lambda x: x / 256 - 0.5),
}
