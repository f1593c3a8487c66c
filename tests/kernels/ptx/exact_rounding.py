"""Rational numbers rounded to a binary format in any mode, digit by digit: the tests' reference."""

import math
from fractions import Fraction
from typing import NamedTuple


class Format(NamedTuple):
    """Significand bits (the hidden one included) and the exponents of the ends of the range."""

    precision: int
    lowest: int  # exponent of the smallest subnormal
    highest: int  # every finite number is below 2^highest


FORMATS = {
    "f16": Format(11, -24, 16),
    "bf16": Format(8, -133, 128),
    "f32": Format(24, -149, 128),
    "f64": Format(53, -1074, 1024),
}


def rounded(value: Fraction, kind: str, mode: str = "rn") -> float:
    """`value`, not zero, rounded to `kind`."""
    precision, lowest, highest = FORMATS[kind]
    sign, size = (-1.0, -value) if value < 0 else (1.0, value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - precision + 1, lowest)
    whole, rest = divmod(size, unit)
    up = {"rz": False, "rm": sign < 0 and rest > 0, "rp": sign > 0 and rest > 0}
    half = unit / 2
    if up.get(mode, rest > half or (rest == half and whole % 2 == 1)):
        whole += 1
    result = whole * unit
    if result >= Fraction(2) ** highest:
        largest = (2 - Fraction(2) ** (1 - precision)) * Fraction(2) ** (highest - 1)
        away = {"rn": True, "rz": False, "rm": sign < 0, "rp": sign > 0}[mode]
        return sign * math.inf if away else sign * float(largest)
    return sign * float(result)
