"""Exponential moving averages of weights, for evaluating with less noise than the last step's have.

    average = decay * average + (1 - decay) * w        after each step, from w at the start

Source: Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging" (a plain
mean); the exponential one is common practice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from refglow.backend import implementation
from refglow.dtypes import Array
from refglow.safetensors_file import require_kinds
from refglow.training.named_arrays import by_name, frozen, kinds_of, number_in_range
from refglow.variable import Variable


def average_update(average: Array, parameter: Array, decay: float) -> Array:
    """decay * average + (1 - decay) * parameter, in their number type."""
    return decay * average + (1 - decay) * parameter


class MovingAverage:
    """average = decay * average + (1 - decay) * w for every variable w, from w at construction.

    Its start is not zero, so there is no bias to correct. The arrays that it hands out are
    read-only and do not change with later updates.
    """

    def __init__(self, variables: Iterable[Variable], decay: float) -> None:
        """Start at the variables' present values; `decay` is in [0, 1)."""
        self.decay: Final = number_in_range("decay", decay, below=1.0)
        self._averages = {name: w.numpy() for name, w in by_name(variables).items()}

    def update(self, variables: Iterable[Variable]) -> None:
        """Take in the variables' present values.

        Raises:
          ValueError: if they are not those of the construction; nothing is changed then.
        """
        values = {name: w.numpy() for name, w in by_name(variables).items()}
        require_kinds(kinds_of(self._averages), kinds_of(values),
                      "The variables are not those that are averaged; nothing was changed")
        for name, value in values.items():
            average = self._averages[name]
            update = implementation(average_update, average, value)
            self._averages[name] = frozen(update(average, value, self.decay))

    def state_dict(self) -> dict[str, Array]:
        """The averages by the variables' names."""
        return dict(self._averages)

    def load_state_dict(self, arrays: Mapping[str, Array]) -> None:
        """Go on from a `state_dict`, of which everything is copied; if anything is wrong, nothing.

        Raises:
          ValueError: listing what is missing, unknown or misfit.
        """
        require_kinds(kinds_of(self._averages), kinds_of(arrays),
                      "The averages are not those of the variables; nothing was changed")
        self._averages = {name: frozen(np.array(arrays[name])) for name in self._averages}
