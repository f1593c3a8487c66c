"""The base of all networks: a callable on arrays that names its parameters.

Source: NN() of Kingma & Dhariwal 2018, table 1; what tfp.bijectors.Glow's functions return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from refglow.dtypes import Array
from refglow.module import Module

Pullback: TypeAlias = Callable[[Any], tuple[Array, dict[str, Array]]]


class Network(Module):
    """A function of one array with trainable parameters.

    A subclass implements `__call__(x)` for x [..., event...] with any leading dimensions, and gives
    Module its members (layers and Variables by name) or overrides `named_variables`. For gradients
    it implements `vjp` and `jvp`; if its `__call__` takes conditioning arguments by name, so do
    they. It also says by `config()` how to build it again (see `refglow.networks.description`).
    """

    def __call__(self, x: Any) -> Array:
        """The network's output for x."""
        raise NotImplementedError(f"{type(self).__name__} does not implement __call__.")

    def vjp(self, x: Any) -> tuple[Array, Pullback]:
        """The output for x, and the function that carries cotangents back through it.

        `pullback(output_bar)` gives (x_bar, param_bars) with

            x_bar = (d output / d x)^T output_bar,      the same for every trainable parameter.

        It may be called more than once. It keeps the arrays x and output, and the parameters as
        they are now; do not change x and output in place before it.

        Args:
          x: [..., event...], as for `__call__`.

        Returns:
          the output, as `__call__` gives it, and pullback; of what that gives, x_bar has the shape
          of x, and param_bars holds an array for every trainable variable under its name in
          `trainable_variables` (a variable with two places has one entry, for both together).

        Raises:
          TypeError, ValueError: as `__call__`; pullback, if output_bar has not the output's shape
            and number type.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement vjp.")

    def jvp(self, x: Any, x_dot: Any,
            param_dots: Mapping[str, Any] | None = None) -> tuple[Array, Array]:
        """The output for x, and its derivative along a direction.

            output_dot = (d output / d x) x_dot + sum over parameters p of (d output / d p) p_dot

        Args:
          x: [..., event...], as for `__call__`.
          x_dot: of the shape and number type of x.
          param_dots: arrays of the shape and number type of the trainable variables, by their names
            in `trainable_variables`; None, or a missing name, means zero.

        Returns:
          (output, output_dot), of one shape.

        Raises:
          TypeError, ValueError: as `__call__`; if a tangent has not the shape and number type of
            what it belongs to, or belongs to nothing.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement jvp.")

    def config(self) -> dict[str, Any]:
        """The arguments that build a network of this architecture again (numbers and strings).

        Raises:
          NotImplementedError: if a subclass does not say.
        """
        raise NotImplementedError(f"{type(self).__name__} does not describe its architecture.")
