"""Log-dets that differ: those of layers, kind by kind, and the total."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import LOG_DET_QUESTIONS, QUESTIONS, one_answer
from refglow.validation.diagnosis.closeness import conditions, log_det_error
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.layer_search import Explained
from refglow.validation.diagnosis.limit import Limit
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.diagnosis.searching import (
    Answers,
    Deadline,
    TimeOverError,
    explanations,
    pairs,
)
from refglow.validation.diagnosis.segments import Segment, evaluated, least_limit, limits
from refglow.validation.diagnosis.trajectory import trajectory
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.log_dets import BATCHES, SIGNS, TERMS, UNITS

FEWEST_NUMBERS = 3  # with fewer, some pair of answers gives them by chance
_WHOLE = ("log_det_sign", "log_det_unit", "log_det_batch")
TERM_OF = {kind: f"log_det_{kind}" for kind in QUESTIONS if kind != "squeeze"}


def search_layer_log_dets(reference: DialectGlow, segments: list[Segment], explained: Explained,
                          deadline: Deadline) -> None:
    """Find what explains the log-dets that layers gave; adds to `explained`.

    The answer that is taken first is the one that explains most kinds of layers, and breaks none
    that is right: a sign that all have lost is one mistake, not four.
    """
    kinds = {kind: _KindOfLogDets(reference, kind, segments, explained) for kind in TERM_OF}
    kinds = {kind: group for kind, group in kinds.items() if group.segments}
    wrong = [kind for kind, group in kinds.items() if group.judge({}) > 1]
    right = [kind for kind in kinds if kind not in wrong]
    while wrong:
        questions = tuple(dict.fromkeys(
            q for kind in wrong for q in (*LOG_DET_QUESTIONS[kind], TERM_OF[kind], *_WHOLE)))
        ones = list(one_answer(Dialect(), questions))
        fitting = _fitting(kinds, ones, wrong, right, deadline)
        answers, kinds_explained = max(fitting, key=lambda found: len(found[1]), default=({}, []))
        others = tuple(other for other, also in fitting
                       if other != answers and also == kinds_explained)
        if not kinds_explained:
            kinds_explained = wrong[:1]
            found = explanations(kinds[wrong[0]].judge, [], pairs(ones), deadline)
            answers, others = (found[0][0] if found else {}), tuple(o for o, _ in found[1:])
        first = kinds[kinds_explained[0]]
        explained.add(Finding(
            f"log-det of {kinds_explained[0]}", first.segments[0].names[-1], answers, others,
            first.error({}), first.error(answers) if answers else float("nan"),
            sum(len(kinds[kind].segments) for kind in kinds_explained)))
        explained.dialects = explained.dialects | {
            kind: explained.dialects[kind].but(**answers) for kind in kinds_explained}
        wrong = [kind for kind in wrong if kind not in kinds_explained]


def _fitting(kinds: Mapping[str, _KindOfLogDets], ones: list[Answers], wrong: list[str],
             right: list[str], deadline: Deadline) -> list[tuple[Answers, list[str]]]:
    """(an answer, the wrong kinds that it explains) for those that leave right what is right."""
    found = []
    with suppress(TimeOverError):
        for answers in ones:
            deadline.check()
            explains = [kind for kind in wrong if kinds[kind].judge(answers) <= 1]
            if explains and all(kinds[kind].judge(answers) <= 1 for kind in right):
                found.append((answers, explains))
    return found


class _KindOfLogDets:
    """Judges answers by the log-dets that one kind of layer gave."""

    def __init__(self, reference: DialectGlow, kind: str, segments: list[Segment],
                 explained: Explained) -> None:
        self._reference, self._kind, self._explained = reference, kind, explained
        self.segments = [segment for segment in segments
                         if segment.kinds[-1] == kind and segment.seen.log_det is not None]
        self._dialects = dict(explained.dialects)
        self._limits: dict[int, Measured] = {}

    def judge(self, answers: Answers) -> float:
        """The largest error as a share of its limit; infinite from the first that is above."""
        worst = 0.0
        for k, segment in enumerate(self.segments):
            with np.errstate(all="ignore"):
                error = self._error(segment, answers)
            share = self._limit(k).share(error)
            if not share <= 1:
                return float("inf")
            worst = max(worst, share)
        return worst

    def _limit(self, k: int) -> Measured:
        segment, widened = self.segments[k], self._explained.widened

        def measure(draws: int) -> float:
            with np.errstate(all="ignore"):
                return widened(limits(self._reference, segment, self._dialects, draws)[1])
        return self._limits.setdefault(
            k, Measured(measure, lambda: widened(least_limit(segment))))

    def error(self, answers: Answers) -> float:
        """The largest relative error."""
        with np.errstate(all="ignore"):
            return max(self._error(segment, answers) for segment in self.segments)

    def _error(self, segment: Segment, answers: Answers) -> float:
        dialect = self._explained.dialects[self._kind].but(**answers)
        _, log_det = evaluated(self._reference, segment,
                               self._explained.dialects | {self._kind: dialect})
        return log_det_error(
            np.asarray(segment.seen.log_det, np.float64),
            as_given(TERMS[getattr(dialect, TERM_OF[self._kind])] * log_det, dialect,
                     self._reference.structure.dimensions), segment.x[0].size)


def as_given(log_det: Array, dialect: Dialect, size: int) -> Array:
    """A log-det in nats as an implementation with these conventions gives it."""
    in_unit = UNITS[dialect.log_det_unit](SIGNS[dialect.log_det_sign] * log_det, size)
    return BATCHES[dialect.log_det_batch](in_unit)


class Total:
    """The model's log-det, [B], from its layers' and what is known of their conventions."""

    def __init__(self, reference: DialectGlow, segments: list[Segment], images: Array,
                 dialects: Mapping[str, Dialect]) -> None:
        """Keep what it is computed from; the arguments are those of `trajectory`."""
        self._reference, self._segments, self._images = reference, segments, images
        self._dialects = dict(dialects)
        self._parts: dict[frozenset[tuple[str, str]], dict[str, Array]] = {}

    def with_answers(self, answers: Answers) -> Array:
        """The total if, besides what is known, these answers hold."""
        inside = {q: a for q, a in answers.items() if not _is_of_the_total(q)}
        key = frozenset(inside.items())
        if key not in self._parts:
            self._parts[key] = self._by_kind(inside, self._reference, self._images)
        dialects = {kind: dialect.but(**answers) for kind, dialect in self._dialects.items()}
        total = sum((TERMS[getattr(dialects[kind], TERM_OF[kind])] * part
                     for kind, part in self._parts[key].items()), np.zeros(len(self._images)))
        whole = Dialect().but(**{q: self._whole(q) for q in _WHOLE}).but(
            **{q: a for q, a in answers.items() if q in _WHOLE})
        return as_given(total, whole, self._reference.structure.dimensions)

    def _whole(self, question: str) -> str:
        """The answer to a question about the total that was found in layers, if one was."""
        default = str(getattr(Dialect(), question))
        given = {str(getattr(dialect, question)) for dialect in self._dialects.values()}
        given.discard(default)
        return given.pop() if len(given) == 1 else default

    def _by_kind(self, answers: Answers, there: DialectGlow, images: Array) -> dict[str, Array]:
        dialects = {kind: dialect.but(**answers) for kind, dialect in self._dialects.items()}
        results = trajectory(there, self._segments, images, dialects)
        parts: dict[str, Array] = {}
        for result in results:
            if result.kind != "squeeze":
                parts[result.kind] = parts.get(result.kind, 0.0) + result.log_det
        return parts

    def condition(self, draws: int) -> float:
        """kappa of the total, by so many draws."""
        def evaluate(x: Array, there: DialectGlow) -> list[Array]:
            parts = self._by_kind({}, there, x)
            return [sum(parts.values(), np.zeros(len(x)))]
        return conditions(evaluate, self._images, self._reference, draws)[0]


def search_total(reference: DialectGlow, segments: list[Segment], images: Array, seen: Array,
                 explained: Explained, deadline: Deadline) -> None:
    """Find what explains the total that was given; adds to `explained`."""
    total = Total(reference, segments, images, explained.dialects)
    limit = Limit(explained, seen, reference, total.condition)

    def judge(answers: Answers) -> float:
        return limit.share(log_det_error(np.asarray(seen, np.float64), total.with_answers(answers),
                                         reference.structure.dimensions))
    before = judge({})
    if before <= 1:
        return
    ones = list(one_answer(Dialect(), total_questions()))
    found = explanations(judge, ones, pairs(ones) if seen.size >= FEWEST_NUMBERS else [], deadline)
    answers, share = found[0] if found else ({}, float("nan"))
    explained.dialects = {kind: dialect.but(**answers)
                          for kind, dialect in explained.dialects.items()}
    explained.add(Finding("log-det", "image -> latent", answers,
                          tuple(other for other, _ in found[1:]), before * limit.value,
                          share * limit.value))


def total_questions() -> tuple[str, ...]:
    """The questions on which the total depends, the layers being known."""
    formulas = [q for questions in LOG_DET_QUESTIONS.values() for q in questions]
    return tuple(dict.fromkeys([*TERM_OF.values(), *_WHOLE, *formulas]))


def _is_of_the_total(question: str) -> bool:
    return question in _WHOLE or question in TERM_OF.values()
