"""Gradients of the mean log-probability that differ, and what they are instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array
from refglow.validation.diagnosis.closeness import relative_error, tolerance
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.layer_search import Explained

_CONDITION = 1e4  # of a gradient: sums over images and pixels that cancel
_ROUNDINGS = 64

Gradients = dict[str, Array]
# (gradient, gradient of the prior's part alone, batch size) -> what is given instead
INSTEAD: dict[str, Callable[[Array, Array, int], Array]] = {
    "mean": lambda bar, prior, batch: bar,
    "sum over the batch": lambda bar, prior, batch: bar * batch,
    "of the loss": lambda bar, prior, batch: -bar,
    "of the summed loss": lambda bar, prior, batch: -bar * batch,
    "without the log-det": lambda bar, prior, batch: prior,
    "zero": lambda bar, prior, batch: np.zeros_like(bar),
}


def gradients(glow: Glow, images: Array, with_log_det: bool = True) -> Gradients:
    """The gradient of mean log p in every parameter and, as "x", in the images, by hand.

    Args:
      glow: in float64.
      images: [B, H, W, C].
      with_log_det: whether log p has its log-det.
    """
    (z, _), pullback = glow.inverse_vjp(images)
    batch = len(images)
    x_bar, bars = pullback(-z / batch, np.full(batch, float(with_log_det) / batch))
    return {**bars, "x": x_bar}


def search_gradients(glow: Glow, images: Array, seen: Mapping[str, Array],
                     explained: Explained) -> None:
    """Find what explains gradients that differ; adds to `explained`.

    Args:
      glow: in float64, with the implementation's values (if those differ, nothing is searched).
      images: [B, H, W, C], float64.
      seen: gradients by refglow's names.
      explained: what is known.
    """
    whole, prior = gradients(glow, images), gradients(glow, images, with_log_det=False)
    names = [name for name in seen if name in whole]
    if not names:
        return
    eps_type = np.dtype(seen[names[0]].dtype)
    limit = explained.widened(tolerance(eps_type, _ROUNDINGS, _CONDITION))
    limit = min(limit, math.sqrt(explained.widened(float(np.finfo(eps_type).eps))))

    def error(name: str, instead: str) -> float:
        value = INSTEAD[instead](whole[name], prior[name], len(images))
        return relative_error(np.asarray(seen[name], np.float64), value)
    bad = [name for name in names if not error(name, "mean") <= limit]
    if not bad:
        return
    fitting = [instead for instead in INSTEAD if all(error(name, instead) <= limit
                                                     for name in bad)]
    before = max(error(name, "mean") for name in bad)
    explained.add(Finding(
        "gradients", bad[0], {"gradient": fitting[0]} if fitting else {},
        tuple({"gradient": instead} for instead in fitting[1:]), before,
        max(error(name, fitting[0]) for name in bad) if fitting else float("nan"), len(bad)))
