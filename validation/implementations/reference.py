"""What an implementation's results should be, and how far roundings move them.

The truth is the specification in float64, at the parameters and inputs in the number type that the
implementation was given. Only the data-dependent start is the specification's in that number type:
the deviation's epsilon depends on it. Conditions are those of `conditioning.py`: all data, inputs
and parameters, is moved by a relative 1e-7, and how far each result moves over that is its kappa.

Results are named as in `found.py`. The latents that `forward` is given are those of other images:
the given ones in reverse order and mirrored, so that nothing remembered can pass for an inverse.

A round trip commits its roundings twice. Its condition is measured as they arise: the images are
moved, taken to latents by moved parameters, moved again, and taken back by parameters moved in
another way. Only so far does what is forgotten on the way come back:

    round_trip                 forward(inverse(x)) = x
    opposite_log_dets          forward_log_det_jacobian(inverse(x)) = -inverse_log_det_jacobian(x)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors.glow import Glow
from refglow.dtypes import DEFAULT_FLOAT, Array, DType
from refglow.training.dequantize import bits_per_dim
from refglow.training.model import distribution_of
from refglow.validation.conditioning import (
    UNBOUNDED,
    largest_moves,
    measured_condition,
    moved_number,
)
from refglow.validation.implementations.active_layers import ActiveLayer, active_layers
from refglow.validation.implementations.actnorm_start import conditions_of_start, started_from
from refglow.validation.implementations.model import Arrays, parameters_of
from refglow.validation.tolerances import (
    Tolerance,
    agreement,
    derivative_agreement,
    log_det_agreement,
    rounding_layers,
)

BITS = 8  # of the images whose bits per dimension are asked for
# Results that are sums over all numbers of an image.
_SUMS = ("inverse_log_det_jacobian", "forward_log_det_jacobian", "opposite_log_dets", "log_prob",
         "bits_per_dim")


@dataclass(frozen=True)
class Reference:
    """The truth for one model and batch of images.

    Attributes:
      glow: the model in float64, with the parameters as the implementation was given them.
      dtype: the number type that the implementation is given.
      x, z: images and latents, in that type.
      layers: the model's, from image to latent.
      truth: by name, float64.
      conditions: kappa of each, and of "round_trip" and "opposite_log_dets".
      _roundings: how many parts commit roundings until each layer's output, and "" in all.
    """

    glow: Glow
    dtype: DType
    x: Array
    z: Array
    layers: list[ActiveLayer]
    truth: Arrays
    conditions: dict[str, float]
    _roundings: dict[str, int]

    def tolerance(self, name: str) -> Tolerance:
        """The error that passes for a result, by its name."""
        where = name.split("/")[1] if name.startswith("layers/") else ""
        layers = self._roundings[where]
        if where and name.endswith("/log_det"):
            [layer] = [layer for layer in self.layers if layer.name == where]
            return layer.log_det_tolerance(self.dtype, layers, self.conditions[name],
                                           self.truth[f"layers/{where}/output"], self.truth[name])
        if name in ("round_trip", "opposite_log_dets"):
            layers *= 2
        if name in _SUMS:
            return log_det_agreement(self.dtype, layers, self.conditions[name], self.x[0].size, 1.0)
        rule = derivative_agreement if name.startswith("gradients/") else agreement
        return rule(self.dtype, layers, self.conditions[name])

    def not_held(self, name: str) -> str:
        """Why the number type cannot hold a result, by its name, or what it is made of; else "".

        What overflows there in any implementation, a right one too: true numbers that are larger
        than the type's, here or in a layer on the way; and what moves of the data of the size of
        float32's roundings make infinite or NaN even in float64. Nor is there a truth where
        float64 overflows.
        """
        if not np.isfinite(self.truth[name]).all():
            return "float64, in which the truth is computed, overflows"
        if self.dtype == np.float32 and self.conditions.get(name) == UNBOUNDED:
            return "roundings of its data alone make it infinite or NaN"
        most = float(np.finfo(self.dtype).max)
        for made_of in (*self._on_the_way_to(name), name):
            largest = self._largest[made_of]
            if largest > most:
                what = "it reaches" if made_of == name else f"{made_of} reaches"
                return f"{what} {largest:.0e}, and {self.dtype} ends at {most:.0e}"
        return ""

    @cached_property
    def _largest(self) -> dict[str, float]:
        """The largest finite size of a number in each true result."""
        return {name: float(np.abs(array).max(where=np.isfinite(array), initial=0.0))
                for name, array in self.truth.items()}

    def _on_the_way_to(self, name: str) -> list[str]:
        """The layers' outputs that a result on the way from the image to the latent is made of."""
        if name.startswith(("forward", "initialize/")):
            return []
        outputs = [f"layers/{layer.name}/output" for layer in self.layers]
        own = f"layers/{name.split('/')[1]}/output" if name.startswith("layers/") else ""
        return outputs[:outputs.index(own)] if own else outputs

    @property
    def is_of_float32_numbers(self) -> bool:
        """Whether all parameters, images and latents are float32 numbers."""
        arrays = [*self.glow.state_dict().values(), self.x, self.z]
        return all((array.astype(np.float32) == array).all() for array in arrays
                   if array.dtype.kind == "f")

    def for_float32(self) -> Reference:
        """The same truth for an implementation that is given the same numbers as float32.

        Only an ActNorm's start is another: its epsilon depends on the number type.
        """
        narrow = np.dtype(np.float32)
        with use_backend("spec"), np.errstate(all="ignore"):
            started = started_from(self.glow.astype(narrow), self.x.astype(narrow))
        return replace(self, dtype=narrow, x=self.x.astype(narrow), z=self.z.astype(narrow),
                       truth=self.truth | started)


