"""What an audit finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refglow.validation.audit.amplification import Gains
from refglow.validation.audit.channels import Scales
from refglow.validation.audit.round_trips import RoundTrip
from refglow.validation.audit.surviving import Surviving
from refglow.validation.audit.truth import Truth
from refglow.validation.layers import Layer


@dataclass(frozen=True)
class LayerReport:
    """One layer, towards the latent.

    Attributes:
      name, kind: as in `Layer`.
      scales: what it multiplies by, or None.
      gains: what it does to errors.
      from_image: the amplification from the image to behind this layer; None where not measured.
      from_latent: that from the latent to before this layer (as sampling goes, behind it).
      data: the largest |number| of data behind it, towards the latent.
    """

    name: str
    kind: str
    scales: Scales | None
    gains: Gains
    from_image: float | None
    from_latent: float | None
    data: float

    @property
    def condition(self) -> float:
        """The larger of the two relative conditions; NaN where neither could be measured."""
        known = [kappa for kappa in (self.gains.kappa_to_latent, self.gains.kappa_to_image)
                 if not np.isnan(kappa)]
        return max(known, default=float("nan"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "kind": self.kind,
                "scales": None if self.scales is None else self.scales.as_dict(),
                "gain": asdict(self.gains), "amplification_from_image": self.from_image,
                "amplification_from_latent": self.from_latent, "largest_of_data": self.data}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and the evidence.

    Attributes:
      layer: the layer's name; "" for the model as a whole.
      channels: the channels at fault, of the layer's input towards the latent (if they are known).
      text: in words.
    """

    layer: str
    channels: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Audit:
    """The audit of one model.

    Attributes:
      dtype: the model's own number type.
      images, n_bits, seed: what it was audited with.
      layers: towards the latent.
      surviving: one for each number type and direction.
      amplification: (from image to latent, from latent to image), at the first image and sample.
      amplification_of_few: the same at each of the first few.
      truths: (to the latent, to the image): what errors were measured against.
      trips: the round trips, in the model's own number type.
      findings: what is wrong, the worst first.
      flow_layers: the layers themselves.
    """

    dtype: str
    images: int
    n_bits: int
    seed: int
    layers: tuple[LayerReport, ...]
    surviving: tuple[Surviving, ...]
    amplification: tuple[float, float]
    amplification_of_few: tuple[list[float], list[float]]
    truths: tuple[Truth, Truth]
    trips: tuple[RoundTrip, ...]
    findings: tuple[Finding, ...]
    flow_layers: Sequence[Layer]

    @property
    def passed(self) -> bool:
        """Whether data and samples survive their round trips in the model's own number type."""
        return all(trip.passed for trip in self.trips)

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Lists by place begin at the image, with an entry more than there are layers."""
        def truth(one: Truth) -> dict[str, Any]:
            return {"method": one.method, "relative_error": one.error, "why_no_balls": one.why}
        return {
            "passed": self.passed, "number_type": self.dtype, "images": self.images,
            "n_bits": self.n_bits, "seed": self.seed,
            "findings": [asdict(finding) | {"channels": list(finding.channels)}
                         for finding in self.findings],
            "amplification": {"image_to_latent": self.amplification[0],
                              "latent_to_image": self.amplification[1],
                              "image_to_latent_of_few": self.amplification_of_few[0],
                              "latent_to_image_of_few": self.amplification_of_few[1]},
            "measured_against": {"to_latent": truth(self.truths[0]),
                                 "to_image": truth(self.truths[1])},
            "digits": [one.as_dict() for one in self.surviving],
            "round_trips": [trip.as_dict(self.flow_layers) for trip in self.trips],
            "layers": [layer.as_dict() for layer in self.layers]}
