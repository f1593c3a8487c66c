"""What is wrong with a model, in words, each of them with the numbers that show it.

A layer is at fault if it alone loses half of the digits of the model's number type, in either
direction (its condition is over eps^(-1/2)), or if a round trip begins to fail there. Nothing is
said that was not measured; what merely follows from an earlier failure is no finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.audit.channels import Scales, conv_matrix, least_direction
from refglow.validation.audit.report import Finding, LayerReport
from refglow.validation.audit.round_trips import (
    ABSURD,
    IMPOSSIBLE,
    LOST,
    NOT_FINITE,
    RoundTrip,
    Walk,
)
from refglow.validation.audit.walk import active
from refglow.validation.layers import Layer
from refglow.validation.tolerances import largest_layer_condition

_MOST_NAMED = 6  # channels
_HEAVY = 0.3  # a weight in a direction of length 1 that is worth naming
_STEEPEST = 3  # layers named where values grow by degrees


def find(layers: Sequence[Layer], reports: Sequence[LayerReport], trips: Sequence[RoundTrip],
         places: Sequence[Array], own: Any) -> list[Finding]:
    """The findings, those first where a round trip fails.

    Args:
      layers: the model's in float64.
      reports: of the layers.
      trips: in the model's own number type.
      places: the data at all places, float64.
      own: the model's number type.
    """
    limit = largest_layer_condition(own)
    failing = [trip for trip in trips if not trip.passed and trip.origin]
    begins = {trip.origin.layer for trip in failing if trip.origin}
    suspects = {k for k, report in enumerate(reports) if report.condition >= limit}
    found = []
    for k in sorted(begins | suspects, key=lambda k: (k not in begins, -_size(reports[k]))):
        here = [trip for trip in failing if trip.origin and trip.origin.layer == k]
        cause, channels = _cause(layers[k], reports[k], places[k], limit)
        sentences = [cause, *_gain_sentence(reports[k], limit),
                     *_trip_sentences(here, layers, own)]
        sentences += [_by_degrees(trip, layers, places) for trip in here[:1]
                      if k not in suspects]
        found.append(Finding(layers[k].name, channels, " ".join(filter(None, sentences))))
    return found


def _size(report: LayerReport) -> float:
    return 0.0 if np.isnan(report.condition) else report.condition


def not_finite_weights(state: dict[str, Array]) -> list[Finding]:
    """A finding for each layer with weights that are infinite or NaN."""
    names: dict[str, list[str]] = {}
    for name, value in state.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            parts = name.split(".")
            place = ".".join(parts[:2] if parts[1:2] == ["exit"] else parts[:3])
            names.setdefault(place, []).append(name)
    return [Finding(place, (), f"{', '.join(found)}: not all of these weights are finite.")
            for place, found in names.items()]


# ---- the layer itself ---------------------------------------------------------------------------

def _cause(layer: Layer, report: LayerReport, before: Array,
           limit: float) -> tuple[str, tuple[int, ...]]:
    """(what the layer multiplies by, if that is extreme; the channels at fault)."""
    scales = report.scales
    if scales is None or any(map(np.isnan, scales.range)):
        return "", ()
    if layer.kind == "OneByOneConv":
        return _of_matrix(conv_matrix(layer), scales, limit)
    small = 1 / max(min(scales.range[0], 1.0), 1e-300)  # what is left as it is has the scale 1
    large = max(scales.range[1], 1.0)
    if small * large < limit:
        return (f"What it multiplies by, {scales.what} of {_range(scales)}, is not extreme."
                if report.condition >= limit else ""), ()
    if small >= large:
        chosen = scales.least <= 10 * scales.range[0]
        extreme = f"as small as {scales.range[0]:.1e}"
    else:
        chosen = scales.largest >= scales.range[1] / 10
        extreme = (f"as large as {scales.range[1]:.1e}" if np.isfinite(scales.range[1])
                   else f"larger than {np.finfo(np.float64).max:.1e}, the end of float64")
    channels = tuple(int(c) for c in scales.channels[chosen])
    others = _others(scales, ~chosen)
    text = (f"Towards the latent it multiplies {_named(channels)} by {scales.what} {extreme}"
            f"{others}; on the way to the image it divides by that.")
    if layer.kind == "ActivationNormalization" and large > small:
        text += _constant_data(active(layer, before), channels[0])
    return text, channels


def _of_matrix(matrix: Array, scales: Scales, limit: float) -> tuple[str, tuple[int, ...]]:
    least, largest = scales.range
    if largest < limit * least:
        return "", ()
    lost, blown_up = least_direction(matrix)
    channels = _heavy(lost)
    return (f"Its matrix is nearly singular: singular values from {least:.1e} to {largest:.2g}. "
            f"Towards the latent it nearly loses {_combination(lost)} of its input; on the way to "
            f"the image {_combination(blown_up)} of its output is blown up.", channels)


def _heavy(direction: Array) -> tuple[int, ...]:
    order = np.argsort(-np.abs(direction), kind="stable")
    return tuple(int(c) for c in order[:_MOST_NAMED] if abs(direction[c]) >= _HEAVY) or (
        int(order[0]),)


def _combination(direction: Array) -> str:
    channels = _heavy(direction)
    if abs(direction[channels[0]]) > 0.95:
        return f"channel {channels[0]}"
    signed = direction * np.sign(direction[channels[0]])
    text = " ".join(f"{signed[c]:+.2f} x channel {c}" for c in channels).lstrip("+")
    return f"the combination {text}" + (
        " ..." if (direction[list(channels)]**2).sum() < 0.95 else "")


def _named(channels: tuple[int, ...]) -> str:
    if len(channels) == 1:
        return f"channel {channels[0]}"
    more = len(channels) - _MOST_NAMED
    return "channels " + ", ".join(map(str, channels[:_MOST_NAMED])) + (
        f" and {more} more" if more > 0 else "")


def _others(scales: Scales, others: Array) -> str:
    if not others.any():
        return ""
    least, largest = scales.least[others].min(), scales.largest[others].max()
    return f" (the others by {least:.2g} to {largest:.2g})"


def _range(scales: Scales) -> str:
    return f"{scales.range[0]:.2g} to {scales.range[1]:.2g}"


def _constant_data(before: Array, channel: int) -> str:
    deviation = float(before[..., channel].std())
    return (f" In these data channel {channel} has the standard deviation {deviation:.1e}"
            + (": it is nearly constant." if deviation < 1e-3 * float(before.std()) else "."))


def _gain_sentence(report: LayerReport, limit: float) -> list[str]:
    """Errors grow there, in the direction in which that is most."""
    if not report.condition >= limit:
        return []
    goal = "image" if report.condition == report.gains.kappa_to_image else "latent"
    return [f"Relative to the values, errors grow up to {report.condition:.1e} times in it on the "
            f"way to the {goal}."]


# ---- where round trips fail ---------------------------------------------------------------------

def _trip_sentences(trips: Sequence[RoundTrip], layers: Sequence[Layer], own: Any) -> list[str]:
    """One for each kind of failure that begins at a layer, with the numbers of its worst trip."""
    kinds: dict[tuple[str, str, bool], list[RoundTrip]] = {}
    for trip in trips:
        if trip.origin is not None:
            kinds.setdefault((trip.what, trip.origin.what, trip.origin.to_latent), []).append(trip)
    return [_trip_sentence(some, layers, own) for some in kinds.values()]


def _trip_sentence(trips: Sequence[RoundTrip], layers: Sequence[Layer], own: Any) -> str:
    worst = max(trips, key=lambda trip: trip.origin.after if trip.origin else 0.0)
    origin = worst.origin
    assert origin is not None
    who = "data" if worst.temperature is None else (
        f"samples (temperature {' and '.join(f'{trip.temperature:g}' for trip in trips)})")
    goal = "latent" if origin.to_latent else "image"
    after = f" In consequence they are infinite or NaN after {_name(worst, layers)}."
    if origin.what == LOST:
        return (f"The round trip of {who} is lost here on the way back to the {goal}: relative "
                f"errors of {origin.before:.1e} before it are {origin.after:.1e} after it."
                + (after if _name(worst, layers) not in ("", layers[origin.layer].name) else ""))
    if origin.what == IMPOSSIBLE:
        return f"Here {who} cannot go on to the {goal}: the matrix has no inverse."
    if origin.what == NOT_FINITE:
        return (f"Here {who} become infinite or NaN on the way to the {goal}; before it they reach "
                f"{origin.before:.1e}, and {np.dtype(own)} ends at {np.finfo(own).max:.1e}.")
    assert origin.what == ABSURD
    return (f"Here {who} leave all that data reach on the way to the {goal}: up to "
            f"{origin.after:.1e}, where data reach {origin.data:.1e}."
            + (after if _name(worst, layers) else ""))


def _name(trip: RoundTrip, layers: Sequence[Layer]) -> str:
    """The first layer of the walk that failed after which numbers are not finite; "" if none."""
    walk = _failed(trip)
    return "" if walk is None or walk.not_finite is None else layers[walk.not_finite].name


def _failed(trip: RoundTrip) -> Walk | None:
    return trip.out if trip.origin and trip.origin.to_latent == trip.out.to_latent else trip.back


def _by_degrees(trip: RoundTrip, layers: Sequence[Layer], places: Sequence[Array]) -> str:
    """Where values grow most on the way to a failure that no single layer's condition explains.

    Samples are held against data; data themselves against the layer before.
    """
    origin, walk = trip.origin, _failed(trip)
    assert origin is not None
    assert walk is not None
    if origin.what == LOST:
        return "No layer alone explains it; errors add up over the layers."
    data = trip.what == "data"
    with np.errstate(all="ignore"):
        sizes = np.array(walk.largest) / [1 if data else float(np.abs(h).max()) for h in places]
        step = 1 if walk.to_latent else -1
        growth = (sizes[1:] / sizes[:-1])**step
    passed = [k for k in range(len(layers)) if (k - origin.layer) * step <= 0
              and np.isfinite(growth[k])]
    steepest = sorted(passed, key=lambda k: -growth[k])[:_STEEPEST]
    named = ", ".join(f"{layers[k].name} ({growth[k]:.2g} times)" for k in steepest)
    return ("No layer's condition alone explains it. Up to there the values grow most in "
            f"{named}{'' if data else ', relative to data'}.") if named else ""
