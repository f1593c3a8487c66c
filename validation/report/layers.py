"""Each layer of an implementation: its errors, and what it adds to the log-det."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.implementations import Conformance
from refglow.validation.implementations.layer_by_layer import LayerFound
from refglow.validation.report.figures import Figures
from refglow.validation.row import Row

RIGHT, RIGHT_ALONE, WRONG, BROKEN = "right", "right alone", "wrong", "not comparable"
RESULTS = ("output", "log_det")


@dataclass(frozen=True)
class Compared:
    """A layer's output and log-det; None for what was not given or could not be compared."""

    output: Figures | None
    log_det: Figures | None

    @classmethod
    def of(cls, rows: tuple[Row, ...]) -> Compared:
        """Of the rows of one layer."""
        by_kind = {row.prop.rpartition("/")[2]: Figures.of(row) for row in rows}
        return cls(by_kind.get("output"), by_kind.get("log_det"))

    @property
    def both(self) -> tuple[Figures, ...]:
        """Those that there are."""
        return tuple(one for one in (self.output, self.log_det) if one is not None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: None if one is None else one.as_dict()
                for name, one in zip(RESULTS, (self.output, self.log_det), strict=True)}


@dataclass(frozen=True)
class Contribution:
    """What a layer adds to log|det d inverse / dx|, on the way from the image.

    Attributes:
      true: of each example, in nats.
      yours: the implementation's; None if it was not given, or in another shape.
    """

    true: tuple[float, ...]
    yours: tuple[float, ...] | None

    @property
    def true_mean(self) -> float:
        """Over the examples."""
        return float(np.mean(self.true))

    @property
    def your_mean(self) -> float | None:
        """Over the examples."""
        with np.errstate(all="ignore"):
            return None if self.yours is None else float(np.mean(self.yours))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"true": list(self.true), "yours": None if self.yours is None else list(self.yours),
                "true_mean": self.true_mean, "your_mean": self.your_mean}


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    Attributes:
      name: the layer's.
      verdict: "right"; "right alone": it computes what it should from the input that it got, but
        that input was wrong; "wrong"; "not comparable".
      alone: its errors for the input that it got.
      on_the_way: its errors from the image on, with all that came before.
      contribution: to the log-det.
    """

    name: str
    verdict: str
    alone: Compared
    on_the_way: Compared
    contribution: Contribution

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "verdict": self.verdict, "alone": self.alone.as_dict(),
                "on_the_way": self.on_the_way.as_dict(), "log_det": self.contribution.as_dict()}


def layers_of(found: Conformance) -> tuple[LayerReport, ...]:
    """The layers that an implementation gave, from image to latent."""
    return tuple(LayerReport(layer.name, _verdict(layer), Compared.of(layer.alone),
                             Compared.of(layer.cumulative), _contribution(found, layer.name))
                 for layer in found.layers)


def _verdict(layer: LayerFound) -> str:
    if layer.broken:
        return BROKEN
    if layer.wrong_alone:
        return WRONG
    if all(row.passed for row in layer.cumulative):
        return RIGHT
    return RIGHT_ALONE if layer.alone else WRONG


def _contribution(found: Conformance, name: str) -> Contribution:
    result = f"layers/{name}/log_det"
    true = found.reference.truth[result]
    yours = found.raw["layers"].arrays.get(result)
    return Contribution(_numbers(true), _numbers(yours) if yours is not None
                        and yours.shape == true.shape else None)


def _numbers(log_det: Array) -> tuple[float, ...]:
    return tuple(map(float, log_det))
