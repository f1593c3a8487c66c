"""Outputs of layers that the next layers changed in place after they were given.

A layer that writes into its input changes what the layer before it gave: both are then the same
numbers, the later one's. That is no convention, and read as one it is a wrong one: ActNorm would
seem to do nothing, and the squeeze before it what no squeeze does.
"""

from __future__ import annotations

import itertools

import numpy as np

from refglow.validation.diagnosis.closeness import relative_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.segments import Segment, evaluated, least_limit, limits
from refglow.validation.dialects.dialect_glow import DialectGlow


def without_overwritten(reference: DialectGlow, segments: list[Segment],
                        explained: Explained) -> list[Segment]:
    """The segments, those whose outputs were overwritten joined with the next; adds to `explained`.

    Only where the next layer's output is right for what the first one should have given.
    """
    kept: list[Segment] = []
    found: list[tuple[Segment, float, float]] = []
    for same in _runs(segments):
        if len(same) == 1:
            kept += same
            continue
        joined = Segment(tuple(name for one in same for name in one.names), same[0].x,
                         same[-1].seen)
        before, after = (_error(reference, one, explained) for one in (same[0], joined))
        if before > _limit(reference, same[0], explained) and (
                after <= _limit(reference, joined, explained)):
            kept.append(joined)
            found += [(one, before, after) for one in same[:-1]]
        else:
            kept += same
    if found:
        explained.add(Finding(
            "outputs of layers", found[0][0].names[-1], {"memory": "overwritten by what follows"},
            (), max(before for _, before, _ in found), max(after for _, _, after in found),
            len(found)))
    return kept


def _runs(segments: list[Segment]) -> list[list[Segment]]:
    """Neighbours with the same numbers for outputs, together."""
    runs = [segments[:1]] if segments else []
    for one, following in itertools.pairwise(segments):
        if np.array_equal(one.seen.output, following.seen.output):
            runs[-1].append(following)
        else:
            runs.append([following])
    return runs


def _error(reference: DialectGlow, segment: Segment, explained: Explained) -> float:
    return relative_error(segment.seen.output,
                          evaluated(reference, segment, explained.dialects)[0])


def _limit(reference: DialectGlow, segment: Segment, explained: Explained) -> float:
    return max(least_limit(segment), limits(reference, segment, explained.dialects)[0])
