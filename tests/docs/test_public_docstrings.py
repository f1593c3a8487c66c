"""Every public name is documented: parameters, shapes, units, results, errors and source."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from public_docstrings import lacking
from public_names import public_names

import refglow as rg
from refglow import validation
from refglow.dtypes import Array

PUBLIC = public_names()
NAMES = {f"{one.package}.{one.name}" for one in PUBLIC}
DOCUMENTED = {one.target: one.value for one in PUBLIC if one.target is not None}


@pytest.mark.parametrize("target", DOCUMENTED)
def test_a_public_name_is_documented(target):
    assert list(lacking(DOCUMENTED[target])) == []


def test_there_are_all_of_them():
    """Also those of a package whose folder is not inside refglow's."""
    assert len(DOCUMENTED) > 120
    assert {f"refglow.{name}" for name in rg.__all__} <= NAMES
    assert {f"refglow.validation.{name}" for name in validation.__all__} <= NAMES


def silent(x: Array, number: int) -> Array:
    """Compute it."""
    if number < 0:
        raise ValueError("below 0")
    return x


def told(x: Array, number: int) -> Array:
    """Compute it.

    Args:
      x: [B].
      number: at least 0.

    Returns:
      x.

    Raises:
      ValueError: if the number is below 0.
    """
    if number < 0:
        raise ValueError("below 0")
    return x


@dataclass
class Record:
    """A name."""

    name: str
    size: int

    def half(self, of: int) -> int:
        """Divide it."""
        return of // 2


def test_what_is_missing_is_found():
    assert lacking(silent) == ["parameter x", "parameter number", "Returns", "the shape of x",
                               "Raises"]
    assert lacking(told) == []
    assert lacking(Record) == ["field size", "half: parameter of", "half: Returns"]
