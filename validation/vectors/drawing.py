"""Drawing a vector's parameters and inputs, when it is new; after that they are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.dtypes import Array
from refglow.validation.vectors.operations import is_function
from refglow.validation.vectors.results import params_of
from refglow.validation.vectors.vector import Vector


def drawn_inputs(vector: Vector) -> dict[str, Array]:
    """The float32 parameters and inputs, by their names in `results.py`."""
    subject = vector.build(np.float64)
    inputs = {} if is_function(subject) else {
        f"params/{name}": array for name, array in _drawn_state(vector, subject).items()}
    first = vector.directions[0]
    x = vector.draw(f"{vector.name}/{first}/input", vector.batch_shape + vector.event_shape)
    inputs[f"{first}/input"] = x
    if vector.directions == ("forward", "inverse"):
        subject.load_state_dict({name: _as_float64(array)
                                 for name, array in params_of(subject, inputs).items()})
        with use_backend("spec"):
            inputs["inverse/input"] = np.asarray(subject.forward(x.astype(np.float64)), np.float32)
    return inputs


def _drawn_state(vector: Vector, subject: Any) -> dict[str, Array]:
    trainable = {variable.name for variable in subject.trainable_variables}
    state = {}
    for name, value in subject.state_dict().items():
        if name in trainable:
            state[name] = vector.parameter(name, value.shape)
        elif value.dtype.kind == "i":
            state[name] = vector.parameter(name, value.shape).astype(value.dtype)
        elif value.dtype.kind == "f":
            state[name] = value.astype(np.float32)
    return state


def _as_float64(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array