def latents_of_others(glow: Glow, x: Array) -> Array:
    """Latents to give to `forward`: those of the images in reverse order and mirrored.

    Args:
      glow: float64.
      x: the images, float64.
    """
    with use_backend("spec"):
        latents: Array = glow.inverse(x[::-1, :, ::-1])
        return latents


def reference_of(glow: Glow, images: Any, latents: Any = None) -> Reference:
    """The truth at a batch of images.

    Args:
      glow: float32 or float64, its ActNorms initialised; it is not changed.
      images: [B, H, W, C]; converted to the model's number type.
      latents: [.., D], for `forward`; None for `latents_of_others`.

    Raises:
      ValueError: if an ActNorm is not initialised, or the images do not fit or are not finite.
    """
    parameters_of(glow)  # which refuses what has no parameters yet
    dtype = np.dtype(glow.dtype or DEFAULT_FLOAT)
    x = np.array(images, dtype=dtype)
    if x.ndim != 4 or not len(x) or not np.isfinite(x).all():
        raise ValueError("Expected finite images [B, H, W, C], at least one; got shape "
                         f"{list(x.shape)}{'' if x.ndim != 4 or not len(x) else ', not finite'}.")
    wide = glow.astype(np.float64)
    with use_backend("spec"), np.errstate(all="ignore"):
        z = (latents_of_others(wide, x.astype(np.float64)) if latents is None
             else np.asarray(latents)).astype(dtype)
        inputs = [x.astype(np.float64), z.astype(np.float64)]
        layers = active_layers(wide)
        names: list[str] = []

        def results(parts: Sequence[Array]) -> list[Array]:
            found = _results(wide, layers, *parts)
            names[:] = list(found)
            return list(found.values())
        values = results(inputs)
        truth = dict(zip(names, values, strict=True))
        conditions = dict(zip(names, measured_condition(wide, results, inputs, values),
                              strict=True))
        conditions |= _conditions_there_and_back(wide, inputs[0])
        started = started_from(glow.astype(dtype), x)
        truth |= started
        conditions |= conditions_of_start(layers, started, conditions, rounding_layers(wide))
    so_far = np.cumsum([layer.roundings for layer in layers])
    roundings = {layer.name: int(count) for layer, count in zip(layers, so_far, strict=True)}
    return Reference(wide, dtype, x, z, layers, truth, conditions,
                     roundings | {"": rounding_layers(wide)})


def _results(glow: Glow, layers: list[ActiveLayer], x: Array, z: Array) -> Arrays:
    """Everything that can be offered."""
    (latents, ildj), pullback = glow.inverse_vjp(x)
    image, fldj = glow.forward_and_log_det(z)
    log_prob = distribution_of(glow).distribution.log_prob(latents) + ildj
    # of the mean of log p = sum -z^2 / 2 + ildj + constant
    x_bar, bars = pullback(-latents / len(x), np.full(len(x), 1 / len(x)))
    found = {"inverse": latents, "inverse_log_det_jacobian": ildj,
             "forward": image, "forward_log_det_jacobian": fldj, "log_prob": log_prob,
             "bits_per_dim": bits_per_dim(log_prob, x[0].size, BITS)}
    y = x
    for layer in layers:
        y, log_det = layer.towards_latent(y)
        found |= {f"layers/{layer.name}/output": y, f"layers/{layer.name}/log_det": log_det}
    found["gradients/x"] = x_bar
    found |= {f"gradients/{name}": bar for name, bar in bars.items()}
    return found | started_from(glow, x)


def _conditions_there_and_back(glow: Glow, x: Array) -> dict[str, float]:
    """kappa of the two identities that hold after a round trip."""
    rng = np.random.default_rng(0)
    state = glow.state_dict()
    trainable = {variable.name for variable in glow.trainable_variables}

    def move_parameters() -> None:
        glow.load_state_dict({name: moved_number(name, value, rng) if name in trainable else value
                              for name, value in state.items()})

    def moved() -> list[Array]:
        move_parameters()
        z, ildj = glow.inverse_and_log_det(moved_number("x", x, rng))
        move_parameters()
        back, fldj = glow.forward_and_log_det(moved_number("z", z, rng))
        return [back, fldj, ildj]
    try:
        ildj = glow.inverse_log_det_jacobian(x, 3)
        round_trip, there, back = largest_moves([x, -ildj, ildj], moved)
    finally:
        glow.load_state_dict(state)
    return {"round_trip": round_trip, "opposite_log_dets": there + back}
