"""The conditions of a vector's results as one array, as they are kept.

One number for each result, in the order of their names; or, where those of one result's numbers
differ, one for each number of each result. They are measured by random draws, so three digits are
kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refglow.dtypes import Array

_DIGITS = 3
LARGEST = 1e30  # no number type here keeps a digit of such a result


def packed(conditions: Mapping[str, Array]) -> Array:
    """float32 [number of results], or [number of all results' numbers].

    Args:
      conditions: kappa of each number of each result, by the results' names.
    """
    rounded = [_rounded(conditions[name]).reshape(-1) for name in sorted(conditions)]
    if all((one == one[:1]).all() for one in rounded):
        rounded = [one[:1] if one.size else np.ones(1) for one in rounded]
    return np.concatenate(rounded).astype(np.float32)


def unpacked(array: Array, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """kappa by the results' names, float64: of each number, or one for all of a result.

    Args:
      array: as `packed` gives it.
      shapes: of the results.
    """
    names = sorted(shapes)
    sizes = [int(np.prod(shapes[name])) for name in names]
    wide = _rounded(array.astype(np.float64))
    if len(wide) == len(names):
        return {name: wide[k] for k, name in enumerate(names)}
    pieces = np.split(wide, np.cumsum(sizes)[:-1])
    return {name: piece.reshape(shapes[name]) for name, piece in zip(names, pieces, strict=True)}


def _rounded(kappa: Array) -> Array:
    """To three digits."""
    wide = np.minimum(np.asarray(kappa, np.float64), LARGEST)
    unit = 10.0 ** (np.floor(np.log10(wide)) - _DIGITS + 1)
    return np.asarray(np.round(wide / unit) * unit)
