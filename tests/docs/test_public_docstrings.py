"""Every public name is documented: parameters, shapes, units, results, errors and source."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
from built_site import DOCS
from public_docstrings import lacking

from refglow.dtypes import Array

sys.path.insert(0, str(DOCS / "_sphinx"))
from public_names import public_names

DOCUMENTED = {one.target: one.value for one in public_names() if one.target is not None}


@pytest.mark.parametrize("target", DOCUMENTED)
def test_a_public_name_is_documented(target):
    assert list(lacking(DOCUMENTED[target])) == []


def test_there_are_all_of_them():
    assert len(DOCUMENTED) > 120


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
