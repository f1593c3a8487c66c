"""How far roundings of a vector's inputs move its results: what an implementation may be off by.

As conditioning.py for a bijector's values, here for everything that a vector has: each number of
the inputs, parameters, cotangents and tangents is moved by a relative 1e-7, about and up or down
(log-scales by an absolute one), three times, in float64, and the largest relative move of a result
over 1e-7 is its kappa.

Where numbers are mapped one by one, each has a kappa of its own: a wrong tiny number beside large
ones is seen.

They are measured when a vector is made, and kept with it (`kept.py`): who judges or exports
measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.module import Module
from refglow.validation.conditioning import (
    SPREAD,
    largest_element_moves,
    largest_moves,
    moved_number,
)
from refglow.validation.tolerances import (
    Tolerance,
    agreement,
    derivative_agreement,
    of_a_sum,
    rounding_layers,
)
from refglow.validation.vectors.operations import OPERATIONS
from refglow.validation.vectors.results import evaluated_in, is_derivative, is_log_det
from refglow.validation.vectors.vector import Vector


def measured_conditions(vector: Vector, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """kappa, at least 1, of each result; of each of its numbers for operations `by_element`.

    Args:
      vector: which.
      inputs: its parameters and inputs, float32.
    """
    if OPERATIONS[vector.operation].by_element:
        return element_conditions_of_vector(vector, inputs)
    return {name: np.asarray(kappa) for name, kappa in conditions_of_vector(vector, inputs).items()}


def conditions_of_vector(vector: Vector, inputs: Mapping[str, Array]) -> dict[str, float]:
    """kappa, at least 1, of each result.

    Args:
      vector: which.
      inputs: its parameters and inputs, float32.
    """
    base, moved = _base_and_moved(vector, inputs, SPREAD)
    return dict(zip(base, largest_moves(list(base.values()), moved), strict=True))


def element_conditions_of_vector(vector: Vector, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """kappa, at least 1, of each number of each result: for operations `by_element`.

    Args: as for `conditions_of_vector`.
    """
    base, moved = _base_and_moved(vector, inputs, 0.0)
    return dict(zip(base, largest_element_moves(list(base.values()), moved), strict=True))


def _base_and_moved(vector: Vector, inputs: Mapping[str, Array], spread: float
                    ) -> tuple[dict[str, Array], Callable[[], list[Array]]]:
    """The results in float64, and what evaluates them again with all data moved by so much."""
    rng = np.random.default_rng(0)
    base = evaluated_in(vector, inputs, np.float64)

    def moved() -> list[Array]:
        data = {name: moved_number(name, array.astype(np.float64), rng, spread)
                if array.dtype.kind == "f" else array
                for name, array in sorted(base.inputs.items())}
        return list(evaluated_in(vector, data, np.float64).results.values())
    return base.results, moved


def layers_of_vector(vector: Vector) -> int:
    """How many parts of its operation commit roundings."""
    subject = vector.build(np.float32)
    return rounding_layers(subject) if isinstance(subject, Module) else 1


def rule_of(vector: Vector, name: str) -> Callable[[Any, int, float], Tolerance]:
    """The rule for a result's tolerance: (number type, layers, kappa) -> Tolerance.

    A log-det or density is a sum, and has the rule of one. How far its terms cancel is not known;
    kappa grows with it, and the tolerances of `by_element` are in proportion to kappa.

    Args:
      vector: which.
      name: of the result.
    """
    rule = derivative_agreement if is_derivative(name) else agreement
    density = OPERATIONS[vector.operation].is_density and not name.startswith("forward/vjp")
    if not (density or is_log_det(name)):
        return rule

    def with_sum(dtype: Any, layers: int, condition: float) -> Tolerance:
        return of_a_sum(rule(dtype, layers, condition), dtype, vector.size, condition)
    return with_sum
