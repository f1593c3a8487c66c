"""Gradients of the mean log-probability that differ, and what they are instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array
from refglow.validation.diagnosis.closeness import relative_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.searching import Deadline, TimeOverError

_CONDITION = 1e4  # of a gradient: sums over images and pixels that cancel
_ROUNDINGS = 64

Gradients = dict[str, Array]
# (gradient, gradient of the prior's part alone, batch size) -> what is given instead, of everything
INSTEAD: dict[str, Callable[[Array, Array, int], Array]] = {
    "mean": lambda bar, prior, batch: bar,
    "sum over the batch": lambda bar, prior, batch: bar * batch,
    "twice": lambda bar, prior, batch: 2 * bar,
    "of the loss": lambda bar, prior, batch: -bar,
    "of the summed loss": lambda bar, prior, batch: -bar * batch,
    "without the log-det": lambda bar, prior, batch: prior,
    "zero": lambda bar, prior, batch: np.zeros_like(bar),
}
# gradient -> what is given instead, of one kind of parameter
OF_ONE_KIND: dict[str, Callable[[Array], Array]] = {
    "minus": lambda bar: -bar,
    "zero": np.zeros_like,
    "twice": lambda bar: 2 * bar,
    "half": lambda bar: bar / 2,
    "three times": lambda bar: 3 * bar,
    "a third of": lambda bar: bar / 3,
    "transposed": lambda bar: bar.T if bar.ndim == 2 else bar,
    "strictly lower part": lambda bar: np.tril(bar, -1) if bar.ndim == 2 else bar,
    "upper part": lambda bar: np.triu(bar) if bar.ndim == 2 else bar,
    "rotated by 180 degrees": lambda bar: bar[::-1, ::-1] if bar.ndim == 4 else bar,
    "height and width exchanged": lambda bar: np.swapaxes(bar, 0, 1) if bar.ndim == 4 else bar,
}


def gradients(glow: Glow, images: Array, deadline: Deadline,
              with_log_det: bool = True) -> Gradients:
    """The gradient of mean log p in every parameter and, as "x", in the images, by hand.

    Args:
      glow: in float64.
      images: [B, H, W, C].
      deadline: looked at before each image.
      with_log_det: whether log p has its log-det.

    Raises:
      TimeOverError: if the time is over.
    """
    total: Gradients = {}
    x_bars, batch = [], len(images)
    for image in images:
        deadline.check()
        (z, _), pullback = glow.inverse_vjp(image[None])
        x_bar, bars = pullback(-z / batch, np.full(1, float(with_log_det) / batch))
        x_bars.append(x_bar)
        for name, bar in bars.items():
            total[name] = total[name] + bar if name in total else bar
    return {**total, "x": np.concatenate(x_bars)}


def search_gradients(glow: Glow, images: Array, seen: Mapping[str, Array],
                     explained: Explained, deadline: Deadline) -> None:
    """Find what explains gradients that differ; adds to `explained`.

    Args:
      glow: in float64, with the implementation's values (if those differ, nothing is searched).
      images: [B, H, W, C], float64.
      seen: gradients by refglow's names.
      explained: what is known.
      deadline: when to stop.

    Raises:
      TimeOverError: if the time is over before anything can be said.
    """
    whole = gradients(glow, images, deadline)
    names = [name for name in seen if name in whole]
    if not names:
        return
    eps = float(np.finfo(explained.number_type(seen[names[0]])).eps)
    limit = min(explained.limit(seen[names[0]], _ROUNDINGS, _CONDITION),
                math.sqrt(explained.widened(eps)))

    def seen_error(name: str, value: Array) -> float:
        return relative_error(np.asarray(seen[name], np.float64), value)
    before = {name: seen_error(name, whole[name]) for name in names}
    bad = [name for name in names if not before[name] <= limit]
    if not bad:
        return
    worst = max(before[name] for name in bad)
    try:
        prior = gradients(glow, images, deadline, with_log_det=False)
    except TimeOverError:
        explained.add(Finding("gradients", bad[0], {}, error_before=worst, explained=len(bad)))
        raise

    def error(name: str, instead: str) -> float:
        return seen_error(name, INSTEAD[instead](whole[name], prior[name], len(images)))
    kinds = sorted({_kind(name) for name in bad})

    def error_of_one_kind(name: str, instead: str) -> float:
        return seen_error(name, OF_ONE_KIND[instead](whole[name]))
    of_all = [instead for instead in INSTEAD if all(error(name, instead) <= limit
                                                    for name in names)]
    of_kind = [instead for instead in OF_ONE_KIND if len(kinds) == 1 and all(
        error_of_one_kind(name, instead) <= limit for name in names if _kind(name) in kinds)]
    fitting = [*of_all, *(f"{instead}, by {kinds[0]}" for instead in of_kind)]
    explained.add(Finding(
        "gradients", bad[0], {"gradient": fitting[0]} if fitting else {},
        tuple({"gradient": instead} for instead in fitting[1:]),
        worst, limit if fitting else float("nan"), len(bad)))


def _kind(name: str) -> str:
    """What a parameter is: "log_scale", "kernel", "x"."""
    return name.rpartition(".")[2]
