"""The diagnosis: from what an implementation was seen to compute to what it does differently.

In this order, each step with what the ones before it explained:

    direction    forward makes latents where it should make images
    layers       each on the implementation's own input, kind by kind
    latents      their order; without layers, all conventions by the latents alone
    log-dets     of layers, then the total
    density, bits per dimension, ActNorm's start, the direction latent -> image, gradients

What no answer reproduces is reported as unexplained, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors import Glow
from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import QUESTIONS
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Diagnosis, Finding
from refglow.validation.diagnosis.forward_search import search_forward
from refglow.validation.diagnosis.gradient_search import search_gradients
from refglow.validation.diagnosis.latent_search import search_latents
from refglow.validation.diagnosis.layer_search import search_layers
from refglow.validation.diagnosis.log_det_search import search_layer_log_dets
from refglow.validation.diagnosis.observed import Observed
from refglow.validation.diagnosis.overwritten import without_overwritten
from refglow.validation.diagnosis.remembering import RememberedNetworks
from refglow.validation.diagnosis.rest_search import (
    search_bits_per_dim,
    search_density,
    search_start,
)
from refglow.validation.diagnosis.searching import Deadline, TimeOverError
from refglow.validation.diagnosis.segments import Segment, errors, segments_of, step_order_of
from refglow.validation.diagnosis.total_search import search_total
from refglow.validation.diagnosis.trajectory import trajectory
from refglow.validation.diagnosis.usable import usable
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.tolerances import TELLS_ORDERS_APART


def diagnose(glow: Glow, observed: Observed, seconds: float = 50.0) -> Diagnosis:
    """What an implementation does differently from refglow's Glow.

    Args:
      glow: the model that the implementation was given.
      observed: what it computed.
      seconds: how long it may take. What was not reached then is not among what was compared; a
        network, or the gradient of one image, is computed to its end.
    """
    deadline = Deadline(seconds)
    with np.errstate(all="ignore"), use_backend("spec"):
        # What overflows there overflows here, and is compared.
        wide = glow.astype(np.float64)
        reference = DialectGlow.of(wide)
        reference = replace(reference, network=RememberedNetworks(reference.arrays, deadline))
        return _Work(wide, reference, usable(observed, reference), deadline).diagnosis()


class _Work:
    """A diagnosis' parts, in order, each with what the ones before it explained."""

    def __init__(self, wide: Glow, reference: DialectGlow, observed: Observed,
                 deadline: Deadline) -> None:
        self.wide, self.reference, self.observed = wide, reference, observed
        self.deadline, self.segments = deadline, list[Segment]()
        self.images = observed.images.astype(np.float64)
        self.explained = Explained({kind: Dialect() for kind in QUESTIONS},
                                   np.dtype(observed.images.dtype))

    def diagnosis(self) -> Diagnosis:
        """All parts that there is time for."""
        if self.observed.directions_exchanged:
            self.explained.add(Finding("direction", "forward",
                                       {"direction": "forward makes latents"}))
        compared: list[str] = []
        parts: tuple[tuple[tuple[str, ...], Callable[[], None]], ...] = (
            ((), self._layers), (("latents",), self._latents), (("layers",), self._layer_log_dets),
            (("inverse_log_det",), self._total), (("log_prob", "bits_per_dim"), self._densities),
            (("started",), self._start),
            (("forward_images", "forward_log_det"), self._forward),
            (("gradients",), self._gradients))
        with suppress(TimeOverError):
            for names, part in parts:
                part()
                compared += [name for name in names if self._was_offered(name)]
        return Diagnosis(tuple(map(self._seen_or_not, self.explained.findings)),
                         _dialect(self.explained),
                         tuple(compared), complete=not self.deadline.passed)

    def _was_offered(self, name: str) -> bool:
        # A layer whose shape is not the model's is no segment, and was not looked at.
        value = self.segments if name == "layers" else getattr(self.observed, name)
        return value is not None and len(value) > 0

    def _seen_or_not(self, finding: Finding) -> Finding:
        """The finding, with whether the values from which it comes were seen."""
        seen = self._was_offered("layers") or self._was_offered("latents") or (
            finding.where == "latent -> image" and self._was_offered("forward_images"))
        whole = finding.subject in (*QUESTIONS, "latents", "forward")
        return replace(finding, of_seen_values=seen or whole)

    def _layers(self) -> None:
        self.reference, self.segments = _layers(self.reference, self.observed, self.explained)
        search_layers(self.reference, self.segments, self.explained, self.deadline)

    def _latents(self) -> None:
        if self.observed.latents is not None:
            search_latents(self.reference, self.segments, self.images, self.observed.latents,
                           self.explained, self.deadline)
        self.reference = self.reference.in_dialect(self.explained.frame)

    def _layer_log_dets(self) -> None:
        search_layer_log_dets(self.reference, self.segments, self.explained, self.deadline)

    # What follows can only be judged where the values are known.

    def _total(self) -> None:
        total = self.observed.inverse_log_det
        if self.explained.values_are_known and total is not None:
            search_total(self.reference, self.segments, self.images, total, self.explained,
                         self.deadline)

    def _densities(self) -> None:
        if self.explained.values_are_known and (
                self.observed.log_prob is not None or self.observed.bits_per_dim is not None):
            _search_densities(self.reference, self.segments, self.observed, self.images,
                              self.explained)

    def _start(self) -> None:
        coarse = "precision" in self.explained.known_answers()  # it hides how starts differ
        if (self.explained.values_are_known and self.observed.start_images is not None
                and self.observed.started and not coarse):
            search_start(self.reference, self.observed.start_images, self.observed.started,
                         self.explained, self.deadline)

    def _forward(self) -> None:
        if self.explained.values_are_known and self.observed.forward_inputs is not None:
            search_forward(self.reference, self.observed.forward_inputs,
                           self.observed.forward_images, self.observed.forward_log_det,
                           self.explained, self.deadline)

    def _gradients(self) -> None:
        judged = not any(_concerns_log_prob(finding) for finding in self.explained.findings)
        if self.observed.gradients and judged:
            search_gradients(self.wide, self.images, self.observed.gradients, self.explained,
                             self.deadline)


