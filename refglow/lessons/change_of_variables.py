"""Lesson 1, change of variables in one dimension: an exercise for any map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.lessons.comparison import require_close
from refglow.lessons.exercise import Exercise

TASK = """Write `log_prob(y, log_p, inverse, slope)`, the log-density of `y = f(x)` for any map `f`
that can be undone. You are given an array `y` and three functions: `log_p(x)`, the log-density of
`x`; `inverse(y)`, the `x` that `f` takes to `y`; and `slope(x)`, the derivative `f'(x)`, which may
be negative. Return an array of the shape of `y`, in nats."""

Function = Callable[[Array], Array]


def log_prob(y: Array, log_p: Function, inverse: Function, slope: Function) -> Array:
    """The density where y came from, thinned by how much f stretches there."""
    x = inverse(y)
    return log_p(x) - np.log(np.abs(slope(x)))


def _judge(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(1)
    for name, forward, inverse, slope in _maps(rng):
        for base, log_p in _DENSITIES.items():
            x = rng.normal(size=5)
            y = forward(x)
            require_close("log_prob", answer(y.copy(), log_p, inverse, slope),
                          log_prob(y, log_p, inverse, slope),
                          given=f"y = {name} and {base}, at y = {np.array2string(y, precision=3)}",
                          mistakes=_mistakes(x, y, log_p, slope))
    return "It has the density of every map, rising or falling, and of every x."


_DENSITIES: dict[str, Function] = {
    "x normal": lambda x: -0.5 * x**2 - 0.5 * np.log(2 * np.pi),
    "x logistic": lambda x: -x - 2 * np.log1p(np.exp(-x)),
}


def _maps(rng: np.random.Generator) -> Iterator[tuple[str, Function, Function, Function]]:
    """(f in words, f, its inverse, its slope): rising first, with numbers of their own."""
    a, b = rng.uniform(1.5, 3, size=2).round(1)
    yield f"{a} x", lambda x: a * x, lambda y: y / a, lambda x: np.full_like(x, a)
    yield "sinh(x)", np.sinh, np.arcsinh, np.cosh
    yield (f"exp({b} x)", lambda x: np.exp(b * x), lambda y: np.log(y) / b,
           lambda x: b * np.exp(b * x))
    yield (f"1 - {a} x", lambda x: 1 - a * x, lambda y: (1 - y) / a,
           lambda x: np.full_like(x, -a))
    yield "exp(-x)", lambda x: np.exp(-x), lambda y: -np.log(y), lambda x: -np.exp(-x)


def _mistakes(x: Array, y: Array, log_p: Function, slope: Function) -> dict[str, Array]:
    stretch = np.log(np.abs(slope(x)))
    with np.errstate(invalid="ignore"):
        without_absolute = log_p(x) - np.log(slope(x))
    return {
        "That is the density of x alone: the stretching is missing.": log_p(x),
        "The sign of the log-det is wrong: where f stretches (|f'| > 1), the same probability is "
        "spread over a longer interval, and the density falls.": log_p(x) + stretch,
        "A falling f has a negative slope, but lengths are not negative: take |f'(x)|.":
            without_absolute,
        "The slope was taken at y. f' is a function of x: call slope(inverse(y)).":
            log_p(x) - np.log(np.abs(slope(y))),
        "log_p was called with y. It is the density of x: call log_p(inverse(y)).":
            log_p(y) - stretch,
        "The slope itself was subtracted, not its logarithm.": log_p(x) - np.abs(slope(x)),
        "That is the density. Its logarithm was asked for.": np.exp(log_p(x) - stretch),
    }


exercise = Exercise(TASK, _judge, log_prob)
