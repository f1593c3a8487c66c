"""The model's log-det: what explains a total that differs from the sum of its layers'."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refglow.dtypes import Array
from refglow.layer_name import kind_of
from refglow.validation.diagnosis.candidates import LOG_DET_QUESTIONS, one_answer
from refglow.validation.diagnosis.closeness import conditions, log_det_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.limit import Limit
from refglow.validation.diagnosis.log_det_search import (
    FEWEST_NUMBERS,
    TERM_OF,
    WHOLE,
    as_given,
)
from refglow.validation.diagnosis.searching import Answers, Deadline, explanations, pairs
from refglow.validation.diagnosis.segments import Segment
from refglow.validation.diagnosis.trajectory import trajectory
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.log_dets import TERMS


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
        whole = Dialect().but(**{q: self._whole(q) for q in WHOLE}).but(
            **{q: a for q, a in answers.items() if q in WHOLE})
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
    if before <= 1 or _is_sum_of_layers(reference, segments, explained, seen, limit):
        return
    ones = list(one_answer(Dialect(), total_questions()))
    found = explanations(judge, ones, pairs(ones) if seen.size >= FEWEST_NUMBERS else [], deadline)
    answers, share = found[0] if found else ({}, float("nan"))
    explained.dialects = {kind: dialect.but(**answers)
                          for kind, dialect in explained.dialects.items()}
    explained.add(Finding("log-det", "image -> latent", answers,
                          tuple(other for other, _ in found[1:]), before * limit.value,
                          share * limit.value))


def _is_sum_of_layers(reference: DialectGlow, segments: list[Segment], explained: Explained,
                      seen: Array, limit: Limit) -> bool:
    """Whether the total adds up log-dets some of which are not explained, and said to be so."""
    unexplained = any(not finding.is_convention for finding in explained.findings
                      if finding.subject.startswith("log-det of"))
    given = [segment.seen.log_det for segment in segments
             if segment.seen.log_det is not None and segment.kinds[-1] != "squeeze"]
    needed = [name for name in reference.layer_names() if kind_of(name) != "squeeze"]
    if not unexplained or len(given) != len(needed):
        return False
    added_up = np.sum([np.broadcast_to(np.asarray(log_det, np.float64), seen.shape)
                       for log_det in given], axis=0)
    return limit.share(log_det_error(np.asarray(seen, np.float64), added_up,
                                     reference.structure.dimensions)) <= 1


def total_questions() -> tuple[str, ...]:
    """The questions on which the total depends, the layers being known."""
    formulas = [q for questions in LOG_DET_QUESTIONS.values() for q in questions]
    return tuple(dict.fromkeys([*TERM_OF.values(), *WHOLE, *formulas]))


def _is_of_the_total(question: str) -> bool:
    return question in WHOLE or question in TERM_OF.values()
