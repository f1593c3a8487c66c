"""How much an implementation must offer and have right.

    level        what must be offered, and right
    "offered"    all that is offered, and that is something
    "values"     inverse, forward
    "log_dets"   values; the log-dets of both
    "density"    log_dets; log_prob
    "layers"     density; the output of each layer
    "gradients"  density; the gradient of each parameter
    "all"        layers and gradients; bits_per_dim; ActNorm's start by initialize

Log-dets may come from functions of their own or from those that give two results. Log-dets of
layers and the gradient of the images are not asked for, but must be right where layers or gradients
are and they are given. What a level does not ask for is not called, or its result not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from refglow.validation.implementations.offerings import OFFERINGS, RESULTS

_VALUES = ("inverse", "forward")
_LOG_DETS = (*_VALUES, "inverse_log_det_jacobian", "forward_log_det_jacobian")
_DENSITY = (*_LOG_DETS, "log_prob")

# The results that each asks for; "offered" asks for none, and looks at all.
LEVELS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "offered": (), "values": _VALUES, "log_dets": _LOG_DETS, "density": _DENSITY,
    "layers": (*_DENSITY, "layers"), "gradients": (*_DENSITY, "gradients"),
    "all": (*_DENSITY, "layers", "gradients", "bits_per_dim", "initialize")})


def asked_at(level: str) -> tuple[str, ...]:
    """The results that a level asks for.

    Raises:
      ValueError: if there is no such level; lists them.
    """
    if level not in LEVELS:
        raise ValueError(f"The level can be {', '.join(LEVELS)}; got {level!r}.")
    return LEVELS[level]


def looked_at(level: str) -> tuple[str, ...]:
    """The results that a level compares, where they are given."""
    return LEVELS["all" if level == "offered" else level]


def results_of(offering: str) -> tuple[str, ...]:
    """The results of a function, as levels call them."""
    return RESULTS.get(offering, (offering,))


def givers_of(result: str) -> tuple[str, ...]:
    """The functions that give a result."""
    return tuple(name for name in OFFERINGS if result in results_of(name))


def is_required(name: str) -> bool:
    """Whether an array, by its name in `Reference.truth`, must be given where its kind is asked."""
    return name != "gradients/x" and not (name.startswith("layers/") and name.endswith("/log_det"))
