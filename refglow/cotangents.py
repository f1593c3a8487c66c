"""Cotangents and tangents of parameters, kept by the array that they belong to.

One parameter can stand at several places in a model, and a place inside a composition does not know
the name that the whole model gives it. So on the way through a model a cotangent is added to
the storage it belongs to, whatever that is called, and gets its name at the end:

    bars.add(stored, bar)          at each place that uses the parameter; contributions add up
    bars.named(model)              {state name: cotangent} of the model's trainable parameters

`stored` is a Variable, or an array (a network's output that parametrises a bijector); a plain
Python number is a constant and takes none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refglow.array_library import asarray, is_array, require_one_place, zeros
from refglow.dtypes import Array, as_array
from refglow.module import Module
from refglow.variable import Variable


def unbroadcast(bar: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting from `shape`: summed over the dimensions that were repeated.

    Args:
      bar: the cotangent of the broadcast array, [...].
      shape: the shape it was broadcast from.

    Returns:
      the cotangent of the array of shape `shape`, in the number type of `bar`.
    """
    if bar.shape == shape:
        return bar
    if shape:
        bar = np.broadcast_to(bar, np.broadcast_shapes(bar.shape, shape))
    shape_in_full = (1,) * (bar.ndim - len(shape)) + shape
    repeated = tuple(axis for axis, size in enumerate(shape_in_full)
                     if size == 1 and bar.shape[axis] != 1)
    summed = bar.sum(axis=repeated, keepdims=True) if repeated else bar
    return asarray(summed, bar.dtype).reshape(shape)


class Cotangents:
    """Sums of cotangents, by the storage of the parameter they belong to."""

    def __init__(self) -> None:
        """Start with none."""
        self._sums: dict[int | None, tuple[Any, Array]] = {}

    def add(self, stored: Any, bar: Array) -> None:
        """Add a contribution for a parameter; for a constant nothing happens."""
        key = _storage(stored)
        if key is not None:
            held = self._sums.get(key)
            self._sums[key] = (stored, bar if held is None else asarray(held[1] + bar))

    def of(self, stored: Any) -> Array:
        """The sum for a parameter; zeros, where the other sums are, if nothing was added."""
        held = self._sums.get(_storage(stored))
        if held is not None:
            return held[1]
        if not isinstance(stored, Variable):
            return np.zeros_like(stored)
        beside = next((bar for _, bar in self._sums.values()), None)
        return zeros(stored.shape, stored.numpy() if beside is None else beside, stored.dtype)

    def add_named(self, module: Any, bars: Mapping[str, Array], owner: str) -> None:
        """Add cotangents by the names that `module` gives its parameters.

        Raises:
          ValueError: for a name that no trainable parameter of `module` has, or a wrong shape.
        """
        variables = dict(named_trainable(module))
        unknown = sorted(bars.keys() - variables.keys())
        if unknown:
            raise ValueError(f"{owner}: a pullback gave cotangents for {unknown}; the trainable "
                             f"parameters are {sorted(variables)}.")
        for name, bar in bars.items():
            if np.shape(bar) != variables[name].shape:
                raise ValueError(f"{owner}: a pullback gave {name!r} a cotangent of shape "
                                 f"{np.shape(bar)}; the parameter has {variables[name].shape}.")
            self.add(variables[name], asarray(bar))

    def add_variables_of(self, other: Cotangents) -> None:
        """Add the sums of `other` that belong to Variables, not those of plain arrays."""
        for stored, bar in other._sums.values():
            if isinstance(stored, Variable):
                self.add(stored, bar)

    def of_arrays(self, module: Module) -> dict[str, Array]:
        """{name: sum} for the plain arrays that `module` holds as parameters.

        An array with two places has the sum, for both together, under its first name, and zeros
        under the other.
        """
        sums: dict[str, Array] = {}
        seen: set[int | None] = set()
        for name, array in named_arrays(module):
            key = _storage(array)
            sums[name] = np.zeros_like(array) if key in seen else self.of(array)
            seen.add(key)
        return sums

    def named(self, module: Module) -> dict[str, Array]:
        """{state name: sum} for each trainable parameter of `module`, zeros where none came."""
        distinct: dict[int, tuple[str, Variable]] = {}
        for name, variable in named_trainable(module):
            distinct.setdefault(variable.storage, (name, variable))
        return {name: asarray(self.of(variable)) for name, variable in distinct.values()}


