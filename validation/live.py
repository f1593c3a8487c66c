"""Compare refglow with the installed TFP on random Glows: as a whole, and layer by layer.

For each configuration the same random architecture and weights are built in both libraries, in
float64 and in float32. `inverse` and its log-det are evaluated on random images, `forward` and its
log-det on the latents of other random images: with random weights, latents drawn from the normal
distribution overflow.

* As a whole: forward, inverse and both log-dets, on the same inputs.
* Layer by layer, on the way from image to latent: each layer gets the input that TFP's previous
  layer gave, so an error is seen where it arises and not amplified by what follows.
* Accuracy in float32: both libraries' results against the float64 result for the same (float32)
  weights. Errors are root mean squares over the batch; an error below one ulp counts as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.dtypes import Array
from refglow.validation.against_golden import conditions_of
from refglow.validation.cases import additive_network, small_network
from refglow.validation.compare import root_mean_square
from refglow.validation.evaluate import evaluate
from refglow.validation.layers import Layer, layers_towards_latent
from refglow.validation.random_models import (
    random_architecture,
    random_images,
    randomize_weights,
)
from refglow.validation.row import Row, compared
from refglow.validation.tfp import tfp_twin
from refglow.validation.tolerances import agreement

BATCH = 16
WEIGHT_GAIN = 0.5  # larger random weights make maps whose condition exceeds 1e10


@dataclass(frozen=True)
class Configuration:
    """What one random configuration showed.

    Attributes:
      arguments: the architecture.
      whole, layers: comparisons with TFP.
      error_ratio: for each property, refglow's float32 error over TFP's.
    """

    arguments: dict[str, Any]
    whole: list[Row]
    layers: list[Row]
    error_ratio: dict[str, float] = field(default_factory=dict)


def live_configurations(count: int, seed: int) -> Iterator[Configuration]:
    """Run `count` random configurations; the k-th depends on `seed` and k alone."""
    for k in range(count):
        yield _run(np.random.default_rng([seed, k]))


def random_glow(arguments: dict[str, Any], rng: np.random.Generator, dtype: Any) -> tfb.Glow:
    """A Glow of that architecture with random weights in every layer."""
    hidden = arguments["num_hidden"]
    network = small_network if arguments["affine"] else additive_network

    def coupling(input_shape: Any, dtype: Any, seed: Any) -> Any:
        return network(input_shape, num_hidden=hidden, dtype=dtype, seed=seed)

    architecture = {k: v for k, v in arguments.items() if k not in ("num_hidden", "affine")}
    glow = tfb.Glow(**architecture, coupling_bijector_fn=coupling, seed=rng, dtype=dtype,
                    exit_bijector_fn=None if arguments["affine"] else additive_network)
    randomize_weights(glow, rng, WEIGHT_GAIN)
    return glow


def _run(rng: np.random.Generator) -> Configuration:
    arguments = random_architecture(rng)
    narrow = random_glow(arguments, rng, np.float32)
    wide = random_glow(arguments, rng, np.float64)
    wide.load_state_dict(narrow.state_dict())
    y, others = (random_images(rng, BATCH, arguments["output_shape"]) for _ in range(2))
    x, y = wide.inverse(others).astype(np.float32), y.astype(np.float32)
    conditions = conditions_of(wide, x, y, 1)

    whole: list[Row] = []
    layers: list[Row] = []
    found: dict[str, dict[str, Array]] = {}
    for glow in (wide, narrow):
        dtype = np.dtype(glow.dtype)
        twin = tfp_twin(glow)
        ours = evaluate(glow, x.astype(dtype), y.astype(dtype), 1)
        theirs = evaluate(twin, x.astype(dtype), y.astype(dtype), 1)
        depth = len(layers_towards_latent(glow))
        for prop, expected in theirs.items():
            tolerance = agreement(dtype, depth, conditions[prop])
            whole.append(compared("Glow (whole)", prop, dtype, ours[prop], expected, tolerance,
                                  conditions[prop]))
        layers += _layer_rows(glow, twin, wide, y.astype(dtype))
        found[dtype.name] = ours | {f"tfp {prop}": value for prop, value in theirs.items()}
    return Configuration(arguments, whole, layers, _error_ratios(found))


def _error_ratios(found: dict[str, dict[str, Array]]) -> dict[str, float]:
    truth, narrow = found["float64"], found["float32"]
    ratios = {}
    for prop in truth:
        if prop.startswith("tfp "):
            continue
        ulp = float(np.spacing(np.float32(root_mean_square(truth[prop]))))
        ours, theirs = (max(root_mean_square(narrow[key].astype(np.float64) - truth[prop]), ulp)
                        for key in (prop, f"tfp {prop}"))
        ratios[prop] = ours / theirs
    return ratios


def _layer_rows(glow: tfb.Glow, twin: Any, wide: tfb.Glow, y: Array) -> list[Row]:
    """Each layer on the input that TFP's previous layer gave it."""
    rows: list[Row] = []
    for ours, theirs, exact in zip(layers_towards_latent(glow), layers_towards_latent(twin),
                                   layers_towards_latent(wide), strict=True):
        part = y if ours.channels is None else y[..., :ours.channels]
        ndims = part.ndim - 1
        x = np.asarray(theirs.bijector.inverse(part))
        x_ndims = ours.bijector.inverse_event_ndims(ndims)
        conditions = conditions_of(exact.bijector, x, part, x_ndims)
        results = evaluate(ours.bijector, x, part, x_ndims)
        for prop, expected in evaluate(theirs.bijector, x, part, x_ndims).items():
            tolerance = agreement(y.dtype, _roundings(ours), conditions[prop])
            rows.append(compared(ours.kind, prop, y.dtype, results[prop], expected, tolerance,
                                 conditions[prop]))
        y = x if ours.channels is None else np.concatenate([x, y[..., ours.channels:]], axis=-1)
    return rows


def _roundings(layer: Layer) -> int:
    return 4 if layer.kind in ("RealNVP", "ExitBijector") else 1
