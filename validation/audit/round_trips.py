"""Data to latents and back, samples to images and back, in the model's own number type.

At every place the largest number is held against what data reach there; the first layer after which
samples are not finite, or reach absurdly further than data do, is where a failure begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.audit.walk import through
from refglow.validation.compare import difference
from refglow.validation.layers import Layer
from refglow.validation.tolerances import ABSURD_GROWTH, LATENTS_RECONSTRUCTED

NOT_FINITE, ABSURD, IMPOSSIBLE, LOST = "not finite", "absurd", "impossible", "lost"


@dataclass(frozen=True)
class Origin:
    """Where a failure begins.

    Attributes:
      layer: the number of the layer, towards the latent.
      to_latent: the direction in which it was gone through.
      what: NOT_FINITE, ABSURD, IMPOSSIBLE (a ValueError) or LOST (a round trip's digits).
      before, after: the sizes that show it: of the largest numbers on both sides of the layer, for
        LOST of the relative errors.
      data: what data reach after it.
    """

    layer: int
    to_latent: bool
    what: str
    before: float
    after: float
    data: float


@dataclass(frozen=True)
class Walk:
    """One way through the flow.

    Attributes:
      to_latent: its direction.
      largest: by place, the largest |number|; NaN for places that were not reached.
      places: by place, the values; None for those that were not reached.
      not_finite: the number of the first layer after which something is not finite, or None.
      lost: how many examples are not finite in the end.
      origin: where a failure begins, or None.
    """

    to_latent: bool
    largest: list[float]
    places: list[Any]
    not_finite: int | None
    lost: int
    origin: Origin | None


@dataclass(frozen=True)
class RoundTrip:
    """A way and its way back.

    Attributes:
      what: "data" or "samples".
      temperature: of samples; None for data.
      count: how many examples.
      out, back: the two walks; no `back` where `out` is not finite.
      error: how far the round trip ends from where it began; for data absolute, for samples
        relative to the largest latent; infinite if it does not arrive.
      limit: the largest error that passes.
      origin: where a failure begins, or None.
    """

    what: str
    temperature: float | None
    count: int
    out: Walk
    back: Walk | None
    error: float
    limit: float
    origin: Origin | None

    @property
    def name(self) -> str:
        """What to call it."""
        return "data" if self.temperature is None else f"samples, T = {self.temperature:g}"

    @property
    def passed(self) -> bool:
        """Whether everything is finite, nothing absurd, and the round trip arrives."""
        return self.out.origin is None and self.error <= self.limit

    def as_dict(self, layers: Sequence[Layer]) -> dict[str, Any]:
        """For JSON."""
        def walk(one: Walk | None) -> dict[str, Any] | None:
            return None if one is None else {
                "direction": "to latent" if one.to_latent else "to image",
                "largest": one.largest, "lost": one.lost,
                "first_not_finite": None if one.not_finite is None
                else layers[one.not_finite].name}
        return {"what": self.what, "temperature": self.temperature, "count": self.count,
                "out": walk(self.out), "back": walk(self.back), "error": self.error,
                "limit": self.limit, "passed": self.passed,
                "begins_at": None if self.origin is None else layers[self.origin.layer].name,
                "begins_as": None if self.origin is None else self.origin.what}


def data_round_trip(layers: Sequence[Layer], images: Array, reach: Sequence[float],
                    n_bits: int) -> RoundTrip:
    """Images to latents and back.

    Args:
      layers: the model's, in its own number type.
      images: [N, H, W, C].
      reach: by place, the largest |number| of data, as float64 has it.
      n_bits: of the levels; the images must come back to within the width 2^-n of one.
    """
    return _round_trip("data", None, layers, images, True, reach, 2.0**-n_bits)


def sample_round_trip(layers: Sequence[Layer], latents: Array, temperature: float,
                      reach: Sequence[float]) -> RoundTrip:
    """Latents to images and back.

    Args:
      layers, reach: as for `data_round_trip`.
      latents: [N, D], of that temperature.
      temperature: their standard deviation.
    """
    return _round_trip("samples", temperature, layers, latents, False, reach,
                       LATENTS_RECONSTRUCTED)


def _round_trip(what: str, temperature: float | None, layers: Sequence[Layer], start: Array,
                to_latent: bool, reach: Sequence[float], limit: float) -> RoundTrip:
    with np.errstate(all="ignore"):
        out = walked(layers, start, to_latent, reach)
        end = out.places[-1 if to_latent else 0]
        back, error, lost_at = None, np.inf, None
        if end is not None and not out.lost:
            back = walked(layers, end, not to_latent, reach)
            arrived = back.places[0 if to_latent else -1]
            if arrived is not None:
                found = difference(arrived, start).relative
                error = found * float(np.abs(start).max()) if what == "data" else found
            if error > limit:
                lost_at = _where_lost(out, back)
    origin = out.origin or lost_at or (back.origin if back and error > limit else None)
    return RoundTrip(what, temperature, len(start), out, back, error, limit, origin)


def walked(layers: Sequence[Layer], start: Array, to_latent: bool,
           reach: Sequence[float]) -> Walk:
    """A walk, as far as layers can compute.

    Args:
      layers: towards the latent.
      start: images or latents.
      to_latent: the direction.
      reach: by place, the largest |number| of data.
    """
    count = len(layers)
    places: list[Any] = [None] * (count + 1)
    largest = [float("nan")] * (count + 1)
    first, not_finite, origin, h = 0 if to_latent else count, None, None, start
    places[first], largest[first] = start, float(np.abs(start).max())
    for k in range(count) if to_latent else range(count)[::-1]:
        source, target = (k, k + 1) if to_latent else (k + 1, k)
        try:
            h = through(layers[k], h, to_latent)
        except ValueError:
            origin = origin or Origin(k, to_latent, IMPOSSIBLE, largest[source], np.inf,
                                      reach[target])
            return Walk(to_latent, largest, places, k if not_finite is None else not_finite,
                        len(start), origin)
        places[target], largest[target] = h, float(np.abs(h).max())
        what = _what_is_wrong(largest[target], reach[target])
        if what == NOT_FINITE and not_finite is None:
            not_finite = k
        if what and origin is None:
            origin = Origin(k, to_latent, what, largest[source], largest[target], reach[target])
    lost = int((~np.isfinite(h).reshape(len(h), -1).all(axis=1)).sum())
    return Walk(to_latent, largest, places, not_finite, lost, origin)


def _what_is_wrong(largest: float, reach: float) -> str:
    if not np.isfinite(largest):
        return NOT_FINITE
    return ABSURD if largest > ABSURD_GROWTH * reach else ""


def _where_lost(out: Walk, back: Walk) -> Origin | None:
    """The layer of the way back in which the relative error grows most, up to where all is lost."""
    count, roundoff = len(out.places) - 1, float(np.finfo(out.places[0].dtype).eps) / 2
    worst: Origin | None = None
    before = roundoff
    for k in range(count) if back.to_latent else range(count)[::-1]:
        there, here = (out.places[k + 1], back.places[k + 1]) if back.to_latent else (
            out.places[k], back.places[k])
        if here is None:
            break
        after = max(difference(here, there).relative, roundoff)
        if worst is None or after / before > worst.after / worst.before:
            worst = Origin(k, back.to_latent, LOST, before, after, float("nan"))
        if after > LATENTS_RECONSTRUCTED:
            break
        before = after
    return worst
