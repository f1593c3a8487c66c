"""The four properties that implementations are compared by, evaluated in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.structure import iterate


def flat(structure: Any) -> Array:
    """All numbers of a (structure of) results as one vector."""
    return np.concatenate([np.asarray(leaf).reshape(-1) for _, leaf in iterate(structure)])


def evaluate(bijector: Bijector, x: Any, y: Any, event_ndims: Any,
             before_each: Callable[[Bijector], None] | None = None) -> dict[str, Array]:
    """Every property's numbers, by name, at x and y (no forward log-det if not injective).

    Works for refglow's bijectors and, since the interface is the same, for TFP's. refglow's compute
    by the specification.

    Args:
      bijector: refglow's or TFP's.
      x, y: inputs of `forward` and of `inverse`.
      event_ndims: of x.
      before_each: called with the bijector before each property (to make it forget its data).
    """
    y_ndims = bijector.forward_event_ndims(event_ndims)
    calls: dict[str, Callable[[], Array]] = {
        "forward": lambda: flat(bijector.forward(x)),
        "forward_log_det_jacobian": lambda: _log_det(
            bijector.forward_log_det_jacobian(x, event_ndims), x, event_ndims),
        "inverse": lambda: flat(bijector.inverse(y)),
        "inverse_log_det_jacobian": lambda: _log_det(
            bijector.inverse_log_det_jacobian(y, y_ndims), y, y_ndims)}
    if not getattr(bijector, "is_injective", getattr(bijector, "_is_injective", True)):
        del calls["forward_log_det_jacobian"]
    results = {}
    with use_backend("spec"):
        for name, call in calls.items():
            if before_each is not None:
                before_each(bijector)
            results[name] = call()
    return results


def forget_data(actnorm: Any) -> None:
    """Make an ActivationNormalization of either library uninitialised."""
    if hasattr(actnorm, "reset"):
        actnorm.reset()
    else:
        actnorm._initialized.assign(False)


def _log_det(value: Any, at: Any, event_ndims: Any) -> Array:
    """Log-dets with the full batch shape; TFP leaves constant ones as scalars (see the errata)."""
    (_, first), *_ = iterate(at)
    (_, ndims), *_ = iterate(event_ndims)
    batch = np.shape(first)[:np.ndim(first) - ndims]
    return flat([np.broadcast_to(np.asarray(part), np.broadcast_shapes(batch, np.shape(part)))
                 for _, part in iterate(value)])
