"""What the specification says of one map, and the bijectors that are just such a map.

An op is six functions on arrays. With p for its parameters:

    forward(x, p)                        -> (y, fldj)
    inverse(y, p)                        -> (x, ildj)
    forward_vjp(x, p, y_bar, fldj_bar)   -> x_bar, p_bar        reverse mode of forward
    inverse_vjp(x, p, x_bar, ildj_bar)   -> y_bar, p_bar        reverse mode of inverse
    forward_jvp(x, p, x_dot, p_dot)      -> (y_dot, fldj_dot)   forward mode of forward
    inverse_jvp(x, p, y_dot, p_dot)      -> (x_dot, ildj_dot)   forward mode of inverse

All derivatives are functions of x, those of the inverse too, which are given the x that it
returned: by the inverse function theorem the Jacobian of g^-1 at y = g(x) is that of g at x,
inverted, and ildj(y) = -fldj(x). But that x was rounded, and where g makes roundings of its
argument larger, what is computed from it has fewer digits than what is computed from the y that the
inverse was given. An op of which this is true says so (`inverse_at`), and its inverse's derivatives
take y in the place of x.

A cotangent has the shape of what it belongs to; x_bar and y_bar come back in the shape that
broadcasting gave x and y. Where an op has no parameters, x_bar comes alone. Functions of a discrete
argument (a permutation, a shape) take it after the parameters.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from refglow.array_library import asarray
from refglow.backend import implementation
from refglow.bijectors.bijector import Bijector, Pull
from refglow.cotangents import Cotangents, Tangents, unbroadcast
from refglow.dtypes import Array
from refglow.parameter import at
from refglow.variable import value_of

Map = Callable[..., Any]


@dataclass(frozen=True)
class Op:
    """The six functions of one map.

    Attributes:
      inverse_at: what the derivatives of the inverse are functions of: "x", which it returned, or
        "y", which it was given.
    """

    forward: Map
    inverse: Map
    forward_vjp: Map
    inverse_vjp: Map
    forward_jvp: Map
    inverse_jvp: Map
    inverse_at: Literal["x", "y"] = "x"

    def derivative_at(self, forward: bool, given: Array, result: Array) -> Array:
        """What the derivatives of `forward`, or if False of `inverse`, are functions of.

        Args:
          forward: which direction was computed.
          given, result: its argument and its result.
        """
        return given if forward or self.inverse_at == "y" else result


class OpBijector(Bijector):
    """Base of the bijectors that apply one op to one array.

    A subclass says which, with what parameters: `_op(array)`.
    """

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        """(the op, the stored parameters, the discrete arguments) to apply to `array`.

        Raises ValueError if they do not fit.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement _op.")

    def _check_input(self, forward: bool, array: Array) -> None:
        """Raise ValueError if `forward` (or, if False, `inverse`) cannot take events like these."""

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        self._check_input(True, x)
        y, fldj = self._run(x, operator.attrgetter("forward"))
        return y, fldj

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        self._check_input(False, y)
        x, ildj = self._run(y, operator.attrgetter("inverse"))
        return x, ildj

    def _run(self, x: Array, function: Callable[[Op], Map]) -> tuple[Array, Array]:
        op, stored, discrete = self._op(x)
        values = [at(p, x) for p in stored]
        results: tuple[Array, Array] = self._implementation(function(op), x, values)(
            x, *values, *discrete)
        return results

    def _implementation(self, specification: Map, x: Array, values: list[Array]) -> Map:
        """What runs. Kernels take parameters without batch dimensions."""
        batched = any(np.ndim(value_of(stored)) > ndims
                      for stored, ndims in self._parameter_event_ndims().values())
        return specification if batched else implementation(specification, x, *values)

    def _vjp(self, forward: bool, x: Array) -> tuple[tuple[Array, Array], Pull]:
        self._check_input(forward, x)
        op, stored, discrete = self._op(x)
        values = [at(p, x) for p in stored]
        evaluate = self._implementation(op.forward if forward else op.inverse, x, values)
        result, log_det = evaluate(x, *values, *discrete)
        derivative = self._implementation(op.forward_vjp if forward else op.inverse_vjp, x, values)
        at_point = op.derivative_at(forward, x, result)

        def pull(bar: Array, log_det_bar: Array, bars: Cotangents) -> Array:
            pulled = derivative(at_point, *values, *discrete, bar, log_det_bar)
            x_bar, *parameter_bars = pulled if stored else (pulled,)
            for parameter, parameter_bar in zip(stored, parameter_bars, strict=True):
                bars.add(parameter, parameter_bar)
            return unbroadcast(asarray(x_bar), x.shape)
        return (result, log_det), pull

    def _jvp(self, forward: bool, x: Array, x_dot: Array,
             tangents: Tangents) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        self._check_input(forward, x)
        op, stored, discrete = self._op(x)
        values = [at(p, x) for p in stored]
        dots = [tangents.of(p, value) for p, value in zip(stored, values, strict=True)]
        result, log_det = (op.forward if forward else op.inverse)(x, *values, *discrete)
        derivative = op.forward_jvp if forward else op.inverse_jvp
        at_point = op.derivative_at(forward, x, result)
        return (result, log_det), derivative(at_point, *values, *discrete, x_dot, *dots)
