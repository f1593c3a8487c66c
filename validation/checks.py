"""Properties that any correct bijector has. Each check raises AssertionError with the numbers.

They hold a bijector against itself and against general mathematics only; agreement with another
implementation is the business of golden files and live comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.structure import flatten, iterate, map_structure
from refglow.validation.compare import difference
from refglow.validation.tolerances import (
    ADJOINT,
    AGAINST_DENSE_JACOBIAN,
    DERIVATIVE_AGAINST_COMPLEX_STEP,
    Tolerance,
)

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


# ---- derivatives ------------------------------------------------------------------------------
#
# What they are held against: the same function evaluated in complex numbers, where
#     Im f(x + i h v) / h = J v + O(h^2)
# has no subtraction, so that with h = 1e-30 it is exact to rounding. Each check takes the bijector
# and its `twin`, the same bijector in complex128 with the same parameters, a value to go in (x if
# `forward`, else y), and its event_ndims.


def check_vjp_against_complex_step(bijector: Bijector, twin: Bijector, value: Any,
                                   event_ndims: Any, *, forward: bool, memory: str = "store",
                                   directions: int | None = None, together: int = 1,
                                   limit: float = DERIVATIVE_AGAINST_COMPLEX_STEP) -> None:
    """J^T w with random cotangents w of value and log-det, in every coordinate of the input.

    And in every coordinate of every parameter; or, if `directions` is a number, along that many
    random directions of each parameter's array.

    Many parameters take fewer evaluations if `together` of an array move at once, by +1 or -1 and
    drawn at random, each in one such group: a wrong number changes its group's sum as much as
    itself, and two in one group cancel by chance only.
    """
    rng = np.random.default_rng(0)
    vjp = bijector.forward_vjp if forward else bijector.inverse_vjp
    results, pullback = vjp(value, event_ndims, memory=memory)
    bars = _random_like(results, rng)
    value_bar, parameter_bars = pullback(*bars)

    steps = _unit_steps(value)
    rows = _contracted(_derivative(twin, forward, value, event_ndims, steps), bars)
    size = 0
    for (path, actual), (_, leaf) in zip(iterate(value_bar), iterate(value), strict=True):
        expected = rows[size:size + leaf.size].reshape(leaf.shape)
        _require_close(actual, expected, limit, f"the input's cotangent {path}")
        size += leaf.size

    trainable = {v.name: v.shape for v in bijector.trainable_variables}
    assert parameter_bars.keys() == trainable.keys(), "cotangents of other parameters than it has"
    zero = map_structure(_template(value), np.zeros_like, value)
    for name, shape in trainable.items():
        dots = (_signed_groups(shape, together, rng) if directions is None
                else rng.standard_normal((directions, *shape)))
        expected = np.array([float(_contracted(_derivative(
            twin, forward, value, event_ndims, zero, {name: dot}), bars)) for dot in dots])
        actual = np.tensordot(dots, parameter_bars[name], axes=len(shape))
        _require_close(actual, expected, limit, f"the cotangent of {name}")


def check_jvp_against_complex_step(bijector: Bijector, twin: Bijector, value: Any,
                                   event_ndims: Any, *, forward: bool,
                                   limit: float = DERIVATIVE_AGAINST_COMPLEX_STEP) -> None:
    """J v along random directions: of the input, of each parameter, and of all at once."""
    rng = np.random.default_rng(1)
    jvp = bijector.forward_jvp if forward else bijector.inverse_jvp
    dot = _random_like(value, rng)
    dots = {v.name: rng.standard_normal(v.shape) for v in bijector.trainable_variables}
    zero = map_structure(_template(value), np.zeros_like, value)
    moves = [(dot, {}), *((zero, {name: dots[name]}) for name in dots), (dot, dots)]
    for value_dot, parameter_dots in moves:
        _, tangents = jvp(value, value_dot, parameter_dots, event_ndims)
        expected = _derivative(twin, forward, value, event_ndims, value_dot, parameter_dots)
        for index, (a, e) in enumerate(zip(_arrays(tangents), expected, strict=True)):
            _require_close(a, e, limit, f"tangent {index} of the results, where "
                                        f"{sorted(parameter_dots) or 'the input'} moves")


def check_vjp_and_jvp_are_adjoint(bijector: Bijector, value: Any, event_ndims: Any, *,
                                  forward: bool, memory: str = "store") -> None:
    """<J v, w> = <v, J^T w> for random v and w, of inputs, parameters, results and log-det."""
    rng = np.random.default_rng(2)
    jvp, vjp = ((bijector.forward_jvp, bijector.forward_vjp) if forward
                else (bijector.inverse_jvp, bijector.inverse_vjp))
    dot = _random_like(value, rng)
    dots = {v.name: rng.standard_normal(v.shape) for v in bijector.trainable_variables}
    _, tangents = jvp(value, dot, dots, event_ndims)
    results, pullback = vjp(value, event_ndims, memory=memory)
    bars = _random_like(results, rng)
    value_bar, parameter_bars = pullback(*bars)
    left = _terms(tangents, bars)
    right = np.concatenate([_terms(value_bar, dot), _terms(parameter_bars, dots)])
    error, scale = abs(left.sum() - right.sum()), np.abs(left).sum() + np.abs(right).sum()
    assert error <= ADJOINT * scale, (
        f"<J v, w> = {left.sum():.17g}, but <v, J^T w> = {right.sum():.17g}: they differ by "
        f"{error / scale:.3g} of their terms (limit {ADJOINT:g})")


def _derivative(twin: Bijector, forward: bool, value: Any, event_ndims: Any, value_dot: Any,
                parameter_dots: Mapping[str, Array] | None = None) -> list[Array]:
    """The derivatives of value and log-det along a direction (or, with a dimension more, many)."""
    moved = map_structure(_template(value), lambda v, dot: v + 1j * _STEP * dot, value, value_dot)
    held = {v.name: (v, v.numpy()) for v in twin.trainable_variables}
    try:
        for name, dot in (parameter_dots or {}).items():
            held[name][0].assign(held[name][1] + 1j * _STEP * dot)
        if forward and not twin.is_injective:
            results = twin.forward(moved)
        else:
            results = (twin.forward_and_log_det if forward else twin.inverse_and_log_det)(
                moved, event_ndims)
    finally:
        for handle, before in held.values():
            handle.assign(before)
    return [leaf.imag / _STEP for leaf in _arrays(results)]


def _arrays(structure: Any) -> list[Array]:
    """The arrays in a structure; a log-det that does not exist is left out."""
    return [leaf for _, leaf in iterate(structure) if leaf is not None]


def _template(structure: Any) -> Any:
    return map_structure(structure, lambda _: 0, structure)


def _random_like(structure: Any, rng: np.random.Generator) -> Any:
    return map_structure(structure, lambda leaf: None if leaf is None else
                         rng.standard_normal(leaf.shape), structure)


def _signed_groups(shape: tuple[int, ...], together: int, rng: np.random.Generator) -> Array:
    """Directions in which `together` of an array's numbers move, each number in one of them.

    With together = 1 the unit directions, in their order: [the array's size, *shape].
    """
    size = int(np.prod(shape))
    if together == 1:
        return np.eye(size).reshape(size, *shape)
    groups = np.zeros((-(-size // together), size))
    groups[np.arange(size) // together, rng.permutation(size)] = rng.choice([-1.0, 1.0], size)
    return groups.reshape(len(groups), *shape)


def _unit_steps(value: Any) -> Any:
    """The unit directions of all arrays of a structure, [the sum of their sizes, *shape] each."""
    leaves = _arrays(value)
    sizes = [leaf.size for leaf in leaves]
    parts = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    return _pack(_template(value), [part.reshape(sum(sizes), *leaf.shape)
                                    for part, leaf in zip(parts, leaves, strict=True)])


def _contracted(derivatives: list[Array], bars: Any) -> Array:
    """<J v, w> for each direction v that has a leading dimension."""
    return np.asarray(sum(np.tensordot(d, w, axes=w.ndim)
                          for d, w in zip(derivatives, _arrays(bars), strict=True)))


def _terms(a: Any, b: Any) -> Array:
    """The terms of <a, b> for two structures of arrays."""
    return np.concatenate([np.zeros(0), *(np.ravel(x * y) for x, y in
                                          zip(_arrays(a), _arrays(b), strict=True))])


def _require_close(actual: Array, expected: Array, limit: float, what: str) -> None:
    """|actual - expected| <= limit * max|expected|; where all is 0, so must be the actual."""
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, not {expected.shape}"
    if not actual.size:
        return
    errors = np.abs(actual - expected)
    scale = np.abs(expected).max() or 1.0
    worst = np.unravel_index(np.argmax(errors), errors.shape)
    assert errors.max() <= limit * scale, (
        f"{what}: at {tuple(map(int, worst))} it is {actual[worst]:.17g}, by complex step "
        f"{expected[worst]:.17g}: {errors.max() / scale:.3g} of the largest (limit {limit:g})")


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