class Tangents:
    """Tangents of parameters, by the storage of the parameter they belong to."""

    def __init__(self) -> None:
        """Start with none: every parameter stands still."""
        self._dots: dict[int, tuple[Any, Array]] = {}

    @classmethod
    def named(cls, module: Module, dots: Mapping[str, Any] | None, owner: str) -> Tangents:
        """Tangents by the names in `module.state_dict()`; None, or a missing name, means zero.

        Raises:
          TypeError: if one is of another dtype than its parameter.
          ValueError: if a name is not that of a trainable parameter, or a shape differs.
        """
        tangents = cls()
        variables = {variable.name: variable for variable in module.trainable_variables}
        unknown = sorted((dots or {}).keys() - variables.keys())
        if unknown:
            raise ValueError(f"{owner}: param_dots has {unknown}, which are not trainable "
                             "parameters; state_dict() lists the names.")
        for name, dot in (dots or {}).items():
            array = as_array(dot, variables[name].dtype, owner, f"param_dots[{name!r}]")
            if array.shape != variables[name].shape:
                raise ValueError(f"{owner}: param_dots[{name!r}] has shape {array.shape}; the "
                                 f"parameter has {variables[name].shape}.")
            tangents._set(variables[name], array)
        return tangents

    def of(self, stored: Any, value: Array) -> Array:
        """The tangent of a parameter whose value is `value`; zeros if it stands still.

        Raises:
          TypeError, ValueError: if the tangent is not where the value is.
        """
        key = _storage(stored)
        if key not in self._dots:
            return np.zeros_like(value)
        dot = self._dots[key][1]
        require_one_place("A parameter's tangent", tangent=dot, parameter=value)
        return dot

    def for_module(self, module: Any, x: Array) -> dict[str, Array]:
        """{name: tangent where x is}, by the names that `module` gives its trainable parameters."""
        return {name: self.of(variable, variable.value_for(x))
                for name, variable in named_trainable(module)}

    def extended(self, module: Module, dots: Mapping[str, Array]) -> Tangents:
        """These, and tangents by name for the plain arrays inside `module`.

        That of an array with two places is taken from its first name.
        """
        result = Tangents()
        result._dots = dict(self._dots)
        for name, array in named_arrays(module):
            if name in dots and _storage(array) not in result._dots:
                result._set(array, dots[name])
        return result

    def _set(self, stored: Any, dot: Array) -> None:
        key = _storage(stored)
        if key is not None:
            self._dots[key] = (stored, dot)


def named_arrays(module: Module) -> Iterator[tuple[str, Array]]:
    """(name, array) of the plain floating arrays that `module` holds as parameters.

    The names are made like those of Variables in `state_dict`: "shift", "0.log_scale".
    """
    for prefix, member in module._members.items():
        if is_array(member) and member.dtype.kind in "fcO":
            yield prefix, member
        elif isinstance(member, Module):
            for name, array in named_arrays(member):
                yield ".".join(filter(None, (prefix, name))), array


def named_trainable(module: Any) -> Iterator[tuple[str, Variable]]:
    """(name, variable) of the trainable parameters that `module`, any callable, says it has."""
    for name, variable in getattr(module, "named_variables", tuple)():
        if variable.trainable:
            yield name, variable


def _storage(stored: Any) -> int | None:
    """What identifies the storage of a parameter; None for a constant."""
    if isinstance(stored, Variable):
        return stored.storage
    return id(stored) if is_array(stored) else None
