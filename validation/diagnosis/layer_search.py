"""The layers that differ, kind by kind, and what explains them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import (
    QUESTIONS,
    answers_of_projects,
    one_answer,
    statistics_of_every_batch,
)
from refglow.validation.diagnosis.closeness import relative_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.diagnosis.precision import eps_of, explained_by_precision
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

_NEAR = 1e-2  # a relative error from which on the limit of the very map is asked for
_SHARE_OF_TIME = 0.6  # of what is left, for a kind of layer that nothing explains


def search_layers(reference: DialectGlow, segments: list[Segment], explained: Explained,
                  deadline: Deadline) -> None:
    """Find what explains the outputs of each kind of segment; adds to `explained`."""
    groups: dict[tuple[str, ...], list[Segment]] = {}
    for segment in segments:
        groups.setdefault(segment.kinds, []).append(segment)
    for kinds, group in groups.items():
        _search_group(reference, kinds, group, explained, deadline)


def _search_group(reference: DialectGlow, kinds: tuple[str, ...], group: list[Segment],
                  explained: Explained, deadline: Deadline) -> None:
    shares = _Shares(reference, group, kinds, explained)
    first = shares.first_bad()
    if first is None:
        return
    before = shares.error(first, {})
    if not any(segment.seen.output.any() for segment in shares.differing):
        # Zeros fit what has no shift.
        explained.add(Finding(kinds[-1], first.names[-1], {}, error_before=1.0))
        return
    questions = tuple(dict.fromkeys(q for kind in kinds for q in QUESTIONS[kind]))
    base = explained.dialects[kinds[-1]]
    known = {q: a for q, a in explained.known_answers().items() if q in questions}
    singles = list(one_answer(base, questions))
    several = [*answers_of_projects(questions),
               *(statistics_of_every_batch() if "actnorm" in questions else ())]
    part = deadline.part(_SHARE_OF_TIME)
    found = explanations(shares, [*([known] if known else []), *singles], several, part) or (
        explanations(shares, (), pairs(singles), part))
    if not found:
        with suppress(TimeOverError):
            found = explained_by_precision(reference, group, explained.dialects, shares.limit)
    if not found:
        explained.add(_at_some_places(shares, group, singles, explained, deadline))
        return
    answers, _ = found[0]
    after = shares.worst.get(frozenset(answers.items()), float("nan"))
    if "precision" in answers:
        explained.eps_grown = eps_of(answers["precision"]) / float(
            np.finfo(group[0].seen.output.dtype).eps)
    explained.dialects = explained.with_answers(kinds, answers)
    explained.add(Finding(
        kinds[-1], first.names[-1], answers, tuple(other for other, _ in found[1:]), before,
        after, len(group)))


def _at_some_places(shares: _Shares, group: list[Segment], singles: list[Answers],
                    explained: Explained, deadline: Deadline) -> Finding:
    """What explains the segments that differ, if others of their kind agree; or that nothing does.

    A layer that is skipped, or has another one's weights, is one place and no convention.
    """
    bad = shares.bad()
    only = tuple(segment.names[-1] for segment in bad) if len(bad) < len(group) else ()
    some = shares.of(bad)
    found = explanations(some, singles, pairs(singles),
                         deadline.part(_SHARE_OF_TIME)) if only else []
    answers = found[0][0] if found else {}
    if answers:
        explained.there |= dict.fromkeys(only, answers)
    return Finding(bad[0].kinds[-1], bad[0].names[-1], answers,
                   tuple(other for other, _ in found[1:]), shares.error(bad[0], {}),
                   some.worst.get(frozenset(answers.items()), float("nan")),
                   len(bad) if answers else 1, only=only, out_of=len(group))


class _Shares:
    """Judges answers by the outputs of a group of segments.

    An answer has to fit all of them, so one image of one segment refutes nearly all that do not:
    the segment with the fewest pixels of those that clearly differ. A limit is measured only where
    the least that it can be does not decide.

    Attributes:
      differing: the segments that may differ, once `first_bad` was asked for.
      worst: of answers that fit, the largest relative error.
    """

    def __init__(self, reference: DialectGlow, group: list[Segment], kinds: tuple[str, ...],
                 explained: Explained) -> None:
        self._reference, self._group, self._kinds = reference, group, kinds
        self._explained, self._limits = explained, dict[str, Measured]()
        self._start_with = group[0]
        self.differing: list[Segment] = []
        self.worst: dict[frozenset[tuple[str, str]], float] = {}

    def limit(self, segment: Segment) -> Measured:
        """The largest error of the output that is rounding."""
        if segment.names[-1] not in self._limits:
            self._limits[segment.names[-1]] = _limit_of_output(self._reference, segment,
                                                               self._explained.dialects)
        return self._limits[segment.names[-1]]

    def of(self, group: list[Segment]) -> _Shares:
        """The same for some of the segments, all of which differ."""
        some = _Shares(self._reference, group, self._kinds, self._explained)
        some.differing, some._start_with = group, min(group, key=_pixels)
        return some

    def bad(self) -> list[Segment]:
        """The segments that differ."""
        with np.errstate(all="ignore"):
            return [segment for segment in self._group
                    if not self.limit(segment).share(self.error(segment, {})) <= 1]

    def error(self, segment: Segment, answers: Answers) -> float:
        """The relative error of a segment's output with these answers."""
        return relative_error(segment.seen.output, self._output(segment, answers))

    def _output(self, segment: Segment, answers: Answers) -> Array:
        dialects = self._explained.with_answers(self._kinds, answers)
        return evaluated(self._reference, segment, dialects)[0]

    def first_bad(self) -> Segment | None:
        """The first segment that differs, if one does.

        From then on the search starts with the cheapest of those that clearly differ.
        """
        with np.errstate(all="ignore"):
            found = [(segment, self.error(segment, {})) for segment in self._group]
            found = [(segment, error) for segment, error in found
                     if not error <= least_limit(segment)]
            first = next((segment for segment, error in found
                          if not self.limit(segment).share(error) <= 1), None)
        self.differing = [segment for segment, _ in found]
        if first is not None:
            clear = [segment for segment, error in found
                     if not error <= _NEAR and segment.seen.output.any()]
            self._start_with = min(clear, key=_pixels, default=first)
        return first

    def __call__(self, answers: Answers) -> float:
        """The largest share of its limit, over the segments; of the first one that is above."""
        if not self._fits_one_image(answers):
            return float("inf")
        worst, largest = 0.0, 0.0
        for segment in (self._start_with, *self._group):
            error = self.error(segment, answers)
            share = self._share(segment, answers, error)
            worst, largest = max(worst, share), max(largest, error)
            if not share <= 1:
                return float("inf") if np.isnan(share) else share
        self.worst[frozenset(answers.items())] = largest
        return worst

    def _fits_one_image(self, answers: Answers) -> bool:
        """Whether the first image alone does not refute them.

        Where the whole batch agrees to an error e < 1/2, no number differs by more than e times the
        largest of refglow's, which is at most twice the largest of those seen.
        """
        if "actnorm" in self._kinds:  # whose numbers may be the batch's
            return True
        segment = self._start_with
        seen = segment.seen.output.astype(np.float64)
        alone = replace(segment, x=segment.x[:1])
        apart = np.abs(self._output(alone, answers) - seen[:1]).max(initial=0.0)
        least = max(_NEAR, self.limit(segment).value)
        return bool(apart <= 2 * least * np.abs(seen).max(initial=0.0)) or least >= 0.5

    def _share(self, segment: Segment, answers: Answers, error: float) -> float:
        least = least_limit(segment)
        if error <= least:
            return error / least
        share = self.limit(segment).share(error)
        if share <= 1 or not error < _NEAR:
            return share
        # Near, but not within the limit of the map as it should be: by the limit of this one.
        dialects = self._explained.with_answers(self._kinds, answers)
        return _limit_of_output(self._reference, segment, dialects).share(error)


def _limit_of_output(reference: DialectGlow, segment: Segment,
                     dialects: Mapping[str, Dialect]) -> Measured:
    return Measured(lambda draws: limits(reference, segment, dialects, draws)[0],
                    lambda: least_limit(segment))


def _pixels(segment: Segment) -> int:
    return math.prod(segment.x.shape[1:3])
