"""The derivatives of a composition: the chain rule as walks.

A composition y = f_n(... f_1(x)) with log-det = sum of its parts' log-dets. Every part receives the
cotangent of its own output, and that of the total log-det, which enters the sum with the factor 1:

    reverse mode   bar_{k-1}, p_k_bar = pull_k(bar_k, log_det_bar),    k = n, ..., 1
    forward mode   dot_k, log_det_dot_k = jvp_k(dot_{k-1}, p_k_dot),   k = 1, ..., n

So the reverse mode of a walk is a walk the opposite way: cotangents take the route of the values
backwards, through structures too. A composition's two walks visit its parts in exactly opposite
orders, so what a part leaves for its pullback is kept on a stack.

Source: Griewank & Walther 2008, chapters 3 and 12.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from refglow.bijectors.log_det import sum_log_dets
from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import Array
from refglow.structure import map_structure

if TYPE_CHECKING:
    from refglow.bijectors.bijector import Bijector, Pull
    from refglow.bijectors.composition import Composition

Results: TypeAlias = tuple[Any, Any]


@dataclass(slots=True)
class Part:
    """One array on its way through a composition, with what is known about it.

    Attributes:
      array: its value.
      event_ndims: its event rank.
      redundant: whether it holds more numbers than degrees of freedom: the log-det of a later part
        is then suspect. It is kept where the composition reports that, and False elsewhere.
      dot: its tangent, in forward mode.
    """

    array: Array
    event_ndims: int
    redundant: bool = False
    dot: Any = None

    @property
    def event_size(self) -> int:
        """How many numbers one event has."""
        return math.prod(self.array.shape[self.array.ndim - self.event_ndims:])


array_of = operator.attrgetter("array")
event_ndims_of = operator.attrgetter("event_ndims")


def stored_vjp(composition: Composition, forward: bool, x: Any, event_ndims: Any,
               **kwargs: Any) -> tuple[Results, Pull]:
    """((value, log-det), pull), every part's pullback kept.

    Args:
      composition: what to differentiate.
      forward: whether in the direction forward.
      x: the arrays (structure).
      event_ndims: their event ranks (structure).
      **kwargs: passed to the parts, by their names.

    Returns:
      the results, the log-det [batch...] in nats; and the pull, which takes their cotangents, adds
      the parameters' to a `Cotangents` and returns that of x.

    Source: as the module.
    """
    pulls: list[tuple[Bijector, Pull]] = []

    def evaluate(part: Bijector, arrays: Any, ndims: Any, **kw: Any) -> Results:
        results, pull = part._event_vjp(forward, arrays, ndims, **kw)
        pulls.append((part, pull))
        return results

    results = composition._walk_with_log_det(evaluate, forward, x, event_ndims, **kwargs)
    return results, _pull_all(composition, forward, pulls)


def boundaries_vjp(composition: Composition, forward: bool, x: Any, event_ndims: Any,
                   **kwargs: Any) -> tuple[Results, Pull]:
    """((value, log-det), pull), every part's input kept; the part is evaluated again in `pull`.

    Args, Returns: as for `stored_vjp`.

    Source: Chen et al. 2016.
    """
    pulls: list[tuple[Bijector, Pull]] = []

    def evaluate(part: Bijector, arrays: Any, ndims: Any, **kw: Any) -> Results:
        def pull(y_bar: Any, log_det_bar: Any, bars: Cotangents) -> Any:
            return part._event_vjp(forward, arrays, ndims, **kw)[1](y_bar, log_det_bar, bars)
        pulls.append((part, pull))
        return part._event_values(forward, arrays, ndims, **kw)

    results = composition._walk_with_log_det(evaluate, forward, x, event_ndims, **kwargs)
    return results, _pull_all(composition, forward, pulls)


def _pull_all(composition: Composition, forward: bool,
              pulls: list[tuple[Bijector, Pull]]) -> Pull:
    """The parts' pullbacks, the last one first."""
    def pull(y_bar: Any, log_det_bar: Any, bars: Cotangents) -> Any:
        remaining = list(pulls)

        def back(part: Bijector, bar: Any, **_: Any) -> Any:
            visited, pull_part = remaining.pop()
            if visited is not part:
                raise RuntimeError(f"{composition.name}: its walks do not visit its parts in "
                                   f"opposite orders ({visited.name} and {part.name}).")
            return pull_part(bar, log_det_bar, bars)
        return composition._walk(not forward)(back, y_bar)
    return pull


