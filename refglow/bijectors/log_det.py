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

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from refglow.array_library import asarray, zeros
from refglow.cotangents import unbroadcast
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
    excess = set(map(operator.sub, flatten(min_event_ndims, event_ndims),
                     flatten(min_event_ndims, min_event_ndims)))
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
    outer = _outer_shapes(x, min_event_ndims)
    events = {shape[len(shape) - extra:] for shape in outer}
    if len(events) > 1:
        raise ValueError(f"{name}: the parts of the input have different event shapes in front of "
                         f"their minimal events: {sorted(events)}.")
    (event,) = events
    # NumPy unpacks scalars of object arrays; keep them objects.
    objects = any(part.dtype == object for part in flatten(min_event_ndims, x))
    log_det = asarray(log_det, object if objects else None)
    shape = _joint_shape(log_det.shape, *outer)
    if shape[len(shape) - extra:] != event:
        raise ValueError(
            f"{name}: broadcasting against the parameters changes the event shape from {event} to "
            f"{shape[len(shape) - extra:]}; a map between such events is not a bijection.")
    return _sum_over_last(log_det, shape, extra)


def sum_log_dets(log_dets: Sequence[Any], x: Any, event_ndims: Any, template: Any) -> Any:
    """The sum of the log-dets of the parts of a composition.

    Args:
      log_dets: [batch...] each, in the order of the parts; there may be none.
      x: the array (structure) that the composition was applied to.
      event_ndims: the ranks of its events (structure).
      template: the structure of x.

    Returns:
      the sum, in nats; zeros of the batch shape if there are no parts; None if a part, not being
      injective, has no log-det.

    Source: the chain rule; the determinant of a product is the product of the determinants.
    """
    if any(log_det is None for log_det in log_dets):
        return None
    if not log_dets:
        array, ndims = flatten(template, x)[0], flatten(template, event_ndims)[0]
        return zeros(array.shape[:array.ndim - ndims], array)
    total = log_dets[0]
    for log_det in log_dets[1:]:
        total = asarray(total + log_det, np.result_type(total, log_det))
    return total


def spread_log_det(total_bar: Array, log_det_shape: tuple[int, ...], x: Any, event_ndims: Any,
                   min_event_ndims: Any, name: str) -> Array:
    """The adjoint of `reduce_log_det`: the cotangent of the minimal events' log-dets.

    `total` is the sum over the extra dimensions of the log-det broadcast to the full shape, a
    linear map. Its adjoint repeats total_bar over the extra dimensions, then sums over those along
    which the log-det is constant; there the factor H W comes back.

    Args:
      total_bar: the cotangent of the result, [batch...].
      log_det_shape: the shape of the log-det that was reduced.
      x, event_ndims, min_event_ndims, name: as for `reduce_log_det`.

    Returns:
      array of shape log_det_shape, in the number type of total_bar.

    Source: as the module.
    """
    extra = reduction_ndims(event_ndims, min_event_ndims, name)
    shape = _joint_shape(log_det_shape, *_outer_shapes(x, min_event_ndims))
    bar = total_bar.reshape(total_bar.shape + (1,) * extra)
    return unbroadcast(np.broadcast_to(bar, shape), log_det_shape)


def _joint_shape(log_det: tuple[int, ...], *outer: tuple[int, ...]) -> tuple[int, ...]:
    """The shapes broadcast together; mostly one array and a scalar log-det, where it is plain."""
    return outer[0] if not log_det and len(outer) == 1 else np.broadcast_shapes(log_det, *outer)


def _outer_shapes(x: Any, min_event_ndims: Any) -> list[tuple[int, ...]]:
    """The dimensions in front of the minimal event, of each part of x."""
    return [part.shape[:part.ndim - ndims]
            for part, ndims in zip(flatten(min_event_ndims, x),
                                   flatten(min_event_ndims, min_event_ndims), strict=True)]


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
    summed = asarray(log_det.sum(axis=varying, keepdims=True, dtype=wide) if varying else log_det,
                     wide)
    total = asarray(summed * math.prod(constant), wide)
    return np.broadcast_to(total.reshape(total.shape[:len(batch)]), batch).copy()
