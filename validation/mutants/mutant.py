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
      layer: the kind of the first of refglow's layers, on the way to the latent, whose output or
        log-det the port does not give at its place: "squeeze", "actnorm", "conv", "coupling",
        "exit"; "" where all are right.
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


def changed(_hides: tuple[str, ...] = (), **methods: Any) -> Change:
    """PortedGlow with these methods in place of its own.

    Args:
      _hides: methods in which no other mistake can be seen behind this one; they stay as they are,
        and count as decided here.
      **methods: the replacements.
    """
    hidden = {name: getattr(PortedGlow, name) for name in _hides}
    return type("Changed", (PortedGlow,), hidden | methods)


# Methods that others are called from: where these are replaced, a mistake in the others may not
# be reached.
_CALLED_FROM = {
    "network": {"convolutions", "convolution", "last_convolution", "activation", "last_activation"},
    "matrix": {"factors", "permuted"}, "deviation": {"variance"},
    "statistics": {"deviation", "variance", "epsilon"},
    "exit_applied": {"exit_affine", "exit_unaffine", "exit_elements", "exit_scale",
                     "exit_parts_of", "counted_exit", "exit_place", "exit_log_det"},
    "exit": {"exit_halves", "exit_joined"}, "prior": {"squares", "count"},
    "log_det_out": {"forward_log_det_out"}}


def can_combine(a: Mutant, b: Mutant) -> bool:
    """Whether the mistakes a and b can be made at once: they decide other things.

    A few of the pairs still show one mistake only, by their values: a gradient that is 0 by the
    first cannot be three times too large by the second.
    """
    return not _shared(a, b)


def _shared(a: Mutant, b: Mutant) -> set[str]:
    """The methods and conventions that both decide."""
    reached = [m.methods | {called for name in m.methods for called in _CALLED_FROM.get(name, ())}
               for m in (a, b)]
    return (reached[0] & b.methods) | (reached[1] & a.methods) | (a.fields & b.fields)


def combined(a: Mutant, b: Mutant) -> Mutant:
    """The port with both mistakes, a and b.

    Raises:
      ValueError: if both replace the same decision.
    """
    shared = sorted(_shared(a, b))
    if shared:
        raise ValueError(f"The mistakes {a.name!r} and {b.name!r} cannot be combined; both decide "
                         f"{', '.join(shared)}.")
    order = ["squeeze", "actnorm", "conv", "coupling", "exit", ""]
    return Mutant(f"{a.name}+{b.name}", f"{a.bug} {b.bug}", f"{a.origin}; {b.origin}",
                  a.explains + b.explains, min(a.layer, b.layer, key=order.index),
                  type("Changed", (a.change, b.change), {}))