@dataclass(frozen=True)
class _Rebuilt:
    """One array on its way back, with its cotangent and event rank."""

    array: Array
    bar: Array
    event_ndims: int


def pull_back_from_result(composition: Composition, forward: bool, y: Any, y_bar: Any,
                          log_det_bar: Any, event_ndims: Any, bars: Cotangents,
                          **kwargs: Any) -> tuple[Any, Any]:
    """(x, x_bar) from the result y: each part's input is rebuilt from its output.

    Args:
      composition, forward: as for `stored_vjp`.
      y, y_bar: the result (structure) and its cotangent.
      log_det_bar: that of the log-det.
      event_ndims: the event ranks of x.
      bars: takes the parameters' cotangents.
      **kwargs: passed to the parts, by their names.

    Source: Gomez et al. 2017, section 3.
    """
    def back(part: Bijector, results: Any, **kw: Any) -> Any:
        in_template, out_template = part._min_event_ndims(forward)
        ndims = part._event_ndims_after(
            not forward, map_structure(out_template, lambda r: r.event_ndims, results))
        arrays, array_bars = part._pull_back_from_result(
            forward, map_structure(out_template, lambda r: r.array, results),
            map_structure(out_template, lambda r: r.bar, results), log_det_bar, ndims, bars, **kw)
        return map_structure(in_template, _Rebuilt, arrays, array_bars, ndims)

    in_template, out_template = composition._min_event_ndims(forward)
    start = map_structure(out_template, _Rebuilt, y, y_bar,
                          composition._event_ndims_after(forward, event_ndims))
    inputs = composition._walk(not forward)(back, start, **kwargs)
    return (map_structure(in_template, lambda r: r.array, inputs),
            map_structure(in_template, lambda r: r.bar, inputs))


def walked_jvp(composition: Composition, forward: bool, x: Any, x_dot: Any, event_ndims: Any,
               tangents: Tangents, **kwargs: Any) -> tuple[Results, Results]:
    """((value, log-det), their tangents).

    Args:
      composition, forward, x, event_ndims, **kwargs: as for `stored_vjp`.
      x_dot: the tangent of x.
      tangents: those of the parameters.

    Source: as the module.
    """
    log_dets: list[Any] = []
    log_det_dots: list[Any] = []
    if not forward:
        composition._require_injective()

    def step(part: Bijector, inputs: Any, **kw: Any) -> Any:
        in_template, out_template = part._min_event_ndims(forward)
        arrays, array_dots, ndims = (
            map_structure(in_template, operator.attrgetter(field), inputs)
            for field in ("array", "dot", "event_ndims"))
        redundant = composition._check_redundancy(part, in_template, inputs)
        try:
            part._check_values(arrays, "x" if forward else "y", in_template)
            (values, log_det), (value_dots, log_det_dot) = part._event_jvp(
                forward, arrays, array_dots, ndims, tangents, **kw)
        except (ValueError, TypeError) as error:
            composition._say_where(error, part)
            raise
        log_dets.append(log_det)
        log_det_dots.append(log_det_dot)
        parts = composition._outputs(part, forward, inputs, values, ndims, redundant)
        return map_structure(out_template, lambda p, dot: replace(p, dot=dot), parts, value_dots)

    in_template, out_template = composition._min_event_ndims(forward)
    start = map_structure(in_template, lambda a, n, dot: Part(a, n, dot=dot), x, event_ndims,
                          x_dot)
    outputs = composition._walk(forward)(step, start, **kwargs)
    return ((map_structure(out_template, lambda m: m.array, outputs),
             sum_log_dets(log_dets, x, event_ndims, in_template)),
            (map_structure(out_template, lambda m: m.dot, outputs),
             sum_log_dets(log_det_dots, x, event_ndims, in_template)))
