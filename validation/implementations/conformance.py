"""conformance: an implementation's results against the specification, and against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.validation.implementations.calls import CallFailedError, Calls, ObjectCalls
from refglow.validation.implementations.collecting import Collected, Progress, collected
from refglow.validation.implementations.digits import Digits, digits_of_rows
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.judging import (
    FailedCall,
    Judgement,
    judge,
    remark_on_another,
)
from refglow.validation.implementations.layer_by_layer import (
    LayerFound,
    first_wrong,
    layers_found,
)
from refglow.validation.implementations.offerings import OFFERINGS, absent
from refglow.validation.implementations.own_consistency import OwnConsistency
from refglow.validation.implementations.reference import Reference, reference_of
from refglow.validation.row import Row


@dataclass(frozen=True)
class Conformance:
    """What was found of one implementation in one number type.

    Attributes:
      dtype: float32 or float64.
      rows: every comparison. `bijector` is what was called, "layers, each alone" or "own" (its
        consistency with itself); `prop` the result, parameter or layer.
      failed: calls and results that could not be compared; each counts as wrong.
      offered, absent: what the implementation has and has not.
      skipped: what was not compared, and why.
      remarks: what else is worth knowing.
      layers: each layer that was given, in the order from image to latent.
      raw: by offering, what was returned.
      reference: what it was held against.
      directions_exchanged: whether its `forward` makes latents; then it was held against `inverse`.
    """

    dtype: str
    rows: tuple[Row, ...]
    failed: tuple[FailedCall, ...]
    offered: tuple[str, ...]
    absent: tuple[str, ...]
    skipped: tuple[str, ...]
    remarks: tuple[str, ...]
    layers: tuple[LayerFound, ...]
    raw: dict[str, Found]
    reference: Reference
    directions_exchanged: bool = False

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing is wrong."""
        return bool(self.rows) and not self.failed and all(row.passed for row in self.rows)

    @property
    def first_wrong_layer(self) -> str | None:
        """The first layer that differs, from the image; None if none does or none was given."""
        return first_wrong(self.layers)

    @property
    def digits(self) -> dict[str, Digits]:
        """How many digits the weights allow, and how many were found, by result."""
        return digits_of_rows(self.rows, self.reference)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: all but the arrays."""
        return {"passed": self.passed, "rows": [row.as_dict() for row in self.rows],
                "failed": [call.as_dict() for call in self.failed],
                "offered": list(self.offered), "absent": list(self.absent),
                "skipped": list(self.skipped), "remarks": list(self.remarks),
                "first_wrong_layer": self.first_wrong_layer,
                "directions_exchanged": self.directions_exchanged,
                "digits": {name: one.as_dict() for name, one in self.digits.items()}}


def conformance(glow: Glow, implementation: Any, images: Any) -> Conformance:
    """Hold an object in this process against a model.

    An exception, or a result that is no array, fails that call; but nothing protects this process
    from a crash or from waiting forever. `refglow validate --implementation` does.

    Args:
      glow: the model, float32 or float64, its ActNorms initialised. The object is called with
        arrays of this number type, and has the same parameters (see `refglow.validation.
        implementations` for what it may offer).
      implementation: anything with some of those functions.
      images: [B, H, W, C], finite.

    Raises:
      ValueError: if an ActNorm is not initialised, or the images do not fit or are not finite.
    """
    return conformance_of(reference_of(glow, images), ObjectCalls(implementation))


def conformance_of(reference: Reference, calls: Calls,
                   progress: Progress = lambda name: None) -> Conformance:
    """Hold an implementation that can be called against the truth.

    Args:
      reference: the truth, at some images.
      calls: the implementation.
      progress: told what is called next.
    """
    judgement = Judgement()
    try:
        given = collected(calls, {name: getattr(reference, kind)
                                  for name, kind in OFFERINGS.items()}, progress)
    except CallFailedError as error:
        judgement.fail("build", reference, error.reason, error.output)
        return _conformance(judgement, None, (), reference)
    if not given.offered:
        judgement.fail("build", reference, f"it offers none of: {', '.join(OFFERINGS)}")
    if given.exchanged:
        judgement.fail("forward", reference, "makes latents of images, and inverse images of "
                       "latents; they are compared with their names exchanged")
    results: dict[str, Array] = {}
    layers: tuple[LayerFound, ...] = ()
    for name in given.offered:
        if name in given.failed:
            judgement.fail(name, reference, given.failed[name].reason, given.failed[name].output)
            continue
        usable = judge(judgement, name, given.found[name], reference)
        if name == "layers":
            layers = layers_found(judgement, given.found[name], usable, reference)
        for result in usable:
            array = given.found[name].arrays[result]
            if results.setdefault(result, array) is not array:
                remark_on_another(judgement, result, results[result], array, name, reference)
    progress("own consistency")
    OwnConsistency(judgement, given.calls, given.found, results, reference).check()
    return _conformance(judgement, given, layers, reference)


def _conformance(judgement: Judgement, given: Collected | None, layers: tuple[LayerFound, ...],
                 reference: Reference) -> Conformance:
    offered = () if given is None else given.offered
    return Conformance(
        reference.dtype.name, tuple(judgement.rows), tuple(judgement.failed), offered,
        absent(offered) if offered else (), tuple(judgement.skipped), tuple(judgement.remarks),
        layers, {} if given is None else given.found, reference,
        given is not None and given.exchanged)
