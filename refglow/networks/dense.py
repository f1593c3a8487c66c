"""Dense: y = x W + b over the last dimension.

Source: keras.layers.Dense.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import DEFAULT_FLOAT, Array, as_array, canonical_dtype
from refglow.networks.differentiable import as_shaped
from refglow.networks.initializers import glorot_uniform
from refglow.networks.network import Network, Pullback
from refglow.variable import Variable


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """x @ kernel + bias.

    Args:
      x: [..., I], any number type.
      kernel: [I, O].
      bias: [O].

    Returns:
      [..., O].

    Source: as the module.
    """
    product = _rows(x) @ kernel
    return (product + bias).reshape(*x.shape[:-1], kernel.shape[-1])


def _rows(x: Array) -> Array:
    """All vectors of a batch as the rows of one matrix."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


# With one vector of the batch in each row, Y = X W + 1 b^T. A change of X, W and b changes it by
# dY = dX W + X dW + 1 db^T, and so with <A, B> = sum_ij A_ij B_ij
#
#     <Y_bar, dY> = <Y_bar W^T, dX> + <X^T Y_bar, dW> + <Y_bar^T 1, db>
#
# whose coefficients are the cotangents (products only, never conjugates: for complex numbers too).


def dense_vjp(x: Array, kernel: Array, y_bar: Array) -> tuple[Array, Array, Array]:
    """(Y_bar W^T, X^T Y_bar, Y_bar^T 1): the cotangents of x, kernel and bias.

    Args:
      x: [..., I], any number type.
      kernel: [I, O].
      y_bar: [..., O], the cotangent of the output.

    Returns:
      x_bar [..., I], kernel_bar [I, O], bias_bar [O].

    Source: as the module.
    """
    rows, bars = _rows(x), _rows(y_bar)
    ones = np.ones_like(bars, shape=bars.shape[:1])
    return (bars @ kernel.T).reshape(x.shape), rows.T @ bars, ones @ bars


def dense_jvp(x: Array, kernel: Array, x_dot: Array, kernel_dot: Array, bias_dot: Array) -> Array:
    """x_dot W + x W_dot + b_dot, the tangent of the output.

    Args:
      x: [..., I], any number type.
      kernel: [I, O].
      x_dot, kernel_dot, bias_dot: tangents, of the shapes of x, kernel and bias.

    Returns:
      y_dot, [..., O].

    Source: as the module.
    """
    y_dot: Array = _rows(x_dot) @ kernel + _rows(x) @ kernel_dot + bias_dot
    return y_dot.reshape(*x.shape[:-1], kernel.shape[-1])


class Dense(Network):
    """A fully connected layer."""

    def __init__(self, in_features: int, units: int, seed: int | np.random.Generator | None = None,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT) -> None:
        """Build it: glorot_uniform kernel, zero bias.

        Args:
          in_features: I.
          units: O.
          seed: int or NumPy Generator for the start.
          dtype: the number type.
        """
        number_type = canonical_dtype(dtype)
        weights = glorot_uniform((in_features, units), np.random.default_rng(seed))
        self.kernel = Variable(weights, "kernel", dtype=number_type)
        self.bias = Variable(np.zeros(units), "bias", dtype=number_type)

    def __call__(self, x: Any) -> Array:
        """x W + b, for array-like x [..., I].

        Raises:
          TypeError: if x is a floating array of another dtype than the kernel.
          ValueError: if x has another number of features.
        """
        vectors, kernel, bias = self._operands(x)
        return dense(vectors, kernel, bias)

    def vjp(self, x: Any) -> tuple[Array, Pullback]:
        """See Network."""
        vectors, kernel, bias = self._operands(x)
        y = dense(vectors, kernel, bias)
        shape = y.shape

        def pullback(y_bar: Any) -> tuple[Array, dict[str, Array]]:
            checked = as_shaped(y_bar, shape, kernel.dtype, "Dense", "output_bar")
            x_bar, kernel_bar, bias_bar = dense_vjp(vectors, kernel, checked)
            bars = Cotangents()
            bars.add(self.kernel, kernel_bar)
            bars.add(self.bias, bias_bar)
            return x_bar, bars.named(self)
        return y, pullback

    def jvp(self, x: Any, x_dot: Any,
            param_dots: Mapping[str, Any] | None = None) -> tuple[Array, Array]:
        """See Network."""
        vectors, kernel, bias = self._operands(x)
        checked = as_shaped(x_dot, vectors.shape, kernel.dtype, "Dense", "x_dot")
        dots = Tangents.named(self, param_dots, "Dense")
        return dense(vectors, kernel, bias), dense_jvp(
            vectors, kernel, checked, dots.of(self.kernel, kernel), dots.of(self.bias, bias))

    def _operands(self, x: Any) -> tuple[Array, Array, Array]:
        vectors = self._checked(x)
        return vectors, self.kernel.value_for(vectors), self.bias.value_for(vectors)

    def _checked(self, x: Any) -> Array:
        vectors = as_array(x, self.kernel.dtype, "Dense", "x")
        if vectors.ndim < 1 or vectors.shape[-1] != self.kernel.shape[0]:
            raise ValueError(f"Dense: expected inputs [..., {self.kernel.shape[0]}]; "
                             f"got {list(vectors.shape)}.")
        return vectors

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """kernel and bias."""
        yield "kernel", self.kernel
        yield "bias", self.bias

    def config(self) -> dict[str, Any]:
        """The arguments, without the random start."""
        return {"in_features": self.kernel.shape[0], "units": self.kernel.shape[1]}
