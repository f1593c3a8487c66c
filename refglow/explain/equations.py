"""Arithmetic as it is written by hand: "y[0] = 0.5 * 0.25 + 2 * (-1) = -1.875".

Every line of arithmetic is also a line of Python, from the numbers shown: of the last two sides,
where sigmoid, exp, log and abs mean what they say, the left one gives the right one up to what
rounding to the digits shown costs, most where large terms cancel. What a long sum leaves out is one
number, `rest`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST = 12  # terms of a sum, or channels, that are written out


def n(value: float) -> str:
    """A number to six digits, in parentheses if negative."""
    text = f"{float(value):.6g}"
    return f"({text})" if text.startswith("-") else text


def result(value: float) -> str:
    """A number to six digits, as the last side."""
    return f"{float(value):.6g}"


def equation(name: str, arithmetic: str, value: float) -> str:
    """One line."""
    return f"{name} = {arithmetic} = {result(value)}"


def products(pairs: Sequence[tuple[float, float]], most: int = MOST) -> str:
    """a * b + a * b + ..., the terms beyond `most` added up to one number.

    Args:
      pairs: the factors of each term.
      most: how many terms are written out.
    """
    written = [f"{n(a) if k else result(a)} * {n(b)}" for k, (a, b) in enumerate(pairs[:most])]
    return " + ".join([*written, *_rest([a * b for a, b in pairs[most:]])]) or "0"


def sum_of(values: Sequence[float], most: int = MOST) -> str:
    """a + b + ..., the terms beyond `most` added up to one number."""
    return " + ".join([*map(result, values[:1]), *map(n, values[1:most]),
                       *_rest(values[most:])]) or "0"


def _rest(values: Sequence[float]) -> list[str]:
    return [n(math.fsum(map(float, values)))] if len(values) else []


def rest_note(terms: int, most: int = MOST) -> str:
    """What the last number of a long sum is; "" if none is left out."""
    return "" if terms <= most else (f"Of {terms} terms the first {most} are written out; the last "
                                     "number is the sum of the others.")


def listed(name: str, values: Sequence[float], most: int = MOST) -> str:
    """The first numbers of a vector: "u = [0.5, -1, ...]"."""
    some = ", ".join(map(result, values[:most]))
    return f"{name}: [{some}{', ...' if len(values) > most else ''}]"
