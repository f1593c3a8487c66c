"""The affine maps that networks' outputs r and t make, from one dialect's into another's.

Every affine map towards the latent is one of

    inside     s^p (x + q t)
    outside    s^p x + q t          p = 1, -1 or 0,  q = 1, -1 or 0

Inside and outside are the same where the scale is constant (t is multiplied by it) or there is no
shift; q changes with t's sign, p with r where 1 / s is such a scale too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.affines import AFFINES, LAYOUTS, SCALES, joined
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.plain_networks import (
    Network,
    constant_outputs,
    last_of,
    outputs_at,
    outputs_plus,
    outputs_set,
    outputs_times,
)
from refglow.validation.dialects.raw_scales import raw_of, reciprocal_scale, same_scale


@dataclass(frozen=True)
class Reading:
    """How networks' outputs are read: those of couplings, or those of exits.

    Attributes:
      affine, scale, layout: names in AFFINES, SCALES, LAYOUTS.
      dialect: the rest.
    """

    affine: str
    scale: str
    layout: str
    dialect: Dialect

    @classmethod
    def of(cls, dialect: Dialect, exits: bool) -> Reading:
        """That of a dialect's exits or couplings."""
        if exits:
            return cls(dialect.exit_affine, dialect.exit_scale, dialect.exit_layout, dialect)
        return cls(dialect.affine, dialect.scale, dialect.layout, dialect)

    @property
    def power(self) -> int:
        """p."""
        return AFFINES[self.affine].power

    @property
    def sign(self) -> int:
        """q."""
        if self.affine in ("s x", "left out"):
            return 0
        return -1 if "- t" in self.affine else 1

    @property
    def inside(self) -> bool:
        """Whether the shift is added before scaling."""
        return "(x" in self.affine

    def places(self, network: Network) -> tuple[Array, Array]:
        """The places of r and of t among the outputs."""
        r, t = LAYOUTS[self.layout](np.arange(outputs_of(network)))
        return r, t


def outputs_of(network: Network) -> int:
    """How many channels it gives."""
    return int(last_of(network)["bias"].shape[-1])


def with_layout(network: Network, there: Reading, layout: str) -> Network:
    """With r and t in another layout."""
    r, t = there.places(network)
    return outputs_at(network, joined(layout, r, t))


def with_scale(network: Network, there: Reading, scale: str) -> Network:
    """With r such that another function gives the same scale.

    Raises:
      NotRepresentableError: if none does.
    """
    if there.power == 0:
        return network
    r, _ = there.places(network)
    constant = constant_outputs(network, there.dialect)[r]
    if not np.isnan(constant).any():
        return outputs_set(network, r, raw_of(scale, SCALES[there.scale].value(constant)),
                           there.dialect)
    return _raw_changed(network, there, same_scale(there.scale, scale))


def with_additive_affine(network: Network, there: Reading, here: Reading) -> Network:
    """A network whose output is only a shift, for another affine map.

    Raises:
      NotRepresentableError: if there is no shift in it, and one is needed.
    """
    everything = np.arange(outputs_of(network))
    if there.sign == here.sign:
        return network
    if there.sign == 0:
        return outputs_set(network, everything, np.zeros(len(everything)), there.dialect)
    if here.sign == 0:
        if np.array_equal(constant_outputs(network, there.dialect), np.zeros(len(everything))):
            return network
        raise NotRepresentableError(f"{here.affine!r} has no shift")
    return outputs_times(network, -np.ones(len(everything)), there.dialect)


def with_affine(network: Network, there: Reading, here: Reading) -> Network:
    """A network of r and t for another affine map, with the same scale function and layout.

    Raises:
      NotRepresentableError: if it is another function whatever the convolutions are.
    """
    r, t = there.places(network)
    network = _with_place(network, there, here)
    if there.sign * here.sign == -1:
        flipped = np.ones(len(r) + len(t))
        flipped[t] = -1
        network = outputs_times(network, flipped, there.dialect)
    elif there.sign == 0 and here.sign != 0:
        network = outputs_set(network, t, np.zeros(len(t)), there.dialect)
    elif here.sign == 0 and there.sign != 0 and not _is_zero(network, there, t):
        raise NotRepresentableError(f"{here.affine!r} has no shift")
    return _with_power(network, there, here)


def _with_place(network: Network, there: Reading, here: Reading) -> Network:
    """With t multiplied by what the scale does to it, where it enters at another place."""
    r, t = there.places(network)
    if (there.inside == here.inside or 0 in (there.sign, here.sign, there.power)
            or _is_zero(network, there, t)):
        return network
    raw = constant_outputs(network, there.dialect)[r]
    if np.isnan(raw).any():
        raise NotRepresentableError(
            "the shift is multiplied by the scale in one and not in the other, and both depend on "
            "the image")
    factor = np.ones(len(r) + len(t))
    power = there.power if there.inside else -there.power
    factor[t] = SCALES[there.scale].value(raw) ** power
    return outputs_times(network, factor, there.dialect)


def _with_power(network: Network, there: Reading, here: Reading) -> Network:
    if there.power == here.power:
        return network
    r, _ = there.places(network)
    if there.power == 0:
        return outputs_set(network, r, unit_raw(here.scale, len(r), network), there.dialect)
    constant = constant_outputs(network, there.dialect)[r]
    varies = bool(np.isnan(constant).any())
    if here.power == 0:
        if varies or (SCALES[there.scale].value(constant) != 1).any():
            raise NotRepresentableError(f"{here.affine!r} has no scale")
        return network
    if not varies:
        return outputs_set(network, r, raw_of(here.scale, 1 / SCALES[there.scale].value(constant)),
                           there.dialect)
    return _raw_changed(network, there, reciprocal_scale(there.scale))


def unit_raw(scale: str, count: int, network: Network) -> Array:
    """The r of scale 1, [count], in a network's number type."""
    return raw_of(scale, np.ones(count, last_of(network)["bias"].dtype))


def _is_zero(network: Network, reading: Reading, which: Array) -> bool:
    return bool((constant_outputs(network, reading.dialect)[which] == 0).all())


def _raw_changed(network: Network, there: Reading, change: tuple[float, float]) -> Network:
    """With k r + d for r."""
    r, t = there.places(network)
    factor, amount = np.ones(len(r) + len(t)), np.zeros(len(r) + len(t))
    factor[r], amount[r] = change
    return outputs_plus(outputs_times(network, factor, there.dialect), amount, there.dialect)
