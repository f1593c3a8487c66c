"""Compare refglow with the installed TFP on random Glows: as a whole, and layer by layer.

For each configuration the same random architecture and weights are built in both libraries, in
float64 and in float32. `inverse` and its log-det are evaluated on random images, `forward` and its
log-det on the latents of other random images: with random weights, latents drawn from the normal
distribution overflow.

* As a whole: forward, inverse and both log-dets, on the same inputs.
* Layer by layer, on the way from image to latent: each layer gets the input that TFP's previous
  layer gave, so an error is seen where it arises and not amplified by what follows.
* Accuracy in float32: both libraries' results against the float64 result for the same (float32)
  weights. Errors are root mean squares over the batch; one below half an ulp, the rounding of the
  result itself, counts as half an ulp.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.dtypes import Array
from refglow.validation.against_golden import conditions_of
from refglow.validation.cases import additive_network, small_network
from refglow.validation.compare import root_mean_square
from refglow.validation.evaluate import evaluate
from refglow.validation.layers import layer_roundings, layers_towards_latent
from refglow.validation.random_models import (
    random_architecture,
    random_images,
    randomize_weights,
)
from refglow.validation.row import Row, compared, worst_of
from refglow.validation.tfp import tfp_twin
from refglow.validation.tolerances import agreement, rounding_layers

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
        yield live_configuration(seed, k)


def live_configuration(seed: int, k: int) -> Configuration:
    """Run the k-th of a seed's random configurations."""
    return _run(np.random.default_rng([seed, k]))


def random_glow(arguments: dict[str, Any], rng: np.random.Generator, dtype: Any,
                gain: float = WEIGHT_GAIN) -> tfb.Glow:
    """A Glow of that architecture with random weights in every layer."""
    architecture = dict(arguments)
    hidden = architecture.pop("num_hidden")
    network = small_network if architecture.pop("affine") else additive_network
    exit_network = None if architecture.pop("affine_exits") else additive_network

    def coupling(input_shape: Any, dtype: Any, seed: Any) -> Any:
        return network(input_shape, num_hidden=hidden, dtype=dtype, seed=seed)

    glow = tfb.Glow(**architecture, coupling_bijector_fn=coupling, exit_bijector_fn=exit_network,
                    seed=rng, dtype=dtype)
    randomize_weights(glow, rng, gain)
    return glow


@dataclass(frozen=True)
class _Trial:
    """One random model in float64 and float32, with inputs on which to evaluate it."""

    arguments: dict[str, Any]
    wide: tfb.Glow
    narrow: tfb.Glow
    x: Array
    y: Array


def _trial(rng: np.random.Generator) -> _Trial:
    arguments = random_architecture(rng)
    narrow = random_glow(arguments, rng, np.float32)
    wide = random_glow(arguments, rng, np.float64)
    wide.load_state_dict(narrow.state_dict())
    y, others = (random_images(rng, BATCH, arguments["output_shape"]) for _ in range(2))
    return _Trial(arguments, wide, narrow, wide.inverse(others).astype(np.float32),
                  y.astype(np.float32))


def error_ratios(count: int, seed: int) -> Iterator[dict[str, float]]:
    """For each of `count` random configurations, refglow's float32 error over TFP's."""
    for k in range(count):
        trial = _trial(np.random.default_rng([seed, k]))
        truth = evaluate(trial.wide, trial.x.astype(np.float64), trial.y.astype(np.float64), 1)
        yield _error_ratios(truth, evaluate(trial.narrow, trial.x, trial.y, 1),
                            evaluate(tfp_twin(trial.narrow), trial.x, trial.y, 1))


def sections_of(whole: list[Row], layers: list[Row]) -> dict[str, list[Row]]:
    """The worst rows of many configurations, by title."""
    return {"Whole Glows": worst_of(whole),
            "Layer by layer (each on TFP's own input)": worst_of(layers)}


def by_property(ratios: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """refglow's float32 error over TFP's in each of many configurations, by property."""
    found: dict[str, list[float]] = {}
    for one in ratios:
        for prop, ratio in one.items():
            found.setdefault(prop, []).append(ratio)
    return found


def _run(rng: np.random.Generator) -> Configuration:
    trial = _trial(rng)
    conditions = conditions_of(trial.wide, trial.x, trial.y, 1)
    whole: list[Row] = []
    layers: list[Row] = []
    ours: dict[str, dict[str, Array]] = {}
    theirs: dict[str, dict[str, Array]] = {}
    for glow in (trial.wide, trial.narrow):
        dtype, twin = np.dtype(glow.dtype), tfp_twin(glow)
        x, y = trial.x.astype(dtype), trial.y.astype(dtype)
        ours[dtype.name], theirs[dtype.name] = evaluate(glow, x, y, 1), evaluate(twin, x, y, 1)
        for prop, expected in theirs[dtype.name].items():
            tolerance = agreement(dtype, rounding_layers(glow), conditions[prop])
            whole.append(compared("Glow (whole)", prop, dtype, ours[dtype.name][prop], expected,
                                  tolerance, conditions[prop]))
        layers += _layer_rows(glow, twin, trial.wide, y)
    return Configuration(trial.arguments, whole, layers, _error_ratios(
        ours["float64"], ours["float32"], theirs["float32"]))


def _error_ratios(truth: dict[str, Array], ours: dict[str, Array],
                  theirs: dict[str, Array]) -> dict[str, float]:
    """Our error over theirs for each property; see the module's text."""
    ratios = {}
    for prop, exact in truth.items():
        half_ulp = float(np.spacing(np.float32(root_mean_square(exact)))) / 2
        errors = [max(root_mean_square(found[prop].astype(np.float64) - exact), half_ulp)
                  for found in (ours, theirs)]
        ratios[prop] = errors[0] / errors[1]
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
            tolerance = agreement(y.dtype, layer_roundings(ours), conditions[prop])
            rows.append(compared(ours.kind, prop, y.dtype, results[prop], expected, tolerance,
                                 conditions[prop]))
        y = x if ours.channels is None else np.concatenate([x, y[..., ours.channels:]], axis=-1)
    return rows

