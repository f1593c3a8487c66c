"""The truth for both number types, evaluated once where it is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.validation.implementations.model import parameters_of
from refglow.validation.implementations.reference import (
    Reference,
    latents_of_others,
    reference_of,
)


def references(model: Glow, images: Any, dtypes: Sequence[str],
               latents: Any = None) -> Iterator[Reference]:
    """The truth for each number type, evaluated once if all numbers are float32 numbers.

    Images and latents are rounded to float32, so that they are the same in both types.

    Args:
      model: as for `reference_of`.
      images: [B, H, W, C].
      dtypes: "float64", "float32" or both, in this order.
      latents: as for `reference_of`.

    Raises:
      ValueError: as `reference_of`.
    """
    parameters_of(model)
    x = np.asarray(images, np.float32)
    if latents is None:
        latents = latents_of_others(model.astype(np.float64), x.astype(np.float64))
    z = np.asarray(latents, np.float32)
    wide: Reference | None = None
    for dtype in dtypes:
        if wide is not None and wide.is_of_float32_numbers:
            yield wide.for_float32()
        else:
            wide = reference_of(model.astype(dtype), x, z)
            yield wide
