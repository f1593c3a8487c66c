"""The largest error of a whole model's result that is rounding, measured only where it decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from refglow.dtypes import Array
from refglow.validation.diagnosis.closeness import LAYERS_OF_A_COUPLING
from refglow.validation.diagnosis.layer_search import Explained
from refglow.validation.dialects.dialect_glow import DialectGlow


class Limit:
    """A limit that grows with a condition, which takes several evaluations to measure.

    The condition is at least 1: what is within the limit of that is within the limit.
    """

    def __init__(self, explained: Explained, seen: Array, reference: DialectGlow,
                 condition: Callable[[], float]) -> None:
        """Measure nothing yet.

        Args:
          explained: what is known.
          seen: the result.
          reference: for how many layers round.
          condition: measures kappa.
        """
        self._condition = condition
        self._layers = LAYERS_OF_A_COUPLING * len(list(reference.layer_names()))
        self._explained, self._seen = explained, seen

    @cached_property
    def value(self) -> float:
        """The limit."""
        return self._explained.limit(self._seen, self._layers, self._condition())

    @cached_property
    def least(self) -> float:
        """What it is at least."""
        return self._explained.limit(self._seen, self._layers, 1.0)

    def share(self, error: float) -> float:
        """An error as a share of the limit: at most 1 if it is rounding."""
        if error <= self.least and "value" not in self.__dict__:
            return error / self.least
        share = error / self.value
        return float("inf") if share != share else share
