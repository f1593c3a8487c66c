"""What the values at all places are in truth, and how well that is known.

Ball arithmetic (`refglow.validation.certified`) knows every number to the last bit of a float64,
whatever the amplification. It needs python-flint, and time: it is used where that fits a budget.
Else the truth is the specification's long double, or its float64 where that is no wider; how far
that may be off is measured by how far the next narrower type is from it.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.extras import install_command
from refglow.layer_name import block_of
from refglow.validation.audit.channels import coupling_of
from refglow.validation.audit.walk import trajectory
from refglow.validation.compare import difference
from refglow.validation.layers import Layer, layers_towards_latent

INSTALL = f"ball arithmetic needs python-flint: {install_command('certify')}"
_PROBE = 64  # the side of the matrices by whose product ball arithmetic is timed
_SECONDS_PER_NUMBER = 5e-5  # rounding a ball and everything that is not a product, twice over


@dataclass(frozen=True)
class Truth:
    """The true values at all places.

    Attributes:
      places: by place, float64 or long double.
      method: "ball arithmetic, 128 bits", "long double" or "float64".
      error: how far they may be off, relative; the largest over the places.
      why: why it is not ball arithmetic; "" if it is.
    """

    places: list[Array]
    method: str
    error: float
    why: str = ""


def true_values(glow: Glow, start: Array, to_latent: bool, ball_seconds: float,
                on_layer: Callable[[], object] = lambda: None) -> Truth:
    """The true values at all places of a walk that begins exactly at `start`.

    Args:
      glow: the model, whose weights are exactly what they are.
      start: [1, ...], float32 or float64.
      to_latent: the direction.
      ball_seconds: how long ball arithmetic may take, by an estimate.
      on_layer: called after each layer, where it is not balls.
    """
    why = _why_no_balls(glow, start, to_latent, ball_seconds)
    if not why:
        from refglow.validation.certified.ball import UndecidedError
        try:
            return _by_balls(glow, start, to_latent)
        except (UndecidedError, MemoryError) as error:
            why = f"balls do not decide it ({error})"
    return _by_wide_floats(glow, start, to_latent, why, on_layer)


def _by_balls(glow: Glow, start: Array, to_latent: bool) -> Truth:
    from refglow.validation.certified.ball import balls
    from refglow.validation.certified.certify import certified

    exact = glow.astype(object)
    exact.load_state_dict({name: balls(value) if value.dtype.kind == "f" else value
                           for name, value in glow.state_dict().items()})
    layers, first = layers_towards_latent(exact), balls(start)
    found = certified(lambda: {str(k): values for k, values in enumerate(
        trajectory(layers, first, to_latent))})
    places = [found.values[str(k)]["float64"] for k in range(len(layers) + 1)]
    return Truth(places, f"ball arithmetic, {found.bits} bits", 2.0**-53)


def _by_wide_floats(glow: Glow, start: Array, to_latent: bool, why: str,
                    on_layer: Callable[[], object]) -> Truth:
    """Long double where that is wider than float64.

    The roundings of two types are in proportion to their eps, so the wider one's error is about
    the two results' difference times the quotient of the eps.
    """
    names: list[tuple[Any, str]] = [(np.float32, "float32"), (np.float64, "float64"),
                                    (np.longdouble, "long double")]
    if np.finfo(np.longdouble).eps == np.finfo(np.float64).eps:
        names.pop()
    results = []

    def told(h: Array) -> Array:
        on_layer()
        return h
    with np.errstate(all="ignore"):
        for dtype, _ in names[-2:]:
            layers = layers_towards_latent(glow.astype(dtype))
            results.append(trajectory(layers, start.astype(dtype), to_latent, told))
        share = float(np.finfo(names[-1][0]).eps / np.finfo(names[-2][0]).eps)
        error = max(difference(narrow, wide).relative
                    for narrow, wide in zip(*results, strict=True))
    return Truth(results[-1], names[-1][1], share * error, why)


def _why_no_balls(glow: Glow, start: Array, to_latent: bool, ball_seconds: float) -> str:
    """"" if ball arithmetic can be used, else why not."""
    if ball_seconds <= 0:
        return "ball arithmetic was not wanted"
    if importlib.util.find_spec("flint") is None:
        return INSTALL
    if not all(np.isfinite(value).all() for value in glow.state_dict().values()):
        return "some weights are not finite"
    wide = layers_towards_latent(glow.astype(np.float64))
    with np.errstate(all="ignore"):
        values = trajectory(wide, start.astype(np.float64), to_latent)
    if not all(np.isfinite(h).all() for h in values):
        return "values overflow float64 on the way"
    needed = ball_estimate(layers_towards_latent(glow), glow, start)
    if needed > ball_seconds:
        return f"ball arithmetic would take about {needed:.0f} s, more than {ball_seconds:g} s"
    return ""


def ball_estimate(layers: Sequence[Layer], glow: Glow, start: Array) -> float:
    """About how many seconds one walk takes in ball arithmetic, from a small product's time."""
    from refglow.elementary import product
    from refglow.validation.certified.ball import balls, precision

    square = balls(np.random.default_rng(0).standard_normal((_PROBE, _PROBE)))
    with precision(128):
        begun = time.perf_counter()
        product(square, square)
        seconds = (time.perf_counter() - begun) / _PROBE**3
    return (seconds * multiplications(layers, glow)
            + _SECONDS_PER_NUMBER * start.size * len(layers))


def multiplications(layers: Sequence[Layer], glow: Glow) -> int:
    """How many multiplications the networks take for one image."""
    height, width, _ = glow.parameters["output_shape"]
    blocks, total = len(glow.blockwise_splits), 0
    for layer in layers:
        coupling = coupling_of(layer)
        if coupling is None:
            continue
        network: Any = getattr(coupling._bijector_fn, "network", None)
        block = block_of(layer.name)
        pixels = height * width // 4**(blocks - block)
        total += pixels * sum(math.prod(variable.shape) for _, variable in
                              getattr(network, "named_variables", tuple)())
    return total
