"""How many digits the weights allow, and how many an implementation has.

Rounding the weights and the inputs once to a number type moves a result by up to kappa eps / 2 of
its size: whoever computes in that type cannot be asked for more than -log10 of that, whatever the
algorithm. An implementation that is right has about as many, or more where it computes in a wider
type.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from refglow.validation.audit.number_types import FLOAT32, FLOAT64, NumberType
from refglow.validation.audit.surviving import digits_of
from refglow.validation.implementations.offerings import RESULTS
from refglow.validation.implementations.reference import Reference
from refglow.validation.row import Row

_NUMBER_TYPES: dict[str, NumberType] = {one.name: one for one in (FLOAT64, FLOAT32)}
_WHAT = {"inverse": "the latents", "forward": "the images", "log_prob": "log_prob"}


@dataclass(frozen=True)
class Digits:
    """Of one result.

    Attributes:
      allowed: that are left when the data is rounded once.
      agree: to which the implementation's result agrees, the fewest where it came several times.
    """

    allowed: float
    agree: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def digits_of_rows(rows: Iterable[Row], reference: Reference) -> dict[str, Digits]:
    """The digits of the latents, images and densities that were compared, by their names.

    Args:
      rows: comparisons.
      reference: what they are held against.
    """
    dtype = reference.dtype.name
    worst: dict[str, float] = {}
    for row in rows:
        if row.prop in _WHAT and row.prop in RESULTS.get(row.bijector, ()):
            worst[row.prop] = max(worst.get(row.prop, 0.0), row.relative)
    return {name: Digits(allowed_digits(reference.conditions[name], dtype),
                         digits(worst[name], dtype)) for name in _WHAT if name in worst}


def digits(error: float, dtype: str) -> float:
    """-log10 of a relative error, from 0 to what the number type has; 0 for NaN.

    Args:
      error: at least 0.
      dtype: float64 or float32.
    """
    return digits_of(error, _NUMBER_TYPES[dtype])


def allowed_digits(condition: float, dtype: str) -> float:
    """The digits that are left of a number type's where roundings grow by the condition.

    Args:
      condition: kappa.
      dtype: float64 or float32.
    """
    number_type = _NUMBER_TYPES[dtype]
    return digits_of(number_type.eps / 2 * max(1.0, condition), number_type)


def digits_in_words(dtype: str, digits: dict[str, Digits]) -> str:
    """One sentence of what was compared."""
    allowed = ", ".join(f"{one.allowed:.1f} for {_WHAT[name]}" for name, one in digits.items())
    agree = ", ".join(f"{one.agree:.1f}" for one in digits.values())
    return f"Digits that the weights allow in {dtype}: {allowed}; yours: {agree}."