def _concerns_log_prob(finding: Finding) -> bool:
    """Whether the gradients of log p are those of another function because of it."""
    return not finding.subject.startswith(("start", "forward", "bits", "direction", "gradients",
                                           "outputs"))


def _layers(reference: DialectGlow, observed: Observed,
            explained: Explained) -> tuple[DialectGlow, list[Segment]]:
    """The reference with the implementation's layers in its order, and its segments."""
    observed = _towards_latent(observed, reference)
    names = [layer.name for layer in observed.layers]
    order = step_order_of(names)
    if order is not None and order != explained.frame.step_order:
        first = next(name for name in names if ".step" in name)
        explained.frame = explained.frame.but(step_order=order)
        explained.add(Finding("order of layers", first, {"step_order": order}))
    missing = _missing(reference, names)
    if missing and _is_left_out(reference.in_dialect(explained.frame), observed, explained):
        explained.frame = explained.frame.but(steps="last one left out")
        explained.add(Finding("layers", missing, {"steps": "last one left out"}))
    reference = reference.in_dialect(explained.frame)
    return reference, without_overwritten(reference, segments_of(reference, observed), explained)


def _towards_latent(observed: Observed, reference: DialectGlow) -> Observed:
    """The layers from the image on, if they were listed from the latent on."""
    names = [layer.name for layer in observed.layers]
    expected = [name for name in reference.layer_names() if name in names]
    if len(names) > 1 and names == expected[::-1]:
        return replace(observed, layers=observed.layers[::-1])
    return observed


def _is_left_out(reference: DialectGlow, observed: Observed, explained: Explained) -> bool:
    """Whether layers that were not listed were not there: the rest then agrees better."""
    def wrong(there: DialectGlow) -> int:
        segments = segments_of(there, observed)
        found = errors(there, segments, explained.dialects)
        return sum(not error <= TELLS_ORDERS_APART for error in found)
    without = reference.in_dialect(reference.dialect.but(steps="last one left out"))
    return wrong(without) < wrong(reference)


def _missing(reference: DialectGlow, names: list[str]) -> str | None:
    """The first layer that is not there, if those of every block's last step are and no others."""
    expected = {name for name in reference.layer_names() if ".step" in name}
    fewer = reference.in_dialect(reference.dialect.but(steps="last one left out"))
    steps = {name for name in names if ".step" in name}
    if steps == expected or steps != {name for name in fewer.layer_names() if ".step" in name}:
        return None
    return next(name for name in reference.layer_names() if name in expected - steps)


def _search_densities(reference: DialectGlow, segments: list[Segment], observed: Observed,
                      images: Array, explained: Explained) -> None:
    log_prob = observed.log_prob
    results = list(trajectory(reference, segments, images, explained.dialects))
    whole = observed.latents is not None and observed.latents[0].size == images[0].size
    scales = ([np.asarray(observed.latents, np.float64)]
              if whole and not explained.known_answers().get("latents")
              else reference.scales(results))
    log_dets = [sum((result.log_det for result in results), np.zeros(len(images)))]
    if observed.inverse_log_det is not None:
        log_dets.insert(0, np.asarray(observed.inverse_log_det, np.float64))
    if log_prob is not None:
        search_density(reference, scales, log_dets, log_prob, explained)
    if observed.bits_per_dim is not None:
        log_probs = [reference.log_prob(scales, log_det) for log_det in log_dets]
        if log_prob is not None:
            log_probs.insert(0, np.asarray(log_prob, np.float64))
        search_bits_per_dim(reference, log_probs, observed.bits_per_dim, explained)


def _dialect(explained: Explained) -> Dialect:
    """All that was explained as one dialect."""
    answers = {q: a for q, a in explained.known_answers().items()
               if q in Dialect.__dataclass_fields__}
    return Dialect().but(**answers)
