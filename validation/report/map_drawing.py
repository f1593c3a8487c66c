"""A map of errors as SVG: one path for each class of size, a unit square for each place."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from refglow.validation.report.error_map import ErrorMap

_WITHIN = (0.0, 0.01, 0.1, 0.3, 1.0)  # shares of the tolerance, if anything is beyond it
_ALL_WITHIN = (0.0, 0.1, 0.3, 0.6, 1.0)  # shares of the largest error, if nothing is
_BEYOND = (0.01, 0.1, 0.3, 0.6)  # shares of the largest error that are beyond the tolerance


@dataclass(frozen=True)
class SizeClass:
    """Errors of about one size.

    Attributes:
      name: its colour's: "within0", ..., "beyond4"; "not-finite".
      upto: the largest share of the tolerance in it.
      count: how many places have it.
      path: their squares.
    """

    name: str
    upto: float
    count: int
    path: str


def classes_of(drawn: ErrorMap) -> list[SizeClass]:
    """The classes that a map has, smallest errors first.

    They are shares of the largest finite error, so that a pattern shows whatever its size; below
    the tolerance of its own, if the largest is beyond it.
    """
    shares = np.array(drawn.shares)
    largest = float(shares[np.isfinite(shares)].max(initial=0.0))
    within = list(_WITHIN) if largest > 1 else [share * (largest or 1.0) for share in _ALL_WITHIN]
    beyond = [share * largest for share in (*_BEYOND, 1.0) if share * largest > 1]
    names = [*(f"within{k}" for k in range(len(within))),
             *(f"beyond{len(_BEYOND) + 1 - len(beyond) + k}" for k in range(len(beyond))),
             "not-finite"]
    edges = [*within, *beyond, float("inf")]
    index = np.searchsorted(edges, shares, side="left")
    return [SizeClass(name, edge, int((index == k).sum()), _path(index == k))
            for k, (name, edge) in enumerate(zip(names, edges, strict=True)) if (index == k).any()]


def _path(places: np.ndarray) -> str:
    """Unit squares, those beside one another as one rectangle."""
    path = []
    for y, line in enumerate(places.tolist()):
        x = 0
        for is_here, run in groupby(line):
            length = len(list(run))
            if is_here:
                path.append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    return "".join(path)
