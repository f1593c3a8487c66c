"""The audit of a model, from its layers to the findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors.activation_normalization import require_initialized
from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.validation.audit.amplification import (
    STEPS,
    Gains,
    amplifications,
    layer_gains,
    roundings_carried,
    whole_amplifications,
)
from refglow.validation.audit.channels import Scales, scales_of
from refglow.validation.audit.findings import find, not_finite_weights
from refglow.validation.audit.linearized import linearize
from refglow.validation.audit.number_types import (
    FLOAT64,
    NumberType,
    evaluated,
    number_types,
)
from refglow.validation.audit.report import Audit, LayerReport
from refglow.validation.audit.round_trips import (
    RoundTrip,
    Walk,
    data_round_trip,
    sample_round_trip,
    walked,
)
from refglow.validation.audit.surviving import Surviving, surviving
from refglow.validation.audit.truth import Truth, multiplications, true_values
from refglow.validation.compare import difference
from refglow.validation.layers import layers_towards_latent

BALL_SECONDS = 60.0
TEMPERATURES = (0.7, 1.0)
_LARGE = 1e8  # multiplications for one image, from which on less is measured
_STEPS_OF_LARGE = 6
_NOTEWORTHY = 3
_FEW = 4  # images and samples, of which amplification and digits on the whole way are measured
_PRODUCTS = 3e9  # multiplications times places, up to which amplifications are measured everywhere

OnPart = Callable[[str, int, int], object]


def audit(glow: Glow, images: Array, *, n_bits: int = 8, seed: int = 0,
          temperatures: Sequence[float] = TEMPERATURES, ball_seconds: float = BALL_SECONDS,
          on_part: OnPart = lambda what, done, total: None) -> Audit:
    """Measure how a Glow amplifies errors, what survives of its numbers, and what is at fault.

    Args:
      glow: the model, float32 or float64, its ActNorms initialised.
      images: [N, H, W, C] as the model takes them, in its number type. Round trips are made with
        all of them and with as many samples; amplification and digits are measured with the first
        one and one sample, on the whole way with the first few.
      n_bits: of the levels that the model was trained on.
      seed: of the samples, and of the vectors that measure amplification.
      temperatures: of the samples.
      ball_seconds: how long ball arithmetic may take for a walk, by an estimate; 0 for none of it.
      on_part: called before each part of the work with what is done, how many parts are done and of
        how many.

    Raises:
      ValueError: if ActNorms are not initialised, or the images are empty, do not fit or are not
        finite.
      TypeError: if they are of another number type.
    """
    require_initialized(glow, "an audit")
    checked = glow._convert(images, "images", 3)
    if checked.ndim != 4 or not len(checked) or not np.isfinite(checked).all():
        raise ValueError("audit: images must be finite numbers [N, H, W, C], N at least 1.")
    with use_backend("spec"), np.errstate(all="ignore"):
        work = _Work(glow, checked, n_bits, seed, tuple(temperatures), ball_seconds, on_part)
        return work.audit()


class _Work:
    """The parts of an audit, and what they share."""

    def __init__(self, glow: Glow, images: Array, n_bits: int, seed: int,
                 temperatures: tuple[float, ...], ball_seconds: float, on_part: OnPart) -> None:
        self.glow, self.images, self.n_bits, self.seed = glow, images, n_bits, seed
        self.ball_seconds, self.on_part = ball_seconds, on_part
        self.rng = np.random.default_rng(seed)
        latents = self.rng.standard_normal((len(images), images[0].size))
        self.standard = latents.astype(images.dtype)
        self.latents = {t: (t * latents).astype(images.dtype) for t in temperatures}
        self.layers = layers_towards_latent(glow.astype(np.float64))
        count = multiplications(self.layers, glow)
        self.steps = STEPS if count < _LARGE else _STEPS_OF_LARGE
        self.everywhere = count * len(self.layers) < _PRODUCTS
        linearize(self.layers)
        self.types = number_types(images.dtype)
        self.few = min(_FEW, len(images))
        self.done = 0
        self.total = 4 + len(temperatures) + 5 * len(self.layers) + 4 * self.steps + (
            2 * len(self.types))

    def _part(self, what: str) -> None:
        self.on_part(what, min(self.done, self.total), self.total)
        self.done += 1

    def audit(self) -> Audit:
        """All parts, in order."""
        self._part("data and samples in float64")
        data = walked(self.layers, self.images.astype(np.float64), True,
                      [np.inf] * (len(self.layers) + 1))
        reach = [size if np.isfinite(size) else np.inf for size in data.largest]
        samples = walked(self.layers, self.standard.astype(np.float64), False, reach)
        trips = self._trips(reach)
        truths = self._truths()
        gains = [self._gains(k, data, samples) for k in range(len(self.layers))]
        amplified = self._amplifications(gains, data, samples)
        reports = [LayerReport(
            layer.name, layer.kind, self._scales(k, data, samples), gains[k],
            amplified[0].get(k + 1), amplified[1].get(k), reach[k + 1])
            for k, layer in enumerate(self.layers)]
        findings = not_finite_weights(self.glow.state_dict()) or find(
            self.layers, reports, trips, data.places, self.images.dtype)
        return Audit(self.images.dtype.name, len(self.images), self.n_bits, self.seed,
                     tuple(reports), tuple(self._surviving(truths, (data, samples))),
                     (amplified[0][len(self.layers)], amplified[1][0]),
                     self._amplified_over_few(data, samples), truths, tuple(trips),
                     tuple(findings), self.layers)

    def _trips(self, reach: list[float]) -> list[RoundTrip]:
        own = layers_towards_latent(self.glow)
        self._part("the round trip of data")
        trips = [data_round_trip(own, self.images, reach, self.n_bits)]
        for temperature, latents in self.latents.items():
            self._part(f"the round trip of samples, temperature {temperature:g}")
            trips.append(sample_round_trip(own, latents, temperature, reach))
        return trips

    def _truths(self) -> tuple[Truth, Truth]:
        found = []
        for to_latent, start in ((True, self.images[:1]), (False, self.standard[:1])):
            what = f"the truth, on the way to the {'latent' if to_latent else 'image'}"
            through = self.done + 2 * len(self.layers)
            found.append(true_values(self.glow, start, to_latent, self.ball_seconds,
                                     partial(self._part, what)))
            self.done = through
        return found[0], found[1]

    # Samples that have left the range of the data tell nothing about the layers behind that.

    def _gains(self, k: int, data: Walk, samples: Walk) -> Gains:
        self._part(f"the gain of {self.layers[k].name}")
        walks = [data] if samples.origin and k <= samples.origin.layer else [data, samples]
        before, after = (np.concatenate([walk.places[place][:1] for walk in walks])
                         for place in (k, k + 1))
        return layer_gains(self.layers[k], before, after, self.rng, self.steps)

    def _scales(self, k: int, data: Walk, samples: Walk) -> Scales | None:
        """At data and samples; what decides a coupling's scales is the same on both its sides."""
        walks = [data] if samples.origin and k < samples.origin.layer else [data, samples]
        return scales_of(self.layers[k], [walk.places[k + 1] for walk in walks])

    def _amplifications(self, gains: list[Gains], data: Walk,
                        samples: Walk) -> list[dict[int, float]]:
        """From the image along the data, from the latent along samples (or data, if those fail)."""
        count, found = len(self.layers), []
        walks = [[h[:1] for h in walk.places] for walk in (
            data, data if samples.origin else samples)]
        for to_latent, places in ((True, walks[0]), (False, walks[1])):
            what = f"amplification on the way to the {'latent' if to_latent else 'image'}"
            wanted = list(range(1, count + 1) if to_latent else range(count))
            if not self.everywhere:
                shift = 1 if to_latent else 0
                wanted = sorted({wanted[0], wanted[-1]} | {
                    k + shift for k in self._noteworthy(gains)})
            found.append(amplifications(self.layers, places, to_latent, wanted, self.rng,
                                        self.steps, partial(self._part, what)))
        return found

    def _amplified_over_few(self, data: Walk, samples: Walk) -> tuple[list[float], list[float]]:
        """On the whole ways to the latent and to the image, at the first few images and samples.

        Where samples fail, at images on both.
        """
        back = data if samples.origin else samples
        to_latent, to_image = (whole_amplifications(
            self.layers, [h[:self.few] for h in walk.places], way, self.rng, self.steps,
            partial(self._part, "amplification of the first few images and samples"))
            for way, walk in ((True, data), (False, back)))
        return to_latent, to_image

    def _errors_over_few(self, number_type: NumberType, walk: Walk) -> list[float]:
        """The relative errors at the end, against float64, of the first few images or samples."""
        first, last = (0, -1) if walk.to_latent else (-1, 0)
        starts, ends = walk.places[first][:self.few], walk.places[last]
        if number_type is FLOAT64 or ends is None:
            return []
        own = (self.images if walk.to_latent else self.standard)[:len(starts)]
        try:
            found = evaluated(self.glow, number_type, own, walk.to_latent)[last]
        except ValueError:
            return [np.inf] * len(starts)
        return [difference(a, b).relative if np.isfinite(b).all() else np.nan
                for a, b in zip(found, ends, strict=False)]

    def _noteworthy(self, gains: list[Gains]) -> list[int]:
        """The layers of a large model to whose places amplification is measured."""
        by_condition = sorted(range(len(gains)), key=lambda k: -max(
            gains[k].kappa_to_image, gains[k].kappa_to_latent))
        return by_condition[:_NOTEWORTHY] + [k for k, layer in enumerate(self.layers)
                                             if layer.kind == "ExitBijector"]

    def _surviving(self, truths: tuple[Truth, Truth],
                   walks: tuple[Walk, Walk]) -> Iterator[Surviving]:
        for truth, walk in zip(truths, walks, strict=True):
            to_latent = walk.to_latent
            places = [np.asarray(h, np.float64) for h in truth.places]
            self._part("the roundings to expect")
            carried = roundings_carried(self.layers, places, to_latent, self.rng)
            for number_type in self.types:
                self._part(f"digits in {number_type.name}")
                yield replace(surviving(self.glow, number_type, truth, to_latent, carried),
                              of_few=tuple(self._errors_over_few(number_type, walk)))
