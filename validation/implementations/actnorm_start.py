"""ActNorms started from a batch: their parameters, and how exact these can be asked to be."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.validation.implementations.active_layers import ActiveLayer
from refglow.validation.implementations.model import Arrays


def started_from(glow: Glow, x: Array) -> Arrays:
    """ActNorms' parameters after a start from x; the model's own are put back."""
    before = glow.state_dict()
    if not any(name.endswith(".actnorm.shift") for name in before):
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # constant channels
            glow.initialize(x)
        return {f"initialize/{name}": value.astype(np.float64)
                for name, value in glow.state_dict().items()
                if name.endswith((".actnorm.shift", ".actnorm.log_scale"))}
    finally:
        glow.load_state_dict(before)


def conditions_of_start(layers: Sequence[ActiveLayer], started: Arrays,
                        moved: dict[str, float], roundings: int) -> dict[str, float]:
    """kappa of each parameter that was started, with what no move of the data shows.

    An ActNorm subtracts the mean. That rounding is alike in all pixels of a channel, and of the
    size of eps |mean| / sd in what it gives. Moves of the data do not show it where there are few
    pixels: two of them become 1 and -1 whatever they were. The ActNorms after it see it.

    Args:
      layers: from image to latent.
      started: the parameters after the start.
      moved: kappa by moves of the data.
      roundings: how many parts commit roundings in all. A tolerance counts as many of the size of
        kappa, at random; those of the subtraction are of one.
    """
    found, subtracted = {}, 1.0
    for layer in layers:
        shift, log_scale = (f"initialize/{layer.name}.{part}" for part in ("shift", "log_scale"))
        if shift in started:
            for name in (shift, log_scale):
                kappa = max(moved[name], subtracted / roundings**0.5)
                found[name] = kappa * _cancelled(name, started)
            means = np.abs(started[shift]) * np.exp(started[log_scale])
            subtracted = max(subtracted, float(means.max()))
    return found


def _cancelled(name: str, started: Arrays) -> float:
    """By what factor a channel's statistic is smaller than the numbers that it is the sum of.

    Roundings of single pixels average out in it when data is moved at random; those that all pixels
    share do not. A mean is a sum of numbers of the deviation's size; a log-scale moves by what the
    deviation moves relatively, which is relative to 1.
    """
    scale = np.exp(-started[name.rpartition(".")[0] + ".log_scale"])
    terms = float(scale.max()) if name.endswith(".shift") else 1.0
    return max(1.0, terms / (float(np.abs(started[name]).max()) or terms))
