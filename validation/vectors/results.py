"""Everything that a vector says about its operation, evaluated in one place.

Names of arrays, inputs first:

    params/NAME, param_dots/NAME
    D/input, D/value_bar, D/log_det_bar, D/input_dot              D: forward or inverse
    D/value, D/log_det
    D/vjp/input_bar, D/vjp/params/NAME                            the pullback of both cotangents
    D/jvp/value, D/jvp/log_det                                    along input_dot, parameters fixed
    D/jvp_of_params/value, D/jvp_of_params/log_det                along param_dots, input fixed

Where a map takes or gives several arrays, /0, /1, ... are appended to what belongs to each.
Networks, densities and functions have only D = forward, and no log_det; functions have no
derivatives, and D/NAME for each result. Of large results of some vectors only some numbers are kept
(`sampling.py`).

Cotangents and tangents are numbers of the counter-based generator, in the stream of their own name
(VECTOR/NAME).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors.bijector import Bijector
from refglow.distributions.distribution import Distribution
from refglow.dtypes import Array
from refglow.structure import is_nested, iterate, map_structure
from refglow.validation.vectors.draws import uniform
from refglow.validation.vectors.operations import is_function
from refglow.validation.vectors.sampling import sample_of
from refglow.validation.vectors.vector import Vector

Arrays = dict[str, Array]
ToNumber = Callable[[Array], Array]  # float32 numbers, in the number type to compute with


@dataclass(frozen=True)
class Evaluation:
    """A vector's arrays.

    Attributes:
      inputs: float32 (ints, bools): what the results are computed from.
      results: of the number type that it was computed with.
    """

    inputs: Arrays
    results: Arrays


def evaluated(vector: Vector, inputs: Mapping[str, Array], dtype: Any,
              to_number: ToNumber, backend: str = "spec") -> Evaluation:
    """Evaluate a vector's operation.

    Args:
      vector: which.
      inputs: its parameters and its D/input, float32.
      dtype: to build the operation with.
      to_number: from float32 arrays to those to compute with.
      backend: for `use_backend`; by default the specification.
    """
    subject = vector.build(dtype)
    if not is_function(subject):
        subject.load_state_dict({
            name: to_number(array) if array.dtype.kind == "f" else array
            for name, array in params_of(subject, inputs).items()})
    walk = _Walk(vector, subject, dict(inputs), to_number)
    with use_backend(backend):
        for direction in vector.directions:
            walk.evaluate(direction)
    return Evaluation(walk.inputs, walk.results)


def evaluated_in(vector: Vector, inputs: Mapping[str, Array], dtype: Any,
                 backend: str = "spec") -> Evaluation:
    """Evaluate a vector's operation in a floating-point type; overflow is a result like others.

    Args:
      vector, backend: as for `evaluated`.
      inputs: its parameters and its D/input, of any floating-point type (ints stay ints).
      dtype: float32 or float64.
    """
    number_type = np.dtype(dtype)
    with np.errstate(all="ignore"):
        return evaluated(vector, inputs, number_type, lambda array: array.astype(number_type),
                         backend)


def made_inputs(vector: Vector, given: Mapping[str, Array],
                results: Iterable[str], shape_of: Callable[[str], tuple[int, ...]]) -> Arrays:
    """All of a vector's inputs: the given ones, and the cotangents and tangents beside them.

    Nothing is evaluated: which there are follows from the results' names, and their shapes from the
    shapes of what they belong to.

    Args:
      vector: which.
      given: its parameters and its D/input, float32.
      results: the names of its results.
      shape_of: a result's shape, by its name.
    """
    names = set(results)
    shapes: dict[str, tuple[int, ...]] = {}
    for direction in vector.directions:
        if any(name.startswith(f"{direction}/vjp/") for name in names):
            shapes |= {_appended(name, "_bar"): shape_of(name) for name in names
                       if re.fullmatch(rf"{direction}/(value|log_det)(/\d+)?", name)}
        if any(name.startswith(f"{direction}/jvp/") for name in names):
            shapes |= {name.replace("/input", "/input_dot"): array.shape
                       for name, array in given.items() if name.startswith(f"{direction}/input")}
    if any("/jvp_of_params/" in name for name in names):
        shapes |= {f"param_dots/{variable.name}": tuple(variable.shape)
                   for variable in vector.build(np.float32).trainable_variables}
    return dict(given) | {name: made(vector, name, shape) for name, shape in shapes.items()}


def _appended(name: str, ending: str) -> str:
    """The ending after a name's second part: forward/value/0 becomes forward/value_bar/0."""
    direction, of, *place = name.split("/")
    return "/".join([direction, of + ending, *place])


def made(vector: Vector, name: str, shape: tuple[int, ...]) -> Array:
    """A cotangent or tangent, float32: the numbers of the stream of its name."""
    return uniform(f"{vector.name}/{name}", shape)


def is_derivative(name: str) -> bool:
    """Whether a result, by its name, is a cotangent or a derivative along a direction."""
    return any(part in name for part in ("/vjp/", "/jvp/", "/jvp_of_params/"))


def is_log_det(name: str) -> bool:
    """Whether a result, by its name, is a log-det or a derivative of one."""
    return re.search(r"/log_det(/\d+)?$", name) is not None


