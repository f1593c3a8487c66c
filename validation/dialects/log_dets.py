"""Log-determinants, log-densities and bits per dimension, as they are added up.

A layer's log-det is a sum over its elements; a model's the sum over layers; the density adds the
latents' log-density. Every factor and sign on the way has been left out by somebody.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from refglow.dtypes import Array

# (log s, s, r), each [B, h, w, n] -> the coupling's log-det of each element
COUPLING_LOG_DETS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "sum log s": lambda log_s, s, r: log_s,
    "sum s": lambda log_s, s, r: s,
    "sum r": lambda log_s, s, r: r,
    "sum log(s + 0.01)": lambda log_s, s, r: np.log(s + 0.01),
    "mean over channels of log s": lambda log_s, s, r: log_s / log_s.shape[-1],
    "mean log s": lambda log_s, s, r: log_s / log_s[0].size,
    "H W times sum log s": lambda log_s, s, r: log_s.shape[1] * log_s.shape[2] * log_s,
}

# (how many pixels the layer has, how many the image has) -> by how many a kind of layer's log-det
# of one pixel is multiplied, where that is not the first
PIXELS: dict[str, dict[str, Callable[[int, int], int]]] = {
    "all": {},
    "conv not times H W": {"conv": lambda here, image: 1},
    "actnorm not times H W": {"actnorm": lambda here, image: 1},
    "actnorm and conv not times H W": {"actnorm": lambda here, image: 1,
                                       "conv": lambda here, image: 1},
    "conv times the image's H W": {"conv": lambda here, image: image},
    "actnorm times the image's H W": {"actnorm": lambda here, image: image},
    "conv times the finest scale's H W": {"conv": lambda here, image: image // 4},
    "actnorm times the finest scale's H W": {"actnorm": lambda here, image: image // 4},
    "conv not times H W at the finest scale": {
        "conv": lambda here, image: 1 if here == image // 4 else here},
    "actnorm not times H W at the finest scale": {
        "actnorm": lambda here, image: 1 if here == image // 4 else here},
}

# What a kind of layer contributes to the total, as a factor of its log-det.
TERMS = {"added": 1.0, "left out": 0.0, "subtracted": -1.0, "twice": 2.0}

# (log-det in nats, number of dimensions) -> as it is given
UNITS: dict[str, Callable[[Array, int], Array]] = {
    "nats": lambda log_det, size: log_det,
    "bits": lambda log_det, size: log_det / math.log(2),
    "powers of ten": lambda log_det, size: log_det / math.log(10),
    "per dimension": lambda log_det, size: log_det / size,
}

SIGNS = {"positive": 1.0, "negative": -1.0}

BATCHES: dict[str, Callable[[Array], Array]] = {
    "each": lambda log_det: log_det,
    "mean": lambda log_det: np.full_like(log_det, log_det.mean()),
    "sum": lambda log_det: np.full_like(log_det, log_det.sum()),
}

# A density of the coarsest scale's latents alone: another |z|^2 and number of dimensions.
ONLY_COARSEST = "of the coarsest latents only"
# (|z|^2, log-det, number of dimensions) -> log p(x)
DENSITIES: dict[str, Callable[[Array, Array, int], Array]] = {
    "normal": lambda square, log_det, size: (
        -square / 2 - size * math.log(2 * math.pi) / 2 + log_det),
    "without log 2 pi": lambda square, log_det, size: -square / 2 + log_det,
    "without 1/2 of the square": lambda square, log_det, size: (
        -square - size * math.log(2 * math.pi) / 2 + log_det),
    "without both 1/2": lambda square, log_det, size: (
        -square - size * math.log(2 * math.pi) + log_det),
    "log-det subtracted": lambda square, log_det, size: (
        -square / 2 - size * math.log(2 * math.pi) / 2 - log_det),
    "without log-det": lambda square, log_det, size: (
        -square / 2 - size * math.log(2 * math.pi) / 2),
    "log 2 pi once": lambda square, log_det, size: (
        -square / 2 - math.log(2 * math.pi) / 2 + log_det),
    "negative": lambda square, log_det, size: (
        square / 2 + size * math.log(2 * math.pi) / 2 - log_det),
}

# (log p in nats, D, number of pixels) -> bits per dimension; images of 8 bits in [-0.5, 0.5)
BITS_PER_DIM: dict[str, Callable[[Array, int, int], Array]] = {
    "-log p / (D ln 2) + 8": lambda log_p, size, pixels: -log_p / (size * math.log(2)) + 8,
    "without + 8": lambda log_p, size, pixels: -log_p / (size * math.log(2)),
    "in nats": lambda log_p, size, pixels: -log_p / size + 8,
    "in nats throughout": lambda log_p, size, pixels: -log_p / size + 8 * math.log(2),
    "per pixel": lambda log_p, size, pixels: -log_p / (pixels * math.log(2)) + 8,
    "log p / (D ln 2) + 8": lambda log_p, size, pixels: log_p / (size * math.log(2)) + 8,
    "- 8": lambda log_p, size, pixels: -log_p / (size * math.log(2)) - 8,
    "+ log2 255": lambda log_p, size, pixels: (
        -log_p / (size * math.log(2)) + math.log2(255)),
}
