"""What follows from latents and log-dets: the density, bits per dimension; and ActNorm's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.closeness import relative_error, tolerance
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.layer_search import Explained
from refglow.validation.dialects.actnorms import DEVIATIONS, EPSILONS
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.log_dets import BITS_PER_DIM, DENSITIES
from refglow.validation.dialects.stages import start_of_actnorm

_ROUNDINGS = 16  # L of a sum and a few products
_CONDITION_OF_DEVIATIONS = 100.0  # of a batch's mean and deviation, whose sums may cancel


def search_density(reference: DialectGlow, square: Array, log_det: Array, seen: Array,
                   explained: Explained) -> None:
    """Find how log p comes from |z|^2 and the log-det; adds to `explained`.

    Args:
      reference: for the number of dimensions.
      square: |z|^2 of each image, [B].
      log_det: [B], in nats, as the implementation has it.
      seen: log p as it was given.
      explained: what is known.
    """
    size = reference.structure.dimensions
    terms = square / 2 + size * np.log(2 * np.pi) / 2 + np.abs(log_det)
    _search_formula(
        "log_prob", "density", seen,
        {name: formula(square, log_det, size) for name, formula in DENSITIES.items()},
        float(terms.max() / max(np.abs(np.asarray(seen)).max(), 1e-300)), explained)


def search_bits_per_dim(reference: DialectGlow, log_prob: Array, seen: Array,
                        explained: Explained) -> None:
    """Find how bits per dimension come from log p in nats, [B]; adds to `explained`."""
    h, w, _ = reference.structure.image_shape
    size = reference.structure.dimensions
    _search_formula("bits_per_dim", "bits_per_dim", seen,
                    {name: formula(log_prob, size, h * w)
                     for name, formula in BITS_PER_DIM.items()}, 16.0, explained)


def _search_formula(subject: str, question: str, seen: Array, values: Mapping[str, Array],
                    condition: float, explained: Explained) -> None:
    """Which of some formulas gives what was seen; the first one is as it should be."""
    limit = explained.widened(tolerance(np.dtype(seen.dtype), _ROUNDINGS, max(condition, 1.0)))
    errors = {name: relative_error(np.asarray(seen, np.float64), value)
              for name, value in values.items()}
    right = next(iter(errors))
    if errors[right] <= limit:
        return
    fitting = [name for name, error in errors.items() if error <= limit]
    explained.add(Finding(
        subject, subject, {question: fitting[0]} if fitting else {},
        tuple({question: name} for name in fitting[1:]), errors[right],
        errors[fitting[0]] if fitting else float("nan")))


def search_start(reference: DialectGlow, images: Array, started: Mapping[str, Array],
                 explained: Explained) -> None:
    """Find how ActNorms were started; adds to `explained`.

    Each ActNorm's batch is computed with what the implementation gave the ones before it.

    Args:
      reference: in float64, with the implementation's step order.
      images: the batch, [B, H, W, C], in its own number type.
      started: shift and log_scale by refglow's names.
      explained: what is known.
    """
    batches = _batches(reference, images, started, explained)
    if not batches:
        return
    dtype = np.dtype(next(iter(started.values())).dtype)
    eps = float(np.finfo(dtype).eps)

    def error(deviation: str, epsilon: str) -> float:
        dialect = explained.dialects["actnorm"].but(actnorm_deviation=deviation,
                                                    actnorm_epsilon=epsilon)
        worst = 0.0
        for place, batch in batches.items():
            for role, value in start_of_actnorm(batch, dialect, eps).items():
                seen = np.asarray(started[f"{place}.{role}"], np.float64)
                worst = max(worst, float(np.abs(seen - value).max()))
        return worst
    limit = explained.widened(tolerance(dtype, _ROUNDINGS, _CONDITION_OF_DEVIATIONS))
    right = Dialect()
    before = error(right.actnorm_deviation, right.actnorm_epsilon)
    if before <= limit:
        return
    fitting = sorted(
        ((error(deviation, epsilon), deviation, epsilon)
         for deviation in DEVIATIONS for epsilon in EPSILONS),
        key=lambda found: (_differences(found[1], found[2]), found[0]))
    fitting = [found for found in fitting if found[0] <= limit]
    where = next(iter(batches))
    if not fitting:
        explained.add(Finding("start of actnorm", where, {}, error_before=before))
        return
    all_answers = [{question: answer for question, answer in
                    (("actnorm_deviation", deviation), ("actnorm_epsilon", epsilon))
                    if answer != getattr(right, question)}
                   for _, deviation, epsilon in fitting]
    explained.add(Finding("start of actnorm", where, all_answers[0], tuple(all_answers[1:]),
                          before, fitting[0][0], len(batches)))


def _differences(deviation: str, epsilon: str) -> int:
    right = Dialect()
    return (deviation != right.actnorm_deviation) + (epsilon != right.actnorm_epsilon)


def _batches(reference: DialectGlow, images: Array, started: Mapping[str, Array],
             explained: Explained) -> dict[str, Array]:
    """What each ActNorm that was started had before it."""
    arrays = {**reference.arrays,
              **{name: np.asarray(value, np.float64) for name, value in started.items()}}
    batches: dict[str, Array] = {}
    x = images.astype(np.float64)
    with_start = replace(reference, arrays=arrays)
    for name in reference.layer_names():
        kind = name.rpartition(".")[2]
        layer = with_start.in_dialect(explained.dialects[kind])
        if kind == "actnorm" and f"{name}.shift" in started and f"{name}.log_scale" in started:
            batches[name] = x
        x = layer.going_on(layer.apply(name, x))
    return batches
