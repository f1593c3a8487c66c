"""Compare refglow with the golden files: every bijector, every property, both number types."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.structure import iterate
from refglow.validation.cases import ALL_CASES, Case
from refglow.validation.conditioning import measured_condition
from refglow.validation.evaluate import evaluate, forget_data
from refglow.validation.golden import DTYPES, Golden
from refglow.validation.row import Row, compared
from refglow.validation.tolerances import agreement, rounding_layers


def golden_cases(only: str | None = None) -> list[Case]:
    """The cases with golden results; with `only`, those whose name begins with or equals it.

    Raises:
      ValueError: if there is none; lists those there are.
    """
    with_tfp = [case for case in ALL_CASES if case.tfp]
    chosen = [case for case in with_tfp
              if only is None or case.name.lower().startswith(only.lower())]
    if not chosen:
        names = sorted({case.bijector_name for case in with_tfp})
        raise ValueError(f"No bijector is called {only!r}; there are: {', '.join(names)}.")
    return chosen


def golden_rows(cases: list[Case]) -> Iterator[tuple[Case, list[Row]]]:
    """For each case, the rows of its comparison in all number types."""
    files = {dtype: Golden(dtype) for dtype in DTYPES}
    for case in cases:
        yield case, [row for dtype, golden in files.items()
                     for row in _compare(case, np.dtype(dtype), golden)]


def _compare(case: Case, dtype: Any, golden: Golden) -> list[Row]:
    judge, rows = golden_judge(case, dtype, golden), []
    for prop, actual in golden_results(case, golden).items():
        expected = golden.result(case.name, prop)
        if expected is None:
            raise ValueError(f"The golden file lacks {prop} of {case.name!r}; write it again.")
        rows.append(judge(prop, actual, expected))
    return rows


def golden_judge(case: Case, dtype: Any, golden: Golden) -> Callable[[str, Array, Array], Row]:
    """What compares a property of a case with what it should be: (its name, given, right) -> Row.

    Args:
      case: which.
      dtype: the number type that it was computed in.
      golden: the file with its inputs and parameters.
    """
    conditions = golden_conditions(case, golden)
    layers = rounding_layers(_with_state(case, dtype, golden)[0])

    def judge(prop: str, actual: Array, expected: Array) -> Row:
        tolerance = agreement(dtype, layers, conditions[prop])
        return compared(case.name, prop, dtype, actual, expected, tolerance, conditions[prop])
    return judge


def golden_results(case: Case, golden: Golden) -> dict[str, Array]:
    """refglow's properties of a case at a golden file's inputs and parameters, in its type."""
    bijector, arguments = _with_state(case, np.dtype(golden.metadata["dtype"]), golden)
    with _setting_on_purpose(case):
        return evaluate(bijector, *arguments)


def golden_conditions(case: Case, golden: Golden) -> dict[str, float]:
    """kappa of each property there."""
    wide, arguments = _with_state(case, np.float64, golden)
    with _setting_on_purpose(case):
        return conditions_of(wide, *arguments)


def _with_state(case: Case, dtype: Any, golden: Golden) -> tuple[Bijector, tuple[Any, ...]]:
    """The case's bijector with the golden parameters, and what `evaluate` takes beside it."""
    bijector, _, event_ndims = case.make(int(golden.metadata["seed"]), dtype)
    bijector.load_state_dict(golden.state(case.name))
    return bijector, (golden.input(case.name, "x"), golden.input(case.name, "y"), event_ndims,
                      forget_data if case.first_use else None)


@contextmanager
def _setting_on_purpose(case: Case) -> Iterator[None]:
    """No warning where samples set an ActNorm's parameters: in a case about its first use."""
    with warnings.catch_warnings():
        if case.first_use:
            warnings.simplefilter("ignore", UserWarning)
        yield


def conditions_of(bijector: Bijector, x: Any, y: Any, event_ndims: Any,
                  before_each: Callable[[Bijector], None] | None = None) -> dict[str, float]:
    """kappa of each property of a float64 bijector, at x and y; arguments as for `evaluate`."""
    x_parts, y_parts = ([np.asarray(leaf, np.float64) for _, leaf in iterate(value)]
                        for value in (x, y))

    def repack(parts: list[Any], like: Any) -> Any:
        return list(parts) if isinstance(like, (list, tuple)) else parts[0]

    names: list[str] = []

    def results(parts: Any) -> list[Any]:
        moved_x, moved_y = parts[:len(x_parts)], parts[len(x_parts):]
        found = evaluate(bijector, repack(moved_x, x), repack(moved_y, y), event_ndims,
                         before_each)
        names[:] = list(found)
        return list(found.values())

    conditions = measured_condition(bijector, results, x_parts + y_parts)
    return dict(zip(names, conditions, strict=True))
