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

from dataclasses import replace

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import QUESTIONS
from refglow.validation.diagnosis.finding import Diagnosis, Finding
from refglow.validation.diagnosis.forward_search import search_forward
from refglow.validation.diagnosis.gradient_search import search_gradients
from refglow.validation.diagnosis.latent_search import search_latents
from refglow.validation.diagnosis.layer_search import Explained, search_layers
from refglow.validation.diagnosis.log_det_search import search_layer_log_dets, search_total
from refglow.validation.diagnosis.observed import Observed
from refglow.validation.diagnosis.rest_search import (
    search_bits_per_dim,
    search_density,
    search_start,
)
from refglow.validation.diagnosis.searching import Deadline
from refglow.validation.diagnosis.segments import Segment, errors, segments_of, step_order_of
from refglow.validation.diagnosis.trajectory import trajectory
from refglow.validation.diagnosis.usable import usable
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow

_OFFERED = ("latents", "inverse_log_det", "log_prob", "layers", "started", "gradients",
            "bits_per_dim", "forward_images", "forward_log_det")

_CLOSE = 1e-3  # an error that tells one order of layers from another


def diagnose(glow: Glow, observed: Observed, seconds: float = 50.0) -> Diagnosis:
    """What an implementation does differently from refglow's Glow.

    Args:
      glow: the model that the implementation was given.
      observed: what it computed.
      seconds: how long the search for pairs may take; the rest is quick.
    """
    with np.errstate(all="ignore"):  # what overflows there overflows here, and is compared
        wide = glow.astype(np.float64)
        return _diagnosed(wide, usable(observed, DialectGlow.of(wide)), Deadline(seconds))


def _diagnosed(wide: Glow, observed: Observed, deadline: Deadline) -> Diagnosis:
    explained = Explained({kind: Dialect() for kind in QUESTIONS}, np.dtype(observed.images.dtype))
    if observed.directions_exchanged:
        explained.add(Finding("direction", "forward", {"direction": "forward makes latents"}))
    reference, segments = _layers(DialectGlow.of(wide), observed, explained)
    images = observed.images.astype(np.float64)
    search_layers(reference, segments, explained, deadline)
    if observed.latents is not None:
        search_latents(reference, segments, images, observed.latents, explained, deadline)
    reference = reference.in_dialect(explained.frame)
    search_layer_log_dets(reference, segments, explained, deadline)
    if explained.values_are_known:
        _search_what_follows(reference, segments, observed, explained, deadline)
    judged = not any(_concerns_log_prob(finding) for finding in explained.findings)
    if observed.gradients and judged and not deadline.over():
        search_gradients(wide, images, observed.gradients, explained)
    return Diagnosis(tuple(explained.findings), _dialect(explained),
                     tuple(name for name in _OFFERED if _was_offered(observed, name)),
                     complete=not deadline.passed)


def _search_what_follows(reference: DialectGlow, segments: list[Segment], observed: Observed,
                         explained: Explained, deadline: Deadline) -> None:
    """What can only be judged where the values are known."""
    images = observed.images.astype(np.float64)
    if observed.inverse_log_det is not None:
        search_total(reference, segments, images, observed.inverse_log_det, explained, deadline)
    if observed.log_prob is not None or observed.bits_per_dim is not None:
        _search_densities(reference, segments, observed, images, explained)
    coarse = "precision" in explained.known_answers()  # whose roundings hide how starts differ
    if observed.start_images is not None and observed.started and not coarse:
        search_start(reference, observed.start_images, observed.started, explained, deadline)
    if observed.forward_inputs is not None:
        search_forward(reference, observed.forward_inputs, observed.forward_images,
                       observed.forward_log_det, explained, deadline)


def _concerns_log_prob(finding: Finding) -> bool:
    """Whether the gradients of log p are those of another function because of it."""
    return not finding.subject.startswith(("start", "forward", "bits", "direction", "gradients"))


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
    return reference, segments_of(reference, observed)


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
        return sum(not error <= _CLOSE for error in found)
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


def _was_offered(observed: Observed, name: str) -> bool:
    value = getattr(observed, name)
    return value is not None and len(value) > 0
