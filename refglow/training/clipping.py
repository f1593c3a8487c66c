"""Clipping gradients by their global norm.

Source: Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural networks",
algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from refglow.backend import implementation
from refglow.dtypes import Array


def global_norm(gradients: Mapping[str, Array]) -> float:
    """sqrt(sum of squares of all numbers in all arrays), added up in float64."""
    total = 0.0
    for gradient in gradients.values():
        flat = gradient.reshape(-1).astype(np.float64, copy=False)
        total += float(flat @ flat)
    return math.sqrt(total)


def norm_of(gradients: Mapping[str, Array]) -> float:
    """`global_norm`, as the backend in force computes it for these arrays."""
    if not gradients:
        return 0.0
    norm: float = implementation(global_norm, *gradients.values())(gradients)
    return norm


def clip_by_global_norm(gradients: dict[str, Array], max_norm: float
                        ) -> tuple[dict[str, Array], float]:
    """gradients * min(1, max_norm / norm), with norm = global_norm(gradients).

    Args:
      gradients: arrays by name. To hold only one set of them in memory, the dict's entries are
        replaced one by one; no array is changed.
      max_norm: the largest norm to leave as it is, positive.

    Returns:
      the same dict, and the norm before clipping. If that is infinite or NaN, no scale would be
      right, and the gradients are left as they are.

    Raises:
      ValueError: if `max_norm` is not positive.

    Source: Pascanu, Mikolov & Bengio 2013, "On the difficulty of training recurrent neural
      networks", algorithm 1.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be positive; got {max_norm}.")
    norm = norm_of(gradients)
    if max_norm < norm < math.inf:
        for name, gradient in gradients.items():
            gradients[name] = gradient * (float(max_norm) / norm)
    return gradients, norm
