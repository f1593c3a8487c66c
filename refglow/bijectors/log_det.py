"""How log-determinants are summed over event dimensions. One home for the rule.

A bijector gives the log-det of one *minimal* event. If the caller's event has more dimensions, the
map acts on each minimal event inside it independently, the Jacobian is block diagonal, and the
log-dets of the blocks add up:

    log|det J| = sum over the extra event dimensions of log|det J_block|

A log-det that does not depend on some dimension (a constant Jacobian, a broadcast parameter) counts
once for every index of it: an extra dimension of size n multiplies by n. Leaving that factor out is
the classic "missing H*W" mistake. The result always has the full batch shape.

float32 terms are accumulated in float64; the public methods round the total once, to the type of
the values.

Source: tfp.bijectors.Bijector, section "Jacobian Determinant".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.dtypes import Array, accumulator
from refglow.structure import flatten


def reduction_ndims(event_ndims: Any, min_event_ndims: Any, name: str) -> int:
    """How many dimensions the caller's events have beyond the minimal ones.

    Args:
      event_ndims, min_event_ndims: ranks of the caller's and of the minimal event (structures).
      name: the bijector's, for messages.

    Returns:
      the difference, the same for all parts.

    Raises:
      ValueError: if the parts of a structured event do not all have the same excess, or if it is
        negative.

    Source: as the module.
    """
    given = flatten(min_event_ndims, event_ndims)
    excess = {n - m for n, m in zip(given, flatten(min_event_ndims, min_event_ndims), strict=True)}
    if len(excess) != 1:
        raise ValueError(f"{name}: event_ndims {event_ndims} must exceed {min_event_ndims} by the "
                         "same number in every part, because the parts interact.")
    (result,) = excess
    if result < 0:
        raise ValueError(f"{name}: event_ndims must be at least {min_event_ndims}; "
                         f"got {event_ndims}.")
    return int(result)


def reduce_log_det(log_det: Any, x: Any, event_ndims: Any, min_event_ndims: Any,
                   name: str) -> Array:
    """The log-det of events of `event_ndims`, from that of minimal events.

    Args:
      log_det: broadcastable to the dimensions of x in front of the minimal event; nats.
      x: the array (structure) the map was applied to.
      event_ndims, min_event_ndims: ranks of the caller's and of the minimal event (structures).
      name: the bijector's, for messages.

    Returns:
      array of the batch shape: x's, broadcast against the parameters'; in nats, in the accumulator
      type (float64 for float32).

    Raises:
      ValueError: if the parts of x disagree about the extra event dimensions, or if a parameter
        would enlarge them (then the map is not a bijection of such events).

    Source: as the module.
    """
    extra = reduction_ndims(event_ndims, min_event_ndims, name)
    outer = [part.shape[:part.ndim - ndims]
             for part, ndims in zip(flatten(min_event_ndims, x),
                                    flatten(min_event_ndims, min_event_ndims), strict=True)]
    events = {shape[len(shape) - extra:] for shape in outer}
    if len(events) > 1:
        raise ValueError(f"{name}: the parts of the input have different event shapes in front of "
                         f"their minimal events: {sorted(events)}.")
    (event,) = events
    # NumPy unpacks scalars of object arrays; keep them objects.
    objects = any(part.dtype == object for part in flatten(min_event_ndims, x))
    log_det = np.asarray(log_det, dtype=object if objects else None)
    shape = np.broadcast_shapes(log_det.shape, *outer)
    if shape[len(shape) - extra:] != event:
        raise ValueError(
            f"{name}: broadcasting against the parameters changes the event shape from {event} to "
            f"{shape[len(shape) - extra:]}; a map between such events is not a bijection.")
    return _sum_over_last(log_det, shape, extra)


def rounded_like(log_det: Any, x: Any, min_event_ndims: Any) -> Any:
    """The accumulated log-det (or tuple of them) in the number type of x.

    Args:
      log_det: [batch...], nats; or a tuple of such arrays.
      x: the array (structure) the map was applied to.
      min_event_ndims: the structure of x.

    Returns:
      as log_det; an array that is not in the accumulator type of x is left as it is.

    Source: as the module.
    """
    if isinstance(log_det, tuple):
        return tuple(rounded_like(part, x, min_event_ndims) for part in log_det)
    dtype = np.result_type(*flatten(min_event_ndims, x))
    if log_det.dtype == accumulator(dtype):
        return log_det.astype(dtype)
    return log_det


def _sum_over_last(log_det: Array, shape: tuple[int, ...], extra: int) -> Array:
    """Sum of `log_det`, broadcast to `shape`, over its last `extra` dimensions.

    Dimensions along which it is constant are multiplied out rather than added up, which is exact
    to one rounding.
    """
    log_det = log_det.reshape((1,) * (len(shape) - log_det.ndim) + log_det.shape)
    axes = range(len(shape) - extra, len(shape))
    varying = tuple(axis for axis in axes if log_det.shape[axis] != 1)
    constant = [shape[axis] for axis in axes if log_det.shape[axis] == 1]
    batch = shape[:len(shape) - extra]
    wide = accumulator(log_det.dtype)
    summed = np.asarray(log_det.sum(axis=varying, keepdims=True, dtype=wide), dtype=wide)
    total = np.asarray(summed * int(np.prod(constant, dtype=np.int64)), dtype=wide)
    return np.array(np.broadcast_to(total.reshape(total.shape[:len(batch)]), batch))
