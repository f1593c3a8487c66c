"""Drawing a vector's parameters and inputs, when it is new; after that they are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.vectors.operations import is_function
from refglow.validation.vectors.results import evaluated_in
from refglow.validation.vectors.sampling import sampled_inputs
from refglow.validation.vectors.vector import Vector


def drawn_inputs(vector: Vector) -> dict[str, Array]:
    """The float32 parameters and inputs, by their names in `results.py`."""
    subject = vector.build(np.float32)
    inputs = {} if is_function(subject) else {
        f"params/{name}": array for name, array in _drawn_state(vector, subject).items()}
    first = vector.directions[0]
    for place, shape in vector.event_shapes.items():
        name = f"{first}/input{place}"
        inputs[name] = vector.draw(f"{vector.name}/{name}", vector.batch_shape + shape)
    if vector.sampled:
        inputs |= sampled_inputs(vector)
    elif vector.directions == ("forward", "inverse"):
        values_alone = replace(vector, directions=("forward",), derivatives=())
        forward = evaluated_in(values_alone, inputs, np.float64).results
        inputs |= {name.replace("forward/value", "inverse/input"): array.astype(np.float32)
                   for name, array in forward.items() if name.startswith("forward/value")}
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
