"""Properties that any correct bijector has. Each check raises AssertionError with the numbers.

They hold a bijector against itself and against general mathematics only; agreement with another
implementation is the business of golden files and live comparisons.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.structure import flatten, map_structure
from refglow.validation.compare import difference
from refglow.validation.tolerances import AGAINST_DENSE_JACOBIAN, Tolerance

_STEP = 1e-30  # of complex-step differentiation: no subtraction, so it can be this small


def check_round_trip(bijector: Bijector, x: Any, tolerance: Tolerance) -> None:
    """inverse(forward(x)) = x."""
    back = bijector.inverse(bijector.forward(x))
    template = bijector.forward_min_event_ndims
    for there, here in zip(flatten(template, back), flatten(template, x), strict=True):
        _require(there, here, tolerance, "inverse(forward(x)) against x")


def check_log_dets_are_opposite(bijector: Bijector, x: Any, event_ndims: Any,
                                tolerance: Tolerance) -> None:
    """ildj(forward(x)) = -fldj(x), and one pass gives what separate calls give."""
    y, fldj = bijector.forward_and_log_det(x, event_ndims)
    _, ildj = bijector.inverse_and_log_det(y, bijector.forward_event_ndims(event_ndims))
    _require(ildj, -fldj, tolerance, "ildj(forward(x)) against -fldj(x)")
    separate = bijector.forward_log_det_jacobian(x, event_ndims)
    assert np.array_equal(separate, fldj), "one pass and two give different log-dets"


def check_log_det_is_per_example(bijector: Bijector, x: Any, event_ndims: Any) -> None:
    """The log-det has the batch shape, and an example's does not depend on its neighbours.

    (For bijectors whose parameters have no batch shape of their own.)
    """
    fldj = bijector.forward_log_det_jacobian(x, event_ndims)
    template = bijector.forward_min_event_ndims
    first, ndims = flatten(template, x)[0], flatten(template, event_ndims)[0]
    batch = first.shape[:first.ndim - ndims]
    assert fldj.shape == batch, f"log-det of shape {fldj.shape} for a batch of shape {batch}"
    for index in np.ndindex(*batch):
        alone = bijector.forward_log_det_jacobian(
            map_structure(template, lambda part, i=index: part[i], x), event_ndims)
        error = float(np.abs(alone - fldj[index]))
        assert error <= AGAINST_DENSE_JACOBIAN * max(1.0, float(np.abs(alone))), (
            f"the log-det of example {index} is {fldj[index]} in its batch, {alone} alone")


def check_log_det_against_dense_jacobian(bijector: Bijector, x: Any, event_ndims: Any) -> None:
    """fldj and ildj against slogdet of the dense Jacobian, by complex step, in float64.

    If y has more numbers than x (Pad), the volume is that of the image: log sqrt det(J^T J).
    """
    y, fldj = bijector.forward_and_log_det(x, event_ndims)
    _, ildj = bijector.inverse_and_log_det(y, bijector.forward_event_ndims(event_ndims))
    jacobians = dense_jacobians(bijector, x, event_ndims)
    dense = np.array([_log_volume(jacobian) for jacobian in jacobians]).reshape(fldj.shape)
    scale = np.maximum(np.abs(dense), 1.0)
    for what, value in (("fldj", fldj), ("-ildj", -ildj)):
        error = float((np.abs(value - dense) / scale).max())
        assert error <= AGAINST_DENSE_JACOBIAN, (
            f"{what} differs from slogdet of the dense Jacobian by {error:.3g} (limit "
            f"{AGAINST_DENSE_JACOBIAN:g}): {value} against {dense}")


def dense_jacobians(bijector: Bijector, x: Any, event_ndims: Any) -> list[Array]:
    """dy/dx of each event of the batch, [numbers of y, numbers of x], by complex step.

    Column k is Im f(x + i h e_k) / h; exact to rounding because nothing is subtracted.
    """
    in_template, out_template = bijector.forward_min_event_ndims, bijector.inverse_min_event_ndims
    parts, ndims = flatten(in_template, x), flatten(in_template, event_ndims)
    shapes = [part.shape[part.ndim - n:] for part, n in zip(parts, ndims, strict=True)]
    batch = parts[0].shape[:parts[0].ndim - ndims[0]]
    sizes = [int(np.prod(shape)) for shape in shapes]
    directions = np.split(_STEP * np.eye(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    # A leading dimension holds the directions, so one call differentiates the whole batch.
    moved = [part[None] + 1j * d.reshape(len(d), *(1,) * len(batch), *shape)
             for part, d, shape in zip(parts, directions, shapes, strict=True)]
    outputs = flatten(out_template, bijector.forward(_pack(in_template, moved)))
    flat = [out.imag.reshape(sum(sizes), int(np.prod(batch, dtype=int)), -1) / _STEP
            for out in outputs]
    columns = np.concatenate(flat, axis=-1)  # [direction, example, output number]
    return [columns[:, k].T for k in range(columns.shape[1])]


def _pack(template: Any, leaves: list[Any]) -> Any:
    remaining = iter(leaves)
    return map_structure(template, lambda _: next(remaining), template)


def _log_volume(jacobian: Array) -> float:
    if jacobian.shape[0] == jacobian.shape[1]:
        return float(np.linalg.slogdet(jacobian)[1])
    return 0.5 * float(np.linalg.slogdet(jacobian.T @ jacobian)[1])


def _require(actual: Array, expected: Array, tolerance: Tolerance, what: str) -> None:
    error = difference(actual, expected)
    if not np.abs(expected).max(initial=0.0):
        assert np.abs(actual).max(initial=0.0) <= tolerance.relative, f"{what}: not zero"
        return
    assert error.relative <= tolerance.relative, (
        f"{what}: relative error {error.relative:.3g} ({error.ulps:.3g} ulps), tolerance "
        f"{tolerance.relative:.3g} ({tolerance.reason})")
