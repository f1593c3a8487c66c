"""Latents that differ: their order, where the layers were seen; everything, where they were not."""

from __future__ import annotations

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import (
    QUESTIONS,
    one_answer,
    statistics_of_every_batch,
)
from refglow.validation.diagnosis.closeness import conditions, relative_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.limit import Limit
from refglow.validation.diagnosis.searching import Answers, Deadline, explanations, pairs
from refglow.validation.diagnosis.segments import Dialects, Segment
from refglow.validation.diagnosis.trajectory import trajectory
from refglow.validation.dialects.actnorms import FROM_EVERY_BATCH
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.latent_orders import LATENT_ORDERS
from refglow.validation.dialects.squeezes import SQUEEZES

WHOLE_QUESTIONS = tuple(dict.fromkeys(
    ["step_order", *(question for questions in QUESTIONS.values() for question in questions)]))

_FRAME = ("step_order", "steps")  # the questions on which depends which layers there are


def framed(dialect: Dialect, answers: Answers) -> Dialect:
    """The dialect with those of some answers that decide which layers there are."""
    return dialect.but(**{q: a for q, a in answers.items() if q in _FRAME})


class Latents:
    """The latents of images, from layers in the dialects known, and how near others are to them."""

    def __init__(self, reference: DialectGlow, segments: list[Segment], images: Array,
                 seen: Array, explained: Explained) -> None:
        """Keep what they are computed from.

        Args:
          reference, segments, images: as for `trajectory`.
          seen: the latents that were given, of any shape [B, ...].
          explained: what is known.
        """
        self._reference, self._segments, self._images = reference, segments, images
        self._seen = np.asarray(seen, np.float64).reshape(len(seen), -1)
        self._explained = explained
        self.limit = Limit(explained, seen, reference, self._condition)

    def scales(self, dialects: Dialects, reference: DialectGlow | None = None) -> list[Array]:
        """The latents by scale, the coarsest first."""
        there = reference or self._reference
        return there.scales(list(trajectory(there, self._segments, self._images, dialects)))

    def in_order(self, scales: list[Array], order: str) -> Array:
        """The scales as one array [B, ...] in an order."""
        squeeze = SQUEEZES[self._explained.dialects["squeeze"].squeeze].squeeze
        return LATENT_ORDERS[order](scales, self._reference.structure.splits, squeeze)

    def order_found(self, scales: list[Array]) -> tuple[str | None, float]:
        """(the order in which the latents are those, or None; the error in TFP's)."""
        errors = {order: relative_error(self._seen, self.in_order(scales, order))
                  for order in LATENT_ORDERS}
        fitting = [order for order, error in errors.items() if error <= self.limit.least] or [
            order for order, error in errors.items() if self.limit.share(error) <= 1]
        return (fitting[0] if fitting else None), errors["interleaved"]

    def share(self, answers: Answers) -> float:
        """Judges answers by the latents in any order: as sorted numbers."""
        reference = self._reference.in_dialect(framed(self._reference.dialect, answers))
        dialects = self._explained.with_answers(tuple(QUESTIONS), answers)
        if self._seen.shape[1] == self._images[0].size and (
                not self._holds_first_exit(reference, dialects)):
            return float("inf")
        scales = self.scales(dialects, reference)
        if self._seen.shape[1] == scales[0][0].size:  # the others were dropped
            scales = scales[:1]
        numbers = np.concatenate([part.reshape(len(part), -1) for part in scales], axis=1)
        return self.limit.share(relative_error(np.sort(self._seen, axis=1),
                                               np.sort(numbers, axis=1)))

    def _holds_first_exit(self, reference: DialectGlow, dialects: Dialects) -> bool:
        """Whether the numbers that leave first are among those that were seen.

        They cost one block instead of all, and rule out nearly all that is wrong. An image's
        numbers are its own, but for ActNorms that are set from the batch.
        """
        whole = dialects["actnorm"].actnorm == FROM_EVERY_BATCH
        images = self._images if whole or self._segments else self._images[:1]
        for result in trajectory(reference, self._segments, images, dialects):
            if result.kind == "exit":
                leave = result.output.shape[-1] - reference.grabbed(result)
                return self._are_seen(result.output[0, ..., leave:].ravel())
        return True

    def _are_seen(self, numbers: Array) -> bool:
        seen = np.sort(self._seen[0])
        after = np.searchsorted(seen, numbers).clip(1, len(seen) - 1)
        gaps = np.minimum(np.abs(numbers - seen[after]), np.abs(numbers - seen[after - 1]))
        return bool((gaps <= self.limit.value * np.abs(self._seen).max()).all())

    def _condition(self, draws: int) -> float:
        def evaluate(x: Array, there: DialectGlow) -> list[Array]:
            results = list(trajectory(there, self._segments, x, self._explained.dialects))
            return [self.in_order(self._reference.scales(results), "interleaved")]
        return conditions(evaluate, self._images, self._reference, draws)[0]


def search_latents(reference: DialectGlow, segments: list[Segment], images: Array, seen: Array,
                   explained: Explained, deadline: Deadline) -> None:
    """Find what explains the latents that were given; adds to `explained`."""
    latents = Latents(reference, segments, images, seen, explained)
    order, before = latents.order_found(latents.scales(explained.dialects))
    if order == "interleaved":
        return
    if order is None and not segments:
        ones = list(one_answer(Dialect(), WHOLE_QUESTIONS))
        found = explanations(latents.share, ones, statistics_of_every_batch(), deadline) or (
            explanations(latents.share, (), pairs(ones), deadline))
        if found:
            answers, share = found[0]
            explained.dialects = explained.with_answers(tuple(QUESTIONS), answers)
            explained.add(Finding("latents", "image -> latent", answers,
                                  tuple(other for other, _ in found[1:]), before,
                                  share * latents.limit.value))
            explained.frame = framed(explained.frame, answers)
            there = reference.in_dialect(explained.frame)
            order, _ = latents.order_found(latents.scales(explained.dialects, there))
            if order == "interleaved":
                return
    answers = {"latents": order} if order is not None else {}
    explained.add(Finding("latents", "latents", answers, error_before=before,
                          error_after=latents.limit.value if order else float("nan")))
