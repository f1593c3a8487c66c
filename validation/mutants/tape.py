"""Arrays that remember how they were computed: reverse mode on a tape.

    y = f(a, b)        recorded with, for each argument, the function y_bar -> (dy/da)^T y_bar
    backward           goes through what was recorded, the last first, and adds up the cotangents

A port in PyTorch or JAX gets its gradients so, and so a mistake in the port has the gradients that
follow from it. The tape is also where every result passes: a number type that the machine does not
have (bfloat16, TF32) is the same arithmetic with each result, or each factor of a product, rounded.

Source: Griewank & Walther 2008, "Evaluating Derivatives", chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Rounding: TypeAlias = Callable[[Array], Array]
Pull: TypeAlias = Callable[[Array], Array]


def as_is(array: Array) -> Array:
    """No rounding beyond that of the array's number type."""
    return array


class Tape:
    """What has been computed from the leaves, in order."""

    def __init__(self, kept: Rounding = as_is, factor: Rounding = as_is) -> None:
        """Begin an empty tape.

        Args:
          kept: rounds every result.
          factor: rounds both factors of matrix products and convolutions.
        """
        self.kept, self.factor = kept, factor
        self._recorded: list[Tensor] = []

    def leaf(self, value: Array) -> Tensor:
        """A tensor to differentiate with respect to."""
        tensor = Tensor(self, self.kept(value), ())
        tensor.tracked = True
        return tensor

    def constant(self, value: Array) -> Tensor:
        """A tensor that gets no cotangent."""
        return Tensor(self, self.kept(value), ())

    def record(self, value: Any, *arguments: tuple[Tensor, Pull]) -> Tensor:
        """The tensor of a result, given each argument and its pull."""
        tracked = tuple(pair for pair in arguments if pair[0].tracked)
        tensor = Tensor(self, self.kept(np.asarray(value)), tracked)
        if tracked:
            tensor.tracked = True
            self._recorded.append(tensor)
        return tensor

    def backward(self, result: Tensor, leaves: Sequence[Tensor]) -> list[Array]:
        """The gradient of a scalar with respect to each leaf, of the leaf's shape and type."""
        bars: dict[int, Any] = {id(result): np.ones_like(result.value)}
        for tensor in reversed(self._recorded):
            bar = bars.pop(id(tensor), None)
            if bar is None:
                continue
            for argument, pull in tensor.arguments:
                share = pull(bar)
                key = id(argument)
                bars[key] = bars[key] + share if key in bars else share
        return [np.asarray(bars.get(id(leaf), np.zeros_like(leaf.value)), leaf.value.dtype)
                for leaf in leaves]


class Tensor:
    """An array on a tape, with the arithmetic of arrays."""

    __slots__ = ("arguments", "tape", "tracked", "value")

    def __init__(self, tape: Tape, value: Array, arguments: tuple[tuple[Tensor, Pull], ...]
                 ) -> None:
        """Hold a value; made by the tape."""
        self.tape, self.value, self.arguments, self.tracked = tape, value, arguments, False

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.value.shape

    def detached(self) -> Tensor:
        """The same value, as a constant."""
        return self.tape.constant(self.value)

    def __add__(self, other: Any) -> Tensor:
        """The sum."""
        b = self.lifted(other)
        return self.tape.record(self.value + b.value, (self, fitted(self)), (b, fitted(b)))

    def __sub__(self, other: Any) -> Tensor:
        """The difference."""
        return self + -self.lifted(other)

    def __neg__(self) -> Tensor:
        """The negative."""
        return self.tape.record(-self.value, (self, lambda bar: -bar))

    def __mul__(self, other: Any) -> Tensor:
        """The elementwise product."""
        b = self.lifted(other)
        to_self, to_b = fitted(self), fitted(b)
        return self.tape.record(self.value * b.value, (self, lambda bar: to_self(bar * b.value)),
                                (b, lambda bar: to_b(bar * self.value)))

    def __truediv__(self, other: Any) -> Tensor:
        """The elementwise quotient."""
        b = self.lifted(other)
        to_self, to_b = fitted(self), fitted(b)
        return self.tape.record(
            self.value / b.value, (self, lambda bar: to_self(bar / b.value)),
            (b, lambda bar: to_b(-bar * self.value / b.value ** 2)))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> Tensor:
        """Other - self."""
        return self.lifted(other) + -self

    def __getitem__(self, index: Any) -> Tensor:
        """Part of the array; slices and whole numbers only."""
        def pull(bar: Array) -> Array:
            whole = np.zeros(self.shape, bar.dtype)
            whole[index] = bar
            return whole
        return self.tape.record(self.value[index], (self, pull))

    def taken(self, indices: Any, axis: int) -> Tensor:
        """The entries of those numbers along one axis, which may repeat."""
        def pull(bar: Array) -> Array:
            whole = np.zeros(self.shape, bar.dtype)
            np.add.at(np.moveaxis(whole, axis, 0), np.asarray(indices), np.moveaxis(bar, axis, 0))
            return whole
        return self.tape.record(np.take(self.value, indices, axis), (self, pull))

    def reshape(self, *shape: int) -> Tensor:
        """The same numbers in another shape."""
        return self.tape.record(self.value.reshape(shape),
                                (self, lambda bar: bar.reshape(self.shape)))

    def transpose(self, *axes: int) -> Tensor:
        """The axes in another order."""
        return self.tape.record(self.value.transpose(axes),
                                (self, lambda bar: bar.transpose(np.argsort(axes))))

    def flip(self, *axes: int) -> Tensor:
        """The entries along these axes backwards."""
        return self.tape.record(np.flip(self.value, axes), (self, lambda bar: np.flip(bar, axes)))

    def sum(self, *axes: int) -> Tensor:
        """The sum over these axes (all, if none is given), in float64."""
        over = axes or tuple(range(self.value.ndim))
        return self.tape.record(
            self.value.sum(axis=over, dtype=np.float64),
            (self, lambda bar: np.broadcast_to(np.expand_dims(bar, over), self.shape)))

    def lifted(self, other: Any) -> Tensor:
        """A tensor of `other`; a number becomes one of this tensor's type."""
        if isinstance(other, Tensor):
            return other
        return Tensor(self.tape, np.asarray(other, self.value.dtype), ())


def fitted(tensor: Tensor) -> Pull:
    """What brings a cotangent of a broadcast result to the tensor's shape and number type."""
    shape, dtype = tensor.shape, tensor.value.dtype

    def pull(bar: Array) -> Array:
        extra = bar.ndim - len(shape)
        over = tuple(range(extra)) + tuple(
            k + extra for k, size in enumerate(shape) if size == 1 and bar.shape[k + extra] != 1)
        return np.asarray(bar.sum(axis=over).reshape(shape) if over else bar, dtype)
    return pull
