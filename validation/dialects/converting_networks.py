"""Fields that concern networks: what a conversion makes of the networks, and the label.

Each rule takes a route in the dialect `there` and gives the route that computes the same in
`there` with the one field's new answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from refglow.validation.dialects.activations import with_activation
from refglow.validation.dialects.conversion import (
    RE_INDEXED,
    REPARAMETRISED,
    NotRepresentableError,
)
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.mixings import Mixing
from refglow.validation.dialects.network_affines import (
    Reading,
    outputs_of,
    unit_raw,
    with_additive_affine,
    with_affine,
    with_layout,
    with_scale,
)
from refglow.validation.dialects.paddings import padded
from refglow.validation.dialects.plain_networks import (
    Network,
    outputs_set,
    with_hidden_norm,
    without_hidden_norm,
)
from refglow.validation.dialects.route import Block, Coupling, Route


@dataclass(frozen=True)
class Outcome:
    """A field's conversion: the route after it, its label, and how it was done."""

    route: Route
    label: str
    reason: str


Rule = Callable[[Route, Dialect, Dialect], Outcome]


def _all_networks(change: Callable[[Network, Dialect, Dialect], Network], label: str,
                  reason: str) -> Rule:
    """A rule that changes every network alike."""
    def rule(route: Route, there: Dialect, here: Dialect) -> Outcome:
        def changed(network: Network) -> Network:
            return change(network, there, here)
        blocks = tuple(replace(
            block, couplings=tuple(replace(c, network=changed(c.network))
                                   for c in block.couplings),
            exit=None if block.exit is None else changed(block.exit)) for block in route.blocks)
        return Outcome(replace(route, blocks=blocks), label, reason)
    return rule


def _hidden_norm(network: Network, there: Dialect, here: Dialect) -> Network:
    return (without_hidden_norm if here.hidden_norm == "none" else with_hidden_norm)(network)


def _coupling_networks(change: Callable[[Network, Reading, Reading], Network], label: str,
                       reason: str, exits: bool) -> Rule:
    """A rule that changes every coupling's network, or every exit's, with r and t in its output."""
    def rule(route: Route, there: Dialect, here: Dialect) -> Outcome:
        readings = Reading.of(there, exits), Reading.of(here, exits)
        if exits:
            return Outcome(_exits_changed(route, lambda b: change(_exit_of(b), *readings)), label,
                           reason)
        blocks = tuple(replace(block, couplings=tuple(
            c if _is_additive(c) else replace(c, network=change(c.network, *readings))
            for c in block.couplings)) for block in route.blocks)
        return Outcome(replace(route, blocks=blocks), label, reason)
    return rule


def _exit_of(block: Block) -> Network:
    assert block.exit is not None
    return block.exit


def _exits_changed(route: Route, change: Callable[[Block], Network]) -> Route:
    """Exits that only shift stay as they are."""
    return replace(route, blocks=tuple(
        block if block.exit is None or outputs_of(block.exit) == len(block.leaves)
        else replace(block, exit=change(block)) for block in route.blocks))


def _is_additive(coupling: Coupling) -> bool:
    return outputs_of(coupling.network) == len(coupling.maps)


def _affine(route: Route, there: Dialect, here: Dialect) -> Outcome:
    readings = Reading.of(there, False), Reading.of(here, False)
    pairs = [_couplings(block, *readings) for block in route.blocks]
    blocks = tuple(block for block, _ in pairs)
    reason = "signs of the last convolution's weights, or its bias"
    if any(split for _, split in pairs):
        reason = ("each coupling became two, one that scales and one that shifts, because the "
                  "shift is multiplied by the scale in only one of the dialects")
    return Outcome(replace(route, blocks=blocks), REPARAMETRISED, reason)


def _couplings(block: Block, there: Reading, here: Reading) -> tuple[Block, bool]:
    """A block with its couplings in another affine form, and whether one became two."""
    couplings: list[Coupling] = []
    mixings = [block.mixings[0]]
    split = False
    for coupling, after in zip(block.couplings, block.mixings[1:], strict=True):
        changed = _one_coupling(coupling, there, here)
        split |= len(changed) == 2
        couplings += changed
        identity = Mixing.identity(block.channels, after.shift.dtype)
        mixings += [identity] * (len(changed) - 1) + [after]
    return replace(block, couplings=tuple(couplings), mixings=tuple(mixings)), split


def _one_coupling(coupling: Coupling, there: Reading, here: Reading) -> list[Coupling]:
    network = coupling.network
    if _is_additive(coupling):
        return [replace(coupling, network=with_additive_affine(network, there, here))]
    try:
        return [replace(coupling, network=with_affine(network, there, here))]
    except NotRepresentableError:
        if there.inside == here.inside or 0 in (here.sign, here.power):
            raise
    parts = [_only_shift(network, there), _only_scale(network, there)]
    return [replace(coupling, network=with_affine(part, there, here), second=False)
            for part in (parts if there.inside else parts[::-1])]


