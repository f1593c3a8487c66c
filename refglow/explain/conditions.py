"""The condition numbers of a pass's stages: cond(J) = sigma_max(J) / sigma_min(J), J = dy/dx.

By that factor a relative error can grow in the stage at worst, whatever the direction of the pass:
cond(J^-1) = cond(J). Squeezes only move numbers: 1. ActNorm's J is diagonal and a 1x1 convolution's
is its matrix for each pixel, so theirs are exact. Those of couplings come from the largest singular
values of J and of J^-1, by Golub-Kahan bidiagonalization (`validation/audit/amplification.py`):
lower bounds, which in the tests' models are within 1 % of a dense Jacobian's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.validation.audit.amplification import STEPS, layer_gains
from refglow.validation.audit.channels import coupling_of
from refglow.validation.audit.linearized import linearize
from refglow.validation.audit.truth import multiplications
from refglow.validation.layers import Layer, layers_towards_latent

EXACT = "exact: the Jacobian is known"
NO_DERIVATIVES = "not measured: the network has no derivatives (jvp and vjp)"
ESTIMATED = "estimated by Golub-Kahan bidiagonalization"
WHERE_FINITE = f"{ESTIMATED}, where all numbers are finite"

_LARGE = 1e8  # multiplications for one image, from which on fewer steps are made
_STEPS_OF_LARGE = 6

Measure = Callable[[int, Array, Array], dict[str, Any]]


def conditions_of(glow: Glow, layers: Sequence[Layer], to_latent: bool, seed: int) -> Measure:
    """What measures each layer: (its number, input, output) -> condition and how it was found.

    Args:
      glow: the model.
      layers: in the order of the pass.
      to_latent: the direction.
      seed: of the vectors that the bidiagonalization starts from.
    """
    rng = np.random.default_rng(seed)
    try:
        wide = layers_towards_latent(glow.astype(np.float64))
    except (TypeError, ValueError) as error:
        why = f"not measured: the model has no float64 form ({error})"
        return lambda k, h, y: {"condition": np.full(len(h), np.nan), "condition_how": why}
    steps = STEPS if multiplications(wide, glow) < _LARGE else _STEPS_OF_LARGE
    linearize(wide)
    wide = wide if to_latent else wide[::-1]

    def measure(k: int, h: Array, y: Array) -> dict[str, Any]:
        layer = wide[k]
        ends = [end.astype(np.float64) for end in ((h, y) if to_latent else (y, h))]
        if coupling_of(layer) is None:
            # The same at every point.
            gains = 1.0 if layer.kind == "ExitBijector" else _condition(layer, ends, 0, rng, 1)
            return {"condition": np.full(len(h), gains), "condition_how": EXACT}
        try:
            found = [_condition(layer, ends, example, rng, steps) for example in range(len(h))]
        except (TypeError, NotImplementedError):  # a user's network without derivatives
            return {"condition": np.full(len(h), np.nan), "condition_how": NO_DERIVATIVES}
        return {"condition": np.array(found),
                "condition_how": WHERE_FINITE if np.isnan(found).any() else ESTIMATED}
    return measure


def _condition(layer: Layer, ends: Sequence[Array], example: int, rng: np.random.Generator,
               steps: int) -> float:
    before, after = (end[example:example + 1] for end in ends)
    gains = layer_gains(layer, before, after, rng, steps)
    return gains.to_latent * gains.to_image
