"""Fields that concern channels and steps, and those that concern no weights.

A route says which channels a coupling sees and what stands between couplings, whatever the dialect;
`arranging` puts that into the target's steps. So these rules change nothing; they say how it is
done, or that it cannot be.
"""

from __future__ import annotations

from dataclasses import replace

from refglow.validation.dialects.actnorms import ACTNORMS
from refglow.validation.dialects.conversion import (
    RE_INDEXED,
    REPARAMETRISED,
    NotRepresentableError,
)
from refglow.validation.dialects.converting_networks import Outcome, Rule
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.route import Route, squeezed_from


def _told(label: str, reason: str) -> Rule:
    return lambda route, there, here: Outcome(route, label, reason)


def _arranged(reason: str) -> Rule:
    """The rule of a field that moves channels or layers."""
    def rule(route: Route, there: Dialect, here: Dialect) -> Outcome:
        if there.actnorm not in ACTNORMS or here.actnorm not in ACTNORMS:
            raise NotRepresentableError(
                "ActNorm is set from every batch: it is no map of a pixel, which other layers "
                "could take part in")
        full = here.factors == "full matrix" and there.factors == "full matrix"
        how = "" if full else ", factored anew"
        return Outcome(route, RE_INDEXED if full else REPARAMETRISED, f"{reason}{how}")
    return rule


_channels = _arranged("channels change places: rows and columns of the 1x1 convolutions")


def _squeeze(route: Route, there: Dialect, here: Dialect) -> Outcome:
    for order in (there.squeeze, here.squeeze):
        if squeezed_from(order, 4) is None:
            raise NotRepresentableError(
                f"{order!r} takes pixels to other pixels, which no exchange of channels does")
    return _arranged("columns of the 1x1 convolutions, and ActNorm's parameters")(
        route, there, here)


def _exit_half(route: Route, there: Dialect, here: Dialect) -> Outcome:
    if all(not len(block.leaves) for block in route.blocks):
        return Outcome(route, RE_INDEXED, "nothing leaves at exits")
    return _channels(route, there, here)


def _actnorm(route: Route, there: Dialect, here: Dialect) -> Outcome:
    outcome = _arranged("the same shift and scale by other numbers; signs go into the 1x1 "
                        "convolutions")(route, there, here)
    return replace(outcome, label=REPARAMETRISED)


def _images(route: Route, there: Dialect, here: Dialect) -> Outcome:
    raise NotRepresentableError("what is done to images first is not taken into the weights here")


def _joined(route: Route, there: Dialect, here: Dialect) -> Outcome:
    raise NotRepresentableError("couplings that exchange the halves are not taken apart here")


CHANNEL_RULES: dict[str, Rule] = {
    "step_order": _arranged("what stands between couplings is one affine map of channels, in any "
                            "order"),
    "sides": _arranged("a side is a coupling by itself, or one beside a side that does nothing"),
    "conditioning": _channels,
    "exit_half": _exit_half,
    "squeeze": _squeeze,
    "actnorm": _actnorm,
    "factors": _told(REPARAMETRISED, "the same matrix from other arrays"),
    "matrix": _told(REPARAMETRISED, "the same matrix from other arrays"),
    "images": _images,
    "joined": _joined,
    "steps": _told(RE_INDEXED, "names"),
    "blocks": _told(RE_INDEXED, "names"),
}

_START = _told(RE_INDEXED, "of the start only: no weights change")
_ADDED_UP = _told(RE_INDEXED, "no weights change; the target adds up its way")

RESULT_RULES: dict[str, Rule] = {
    "actnorm_mean": _START, "actnorm_deviation": _START, "actnorm_epsilon": _START,
    "latents": _told(RE_INDEXED, "the same latents in another order (only the coarsest: the others "
                                 "are not given); no weights change"),
    "direction": _told(RE_INDEXED, "a name: what one calls forward the other calls inverse"),
} | dict.fromkeys((
    "log_det_conv_formula", "log_det_coupling_formula", "log_det_exit_formula", "log_det_pixels",
    "log_det_actnorm", "log_det_conv", "log_det_coupling", "log_det_exit", "log_det_sign",
    "log_det_unit", "log_det_batch", "density", "bits_per_dim"), _ADDED_UP)
