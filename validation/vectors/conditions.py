"""How far roundings of a vector's inputs move its results: what an implementation may be off by.

As conditioning.py for a bijector's values, here for everything that a vector has: each number of
the inputs and parameters is moved by a relative 1e-7 of its own sign (log-scales by an absolute
one), three times, in float64, and the largest relative move of a result over 1e-7 is its kappa.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.module import Module
from refglow.validation.conditioning import largest_moves, moved_number
from refglow.validation.tolerances import (
    Tolerance,
    agreement,
    derivative_agreement,
    rounding_layers,
)
from refglow.validation.vectors.results import evaluated_in, is_derivative
from refglow.validation.vectors.vector import Vector


def conditions_of_vector(vector: Vector, inputs: Mapping[str, Array]) -> dict[str, float]:
    """kappa, at least 1, of each result.

    Args:
      vector: which.
      inputs: its parameters and inputs, float32.
    """
    rng = np.random.default_rng(0)
    base = evaluated_in(vector, inputs, np.float64).results

    def moved() -> list[Array]:
        data = {name: moved_number(name, array.astype(np.float64), rng)
                if array.dtype.kind == "f" else array for name, array in inputs.items()}
        return list(evaluated_in(vector, data, np.float64).results.values())
    return dict(zip(base, largest_moves(list(base.values()), moved), strict=True))


def tolerances_of_vector(vector: Vector, kappas: Mapping[str, float],
                         dtype: str) -> dict[str, Tolerance]:
    """For each result, the error that passes in a number type.

    Args:
      vector: which.
      kappas: as `conditions_of_vector` gives them.
      dtype: the number type of the results.
    """
    subject = vector.build(np.float32)
    layers = rounding_layers(subject) if isinstance(subject, Module) else 1
    return {name: _rule_of(name)(dtype, layers, kappa) for name, kappa in kappas.items()}


def _rule_of(name: str) -> Callable[[Any, int, float], Tolerance]:
    return derivative_agreement if is_derivative(name) else agreement
