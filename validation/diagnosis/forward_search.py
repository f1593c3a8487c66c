"""The direction latent -> image: whether it undoes the other one, and what it does instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import LOG_DET_QUESTIONS, one_answer
from refglow.validation.diagnosis.closeness import conditions, log_det_error, relative_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.latent_search import WHOLE_QUESTIONS, framed
from refglow.validation.diagnosis.limit import Limit
from refglow.validation.diagnosis.log_det_search import (
    FEWEST_NUMBERS,
    TERM_OF,
    as_given,
)
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.diagnosis.searching import Answers, Deadline, Judge, explanations, pairs
from refglow.validation.diagnosis.total_search import total_questions
from refglow.validation.diagnosis.trajectory import trajectory
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow, LayerResult
from refglow.validation.dialects.latent_orders import LATENT_ORDERS, latents_of
from refglow.validation.dialects.log_dets import TERMS
from refglow.validation.dialects.squeezes import SQUEEZES
from refglow.validation.tolerances import LARGEST_USEFUL


class Forward:
    """refglow's Glow from latents to images in the dialects that are known."""

    def __init__(self, reference: DialectGlow, z: Array, explained: Explained) -> None:
        """Keep what it is computed from; z [B, D] in float64."""
        self._reference, self._z, self._explained = reference, z, explained
        self._conditions: dict[int, list[float]] = {}

    def results(self, answers: Answers, there: DialectGlow | None = None,
                z: Array | None = None) -> list[LayerResult]:
        """The layers' results, from the latent on, the last one the image."""
        return [result for _, result in self._way(answers, there, z)]

    def _way(self, answers: Answers, there: DialectGlow | None = None,
             z: Array | None = None) -> list[tuple[Array, LayerResult]]:
        """(input, result) of every layer."""
        known = self._explained.known_answers() | answers
        order = known.get("latents", "interleaved")
        structure = self._reference.structure
        reference = (there or self._reference).in_dialect(framed(self._explained.frame, answers))
        dialects = self._explained.with_answers(tuple(self._explained.dialects), answers)
        z = (self._z if z is None else z) * float(known.get("temperature", 1))
        scales = latents_of(z, order, structure.image_shape,
                            structure.splits, SQUEEZES[dialects["squeeze"].squeeze].squeeze)
        return list(reference.towards_image(scales, dialects))

    def log_det(self, answers: Answers, along: Answers, weights: Answers) -> Array:
        """The log-det of latent -> image, as the implementation adds it up.

        Args:
          answers: about log-dets.
          along: about the images: on the way that they describe, each layer's log-det is taken.
          weights: which of those answers hold for the log-dets too.
        """
        known = self._explained.known_answers() | answers
        whole = Dialect().but(**{q: a for q, a in known.items()
                                 if q in Dialect.__dataclass_fields__})
        total = np.zeros(len(self._z))
        for x, result in self._way(along):
            if result.kind == "squeeze":
                continue
            dialect = self._explained.with_answers((result.kind,), weights)[result.kind].but(
                **{q: a for q, a in answers.items() if q in LOG_DET_QUESTIONS[result.kind]})
            layer = self._reference.in_dialect(dialect)
            total += TERMS[getattr(whole, TERM_OF[result.kind])] * (
                layer.apply(result.name, x, to_latent=False).log_det)
        return as_given(total, whole, self._reference.structure.dimensions)

    @property
    def dimensions(self) -> int:
        """H W C."""
        return self._reference.structure.dimensions

    def temperatures(self, images: Array) -> Iterator[Answers]:
        """What latents may have been multiplied by, with more and more digits.

        The images' own latents are the right ones times that; the nearest such number is taken.
        """
        dialects = self._explained.dialects
        results = list(trajectory(self._reference, [], images, dialects))
        order = LATENT_ORDERS[self._explained.known_answers().get("latents", "interleaved")]
        own = order(self._reference.scales(results), self._reference.structure.splits,
                    SQUEEZES[dialects["squeeze"].squeeze].squeeze)
        quotient = float((own.reshape(self._z.shape) * self._z).sum() / (self._z**2).sum())
        if np.isfinite(quotient):
            yield from ({"temperature": f"{quotient:.{digits}g}"} for digits in (2, 4, 7, 12))

    def limit(self, seen: Array, place: int) -> Measured:
        """The largest error that is rounding.

        Args:
          seen: images or log-dets.
          place: 0 for images, 1 for log-dets.
        """
        def condition(draws: int) -> float:
            if draws not in self._conditions:
                self._conditions[draws] = self._measured(draws)
            return self._conditions[draws][place]
        return Limit(self._explained, seen, self._reference, condition)

    def _measured(self, draws: int) -> list[float]:
        """kappa of images and of the log-det."""
        def evaluate(z: Array, there: DialectGlow) -> list[Array]:
            results = self.results({}, there, z)
            total = sum((result.log_det for result in results), np.zeros(len(z)))
            return [results[-1].output, total]
        return conditions(evaluate, self._z, self._reference, draws)


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
        if _agrees(forward, images, log_det):
            return
        if _is_of_some(reference, z, images, log_det, explained, deadline):
            return
    except ValueError:
        return  # what is known has no inverse: dropped latents, a batch's own statistics
    _search(forward, images, log_det, explained, deadline)


