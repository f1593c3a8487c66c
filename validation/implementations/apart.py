"""An implementation in a process of its own, held against a model in one number type."""

from __future__ import annotations

from refglow.bijectors.glow import Glow
from refglow.validation.implementations.conformance import Conformance, conformance_of
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.implementations.process import ProcessCalls
from refglow.validation.implementations.reference import Reference
from refglow.validation.implementations.source import Source


def conformance_apart(reference: Reference, model: Glow, source: Source,
                      time_limit: float) -> Conformance:
    """What `conformance` finds of an implementation that may crash or hang.

    Args:
      reference: the truth, in the number type that the implementation is to compute in.
      model: its model.
      source: where the implementation is.
      time_limit: seconds for importing, for building and for each call.

    Raises:
      ValueError: if the file or module has no such name.
    """
    glow = model.astype(reference.dtype)
    with ProcessCalls(source, architecture_of(glow), parameters_of(glow), time_limit) as calls:
        return conformance_of(reference, calls)
