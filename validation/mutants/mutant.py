"""A mutant: a port with one mistake planted, and what would explain it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Array

Change: TypeAlias = type[PortedGlow]


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
      name: a short name in lower case with hyphens.
      bug: what is wrong, as the porter would put it on finding it.
      origin: the project or the issue that does it so; "classic" for what anyone may do.
      explains: the convention keys "field=alternative" that are this function, any of them; none
        for a mistake that no convention describes.
      layer: the kind of layer that first gives something else on the way to the latent: "squeeze",
        "actnorm", "conv", "coupling", "exit"; "" where all layers' outputs and log-dets are right.
      change: the port with this mistake; a subclass that replaces methods.
    """

    name: str
    bug: str
    origin: str
    explains: tuple[str, ...]
    layer: str
    change: Change

    @property
    def fields(self) -> set[str]:
        """The conventions concerned."""
        return {key.partition("=")[0] for key in self.explains}

    @property
    def methods(self) -> set[str]:
        """The methods of the port that are replaced."""
        own = [c for c in self.change.__mro__ if c not in PortedGlow.__mro__]
        return {name for c in own for name in vars(c)
                if not name.startswith("__") or name == "__init__"}

    def build(self, architecture: Mapping[str, Any],
              parameters: Mapping[str, Array]) -> PortedGlow:
        """The port with the mistake, for a model (see `PortedGlow`)."""
        return self.change(architecture, parameters)


def changed(**methods: Any) -> Change:
    """PortedGlow with these methods in place of its own."""
    return type("Changed", (PortedGlow,), methods)


def can_combine(a: Mutant, b: Mutant) -> bool:
    """Whether two mistakes can be made at once: they touch other methods and other conventions."""
    return not a.methods & b.methods and not a.fields & b.fields


def combined(a: Mutant, b: Mutant) -> Mutant:
    """The port with both mistakes.

    Raises:
      ValueError: if both replace the same decision.
    """
    if not can_combine(a, b):
        shared = sorted((a.methods & b.methods) | (a.fields & b.fields))
        raise ValueError(f"The mistakes {a.name!r} and {b.name!r} cannot be combined; both decide "
                         f"{', '.join(shared)}.")
    order = ["squeeze", "actnorm", "conv", "coupling", "exit", ""]
    return Mutant(f"{a.name}+{b.name}", f"{a.bug} {b.bug}", f"{a.origin}; {b.origin}",
                  a.explains + b.explains, min(a.layer, b.layer, key=order.index),
                  type("Changed", (a.change, b.change), {}))
