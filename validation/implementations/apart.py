"""An implementation in a process of its own, held against a model in one number type."""

from __future__ import annotations

from typing import Any

from refglow.bijectors.glow import Glow
from refglow.validation.implementations.conformance import Conformance, conformance_of
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.implementations.process import ProcessCalls
from refglow.validation.implementations.reference import reference_of
from refglow.validation.implementations.source import Source


def conformance_apart(model: Glow, source: Source, images: Any, dtype: str,
                      time_limit: float) -> Conformance:
    """What `conformance` finds of an implementation that may crash or hang.

    Args:
      model: its ActNorms initialised.
      source: where the implementation is.
      images: [B, H, W, C], finite.
      dtype: float64 or float32, to which the model and the images are converted.
      time_limit: seconds for importing, for building and for each call.

    Raises:
      ValueError: if the file or module has no such name, an ActNorm is not initialised, or the
        images do not fit or are not finite.
    """
    glow = model.astype(dtype)
    reference = reference_of(glow, images)
    with ProcessCalls(source, architecture_of(glow), parameters_of(glow), time_limit) as calls:
        return conformance_of(reference, calls)
