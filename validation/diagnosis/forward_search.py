"""The direction latent -> image: whether it undoes the other one, and what it does instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import one_answer
from refglow.validation.diagnosis.closeness import (
    LAYERS_OF_A_COUPLING,
    conditions,
    relative_error,
    tolerance,
)
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.latent_search import WHOLE_QUESTIONS
from refglow.validation.diagnosis.layer_search import Explained
from refglow.validation.diagnosis.log_det_search import TERM_OF, as_given, total_questions
from refglow.validation.diagnosis.searching import Answers, Deadline, explanations, pairs
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow, LayerResult
from refglow.validation.dialects.latent_orders import latents_of
from refglow.validation.dialects.log_dets import TERMS


class Forward:
    """refglow's Glow from latents to images in the dialects that are known."""

    def __init__(self, reference: DialectGlow, z: Array, explained: Explained) -> None:
        """Keep what it is computed from; z [B, D] in float64."""
        self._reference, self._z, self._explained = reference, z, explained

    def results(self, answers: Answers, arrays: Mapping[str, Array] | None = None,
                z: Array | None = None) -> list[LayerResult]:
        """The layers' results, from the latent on, the last one the image."""
        known = self._explained.known_answers() | answers
        order = known.get("latents", "interleaved")
        structure = self._reference.structure
        reference = self._reference.in_dialect(Dialect(
            step_order=known.get("step_order", self._explained.step_order)))
        if arrays is not None:
            reference = replace(reference, arrays=arrays)
        scales = latents_of(self._z if z is None else z, order, structure.image_shape,
                            structure.splits)
        x, exited = scales[0], list(scales[1:])
        results = []
        for name in reversed(list(reference.layer_names())):
            if name.endswith(".exit"):
                x = np.concatenate([x, exited.pop(0)], axis=-1)
            kind = name.rpartition(".")[2]
            dialect = self._explained.with_answers((kind,), answers)[kind]
            layer = reference.in_dialect(dialect)
            results.append(layer.apply(name, x, to_latent=False))
            x = results[-1].output
        return results

    def log_det(self, answers: Answers) -> Array:
        """The log-det of latent -> image, as the implementation adds it up."""
        inside = {q: a for q, a in answers.items() if not q.startswith("log_det")
                  or q in ("log_det_pixels", "log_det_conv_formula", "log_det_coupling_formula")}
        dialects = {kind: dialect.but(**inside)
                    for kind, dialect in self._explained.dialects.items()}
        there = Forward(self._reference, self._z, replace(self._explained, dialects=dialects))
        whole = Dialect().but(**{
            q: a for q, a in (self._explained.known_answers() | answers).items()
            if q in Dialect.__dataclass_fields__})
        total = sum((TERMS[getattr(whole, TERM_OF[result.kind])] * result.log_det
                     for result in there.results({}) if result.kind != "squeeze"),
                    np.zeros(len(self._z)))
        return as_given(total, whole, self._reference.structure.dimensions)

    def limits(self) -> tuple[float, float]:
        """kappa of images and of the log-det."""
        def evaluate(z: Array, arrays: Mapping[str, Array]) -> list[Array]:
            results = self.results({}, arrays, z)
            total = sum((result.log_det for result in results), np.zeros(len(z)))
            return [results[-1].output, total]
        images, log_det = conditions(evaluate, self._z, self._reference.arrays)
        return images, log_det


def search_forward(reference: DialectGlow, z: Array, images: Array | None,
                   log_det: Array | None, explained: Explained, deadline: Deadline) -> None:
    """Find what explains images and log-dets of `forward`; adds to `explained`.

    Args:
      reference: in float64.
      z: latents [B, D].
      images, log_det: what was given; None if not.
      explained: what is known of the other direction.
      deadline: when to stop.
    """
    forward = Forward(reference, z.astype(np.float64), explained)
    try:
        kappas = forward.limits()
    except ValueError:
        return  # what is known has no inverse: dropped latents, a batch's own statistics
    layers = LAYERS_OF_A_COUPLING * len(list(reference.layer_names()))
    if images is not None:
        limit = explained.widened(tolerance(np.dtype(images.dtype), layers, kappas[0]))
        seen = np.asarray(images, np.float64)
        _search("forward", seen, lambda answers: forward.results(answers)[-1].output, limit,
                [*one_answer(Dialect(), WHOLE_QUESTIONS), *one_answer(Dialect(), ("latents",))],
                explained, deadline)
    if log_det is not None:
        limit = explained.widened(tolerance(np.dtype(log_det.dtype), layers, kappas[1]))
        _search("forward log-det", np.asarray(log_det, np.float64), forward.log_det, limit,
                list(one_answer(Dialect(), total_questions())), explained, deadline)


def _search(subject: str, seen: Array, value: object, limit: float, ones: list[Answers],
            explained: Explained, deadline: Deadline) -> None:
    def judge(answers: Answers) -> float:
        share = relative_error(seen, value(answers)) / limit  # type: ignore[operator]
        return float("inf") if np.isnan(share) else share
    before = judge({})
    if before <= 1:
        return
    found = explanations(judge, ones, pairs(ones) if subject != "forward" else [], deadline)
    answers, share = found[0] if found else ({}, float("nan"))
    explained.add(Finding(subject, "latent -> image", answers,
                          tuple(other for other, _ in found[1:]), before * limit, share * limit))
