"""Arrays whose numbers have a place in the image: their errors by size and by place.

They are the latents (each scale at its own resolution), the images that `forward` gives, the
gradient by the images, and the output of the first layer that differs, for the input that it got.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.dtypes import Array
from refglow.validation.implementations import Conformance
from refglow.validation.report.error_map import ErrorMap, map_of
from refglow.validation.report.figures import Figures
from refglow.validation.report.histogram import Histogram, histogram_of


@dataclass(frozen=True)
class ArrayReport:
    """One array.

    Attributes:
      name: the result's: "inverse", "forward", "gradients/x", "layers/LAYER/output".
      title: in words.
      figures: its largest error; None where a number is not finite.
      histogram: errors by size.
      maps: errors by place; several of an array that has several resolutions.
    """

    name: str
    title: str
    figures: Figures | None
    histogram: Histogram
    maps: tuple[ErrorMap, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "title": self.title,
                "figures": None if self.figures is None else self.figures.as_dict(),
                "histogram": self.histogram.as_dict(),
                "maps": [one.as_dict() for one in self.maps]}


@dataclass(frozen=True)
class _Errors:
    """What is compared: yours and the truth, of one shape, and the relative error that passes."""

    name: str
    title: str
    yours: Array
    true: Array
    tolerance: float


def arrays_of(found: Conformance) -> tuple[ArrayReport, ...]:
    """The arrays of one number type that were returned in the right shape."""
    titles = {"inverse": "Latents, inverse(x)", "forward": "Images, forward(z)",
              "gradients/x": "Gradient of mean log p by the images"}
    reports = []
    for name, title in titles.items():
        yours, true = _returned(found, name), found.reference.truth[name]
        if yours is not None and yours.shape == true.shape:
            errors = _Errors(name, title, yours, true, found.reference.tolerance(name).relative)
            reports.append(_report(found, errors))
    return (*_first_wrong_layer(found), *reports)


def _returned(found: Conformance, name: str) -> Array | None:
    """The first array of this name that a call gave."""
    return next((one.arrays[name] for one in found.raw.values() if name in one.arrays), None)


def _first_wrong_layer(found: Conformance) -> Iterator[ArrayReport]:
    """The first layer that differs, if its output does, for its own input if that is known."""
    name = found.first_wrong_layer
    result = f"layers/{name}/output"
    yours = _returned(found, result)
    if name is None or yours is None or yours.shape != found.reference.truth[result].shape:
        return
    [layer] = [layer for layer in found.layers if layer.name == name]
    row = next((row for row in layer.alone if row.prop == f"{name}/output"), None)
    if row is not None and row.passed:
        return  # only its log-det differs
    true, title = found.reference.truth[result], f"Output of {name}, the first layer that differs"
    tolerance = found.reference.tolerance(result).relative
    if row is not None:
        true, title = _alone(found, name), f"{title}, for the input that it got"
        tolerance = row.tolerance
    yield _report(found, _Errors(result, title, yours, true, tolerance))


def _alone(found: Conformance, name: str) -> Array:
    """The output that a layer should have given for its input."""
    reference = found.reference
    names = [layer.name for layer in reference.layers]
    k = names.index(name)
    before = reference.x if k == 0 else found.raw["layers"].arrays[f"layers/{names[k - 1]}/output"]
    with use_backend("spec"), np.errstate(all="ignore"):
        return reference.layers[k].towards_latent(before.astype(np.float64))[0]


def _report(found: Conformance, given: _Errors) -> ArrayReport:
    with np.errstate(all="ignore"):
        errors = np.abs(given.yours.astype(np.float64) - given.true)
        largest = float(np.abs(given.true).max(initial=0.0))
        # As in `compared`: where all is zero, errors are absolute.
        limit = given.tolerance * (largest or 1.0)
        shares = errors / limit
    dtype = found.reference.dtype
    figures = None
    if np.isfinite(errors).all():
        worst = float(errors.max(initial=0.0))
        relative = worst / (largest or 1.0)
        figures = Figures(relative, given.tolerance, worst / float(np.spacing(dtype.type(largest))),
                          relative <= given.tolerance)
    return ArrayReport(given.name, given.title, figures,
                       histogram_of(errors, largest, limit, dtype), _maps(found, given, shares))


def _maps(found: Conformance, given: _Errors, shares: Array) -> tuple[ErrorMap, ...]:
    if shares.ndim == 4:
        return (map_of(given.title, shares),)
    parts = found.reference.glow.split_latents(shares)
    return tuple(map_of("Latents " + "x".join(map(str, part.shape[1:])), part) for part in parts)
