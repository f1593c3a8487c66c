"""Keyword arguments find their bijector by its name.

    chain.forward(x, coupling={"label": 3})    gives the part called "coupling" label=3

Source: tfp.bijectors.Chain. TFP ignores a name that no part has; here it is an error, because a
misspelt name would otherwise silently condition on nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from refglow.bijectors.bijector import Bijector


def kwargs_for(owner: str, parts: Sequence[Bijector],
               kwargs: Mapping[str, Any]) -> Callable[[Bijector], Mapping[str, Any]]:
    """The function that gives each part its own keyword arguments.

    Raises:
      TypeError: if an argument's name is not a part's, or its value not a dict.
    """
    if not kwargs:
        return _nothing_for
    names = {part.name for part in parts}
    for key, value in kwargs.items():
        if key not in names:
            raise TypeError(f"{owner}: no part is called {key!r}; the parts are "
                            f"{', '.join(sorted(names)) or 'none'}.")
        if not isinstance(value, Mapping):
            raise TypeError(f"{owner}: {key}= must be a dict of keyword arguments for that part; "
                            f"got {type(value).__name__}.")
    return lambda part: kwargs.get(part.name, {})


def _nothing_for(part: Bijector) -> Mapping[str, Any]:
    return {}
