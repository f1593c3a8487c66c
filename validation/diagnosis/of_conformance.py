"""What a comparison saw of an implementation, for the diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refglow.validation.diagnosis.diagnose import diagnose
from refglow.validation.diagnosis.finding import Diagnosis
from refglow.validation.diagnosis.observed import Observed
from refglow.validation.diagnosis.observing import observed_from
from refglow.validation.diagnosis.words import in_words
from refglow.validation.implementations import Conformance
from refglow.validation.implementations.offerings import OFFERINGS
from refglow.validation.implementations.own_consistency import OWN
from refglow.validation.tolerances import LOOKED_INTO


def to_diagnose(found: Sequence[Conformance]) -> Conformance | None:
    """The number type whose results a diagnosis should look at; None if there is nothing to see.

    Args:
      found: in each number type.
    """
    return next((one for one in found if one.raw and not one.passed), None)


def diagnosis_of(conformance: Conformance, seconds: float = 50.0) -> Diagnosis:
    """The diagnosis of what was returned in a comparison.

    Args:
      conformance: of one number type.
      seconds: as for `diagnose`.
    """
    return diagnose(conformance.reference.glow, observed_of(conformance), seconds)


def explanation_of(conformance: Conformance, diagnosis: Diagnosis) -> list[str]:
    """The diagnosis in words, beside the comparison; says why where it finds nothing.

    Args:
      conformance: of one number type, in which something is wrong.
      diagnosis: of it.
    """
    if not diagnosis.agrees or not diagnosis.complete or not diagnosis.compared:
        return in_words(diagnosis)
    looked_at = ", ".join(diagnosis.compared)
    worst = max((row.severity for row in conformance.rows
                 if not row.passed and row.bijector != OWN), default=0.0)
    if not worst:
        return ["No convention: what is wrong could not be compared, or contradicts itself. What "
                f"could be looked at agrees to rounding: {looked_at}."]
    narrow = _coarsest_returned(conformance)
    if narrow is not None and worst <= (
            np.finfo(narrow).eps / np.finfo(conformance.dtype).eps):
        return [f"No convention, but a number type: it was given {conformance.dtype} and returned "
                f"{narrow}, to whose digits what differs agrees. Compute in the type given, "
                f"or if {narrow} is meant, judge it in that (--dtype {narrow})."]
    if worst <= LOOKED_INTO:
        return [f"What differs is at most {worst:.2g} times its tolerance: too little to tell a "
                f"convention or mistake from roundings that are less careful than they could be."]
    return [f"What differs, by up to {worst:.2g} times its tolerance, is not among what can be "
            f"looked at, or is rounding by the wider measure of this search: {looked_at}."]


def _coarsest_returned(conformance: Conformance) -> str | None:
    """The coarsest number type of the results, if it is coarser than what was given."""
    returned = {name for found in conformance.raw.values() for name in found.dtypes.values()}
    given = np.finfo(conformance.dtype).eps
    coarser = {name: np.finfo(name).eps for name in returned & {"float16", "float32"}
               if np.finfo(name).eps > given}
    return max(coarser, key=coarser.__getitem__, default=None)


def observed_of(conformance: Conformance) -> Observed:
    """All results that were returned, of the layers that there are."""
    reference = conformance.reference
    return observed_from(
        conformance.raw, {name: getattr(reference, kind) for name, kind in OFFERINGS.items()},
        conformance.directions_exchanged, {layer.name for layer in reference.layers})
