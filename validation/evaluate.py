"""The four properties that implementations are compared by, evaluated in one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.structure import iterate

PROPERTIES = ("forward", "forward_log_det_jacobian", "inverse", "inverse_log_det_jacobian")


def flat(structure: Any) -> Array:
    """All numbers of a (structure of) results as one vector."""
    return np.concatenate([np.asarray(leaf).reshape(-1) for _, leaf in iterate(structure)])


def evaluate(bijector: Bijector, x: Any, y: Any, event_ndims: Any) -> dict[str, Array]:
    """{property: numbers} at x and at y; a non-injective bijector has no forward log-det.

    Works for refglow's bijectors and, since the interface is the same, for TFP's.
    """
    y_ndims = bijector.forward_event_ndims(event_ndims)
    results = {"forward": flat(bijector.forward(x)),
               "inverse": flat(bijector.inverse(y)),
               "inverse_log_det_jacobian": _log_det(
                   bijector.inverse_log_det_jacobian(y, y_ndims), y, y_ndims)}
    if getattr(bijector, "is_injective", getattr(bijector, "_is_injective", True)):
        results["forward_log_det_jacobian"] = _log_det(
            bijector.forward_log_det_jacobian(x, event_ndims), x, event_ndims)
    return {name: results[name] for name in PROPERTIES if name in results}


def _log_det(value: Any, at: Any, event_ndims: Any) -> Array:
    """Log-dets with the full batch shape. (TFP leaves constant ones as scalars: see the errata.)"""
    (_, first), *_ = iterate(at)
    (_, ndims), *_ = iterate(event_ndims)
    batch = np.shape(first)[:np.ndim(first) - ndims]
    return flat([np.broadcast_to(np.asarray(part), np.broadcast_shapes(batch, np.shape(part)))
                 for _, part in iterate(value)])