def _search(forward: Forward, images: Array | None, log_det: Array | None, explained: Explained,
            deadline: Deadline) -> None:
    """Find what explains what differs from the direction with all that is known."""
    along: Answers = {}
    if images is not None:
        finding = _searched_images(forward, images, forward.limit(images, 0), deadline)
        if finding is not None:
            explained.add(finding)
            if not finding.is_explained:
                return
            along = dict(finding.explanation)
    if log_det is not None:
        finding = _searched_log_det(forward, log_det, along, forward.limit(log_det, 1), deadline)
        if finding is not None:
            explained.add(finding)


def _is_of_some(reference: DialectGlow, z: Array, images: Array | None, log_det: Array | None,
                explained: Explained, deadline: Deadline) -> bool:
    """Whether none, or some only, of what the other direction does differently is done here."""
    for some in explained.parts():
        if some.findings and deadline.over():
            return False
        made = len(some.findings)
        forward = Forward(reference.in_dialect(some.frame), z.astype(np.float64), some)
        if not _agrees(forward, images, log_det):
            _search(forward, images, log_det, some, Deadline(0.0))
        if len(some.findings) == made:
            return True
    return False


def _searched_images(forward: Forward, images: Array, limit: Measured,
                     deadline: Deadline) -> Finding | None:
    """What explains the images, if they differ."""
    seen = np.asarray(images, np.float64)

    def judge(answers: Answers) -> float:
        return limit.share(relative_error(seen, forward.results(answers)[-1].output))
    ones = [*one_answer(Dialect(), WHOLE_QUESTIONS), *one_answer(Dialect(), ("latents",))]
    return _searched("forward", judge, ones, forward.temperatures(seen), limit, deadline)


def _searched_log_det(forward: Forward, log_det: Array, along: Answers, limit: Measured,
                      deadline: Deadline) -> Finding | None:
    """What explains the log-dets, if they differ.

    Args:
      forward: the direction.
      log_det: what was given.
      along: what explains the images.
      limit: the largest error that is rounding.
      deadline: when to stop.
    """
    seen = np.asarray(log_det, np.float64)

    def judge(answers: Answers) -> float:
        return min(limit.share(log_det_error(seen, forward.log_det(answers, along, weights),
                                             forward.dimensions)) for weights in ({}, along))
    ones = list(one_answer(Dialect(), total_questions()))
    twos = pairs(ones) if log_det.size >= FEWEST_NUMBERS else []
    return _searched("forward log-det", judge, ones, twos, limit, deadline)


def _agrees(forward: Forward, images: Array | None, log_det: Array | None) -> bool:
    """Whether both agree to what is rounding whatever the condition."""
    return (images is None or relative_error(
        np.asarray(images, np.float64), forward.results({})[-1].output
    ) <= forward.limit(images, 0).least) and (log_det is None or log_det_error(
        np.asarray(log_det, np.float64), forward.log_det({}, {}, {}), forward.dimensions
    ) <= forward.limit(log_det, 1).least)


def _searched(subject: str, judge: Judge, ones: list[Answers], twos: Iterable[Answers],
              limit: Measured, deadline: Deadline) -> Finding | None:
    """The finding if there is a difference, and roundings alone would not make as large a one."""
    if limit.value >= LARGEST_USEFUL:
        return None  # as in the comparison; some answer is nearer to any number than NaN is
    before = judge({})
    if before <= 1:
        return None
    found = explanations(judge, ones, twos, deadline)
    answers, share = found[0] if found else ({}, float("nan"))
    return Finding(subject, "latent -> image", answers, tuple(other for other, _ in found[1:]),
                   before * limit.value, share * limit.value)
