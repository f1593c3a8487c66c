"""The base of all networks: a callable on arrays that names its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refglow.dtypes import Array
from refglow.variable import Variable


class Network:
    """A function of one array with trainable parameters.

    A subclass implements `__call__(x)` for x [..., event...] with any leading dimensions, and
    `named_variables`. It also says by `config()` how to build it again (see
    `refglow.networks.description`).
    """

    def __call__(self, x: Array) -> Array:
        """The network's output for x."""
        raise NotImplementedError(f"{type(self).__name__} does not implement __call__.")

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """(name, variable) for every parameter."""
        yield from ()

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Handles on all parameters."""
        return tuple(variable.renamed(name) for name, variable in self.named_variables())

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """Handles on the parameters that training changes."""
        return tuple(variable for variable in self.variables if variable.trainable)

    def config(self) -> dict[str, Any]:
        """The arguments that build a network of this architecture again (numbers and strings)."""
        raise NotImplementedError(f"{type(self).__name__} does not describe its architecture.")
