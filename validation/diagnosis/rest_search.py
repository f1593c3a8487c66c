"""What follows from latents and log-dets: the density, bits per dimension; and ActNorm's start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from refglow.dtypes import Array
from refglow.layer_name import kind_of
from refglow.validation.diagnosis.candidates import one_answer
from refglow.validation.diagnosis.closeness import conditions, relative_error
from refglow.validation.diagnosis.explained import Explained
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.searching import Answers, Deadline, explanations, pairs
from refglow.validation.dialects.actnorms import STARTS
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.log_dets import BITS_PER_DIM, DENSITIES, ONLY_COARSEST
from refglow.validation.dialects.stages import start_of_actnorm

_ROUNDINGS = 16  # L of a sum and a few products
_CONDITION_OF_DEVIATIONS = 100.0  # of a batch's mean and deviation, whose sums may cancel


def search_density(reference: DialectGlow, scales: list[Array], log_dets: list[Array],
                   seen: Array, explained: Explained) -> None:
    """Find how log p comes from |z|^2 and the log-det; adds to `explained`.

    Args:
      reference: for the number of dimensions.
      scales: the latents by scale, the coarsest first.
      log_dets: [B], as the implementation gives it and as it should be; either may be meant.
      seen: log p as it was given.
      explained: what is known.
    """
    size = reference.structure.dimensions
    square = sum_of_squares(scales)
    kept, coarsest = sum_of_squares(scales[:1]), scales[0][0].size
    values: dict[str, list[Array]] = {}
    for log_det in log_dets:
        for name, formula in DENSITIES.items():
            values.setdefault(name, []).append(formula(square, log_det, size))
        values.setdefault(ONLY_COARSEST, []).append(DENSITIES["normal"](kept, log_det, coarsest))
    terms = square / 2 + size * np.log(2 * np.pi) / 2 + np.abs(log_dets).max(axis=0)
    size_of_it = max(float(np.abs(value).max()) for value in values["normal"])
    _search_formula("log_prob", "density", seen, values,
                    float(terms.max() / max(size_of_it, 1e-300)), explained)


def sum_of_squares(parts: list[Array]) -> Array:
    """|z|^2 of each image, [B], from its latents in parts."""
    return sum(((part.reshape(len(part), -1) ** 2).sum(axis=1) for part in parts), np.zeros(1))


def search_bits_per_dim(reference: DialectGlow, log_probs: list[Array], seen: Array,
                        explained: Explained) -> None:
    """Find how bits per dimension come from log p in nats; adds to `explained`.

    Args:
      reference: for the sizes.
      log_probs: log p as it was given and as it should be, [B]; either may be meant.
      seen: the bits per dimension that were given.
      explained: what is known.
    """
    h, w, _ = reference.structure.image_shape
    size = reference.structure.dimensions
    _search_formula("bits_per_dim", "bits_per_dim", seen,
                    {name: [formula(log_prob, size, h * w) for log_prob in log_probs]
                     for name, formula in BITS_PER_DIM.items()}, 16.0, explained)


def _search_formula(subject: str, question: str, seen: Array, values: Mapping[str, list[Array]],
                    condition: float, explained: Explained) -> None:
    """Which of some formulas gives what was seen; the first one is as it should be."""
    condition = condition if 1 <= condition < np.inf else 1.0
    limit = explained.limit(seen, _ROUNDINGS, condition)
    with np.errstate(over="ignore"):  # what is infinite in the implementation's type is so here
        errors = {name: min(relative_error(np.asarray(seen, np.float64), value.astype(
            explained.number_type(seen))) for value in some) for name, some in values.items()}
    right = next(iter(errors))
    if errors[right] <= limit:
        return
    fitting = [name for name, error in errors.items() if error <= limit]
    explained.add(Finding(
        subject, subject, {question: fitting[0]} if fitting else {},
        tuple({question: name} for name in fitting[1:]), errors[right],
        errors[fitting[0]] if fitting else float("nan")))


def search_start(reference: DialectGlow, images: Array, started: Mapping[str, Array],
                 explained: Explained, deadline: Deadline) -> None:
    """Find how ActNorms were started; adds to `explained`.

    Each ActNorm's batch is computed with what the implementation gave the ones before it.

    Args:
      reference: in float64, with the implementation's step order.
      images: the batch, [B, H, W, C], in its own number type.
      started: shift and log_scale by refglow's names.
      explained: what is known.
      deadline: when to stop.
    """
    if explained.dialects["actnorm"].actnorm not in STARTS or (
            explained.dialects["actnorm"].steps == "all of them step 0's"):
        return  # what starts then is another thing: said already
    searched = _if_it_differs(reference, images, started, explained)
    if searched is None:
        return
    for part in explained.parts():  # a start may be right, or have some of the layers' mistakes
        if part.findings and deadline.over():
            break
        there = reference.in_dialect(part.frame)
        if _if_it_differs(there, images, started, part) is None:
            return
    explained.add(searched(deadline))


def _if_it_differs(reference: DialectGlow, images: Array, started: Mapping[str, Array],
                   explained: Explained) -> Callable[[Deadline], Finding] | None:
    """What looks for what explains a start; None if, with all that is known, it does not differ."""
    batches = _batches(reference, images, started, explained)
    if not batches:
        return None
    some = next(iter(started.values()))
    eps = float(np.finfo(explained.number_type(some)).eps)

    def error_at(place: str, answers: Answers) -> float:
        dialect = explained.dialects["actnorm"].but(**answers)
        worst = 0.0
        for role, value in start_of_actnorm(batches[place], dialect, eps).items():
            seen = np.asarray(started[f"{place}.{role}"], np.float64)
            size = max(1.0, float(np.abs(value).max()))
            worst = max(worst, float(np.abs(seen - value).max()) / size)
        return worst

    def error(answers: Answers) -> float:
        return max(error_at(place, answers) for place in batches)
    before = error({})
    if before <= explained.limit(some, _ROUNDINGS, _CONDITION_OF_DEVIATIONS):
        return None  # whatever the condition
    limit = explained.limit(some, _ROUNDINGS, _CONDITION_OF_DEVIATIONS * max(
        _condition_of_start(reference, images, started, explained)))
    if before <= limit:
        return None

    def searched(deadline: Deadline) -> Finding:
        ones = list(one_answer(Dialect(), ("actnorm_mean", "actnorm_deviation",
                                           "actnorm_epsilon")))
        found = explanations(lambda answers: error(answers) / limit, ones, pairs(ones), deadline)
        answers, share = found[0] if found else ({}, float("nan"))
        first = next(place for place in batches if not error_at(place, {}) <= limit)
        return Finding("start of actnorm", first, answers, tuple(other for other, _ in found[1:]),
                       before, share * limit, len(batches))
    return searched


def _condition_of_start(reference: DialectGlow, images: Array, started: Mapping[str, Array],
                        explained: Explained) -> list[float]:
    """kappa of each batch's mean and logarithm of the deviation, as arrays."""
    dialect = explained.dialects["actnorm"]

    def evaluate(x: Array, there: DialectGlow) -> list[Array]:
        batches = _batches(there, x, started, explained)
        return [value for batch in batches.values()
                for value in start_of_actnorm(batch, dialect, 1e-300).values()]
    return conditions(evaluate, images.astype(np.float64), reference)


def _batches(reference: DialectGlow, images: Array, started: Mapping[str, Array],
             explained: Explained) -> dict[str, Array]:
    """What each ActNorm that was started had before it."""
    arrays = {**reference.arrays,
              **{name: np.asarray(value, np.float64) for name, value in started.items()}}
    batches: dict[str, Array] = {}
    x = images.astype(np.float64)
    with_start = replace(reference, arrays=arrays)
    for name in reference.layer_names():
        kind = kind_of(name)
        layer = with_start.in_dialect(explained.dialects[kind])
        place = layer.weights_of(name)
        if kind == "actnorm" and f"{place}.shift" in started and (
                f"{place}.log_scale" in started):
            batches[place] = x
        x = layer.going_on(layer.apply(name, x))
    return batches
