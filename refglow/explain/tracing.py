"""A trace of a pass: the Glow's own layers, one after the other, by the specification.

The running bits per dimension. A pass has a place before the first stage and one behind each. With
h the numbers at a place, D their count, n the bits of a level and N the standard normal density:

    towards the latent   bits/dim = n + (-log N(h)  - sum of ildj so far) / (D ln 2)
    towards the image    bits/dim = n + (-log N(z)  + sum of fldj so far) / (D ln 2)

Towards the latent it is what the image would cost if the flow ended at this place and the normal
density were put there: each stage pays by its log-det and gains by making the numbers more normal.
Towards the image it is the cost of what has been made so far, which began as a normal sample z.
Behind the last stage both are the image's bits/dim, as `refglow.training` computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.array_library import to_host
from refglow.backend import use_backend
from refglow.bijectors.activation_normalization import require_initialized
from refglow.bijectors.glow import Glow, require_glow
from refglow.distributions import Normal, Sample
from refglow.dtypes import Array
from refglow.explain.record import Running, Stage, Trace
from refglow.explain.wording import KINDS, coupled, wording
from refglow.layer_name import block_of

if TYPE_CHECKING:
    from refglow.validation.layers import Layer

DIRECTIONS = ("inverse", "forward")

OnStage = Callable[[str, int, int], object]


def trace(glow: Glow, x: Any, direction: str = "inverse", *, n_bits: int = 8,
          conditions: bool = True, seed: int = 0,
          on_stage: OnStage = lambda name, done, total: None) -> Trace:
    """Every stage of a pass through a Glow: tensors, log-dets, bits per dimension, conditions.

        print(rg.trace(glow, x))                          # a short table
        rg.trace(glow, x).at("block1.step3.coupling")     # one stage, with its input and output
        rg.trace(glow, x).pixel("block1.step3.coupling")  # one pixel's numbers, by hand
        rg.trace(glow, x).write_html("glow.html")         # a page with a slider

    Args:
      glow: the model, float32 or float64, its ActNorms initialised. It is not changed.
      x: what goes in, in the model's number type: images [H, W, C] or [B, H, W, C] for "inverse",
        latent vectors [D] or [B, D] for "forward".
      direction: TFP's name of it: "inverse" goes from image to latent, "forward" from latent to
        image.
      n_bits: of the levels of which bits per dimension are counted.
      conditions: whether to measure the stages' condition numbers; in a large model they take most
        of the time.
      seed: of the vectors that they are measured with.
      on_stage: called before each stage with its name, how many are done and of how many.

    Returns:
      the trace. Log-dets are in nats, one for each example, float64.

    Raises:
      ValueError: if the direction is neither, ActNorms are not initialised, x is of another shape,
        or a matrix is singular.
      TypeError: if the model is no Glow of refglow, x is of another number type, or the model's is
        not real and floating.

    Source: none (refglow's own).
    """
    from refglow.explain.conditions import conditions_of
    from refglow.validation.layers import layers_towards_latent

    if direction not in DIRECTIONS:
        raise ValueError('direction must be "inverse" (from image to latent) or "forward" (from '
                         f"latent to image); got {direction!r}.")
    to_latent = direction == "inverse"
    start = _batch(glow, x, to_latent)
    layers = layers_towards_latent(glow)
    layers = layers if to_latent else layers[::-1]
    parts: list[dict[str, Any]] = []
    with use_backend("spec"), np.errstate(all="ignore"):
        h = start
        measured = conditions_of(glow, layers, to_latent, seed) if conditions else None
        for k, layer in enumerate(layers):
            on_stage(_name_of(layer.name), k, len(layers))
            y, log_det = _through(layer, h, to_latent)
            parts.append({**_described(glow, layer, h, y, to_latent), "log_det": log_det,
                          **(measured(k, h, y) if measured else _not_measured(len(h)))})
            h = y
        places = _running([start, *(part["output"] for part in parts)],
                          [part["log_det"] for part in parts], to_latent, n_bits)
    stages = tuple(Stage(**part, running=running)
                   for part, running in zip(parts, places[1:], strict=True))
    return Trace(direction, n_bits, start, places[0], stages, glow, tuple(layers))


def stage_names(glow: Glow) -> list[str]:
    """The names of a model's stages, from image to latent."""
    from refglow.validation.layers import layers_towards_latent
    return [_name_of(layer.name) for layer in layers_towards_latent(glow)]


def _batch(glow: Glow, x: Any, to_latent: bool) -> Array:
    """What goes in, checked, with a batch dimension."""
    require_glow(glow, "A trace is of")
    require_initialized(glow, "a trace")
    array = to_host(glow._convert(x, "images" if to_latent else "x", 3 if to_latent else 1))
    if array.dtype.kind != "f":
        raise TypeError(f"A trace is of real floating numbers; the model computes in "
                        f"{array.dtype}.")
    event = 3 if to_latent else 1
    if array.ndim not in (event, event + 1) or not array.size:
        form = "[H, W, C] or [B, H, W, C]" if to_latent else "[D] or [B, D]"
        raise ValueError(f"A trace is of {form}, B at least 1; got shape {list(array.shape)}.")
    return array if array.ndim > event else array[None]


def _through(layer: Layer, h: Array, to_latent: bool) -> tuple[Array, Array]:
    """(the whole tensor behind a layer, [B] log-dets in the accumulator's type)."""
    bijector, channels = layer.bijector, layer.channels
    part = h if channels is None else h[..., :channels]
    step = (bijector._inverse_and_event_log_det if to_latent
            else bijector._forward_and_event_log_det)
    try:
        y, log_det = step(part, part.ndim - 1)
    except ValueError as error:
        error.add_note(f"It is {_name_of(layer.name)}.")
        raise
    if channels is not None:
        y = np.concatenate([y, h[..., channels:]], axis=-1)
    return np.asarray(y), np.broadcast_to(log_det, len(h)).astype(np.float64)


def _described(glow: Glow, layer: Any, h: Array, y: Array, to_latent: bool) -> dict[str, Any]:
    """Name, kind, words and tensors of a stage."""
    from refglow.validation.audit.channels import coupling_of

    kind, sizes, form, active = KINDS[layer.kind], (0, 0), "", y.shape[-1]
    if layer.name != "reshape":
        leave, grab, passed = glow.blockwise_splits[block_of(layer.name)]
        sizes = leave, grab
        expanded = kind == "squeeze" and not to_latent
        active = y.shape[-1] - passed // 4 if expanded else leave + grab
    coupling = coupling_of(layer)
    if coupling is not None:
        found = coupled(coupling, h[:1, ..., :active])  # one example shows the form
        form, sizes = found.form, (found.deciding.shape[-1], found.mapped.shape[-1])
    words = wording(kind, to_latent, form, sizes)
    return {"name": _name_of(layer.name), "kind": kind, **vars(words), "input": h, "output": y,
            "active": active}


def _name_of(layer: str) -> str:
    return "latents" if layer == "reshape" else layer.replace(".expand", ".squeeze")


def _not_measured(count: int) -> dict[str, Any]:
    return {"condition": np.full(count, np.nan), "condition_how": "not measured"}


def _running(places: list[Array], log_dets: list[Array], to_latent: bool,
             n_bits: int) -> list[Running]:
    """The bits per dimension at every place: see the module."""
    size = places[0][0].size
    unit = size * np.log(2.0)
    normal = Sample(Normal(np.float64(0), np.float64(1)), [size])
    sums = np.cumsum([np.zeros(len(places[0])), *log_dets], axis=0)
    found = []
    for h, total in zip(places, sums, strict=True):
        at = h if to_latent else places[0]
        prior = -normal.log_prob(at.reshape(len(at), size).astype(np.float64)) / unit
        paid = (0.0 - total if to_latent else total) / unit
        found.append(Running(paid, prior, n_bits + prior + paid))
    return found
