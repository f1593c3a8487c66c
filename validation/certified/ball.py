"""Real numbers that are known to lie in a ball, as elements of object arrays.

A ball is a midpoint and a radius; every operation returns a ball that holds all results that its
operands' numbers can have, so what comes out of a long computation encloses the true result
(`arb` of python-flint, with the arithmetic of FLINT). A comparison that the balls do not decide is
an error, `UndecidedError`: no branch is ever taken by guessing. More bits of precision make
smaller balls. Balls compute with Balls and with ints. A float beside them is an error as well: it
may be a result that was rounded before; every input and parameter is made of balls explicitly.

The specification functions of refglow run on object arrays as they are:

    >>> import numpy as np
    >>> from refglow.bijectors.expand import expand_inverse
    >>> from refglow.validation.certified.ball import balls, precision
    >>> with precision(100):
    ...     squeezed, log_det = expand_inverse(balls(np.ones((2, 2, 1))), 2)

Source: Johansson 2017, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.extras import from_extra

with from_extra("certify", "Certified values"):
    from flint import arb, arb_mat, ctx


class UndecidedError(ArithmeticError):
    """A question about a number that its ball is too large to answer."""


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute midpoints with so many bits inside the block.

    Args:
      bits: at least 2. The setting is FLINT's, one for all threads of the process: with another
        setting balls are larger or smaller, never wrong.
    """
    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


class Ball:
    """A real number in a ball.

    Attributes:
      value: python-flint's `arb`.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        """The number itself, exactly.

        Args:
          value: an int, a float of Python's or NumPy's of at most 64 bits, an arb or a Ball.
        """
        self.value: arb
        if isinstance(value, Ball):
            self.value = value.value
        elif isinstance(value, arb):
            self.value = value
        elif isinstance(value, (int, np.integer)):
            self.value = _exact(int(value), 0)
        elif isinstance(value, (float, np.float32, np.float16)):
            self.value = arb(float(value))
        else:
            raise TypeError(f"A Ball is made of an int or a float; got a {type(value).__name__}.")

    def __repr__(self) -> str:
        return f"Ball({self.value})"

    def __bool__(self) -> bool:
        return self != 0

    # ---- arithmetic -----------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return _binary(self, other, arb.__add__)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _binary(self, other, arb.__sub__)

    def __rsub__(self, other: Any) -> Any:
        return -(self - other)

    def __mul__(self, other: Any) -> Any:
        return _binary(self, other, arb.__mul__)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return _binary(self, other, _quotient)

    def __rtruediv__(self, other: Any) -> Any:
        return _binary(self, other, lambda a, b: _quotient(b, a))

    def __pow__(self, exponent: int) -> Ball:
        return Ball(self.value**exponent)

    def __neg__(self) -> Ball:
        return Ball(-self.value)

    def __abs__(self) -> Ball:
        return Ball(abs(self.value))

    # ---- functions, by NumPy's names ------------------------------------------------------------

    @staticmethod
    def pi() -> Ball:
        """The number pi."""
        return Ball(arb.pi())

    def exp(self) -> Ball:
        """e^x."""
        return Ball(self.value.exp())

    def expm1(self) -> Ball:
        """e^x - 1."""
        return Ball(self.value.expm1())

    def log(self) -> Ball:
        """The natural logarithm of x > 0."""
        return Ball(_of_positive(self.value).log())

    def log1p(self) -> Ball:
        """log(1 + x), x > -1."""
        _of_positive(1 + self.value)
        return Ball(self.value.log1p())

    def sqrt(self) -> Ball:
        """The square root of x >= 0."""
        return Ball(self.value.sqrt())

    def tanh(self) -> Ball:
        """The hyperbolic tangent."""
        return Ball(self.value.tanh())

    def atanh(self) -> Ball:
        """The inverse hyperbolic tangent, of -1 < x < 1."""
        return Ball(self.value.atanh())

    @staticmethod
    def product(a: Array, b: Array) -> Array:
        """The matrix product of [..., N, K] and [K, M] Balls."""
        right = _matrix(b)
        result = np.empty((*a.shape[:-1], b.shape[1]), object)
        for index in np.ndindex(a.shape[:-2]):
            entries = map(Ball, (_matrix(a[index]) * right).entries())
            result[index] = np.fromiter(entries, object).reshape(result[index].shape)
        return result

    # ---- comparisons ----------------------------------------------------------------------------

    def __lt__(self, other: Any) -> bool:
        return _decided(self, other, arb.__lt__, arb.__ge__)

    def __le__(self, other: Any) -> bool:
        return _decided(self, other, arb.__le__, arb.__gt__)

    def __gt__(self, other: Any) -> bool:
        return _decided(self, other, arb.__gt__, arb.__le__)

    def __ge__(self, other: Any) -> bool:
        return _decided(self, other, arb.__ge__, arb.__lt__)

    def __eq__(self, other: object) -> bool:
        return _decided(self, other, arb.__eq__, arb.__ne__)

    def __ne__(self, other: object) -> bool:
        return _decided(self, other, arb.__ne__, arb.__eq__)

    __hash__ = None  # type: ignore[assignment]


def balls(array: Any) -> Array:
    """The numbers of an array as balls of radius 0.

    Args:
      array: [...], floating or integer, or object already.

    Returns:
      object, the shape of array.
    """
    return np.asarray(np.frompyfunc(Ball, 1, 1)(array), dtype=object)


def _exact(mantissa: int, exponent: int) -> Any:
    return arb((mantissa, exponent))


def _matrix(array: Array) -> arb_mat:
    rows, columns = array.shape
    return arb_mat(rows, columns, [exact(number).value for number in array.flat])


def exact(number: Any) -> Ball:
    """A Ball as it is, an int as a Ball.

    Raises:
      TypeError: for anything else: a float may have been rounded before it came here.
    """
    if isinstance(number, Ball):
        return number
    if isinstance(number, (int, np.integer)):
        return Ball(number)
    raise TypeError(f"{number!r}, a {type(number).__name__}, is beside Balls: it may be a result "
                    "that was rounded. Make every input and parameter balls first.")


def _binary(a: Ball, other: Any, operation: Callable[[Any, Any], Any]) -> Any:
    if isinstance(other, np.ndarray):
        return NotImplemented
    return Ball(operation(a.value, exact(other).value))


def _quotient(a: Any, b: Any) -> Any:
    if b.contains(0):
        raise UndecidedError(f"Division by {b}, which may be 0.")
    return a / b


def _of_positive(value: Any) -> Any:
    if not value > 0:
        raise UndecidedError(f"The logarithm of {value}, which may not be positive.")
    return value


def _decided(a: Ball, other: Any, is_so: Callable[[Any, Any], bool],
             is_not: Callable[[Any, Any], bool]) -> bool:
    b = exact(other)
    if is_so(a.value, b.value):
        return True
    if is_not(a.value, b.value):
        return False
    raise UndecidedError(f"How {a.value} compares with {b.value} is not decided.")
