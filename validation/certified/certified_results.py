"""Correctly rounded results: what is read by those who do not certify, without python-flint."""

from __future__ import annotations

from dataclasses import dataclass

from refglow.dtypes import Array


@dataclass(frozen=True)
class Certified:
    """Correctly rounded results.

    Attributes:
      values: by name, then by number type ("float64", "float32").
      bits: the precision at which all of them were decided.
    """

    values: dict[str, dict[str, Array]]
    bits: int
