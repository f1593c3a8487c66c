"""Which channels a coupling's network sees, and which channels go on or leave at an exit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.dtypes import Array

# (how many channels there are, how many are asked for) -> which. A coupling asks for those that go
# into its network, an exit for those that go on.
HALVES: dict[str, Callable[[int, int], Array]] = {
    "low half": lambda channels, count: np.arange(count),
    "high half": lambda channels, count: np.arange(channels - count, channels),
    "even channels": lambda channels, count: _every_second(channels, count, 0),
    "odd channels": lambda channels, count: _every_second(channels, count, 1),
}

# What is said of an exit: which channels leave; the others go on.
GOING_ON = {"high exits": "low half", "low exits": "high half", "odd exits": "even channels",
            "even exits": "odd channels"}


def others(channels: int, chosen: Array) -> Array:
    """The channels that are not chosen, in order."""
    return np.setdiff1d(np.arange(channels), chosen)


def _every_second(channels: int, count: int, first: int) -> Array:
    chosen = np.arange(first, channels, 2)
    if len(chosen) != count:
        raise ValueError(f"{count} of {channels} channels are not every second one.")
    return chosen
