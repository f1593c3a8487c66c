"""How many digits survive in a number type, at every place and in both directions.

Measured: the Glow is evaluated in the type (`number_types.py`) and held against the truth
(`truth.py`); digits = -log10 of the relative error. Predicted: the amplification of the layers'
roundings (`roundings_carried`), times eps / 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.validation.audit.number_types import NumberType, evaluated
from refglow.validation.audit.truth import Truth
from refglow.validation.compare import difference


@dataclass(frozen=True)
class Surviving:
    """One number type in one direction.

    Attributes:
      number_type: it.
      to_latent: the direction.
      measured: by place, the relative error; infinite where numbers are not finite, NaN where the
        truth is not.
      predicted: by place, the relative error to expect.
      of_few: the relative errors at the end for the first few images or samples, against float64;
        none of float64 itself.
    """

    number_type: NumberType
    to_latent: bool
    measured: tuple[float, ...]
    predicted: tuple[float, ...]
    of_few: tuple[float, ...] = ()

    @property
    def digits_of_few(self) -> tuple[float, float] | None:
        """(median, least) of the digits that survive the whole way, over the first few."""
        if not self.of_few:
            return None
        digits = [digits_of(error, self.number_type) for error in self.of_few]
        return float(np.median(digits)), min(digits)

    def digits(self, place: int) -> float:
        """Decimal digits that survive at a place, measured."""
        return digits_of(self.measured[place], self.number_type)

    @property
    def final_digits(self) -> tuple[float, float]:
        """(predicted, measured) at the end of the walk."""
        end = -1 if self.to_latent else 0
        return (digits_of(self.predicted[end], self.number_type), self.digits(end))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        predicted, measured = self.final_digits
        return {"number_type": self.number_type.name,
                "direction": "to latent" if self.to_latent else "to image",
                "digits_predicted": predicted, "digits_measured": measured,
                "errors_of_few": list(self.of_few),
                "errors_predicted": list(self.predicted), "errors_measured": list(self.measured)}


def digits_of(error: float, number_type: NumberType) -> float:
    """-log10(error), at least 0 and at most the digits of the type."""
    if not error > 0:
        return 0.0 if np.isnan(error) else number_type.digits
    return float(min(max(0.0, -np.log10(error)), number_type.digits))


def surviving(glow: Glow, number_type: NumberType, truth: Truth, to_latent: bool,
              carried: Sequence[float]) -> Surviving:
    """What survives in one type and direction.

    Args:
      glow: the model.
      number_type: the type.
      truth: of the walk, which begins exactly where this one does.
      to_latent: the direction.
      carried: by place, from `roundings_carried`.
    """
    start = truth.places[0 if to_latent else -1]
    try:
        found = evaluated(glow, number_type, start, to_latent)
        errors = tuple(difference(a, b).relative if np.isfinite(b).all() else np.nan
                       for a, b in zip(found, truth.places, strict=True))
    except ValueError:  # a matrix that has no inverse, once its factors are rounded
        errors = tuple(np.inf for _ in truth.places)
    return Surviving(number_type, to_latent, errors,
                     tuple(number_type.eps / 2 * value for value in carried))
