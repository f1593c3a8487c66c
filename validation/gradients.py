"""check_gradients: is a hand-written or automatic gradient right? For any function, in any code.

For y = f(x) with Jacobian J, the pullback gives J^T w for a cotangent w of y. It is held against

    <J v, w> = <v, J^T w>

with J v from f alone (see `directional.py`). w is random; v are the unit vectors of each array of
x, or, if it is large, random directions. Each array of x is judged by itself, and so is each array
of y, with w zero elsewhere; no error hides behind a larger number.

An error is relative to the largest number of the array's gradient. Where that is zero, or only
rounding (its parts cancel: the bias before a normalisation), there is nothing to be relative to;
then the gradient must be as small as roundings of y would make it.

    report = check_gradients(f, vjp, {"x": x, "kernel": kernel})
    print(report)
    report.require()

Source: HIPS/autograd, test_util.check_grads, the model for the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array, DType
from refglow.validation.directional import Derivative, representable
from refglow.validation.gradient_report import (
    Expectation,
    GradientReport,
    GradientRow,
    judged,
    worst_of,
)
from refglow.validation.gradient_subject import Subject, leaves_or_none, packed
from refglow.validation.tolerances import Tolerance

_DIRECTIONS = 8  # of an array with too many coordinates to try all
_EXACT = Tolerance(0.0, "equal")


def check_gradients(f: Callable[[Any], Any], vjp: Callable[[Any], tuple[Any, Callable[..., Any]]],
                    x: Any, jvp: Callable[[Any, Any], tuple[Any, Any]] | None = None, *,
                    seed: int = 0, coordinates: int = 128) -> GradientReport:
    """<J v, w> = <v, J^T w>, for every array of x and of y.

        >>> import numpy as np
        >>> from refglow.validation import check_gradients
        >>> def vjp(x):
        ...     return np.sin(x), lambda y_bar: np.cos(x) * y_bar
        >>> check_gradients(np.sin, vjp, np.array([0.5, 1.0])).passed
        True

    Args:
      f: x -> y.
      vjp: x -> (y, pullback); pullback(y_bar) -> x_bar.
      x: an array, or nested dicts, lists and tuples of arrays (parameters too), in which to
        differentiate. Integer arrays are held fixed; their cotangents are not looked at. y is of
        the same kind; x_bar must have the structure, shapes and number types of x.
      jvp: (x, x_dot) -> (y, y_dot), checked too if given.
      seed: of the random cotangents and directions.
      coordinates: an array of at most so many numbers is checked in each of them; a larger one
        along 8 random directions, and where that fails the wrong coordinate is looked for.

    Returns:
      a report: a row for each array; `report.require()` raises AssertionError unless all passed.

    Raises:
      TypeError: if x or y hold anything but arrays of numbers.
      ValueError: if x holds no floating array, or f(x) is not finite.
    """
    subject = Subject(f, x, np.random.default_rng(seed))
    y, pullback = vjp(x)
    cotangents = dict(subject.cotangents())
    pulled = {of: leaves_or_none(pullback(packed(subject.y, w)), "x")
              for of, w in cotangents.items()}
    rows = [*_value_rows(subject, y, "value by vjp"), *_misfits(subject, pulled)]
    wrong = {row.array for row in rows if not row.passed}
    for name in subject.names:
        if name not in wrong and subject.inputs[name].size:
            rows += _gradient_rows(subject, name, cotangents,
                                   {of: bars[name] for of, bars in pulled.items()}, coordinates)
    rows += _second_call_rows(subject, pullback, cotangents, pulled)
    if jvp is not None:
        rows += _jvp_rows(subject, jvp)
    return GradientReport(subject.method.name, tuple(rows))


def _gradient_rows(subject: Subject, name: str, cotangents: Mapping[str, list[Array]],
                   bars: Mapping[str, Array], coordinates: int) -> Iterator[GradientRow]:
    """The gradient with respect to one array, for each cotangent of y."""
    leaf, sizes = subject.inputs[name], subject.sizes(name)
    in_each = leaf.size <= coordinates
    directions = (_units(leaf, sizes) if in_each
                  else [subject.random(name) for _ in range(_DIRECTIONS)])
    derivatives = [subject.derivative(subject.along(name, v)) for v in directions]
    nearby = [subject.nearby(subject.along(name, v)) for v in directions]
    for of, w in cotangents.items():
        values, errors, terms = (np.array(column) for column in zip(
            *(_contracted(d, w) for d in derivatives), strict=True))
        others = np.array([_contracted(d, w)[0] for d in nearby])
        natural = sum(float(np.abs(y * bar).sum()) for y, bar in
                      zip(subject.outputs.values(), w, strict=True))
        bar = np.asarray(bars[of], dtype=np.promote_types(leaf.dtype, np.float64))
        if in_each:
            steps = np.array([v.sum() for v in directions])  # one number each
            values, errors, terms, others = (a / steps for a in (values, errors, terms, others))
            natural /= sizes.max()
            actual = bar.reshape(-1)
        else:
            actual = np.array([(v * bar).sum() for v in directions])
            own = np.array([np.abs(v * bar).sum() for v in directions])
            terms = np.maximum(terms, np.where(np.isfinite(own), own, 0.0))
        shape = leaf.shape if in_each else (len(directions),)
        expectation = Expectation(
            values.reshape(shape), errors.reshape(shape), float(terms.max()), natural,
            others.reshape(shape), sum(y.size for y in w) + leaf.size,
            subject.dtype(name), subject.method.exact)
        row = judged(name, of, actual.reshape(shape), expectation)
        if row.passed or in_each:
            yield row
        else:
            yield _located(subject, name, of, w, bar, expectation, actual, directions)


def _located(subject: Subject, name: str, of: str, w: list[Array], bar: Array,
             expectation: Expectation, actual: Array, directions: list[Array]) -> GradientRow:
    """The failing row of an array checked along directions, with the coordinate that is wrong.

    A direction is halved until one coordinate is left, each time keeping the half whose
    <J v, w> - <v, J^T w> is larger.
    """
    def error(part: Array) -> float:
        derivative = subject.derivative(subject.along(name, part))
        return float(_contracted(derivative, w)[0] - (part * bar).sum())

    nan = np.flatnonzero(np.isnan(bar))
    v = directions[worst_of(actual, expectation.values)]
    inside = np.arange(v.size)
    while inside.size > 1 and not nan.size:
        halves = np.array_split(inside, 2)
        inside = max(halves, key=lambda half: abs(error(_kept(v, half))))
    worst = int(nan[0]) if nan.size else int(inside[0])
    unit = _kept(np.asarray(subject.sizes(name), dtype=v.dtype), np.array([worst]))
    derivative = subject.derivative(subject.along(name, unit))
    should = _contracted(derivative, w)[0] / float(unit.reshape(-1)[worst])
    index = tuple(map(int, np.unravel_index(worst, v.shape)))
    return judged(name, of, actual, expectation, f"index {index}",
                  (bar.reshape(-1)[worst], np.asarray(should)))


def _jvp_rows(subject: Subject, jvp: Callable[[Any, Any], tuple[Any, Any]]
              ) -> Iterator[GradientRow]:
    """The tangents of y as each array of x moves alone, and all together."""
    alone = {name: subject.along(name, subject.random(name)) for name in subject.names}
    moves = alone | ({"all arrays": [np.asarray(sum(parts)) for parts in
                                     zip(*alone.values(), strict=True)]} if len(alone) > 1 else {})
    for name, direction in moves.items():
        y, y_dot = jvp(subject.x, packed(
            subject.x, [np.asarray(v, dtype=leaf.dtype) for v, leaf in
             zip(direction, subject.arrays, strict=True)]))
        if name == subject.names[0]:
            yield from _value_rows(subject, y, "value by jvp")
        tangents = leaves_or_none(y_dot, "y")
        here, nearby = subject.derivative(direction), subject.nearby(direction)
        for k, (path, value) in enumerate(subject.outputs.items()):
            of = f"tangent of {path}"
            problem = _misfit(tangents.get(path), value)
            if problem:
                yield _misfit_row(name, of, problem)
                continue
            expected = here.values[k]
            yield judged(name, of, np.asarray(tangents[path], dtype=expected.dtype), Expectation(
                expected, here.errors[k], float(np.abs(expected).max(initial=0.0)),
                float(np.abs(value).max(initial=0.0)), nearby.values[k],
                value.size + sum(leaf.size for leaf in subject.arrays),
                max((subject.dtype(n) for n in subject.names), key=_eps), subject.method.exact))


def _value_rows(subject: Subject, y: Any, of: str) -> Iterator[GradientRow]:
    """What vjp or jvp returns as y, against f(x)."""
    found = leaves_or_none(y, "y")
    for path in found.keys() - subject.outputs.keys():
        yield _misfit_row(path, of, "f does not return it")
    for path, expected in subject.outputs.items():
        problem = _misfit(found.get(path), expected)
        if problem:
            yield _misfit_row(path, of, problem)
        else:
            wide = expected.astype(np.promote_types(expected.dtype, np.float64))
            dtype = expected.dtype if expected.dtype.kind == "f" else np.dtype(np.float64)
            yield judged(path, of, found[path], Expectation(
                wide, np.zeros(wide.shape), 0.0, 1.0, wide, max(wide.size, 1), dtype, True))


def _misfits(subject: Subject, pulled: Mapping[str, dict[str, Any]]) -> Iterator[GradientRow]:
    """Cotangents of x that are missing, do not fit, or belong to nothing."""
    of = next(iter(pulled))
    for path in sorted(pulled[of].keys() - subject.inputs.keys()):
        yield _misfit_row(path, of, "the pullback returns it, but x has no such array")
    for name in subject.names:
        problem = next(filter(None, (_misfit(bars.get(name), subject.inputs[name])
                                     for bars in pulled.values())), "")
        if problem:
            yield _misfit_row(name, of, problem)


def _second_call_rows(subject: Subject, pullback: Callable[..., Any],
                      cotangents: Mapping[str, list[Array]],
                      pulled: Mapping[str, dict[str, Any]]) -> Iterator[GradientRow]:
    """The first cotangent pulled back once more: the same, and neither x nor w overwritten."""
    of, given = next(iter(cotangents.items()))
    w = [bar.copy() for bar in given]
    again = leaves_or_none(pullback(packed(subject.y, w)), "x")
    for name in subject.names:
        first, second = pulled[of].get(name), again.get(name)
        same = first is second or (first is not None and second is not None and
                                   np.array_equal(first, second, equal_nan=True))
        yield (GradientRow(name, "second call", 0.0, _EXACT) if same else _misfit_row(
            name, "second call", "the pullback, called again, gives another result"))
    changed = [path for path, a, b in zip(subject.outputs, w, given, strict=True)
               if not np.array_equal(a, b)]
    changed += [path for path, a, b in zip(subject.inputs, subject.arrays, subject.copies,
                                           strict=True) if not np.array_equal(a, b)]
    for path in changed:
        yield _misfit_row(path, "second call", "the pullback overwrites the array it was given")


def _misfit(found: Any, expected: Array) -> str:
    """What is wrong with the shape or number type; empty if nothing is."""
    if found is None:
        return "it is missing"
    if found.shape != expected.shape:
        return f"it has shape {list(found.shape)}, expected {list(expected.shape)}"
    if found.dtype != expected.dtype:
        return f"it is {found.dtype}, expected {expected.dtype}"
    return ""


def _misfit_row(array: str, of: str, problem: str) -> GradientRow:
    return GradientRow(array, of, float("inf"), _EXACT, f"{array}, {of}: {problem}.")


def _contracted(derivative: Derivative, w: Sequence[Array]) -> tuple[Any, Any, Any]:
    """(<J v, w>, its estimated error, the sum of its terms' sizes), in J v's number type."""
    value = error = terms = 0.0
    for j, e, bar in zip(derivative.values, derivative.errors, w, strict=True):
        where = bar != 0  # where w is zero, what is not known of J does not matter
        products = j[where] * bar[where]
        value, terms = value + products.sum(), terms + np.abs(products).sum()
        error += (e[where] * np.abs(bar[where])).sum()
    return value, error, terms


def _units(leaf: Array, sizes: Array) -> list[Array]:
    """The coordinate directions, as long as the numbers' sizes."""
    return [representable(leaf, _kept(sizes, np.array([k]))) for k in range(leaf.size)]


def _kept(array: Array, indices: Array) -> Array:
    """The array with all but the numbers at some flat indices set to zero."""
    result = np.zeros(array.size, dtype=array.dtype)
    result[indices] = array.reshape(-1)[indices]
    return result.reshape(array.shape)


def _eps(dtype: DType) -> float:
    return float(np.finfo(dtype).eps)
