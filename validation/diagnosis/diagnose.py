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
from refglow.validation.diagnosis.segments import Segment, segments_of, step_order_of
from refglow.validation.diagnosis.trajectory import trajectory
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow

_OFFERED = ("latents", "inverse_log_det", "log_prob", "layers", "started", "gradients",
            "bits_per_dim", "forward_images", "forward_log_det")

# Findings with which the gradients are those of another function.
_VALUES = (*QUESTIONS, "order of layers", "latents", "log-det", "log_prob")


def diagnose(glow: Glow, observed: Observed, seconds: float = 50.0) -> Diagnosis:
    """What an implementation does differently from refglow's Glow.

    Args:
      glow: the model that the implementation was given.
      observed: what it computed.
      seconds: how long the search for pairs may take; the rest is quick.
    """
    wide = glow.astype(np.float64)
    explained = Explained({kind: Dialect() for kind in QUESTIONS})
    if observed.directions_exchanged:
        explained.add(Finding("direction", "forward", {"direction": "forward makes latents"}))
    reference, segments = _layers(DialectGlow.of(wide), observed, explained)
    deadline = Deadline(seconds)
    images = observed.images.astype(np.float64)
    search_layers(reference, segments, explained, deadline)
    if observed.latents is not None:
        search_latents(reference, segments, images, observed.latents, explained, deadline)
    search_layer_log_dets(reference, segments, explained, deadline)
    if observed.inverse_log_det is not None:
        search_total(_ordered(reference, explained), segments, images, observed.inverse_log_det,
                     explained, deadline)
    _search_densities(_ordered(reference, explained), segments, observed, images, explained)
    if observed.started:
        search_start(_ordered(reference, explained), observed.images, observed.started, explained)
    if observed.forward_inputs is not None:
        search_forward(_ordered(reference, explained), observed.forward_inputs,
                       observed.forward_images, observed.forward_log_det, explained, deadline)
    if observed.gradients and not any(f.subject in _VALUES for f in explained.findings):
        search_gradients(wide, images, observed.gradients, explained)
    return Diagnosis(tuple(explained.findings), _dialect(explained),
                     tuple(name for name in _OFFERED if _was_offered(observed, name)))


def _layers(reference: DialectGlow, observed: Observed,
            explained: Explained) -> tuple[DialectGlow, list[Segment]]:
    """The reference with the implementation's step order, and its segments."""
    order = step_order_of([layer.name for layer in observed.layers])
    if order is not None and order != explained.step_order:
        first = next(layer.name for layer in observed.layers if ".step" in layer.name)
        explained.step_order = order
        explained.add(Finding("order of layers", first, {"step_order": order}))
    reference = _ordered(reference, explained)
    return reference, segments_of(reference, observed)


def _ordered(reference: DialectGlow, explained: Explained) -> DialectGlow:
    return reference.in_dialect(reference.dialect.but(step_order=explained.step_order))


def _search_densities(reference: DialectGlow, segments: list[Segment], observed: Observed,
                      images: Array, explained: Explained) -> None:
    log_prob = observed.log_prob
    if log_prob is not None:
        square, log_det = _square_and_log_det(reference, segments, observed, images, explained)
        search_density(reference, square, log_det, log_prob, explained)
    if observed.bits_per_dim is not None:
        if log_prob is None:
            square, log_det = _square_and_log_det(reference, segments, observed, images, explained)
            log_prob = reference.log_prob_of(square, log_det)
        search_bits_per_dim(reference, np.asarray(log_prob, np.float64), observed.bits_per_dim,
                            explained)


def _square_and_log_det(reference: DialectGlow, segments: list[Segment], observed: Observed,
                        images: Array, explained: Explained) -> tuple[Array, Array]:
    """|z|^2 and the log-det as the implementation gave them, or as refglow computes them."""
    results = list(trajectory(reference, segments, images, explained.dialects))
    scales = ([np.asarray(observed.latents, np.float64)] if observed.latents is not None
              else reference.scales(results))
    square = sum((part.reshape(len(part), -1) ** 2).sum(axis=1) for part in scales)
    log_det = (np.asarray(observed.inverse_log_det, np.float64)
               if observed.inverse_log_det is not None
               else sum((result.log_det for result in results), np.zeros(len(images))))
    return np.asarray(square), log_det


def _dialect(explained: Explained) -> Dialect:
    """All that was explained as one dialect."""
    answers = {q: a for q, a in explained.known_answers().items()
               if q in Dialect.__dataclass_fields__}
    return Dialect().but(**answers)


def _was_offered(observed: Observed, name: str) -> bool:
    value = getattr(observed, name)
    return value is not None and len(value) > 0
