"""The base of all networks: a callable on arrays that names its parameters."""

from __future__ import annotations

from typing import Any

from refglow.dtypes import Array
from refglow.module import Module


class Network(Module):
    """A function of one array with trainable parameters.

    A subclass implements `__call__(x)` for x [..., event...] with any leading dimensions, and gives
    Module its members (layers and Variables by name) or overrides `named_variables`. It also says
    by `config()` how to build it again (see `refglow.networks.description`).
    """

    def __call__(self, x: Array) -> Array:
        """The network's output for x."""
        raise NotImplementedError(f"{type(self).__name__} does not implement __call__.")

    def config(self) -> dict[str, Any]:
        """The arguments that build a network of this architecture again (numbers and strings)."""
        raise NotImplementedError(f"{type(self).__name__} does not describe its architecture.")
