"""What a comparison saw of an implementation, for the diagnosis."""

from __future__ import annotations

from refglow.validation.diagnosis.diagnose import diagnose
from refglow.validation.diagnosis.finding import Diagnosis
from refglow.validation.diagnosis.observed import Observed
from refglow.validation.diagnosis.observing import observed_from
from refglow.validation.implementations import Conformance
from refglow.validation.implementations.offerings import OFFERINGS


def diagnosis_of(conformance: Conformance, seconds: float = 50.0) -> Diagnosis:
    """The diagnosis of what was returned in a comparison.

    Args:
      conformance: of one number type.
      seconds: as for `diagnose`.
    """
    return diagnose(conformance.reference.glow, observed_of(conformance), seconds)


def observed_of(conformance: Conformance) -> Observed:
    """All results that were returned, of the layers that there are."""
    reference = conformance.reference
    return observed_from(
        conformance.raw, {name: getattr(reference, kind) for name, kind in OFFERINGS.items()},
        conformance.directions_exchanged, {layer.name for layer in reference.layers})
