"""Module: what holds named parameters. The base of bijectors, networks and distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from refglow.dtypes import Array
from refglow.variable import Variable


class Module:
    """Holds members (variables and other modules) under the names that `state_dict` shows."""

    _members: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, members: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Hold the members by name; the name "" adds nothing; what holds no parameters is ignored.

        Args:
          members: Variables and Modules (or any object with `named_variables`) by name.
        """
        self._members = dict(members)

    @property
    def name(self) -> str:
        """How messages call it."""
        return type(self).__name__

    @property
    def submodules(self) -> tuple[Any, ...]:
        """All modules inside this one, each before its own, in order."""
        found: list[Any] = []
        for member in self._children():
            found.append(member)
            found.extend(getattr(member, "submodules", ()))
        return tuple(found)

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """(state name, variable) for every parameter, in the order of the members."""
        for prefix, member in self._members.items():
            if isinstance(member, Variable):
                yield prefix, member
            elif hasattr(member, "named_variables"):
                for name, variable in member.named_variables():
                    yield f"{prefix}.{name}" if prefix and name else prefix or name, variable

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Handles on all parameters, named as in `state_dict`."""
        return tuple(variable.renamed(name) for name, variable in self.named_variables())

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """Handles on the parameters that training changes; each once, even if it has two places."""
        distinct: dict[int, Variable] = {}
        for variable in self.variables:
            if variable.trainable:
                distinct.setdefault(variable.storage, variable)
        return tuple(distinct.values())

    def state_dict(self) -> dict[str, Array]:
        """Every parameter's value by its state name (read-only arrays)."""
        return {name: variable.numpy() for name, variable in self.named_variables()}

    def load_state_dict(self, arrays: Mapping[str, Any]) -> None:
        """Set every parameter from `arrays`; all of them, or, if anything is wrong, none.

        Values are copied, and cast to the parameter's number type. NaN and infinity are values too.

        Raises:
          ValueError: listing the names that are missing or unknown, and the arrays that do not fit
            (shape, dtype, or not a permutation where one is needed).
        """
        variables = {variable.name: variable for variable in self.variables}
        problems = [f"missing: {name}" for name in variables.keys() - arrays.keys()]
        problems += [f"unknown: {name}" for name in arrays.keys() - variables.keys()]
        checked: dict[str, Array] = {}
        for name in variables.keys() & arrays.keys():
            try:
                checked[name] = variables[name].checked(arrays[name])
            except (TypeError, ValueError) as error:
                problems.append(f"misfit: {error}")
        if problems:
            raise ValueError(f"The state does not fit {self.name!r}; nothing was changed.\n  "
                             + "\n  ".join(sorted(problems)))
        for name, value in checked.items():
            variables[name].assign(value)

    def _children(self) -> Iterator[Any]:
        """The modules directly inside this one."""
        return (m for m in self._members.values() if hasattr(m, "named_variables"))
