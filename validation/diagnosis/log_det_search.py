"""Log-dets that differ: those of layers, kind by kind, and the total."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import LOG_DET_QUESTIONS, QUESTIONS, one_answer
from refglow.validation.diagnosis.closeness import log_det_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.diagnosis.searching import (
    Answers,
    Deadline,
    TimeOverError,
    explanations,
    pairs,
)
from refglow.validation.diagnosis.segments import Segment, evaluated, least_limit, limits
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.log_dets import BATCHES, SIGNS, TERMS, UNITS

FEWEST_NUMBERS = 3  # with fewer, some pair of answers gives them by chance
WHOLE = ("log_det_sign", "log_det_unit", "log_det_batch")
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
            q for kind in wrong for q in (*LOG_DET_QUESTIONS[kind], TERM_OF[kind], *WHOLE)))
        ones = list(one_answer(Dialect(), questions))
        fitting = _fitting(kinds, ones, wrong, right, deadline)
        answers, kinds_explained = max(fitting, key=lambda found: len(found[1]), default=({}, []))
        if not kinds_explained:
            explained.add(_of_one_kind(wrong[0], kinds[wrong[0]], ones, explained, deadline))
            wrong = wrong[1:]
            continue
        first = kinds[kinds_explained[0]]
        explained.add(Finding(
            f"log-det of {kinds_explained[0]}", first.bad()[0].names[-1], answers,
            tuple(other for other, also in fitting
                  if other != answers and also == kinds_explained),
            first.error({}), first.error(answers),
            sum(len(kinds[kind].segments) for kind in kinds_explained)))
        _hold(explained, kinds_explained, answers)
        wrong = [kind for kind in wrong if kind not in kinds_explained]


def _hold(explained: Explained, kinds: list[str], answers: Answers) -> None:
    explained.dialects = explained.dialects | {
        kind: explained.dialects[kind].but(**answers) for kind in kinds}


def _of_one_kind(kind: str, group: _KindOfLogDets, ones: list[Answers], explained: Explained,
                 deadline: Deadline) -> Finding:
    """What explains this kind's log-dets, whatever the others are; or some layers' of them.

    An answer that would spoil other kinds, which are right, holds for these layers alone. Of a pair
    both parts count: one that changes nothing here would have left the other to explain it.
    """
    bad = group.bad()
    first, places = bad[0].names[-1], tuple(segment.names[-1] for segment in group.segments)
    only = tuple(segment.names[-1] for segment in bad)
    some = group.of(bad)
    found = explanations(some.judge, ones, [], deadline)
    if not found:
        some = group
        found = explanations(group.judge, [], pairs(ones), deadline)
    answers = found[0][0] if found else {}
    alone = only != places or (some is not group and bool(answers))
    if answers and not alone:
        _hold(explained, [kind], answers)
    return Finding(f"log-det of {kind}", first, answers, tuple(other for other, _ in found[1:]),
                   group.error({}), some.error(answers) if answers else float("nan"),
                   len(some.segments) if answers else 1, only=only if alone else (),
                   out_of=len(places))


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

    def bad(self) -> list[Segment]:
        """The segments whose log-det differs."""
        with np.errstate(all="ignore"):
            return [segment for k, segment in enumerate(self.segments)
                    if not self._limit(k).share(self._error(segment, {})) <= 1]

    def of(self, segments: list[Segment]) -> _KindOfLogDets:
        """The same for some of the segments."""
        return _KindOfLogDets(self._reference, self._kind, segments, self._explained)

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
        known, there = self._explained.dialects, self._explained.there.get(segment.names[-1])
        dialect = known[self._kind].but(**answers)
        error = self._error_in(segment, dialect)
        if there is None or error == 0:
            return error
        # The log-det of what is done there, or of what should be.
        return min(error, self._error_in(segment, known[self._kind].but(**there).but(**answers)))

    def _error_in(self, segment: Segment, dialect: Dialect) -> float:
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
