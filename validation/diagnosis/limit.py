"""The largest error of a result that is rounding, measured only where it decides, and as well."""

from __future__ import annotations

from collections.abc import Callable

from refglow.dtypes import Array
from refglow.validation.diagnosis.closeness import LAYERS_OF_A_COUPLING
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.dialects.dialect_glow import DialectGlow


class Limit(Measured):
    """That of a whole model's result, which grows with a condition.

    The condition is at least 1: what is within the limit of that is within the limit.
    """

    def __init__(self, explained: Explained, seen: Array, reference: DialectGlow,
                 condition: Callable[[int], float]) -> None:
        """Measure nothing yet.

        Args:
          explained: what is known.
          seen: the result.
          reference: for how many layers round.
          condition: measures kappa by so many draws.
        """
        layers = LAYERS_OF_A_COUPLING * len(list(reference.layer_names()))
        super().__init__(lambda draws: explained.limit(seen, layers, condition(draws)),
                         lambda: explained.limit(seen, layers, 1.0))
