"""A Glow evaluated in a number type, its roundings emulated where NumPy or the machine has none.

float32 and float64 are evaluated by refglow itself. float16 and bfloat16 are emulated: weights and
inputs are rounded to the type, and so is the result of every operation (each layer of a network,
its ReLUs, each layer of the flow); inside an operation sums are float32's, as on hardware that
multiplies such numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.networks.sequential import Sequential
from refglow.validation.audit.channels import coupling_of
from refglow.validation.audit.walk import trajectory
from refglow.validation.bench.bfloat16 import as_bits, as_numbers
from refglow.validation.layers import Layer, layers_towards_latent


@dataclass(frozen=True)
class NumberType:
    """A floating number type.

    Attributes:
      name: of it.
      eps: the distance from 1 to the next number.
      carrier: the NumPy type whose numbers stand for its numbers.
      rounded: numbers of the carrier, rounded to it; too large ones become infinite.
    """

    name: str
    eps: float
    carrier: type[Any]
    rounded: Callable[[Array], Array]

    @property
    def digits(self) -> float:
        """The decimal digits to which it rounds: -log10(eps / 2)."""
        return float(-np.log10(self.eps / 2))


def _to_float16(array: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return array.astype(np.float16).astype(np.float32)


def _to_bfloat16(array: Array) -> Array:
    numbers = as_numbers(as_bits(np.ascontiguousarray(array, np.float32)))
    return np.where(np.isfinite(array), numbers, array).astype(np.float32)


FLOAT64 = NumberType("float64", 2.0**-52, np.float64, lambda array: array.astype(np.float64))
FLOAT32 = NumberType("float32", 2.0**-23, np.float32, lambda array: array.astype(np.float32))
FLOAT16 = NumberType("float16", 2.0**-10, np.float32, _to_float16)
BFLOAT16 = NumberType("bfloat16", 2.0**-7, np.float32, _to_bfloat16)


def number_types(own: Any) -> tuple[NumberType, ...]:
    """The types to look at, for a model of number type `own`: its own first."""
    narrow = (FLOAT32, FLOAT16, BFLOAT16)
    return narrow if np.dtype(own) == np.float32 else (FLOAT64, *narrow)


def evaluated(glow: Glow, number_type: NumberType, start: Array, to_latent: bool) -> list[Array]:
    """The values at all places of a walk through the Glow in a number type.

    Args:
      glow: the model.
      number_type: what to evaluate in.
      start: where the walk begins, any floating type; it is rounded.
      to_latent: its direction.

    Raises:
      ValueError: if a layer cannot compute at all, as with weights that round to 0.
    """
    with np.errstate(all="ignore"):
        first = number_type.rounded(start.astype(number_type.carrier))
        return trajectory(_layers_in(glow, number_type), first, to_latent, number_type.rounded)


def _layers_in(glow: Glow, number_type: NumberType) -> list[Layer]:
    """The layers of a copy of the Glow, its weights and its networks' operations rounded."""
    copy = glow.astype(number_type.carrier)
    copy.load_state_dict({name: number_type.rounded(value) if value.dtype.kind == "f" else value
                          for name, value in copy.state_dict().items()})
    layers = layers_towards_latent(copy)
    for layer in layers:
        coupling = coupling_of(layer)
        fn: Any = getattr(coupling, "_bijector_fn", None)
        if hasattr(fn, "network"):
            fn.network = _Rounded(fn.network, number_type.rounded)
    return layers


class _Rounded:
    """A network whose layers' results are rounded."""

    def __init__(self, network: Any, rounded: Callable[[Array], Array]) -> None:
        self._parts = (tuple(network.layers.values()) if isinstance(network, Sequential)
                       else (network,))
        self._round = rounded

    def __call__(self, x: Array, **condition: Any) -> Any:
        for part in self._parts:
            x = part(x, **condition)
            if isinstance(x, np.ndarray):  # otherwise a bijector
                x = self._round(x)
            condition = {}
        return x
