"""When training produces numbers that are not finite: where it began."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.composition import Composition
from refglow.bijectors.glow import Glow
from refglow.bijectors.invert import Invert
from refglow.dtypes import Array

LATENT = "latent"  # the place behind the last layer


@dataclass(frozen=True)
class Origin:
    """Where it began.

    Attributes:
      layer: the layer's name, as in `state_dict()`: "block2.step0.coupling"; LATENT if no layer.
      text: what happened there.
    """

    layer: str
    text: str


class DivergedError(ArithmeticError):
    """A loss or a gradient is not finite.

    Attributes:
      step: the number of steps that were made before.
      layer: where it began, as in `Origin`.
    """

    def __init__(self, step: int, origin: Origin) -> None:
        """Say in which step and where."""
        super().__init__(
            f"Training diverged in step {step + 1}: {origin.text}. A lower learning rate, a longer "
            "warm-up or clip_norm may help.")
        self.step, self.layer = step, origin.layer


def overflow_origin(glow: Glow, images: Array) -> Origin | None:
    """The first layer on the way from image to latent that overflows or cannot compute at all.

    Args:
      glow: the model.
      images: finite, [..., H, W, C].

    Returns:
      None if there is no such layer.
    """
    layer = first_overflow(glow, images)
    return None if layer is None else Origin(
        layer, f"on the way from image to latent, {layer} is the first layer whose output or "
               "log-det is not finite")


def origin_of(glow: Glow, images: Array, gradients: Mapping[str, Array]) -> Origin:
    """Where a step went wrong.

    Args:
      glow: the model, before the update.
      images: the step's, [B, H, W, C].
      gradients: what came of them, by state name.
    """
    origin = overflow_origin(glow, images)
    if origin is not None:
        return origin
    layer = first_bad_gradient(glow, gradients)
    if layer is not None:
        return Origin(layer, "all values are finite, but gradients are not; on the way back from "
                             f"the latent, that of {layer} is the first")
    return Origin(LATENT, "the latents are finite, but so large that their density is not")


def first_overflow(glow: Glow, images: Array) -> str | None:
    """The first layer, on the way from image to latent, whose output or log-det is not finite.

    It is found by the specification, under which every layer is computed by itself; a kernel may
    compute two as one.

    Args:
      glow: the model.
      images: finite, [..., H, W, C].

    Returns:
      its name; None if all is finite.
    """
    names = _names(glow)

    def evaluate(part: Bijector, y: Any, forward: bool) -> Any:
        try:
            x, log_det = part._forward_and_log_det(y) if forward else part._inverse_and_log_det(y)
        except ValueError as error:  # a matrix that has no inverse
            raise _Found(_layer_of(part, names) or part.name) from error
        if not (_all_finite(x) and _all_finite(log_det)):
            raise _Found(_layer_of(part, names) or part.name)
        return x

    try:
        with np.errstate(all="ignore"), use_backend("spec"):
            _follow(glow, evaluate, images, forward=False)
    except _Found as found:
        return found.layer
    return None


def first_bad_gradient(glow: Glow, gradients: Mapping[str, Array]) -> str | None:
    """The first layer, on the way back from the latent, with a gradient that is not finite.

    Args:
      glow: the model.
      gradients: by state name.

    Returns:
      its name; None if all are finite.
    """
    bad = {_layer_named(name) for name, gradient in gradients.items()
           if not np.isfinite(gradient).all()}
    return next((layer for layer in _layers_from_latent(glow) if layer in bad), None)


def too_large(glow: Glow, gradients: Mapping[str, Array], norm: float) -> Origin | None:
    """Where gradients are so large that an optimizer's second moment would overflow.

    A moment that is infinite once stays so, and the weight never moves again.

    Args:
      glow: the model.
      gradients: finite, by state name.
      norm: their global norm.

    Returns:
      the layer of the largest; None if the square of the norm is finite in the number type.
    """
    if norm < math.sqrt(np.finfo(glow.dtype or np.float64).max):
        return None
    largest = max(gradients, key=lambda name: float(np.abs(gradients[name]).max(initial=0)))
    layer = _layer_named(largest)
    return Origin(layer, f"the gradient's norm is {norm:.1e}, whose square {glow.dtype} cannot "
                         f"hold; its largest part is that of {layer}")


class _Found(Exception):  # noqa: N818 - it ends a walk, and is no error
    def __init__(self, layer: str) -> None:
        super().__init__(layer)
        self.layer = layer


def _follow(part: Bijector, evaluate: Callable[[Bijector, Any, bool], Any], y: Any,
            forward: bool) -> Any:
    """evaluate(leaf, value, direction) for each bijector inside, in the order of a walk."""
    if isinstance(part, Invert):
        return _follow(part.bijector, evaluate, y, not forward)
    if isinstance(part, Composition):
        return part._walk(forward)(
            lambda inner, value, **_: _follow(inner, evaluate, value, forward), y)
    return evaluate(part, y, forward)


def _layers_from_latent(glow: Glow) -> list[str]:
    names, layers = _names(glow), []

    def visit(part: Bijector, shape: Any, forward: bool) -> Any:
        layer = _layer_of(part, names)
        if layer is not None:
            layers.append(layer)
        return part.forward_event_shape(shape) if forward else part.inverse_event_shape(shape)
    _follow(glow, visit, tuple(glow.parameters["output_shape"]), forward=False)
    return layers[::-1]


def _names(glow: Glow) -> dict[int, str]:
    """State names by the identity of their arrays."""
    return {variable.storage: name for name, variable in glow.named_variables()}


def _layer_of(part: Bijector, names: Mapping[int, str]) -> str | None:
    """The layer to which a part's variables belong."""
    members: Iterable[Any] = [part]
    fn = getattr(part, "_bijector_fn", None)  # a coupling's network is not its own
    if fn is not None:
        members = [part, getattr(fn, "network", fn)]
    own = [names[variable.storage] for member in members
           for _, variable in getattr(member, "named_variables", tuple)()
           if variable.storage in names]
    return _layer_named(own[0]) if own else None


def _layer_named(name: str) -> str:
    """"block1.step0.coupling" of "block1.step0.coupling.conv1.kernel"; exits have two parts."""
    parts = name.split(".")
    return ".".join(parts[:2] if parts[1:2] == ["exit"] else parts[:3])


def _all_finite(values: Any) -> bool:
    arrays = values if isinstance(values, (list, tuple)) else [values]
    return all(bool(np.isfinite(array).all()) for array in arrays)