def _only_shift(network: Network, reading: Reading) -> Network:
    r, _ = reading.places(network)
    return outputs_set(network, r, unit_raw(reading.scale, len(r), network), reading.dialect)


def _only_scale(network: Network, reading: Reading) -> Network:
    _, t = reading.places(network)
    return outputs_set(network, t, np.zeros(len(t)), reading.dialect)


def _exit_affine(route: Route, there: Dialect, here: Dialect) -> Outcome:
    if there.exit_affine == "left out":
        return Outcome(route, REPARAMETRISED, "the exits' networks have zero weights, and the bias "
                                              "of scale 1")
    pairs = [_one_exit(block, there, here) for block in route.blocks]
    reason = ("the exits' shifts became a coupling before them, because the scale multiplies them"
              if any(moved for _, moved in pairs)
              else "signs of the last convolution's weights, or its bias")
    return Outcome(replace(route, blocks=tuple(block for block, _ in pairs)), REPARAMETRISED,
                   reason)


def _one_exit(block: Block, there: Dialect, here: Dialect) -> tuple[Block, bool]:
    """A block with its exit in another affine form, and whether its shift became a coupling."""
    if block.exit is None:
        return block, False
    first, second = Reading.of(there, True), Reading.of(here, True)
    try:
        network = _exit_network(block, first, second)
    except NotRepresentableError as error:
        # Of s^p (x + q t), a coupling of the channels that go on can shift before the exit scales.
        if not first.inside or second.inside or 0 in (second.sign, second.power):
            raise
        if len(block.goes_on) != len(block.leaves):
            raise NotRepresentableError(f"{error}; a coupling before the exit could shift, if half "
                                        "of the channels left there") from None
        return _shifted_before(block, there, here), True
    return replace(block, exit=None if here.exit_affine == "left out" else network), False


def _exit_network(block: Block, there: Reading, here: Reading) -> Network:
    network = _exit_of(block)
    additive = outputs_of(network) == len(block.leaves)
    return (with_additive_affine if additive else with_affine)(network, there, here)


def _shifted_before(block: Block, there: Dialect, here: Dialect) -> Block:
    exits, coupling = Reading.of(there, True), Reading.of(there, False)
    network = _exit_of(block)
    shift = _only_shift(network, exits)  # scale 1, so the place does not matter
    shift = with_affine(shift, exits, replace(exits, affine="s x + t"))
    plain = replace(exits, affine="s x + t")
    shift = with_scale(shift, plain, coupling.scale)
    plain = replace(plain, scale=coupling.scale)
    shift = with_layout(shift, plain, coupling.layout)
    plain = replace(plain, layout=coupling.layout)
    shift = with_affine(shift, plain, coupling)
    rest = with_affine(_only_scale(network, exits), exits, Reading.of(here, True))
    identity = Mixing.identity(block.channels, block.mixings[-1].shift.dtype)
    return replace(block, exit=rest, mixings=(*block.mixings, identity), couplings=(
        *block.couplings, Coupling(block.goes_on, block.leaves, shift)))


def _layout(exits: bool) -> Rule:
    return _coupling_networks(lambda n, there, here: with_layout(n, there, here.layout),
                              RE_INDEXED, "the last convolution's output channels", exits)


def _scale(exits: bool) -> Rule:
    return _coupling_networks(lambda n, there, here: with_scale(n, there, here.scale),
                              REPARAMETRISED, "the bias and the weights of r", exits)


NETWORK_RULES: dict[str, Rule] = {
    "bias": _all_networks(lambda n, there, here: n, REPARAMETRISED,
                          "biases of zero are the same as none"),
    "kernel": _all_networks(lambda n, there, here: n, RE_INDEXED, "the kernels' axes"),
    "padding": _all_networks(
        lambda n, there, here: padded(n, there.padding, here.padding, there.activation),
        REPARAMETRISED,
        "what is added outside the image has weights of its own: the border indicator's, or those "
        "of a constant hidden channel (from one more 1x1 convolution, where there is no hidden "
        "one before)"),
    "activation": _all_networks(
        lambda n, there, here: with_activation(n, there.activation, here.activation,
                                               there.padding),
        REPARAMETRISED, "of each hidden convolution's y, both y and -y, in twice the channels"),
    "hidden_norm": _all_networks(_hidden_norm, REPARAMETRISED,
                                 "hidden ActNorms are part of the convolutions before them"),
    "gain": _all_networks(lambda n, there, here: n, REPARAMETRISED,
                          "the factor is part of the last convolution, or of its logarithm"),
    "affine": _affine, "scale": _scale(False), "layout": _layout(False),
    "exit_affine": _exit_affine, "exit_scale": _scale(True), "exit_layout": _layout(True),
}