def params_of(subject: Any, inputs: Mapping[str, Array]) -> Arrays:
    """The state of a subject: what the vector has for it; ActNorms are initialized."""
    fixed = {name: np.ones_like(value) if value.dtype == bool else value
             for name, value in subject.state_dict().items()}
    return {name: inputs.get(f"params/{name}", value) for name, value in fixed.items()}


class _Walk:
    """One evaluation: collects inputs (with the tangents it makes) and results."""

    def __init__(self, vector: Vector, subject: Any, inputs: Arrays, to_number: ToNumber) -> None:
        self._vector, self._subject, self._to_number = vector, subject, to_number
        self.inputs = inputs
        self.results: Arrays = {}

    def evaluate(self, direction: str) -> None:
        x = self._input(direction)
        if is_function(self._subject):
            self.results |= {f"{direction}/{name}": array
                             for name, array in self._subject(x).items()}
        elif isinstance(self._subject, Bijector):
            self._bijector(direction, x)
        else:
            vjp, jvp = ((self._subject.log_prob_vjp, self._subject.log_prob_jvp)
                        if isinstance(self._subject, Distribution)
                        else (self._subject.vjp, self._subject.jvp))
            self._plain(direction, x, vjp, jvp)

    def _input(self, direction: str) -> Any:
        """An array, or a list of several."""
        name = f"{direction}/input"
        if name in self.inputs:
            return self._to_number(self.inputs[name])
        count = sum(given.startswith(f"{name}/") for given in self.inputs)
        return [self._to_number(self.inputs[f"{name}/{place}"]) for place in range(count)]

    def _bijector(self, direction: str, x: Any) -> None:
        ndims: Any = self._vector.event_ndims
        if direction == "inverse":
            ndims = self._subject.forward_event_ndims(ndims)
        self._bijector_at(direction, x, ndims)
        along = getattr(self._subject, f"{direction}_jvp")
        for name, dots in self._directions_of_change(direction, x):
            _, (value_dot, log_det_dot) = along(x, *dots, ndims)
            self._keep(f"{direction}/{name}/value", value_dot)
            self._keep(f"{direction}/{name}/log_det", log_det_dot)

    def _bijector_at(self, direction: str, x: Any, ndims: Any) -> None:
        """Value, log-det and pullback; what the pullback holds goes with it."""
        if "vjp" in self._vector.derivatives:
            (value, log_det), pullback = getattr(self._subject, f"{direction}_vjp")(x, ndims)
            self._keep_vjp(direction, *pullback(
                self._made(f"{direction}/value_bar", value),
                self._made(f"{direction}/log_det_bar", log_det)))
        else:
            value, log_det = getattr(self._subject, f"{direction}_and_log_det")(x, ndims)
        self._keep(f"{direction}/value", value)
        self._keep(f"{direction}/log_det", log_det)

    def _plain(self, direction: str, x: Array, vjp: Any, jvp: Any) -> None:
        """A network or a density: one value, no log-det."""
        value, pullback = vjp(x)
        self._keep(f"{direction}/value", value)
        self._keep_vjp(direction, *pullback(self._made(f"{direction}/value_bar", value)))
        for name, dots in self._directions_of_change(direction, x):
            self._keep(f"{direction}/{name}/value", jvp(x, *dots)[1])

    def _keep_vjp(self, direction: str, input_bar: Any, param_bars: Arrays) -> None:
        self._keep(f"{direction}/vjp/input_bar", input_bar)
        for name, bar in param_bars.items():
            self._keep(f"{direction}/vjp/params/{name}", bar)

    def _directions_of_change(self, direction: str, x: Any) -> list[tuple[str, Any]]:
        """(name, (input's tangent, parameters' tangents)): each moves alone."""
        found: list[tuple[str, Any]] = []
        if "jvp" in self._vector.derivatives:
            found.append(("jvp", (self._made(f"{direction}/input_dot", x), None)))
        if "jvp_of_params" not in self._vector.derivatives:
            return found
        dots = {variable.name: self._made(f"param_dots/{variable.name}", variable.numpy())
                for variable in self._subject.trainable_variables}
        if dots:
            still = map_structure(x, lambda part: self._to_number(
                np.zeros(part.shape, np.float32)), x)
            found.append(("jvp_of_params", (still, dots)))
        return found

    def _made(self, name: str, like: Any) -> Any:
        """Numbers of the stream of a name, as many as `like` has; kept as an input.

        Of several arrays, each has a stream. None for what there is not: the log-det of a map that
        is not injective.
        """
        if like is None:
            return None
        if is_nested(like):
            return type(like)(self._made(f"{name}/{place}", part)
                              for place, part in enumerate(like))
        if name not in self.inputs:
            self.inputs[name] = made(self._vector, name, np.shape(like))
        return self._to_number(self.inputs[name])

    def _keep(self, name: str, value: Any) -> None:
        if value is None:
            return
        for place, part in iterate(value):
            array = np.asarray(part)
            whole = f"{name}/{place}" if place else name
            sample = sample_of(self._vector, whole, array.shape)
            self.results[whole] = array if sample is None else sample.of(array)
