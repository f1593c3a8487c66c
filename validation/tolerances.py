"""Every tolerance, and its reason. One home: no other file decides what is close enough.

A stable algorithm gives the exact result for data perturbed by a few roundings. With eps the
distance from 1 to the next float, L the number of layers that commit such roundings, and kappa the
measured condition of the map, the relative error to expect is about

    tolerance = c * eps * sqrt(L) * kappa,          c = 4

kappa says how much a relative perturbation of the input and of all parameters grows in the result
(see `conditioning.py`). The layers' errors are independent, so they accumulate like sqrt(L). c
covers the roundings inside one layer, and that both sides commit them: a dot product of n terms
commits n roundings, which accumulate at random to about sqrt(n), partly in blocks. Over the golden
files and 50 random architectures the largest error is two thirds of this.

In float64 this stays below the limit the project sets itself against TFP, 1e-12 * kappa, which is
checked too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.real_nvp import RealNVP

AGAINST_TFP_FLOAT64 = 1e-12  # times kappa: the project's limit for float64, any architecture
AGAINST_DENSE_JACOBIAN = 1e-10  # log-det against slogdet of the dense Jacobian, float64
_ROUNDINGS_PER_LAYER = 4.0


@dataclass(frozen=True)
class Tolerance:
    """The largest relative error that passes, and why it is that."""

    relative: float
    reason: str


def rounding_layers(bijector: Bijector) -> int:
    """L: how many parts of a bijector commit roundings.

    Counted are its innermost bijectors and network layers, except those that only rearrange; a
    coupling counts for itself beside its network.
    """
    modules = (bijector, *bijector.submodules)
    return max(1, sum(_rounds(module) for module in modules))


def _rounds(module: Any) -> bool:
    if isinstance(module, RealNVP):
        return True
    if getattr(module, "submodules", ()):
        return False
    if isinstance(module, Bijector):
        return not module.is_permutation
    return any(True for _ in module.named_variables())


def agreement(dtype: Any, layers: int, condition: float) -> Tolerance:
    """For two implementations of one map in the same number type, or one against the truth.

    Args:
      dtype: the number type of the results.
      layers: how many parts of the map commit roundings.
      condition: kappa.
    """
    eps = float(np.finfo(np.dtype(dtype)).eps)
    value = _ROUNDINGS_PER_LAYER * eps * math.sqrt(layers) * condition
    reason = f"{layers}^.5 x {condition:.2g}"
    limit = AGAINST_TFP_FLOAT64 * condition
    if np.dtype(dtype) == np.float64 and value > limit:
        return Tolerance(limit, f"1e-12 x {condition:.2g}")
    return Tolerance(value, reason)
