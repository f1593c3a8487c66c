"""The layers' results of refglow's Glow in the dialects found so far, one dialect for each kind.

On an implementation's own layer outputs where they were seen, else from the images on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refglow.dtypes import Array
from refglow.layer_name import kind_of
from refglow.validation.diagnosis.segments import Dialects, Segment
from refglow.validation.dialects.dialect_glow import DialectGlow, LayerResult


def trajectory(reference: DialectGlow, segments: list[Segment], images: Array,
               dialects: Dialects) -> Iterator[LayerResult]:
    """Every layer's result towards the latent, in turn.

    Args:
      reference: in float64; its dialect has the step order.
      segments: what was seen of the layers; may be empty.
      images: [B, H, W, C], float64.
      dialects: by kind of layer.

    Returns:
      one for each layer. Where a layer's output was seen, the next layer starts from that.
    """
    seen = {segment.names[-1]: segment.seen.output for segment in segments}
    x = images
    for name in reference.layer_names():
        layer = reference.in_dialect(dialects[kind_of(name)])
        result = layer.apply(name, x)
        if name in seen:
            result = LayerResult(name, np.asarray(seen[name], np.float64), result.log_det)
        yield result
        x = layer.going_on(result)
