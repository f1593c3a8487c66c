"""TFP's float32 results for golden vectors: its own classes, made of refglow's by `tfp_twin`.

Gradients are by TensorFlow's tape, of the input and of all variables; which is which parameter is
told by their numbers. Networks are Keras', densities tfp.distributions'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refglow.bijectors import ExitBijector, Glow
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.networks import Network
from refglow.structure import iterate
from refglow.validation.tfp import tfp_twin
from refglow.validation.tfp.framework import tensorflow, tfp_distributions
from refglow.validation.tfp.networks import flattened_layers, keras_stack
from refglow.validation.vectors.libraries.lacking_error import LackingError
from refglow.validation.vectors.operations import is_function
from refglow.validation.vectors.results import Arrays, params_of
from refglow.validation.vectors.vector import Vector


def results_of(vector: Vector, inputs: Mapping[str, Array]) -> Arrays:
    """Values, log-dets and gradients of inputs, by their names in `results.py`; float32.

    Args:
      vector: which.
      inputs: all that it has, cotangents included.

    Raises:
      ImportError: if TFP is not installed.
      LackingError: if it has no such map, or computes another one.
    """
    subject = vector.build(np.float32)
    if is_function(subject):
        raise LackingError("its ActNorm adds a constant of its own to the deviations")
    subject.load_state_dict(params_of(subject, inputs))
    if isinstance(subject, Bijector):
        _require_same_map(subject)
        twin = tfp_twin(subject, np.float32)
        return {name: array for direction in vector.directions
                for name, array in _of_bijector(vector, subject, twin, direction, inputs).items()}
    function, holder = _keras(subject, vector) if isinstance(subject, Network) else _density(
        vector, subject, inputs)
    return _of_function(function, holder, inputs)


def _require_same_map(subject: Bijector) -> None:
    """Raise LackingError where TFP's Glow departs from its documentation."""
    if isinstance(subject, Glow):
        splits = [tuple(split[:2]) for split in subject.blockwise_splits]
    elif isinstance(subject, ExitBijector):
        splits = [tuple(subject.parameters["blockwise_splits"][:2])]
    else:
        return
    for leave, grab in splits:
        if grab and leave and leave != grab:
            raise LackingError("uneven exits are another map there (erratum exit-slice)")
        if isinstance(subject, Glow) and not leave:
            raise LackingError("not all channels can exit there (erratum exit-all)")


def _of_bijector(vector: Vector, subject: Bijector, twin: Any, direction: str,
                 inputs: Mapping[str, Array]) -> Arrays:
    tf = tensorflow()
    ndims: Any = vector.event_ndims
    if direction == "inverse":
        ndims = subject.forward_event_ndims(ndims)
    names = sorted(name for name in inputs if name.startswith(f"{direction}/input")
                   and not name.startswith(f"{direction}/input_"))
    parts = [tf.constant(inputs[name]) for name in names]
    given = parts[0] if names == [f"{direction}/input"] else parts
    with tf.GradientTape() as tape:
        tape.watch(parts)
        value = getattr(twin, direction)(given)
        results = {_named(f"{direction}/value", place): part for place, part in iterate(value)}
        if subject.is_injective or direction == "inverse":
            log_det = getattr(twin, f"{direction}_log_det_jacobian")(given, ndims)
            results |= {_named(f"{direction}/log_det", place): tf.broadcast_to(
                part, vector.batch_shape) for place, part in iterate(log_det)}
        total = _total(results, inputs)
    sources = {name.replace("/input", "/vjp/input_bar"): part
               for name, part in zip(names, parts, strict=True)}
    sources |= _variables(twin, direction, inputs)
    return _with_gradients(results, total, sources, tape)


def _of_function(function: Callable[[Any], Any], holder: Any,
                 inputs: Mapping[str, Array]) -> Arrays:
    """Of a network or a density, whose variables `holder` has."""
    tf = tensorflow()
    x = tf.constant(inputs["forward/input"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        results = {"forward/value": function(x)}
        total = _total(results, inputs)
    sources = {"forward/vjp/input_bar": x} | _variables(holder, "forward", inputs)
    return _with_gradients(results, total, sources, tape)


def _with_gradients(results: Mapping[str, Any], total: Any, sources: Mapping[str, Any],
                    tape: Any) -> Arrays:
    gradients = {} if total is None else tape.gradient(total, dict(sources),
                                                       unconnected_gradients="zero")
    return {name: np.asarray(tensor) for name, tensor in (dict(results) | gradients).items()}


def _variables(holder: Any, direction: str, inputs: Mapping[str, Array]) -> dict[str, Any]:
    """TensorFlow's variables, by the names of their gradients.

    A variable is the parameter that has its numbers; where several have the same, it is none.
    """
    found: dict[str, Any] = {}
    for variable in getattr(holder, "trainable_variables", ()):
        names = [name for name, array in inputs.items() if name.startswith("params/")
                 and np.array_equal(array, variable.numpy())]
        if len(names) == 1:
            found[f"{direction}/vjp/{names[0]}"] = variable
    return found


def _total(results: Mapping[str, Any], inputs: Mapping[str, Array]) -> Any:
    """The sum of all results times their cotangents; None where there are none."""
    tf, total = tensorflow(), None
    for name, result in results.items():
        direction, of, *place = name.split("/")
        bar = "/".join([direction, f"{of}_bar", *place])
        if bar in inputs:
            term = tf.reduce_sum(result * inputs[bar])
            total = term if total is None else total + term
    return total


def _named(name: str, place: str) -> str:
    return f"{name}/{place}" if place else name


def _keras(network: Network, vector: Vector) -> tuple[Callable[[Any], Any], Any]:
    layers = list(flattened_layers(network))
    [shape] = vector.event_shapes.values()
    stack = keras_stack(layers, shape, np.dtype(np.float32))
    stack.set_weights([variable.numpy() for _, layer in layers
                       for _, variable in layer.named_variables()])
    return stack, stack


def _density(vector: Vector, subject: Any,
             inputs: Mapping[str, Array]) -> tuple[Callable[[Any], Any], Any]:
    tfd, params = tfp_distributions(), params_of(subject, inputs)
    if vector.operation == "GlowDensity":
        _require_same_map(subject.bijector)
        normal = tfd.Normal(np.float32(0), np.float32(1))
        size = [vector.size]
        twin = tfp_twin(subject.bijector, np.float32)
        return tfd.TransformedDistribution(tfd.Sample(normal, size), twin).log_prob, twin
    prefix = "" if vector.operation == "Normal" else "distribution."
    normal = tfd.Normal(*(tensorflow().Variable(params[f"{prefix}{name}"])
                          for name in ("loc", "scale")))
    kinds = {"Normal": lambda: normal,
             "Independent": lambda: tfd.Independent(normal, len(vector.event_shape)),
             "Sample": lambda: tfd.Sample(normal, vector.arguments.get("sample_shape"))}
    return kinds[vector.operation]().log_prob, normal
