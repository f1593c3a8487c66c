"""Elementary bijectors and compositions, in both directions.

refglow's classes have TFP's names and arguments, so one table serves both ways: it says which
arguments hold numbers (which may be trainable variables) and which describe structure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow import bijectors as rgb
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import DType, is_weak
from refglow.structure import map_structure
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors, tfp_glow_parts
from refglow.variable import Variable

Convert = Callable[[Any], Any]


@dataclass(frozen=True)
class Arguments:
    """The arguments of a class, beside `validate_args` and `name`, which all have."""

    numbers: tuple[str, ...] = ()
    structure: tuple[str, ...] = ()


LEAVES: dict[str, Arguments] = {
    "AbsoluteValue": Arguments(),
    "Exp": Arguments(),
    "Expand": Arguments(structure=("input_shape", "block_size")),
    "Identity": Arguments(),
    "Log": Arguments(),
    "Pad": Arguments(("constant_values",), ("paddings", "mode", "axis")),
    "Permute": Arguments(("permutation",), ("axis",)),
    "Reciprocal": Arguments(),
    "Reshape": Arguments(structure=("event_shape_out", "event_shape_in")),
    "Scale": Arguments(("scale", "log_scale")),
    "ScaleMatvecLU": Arguments(("lower_upper", "permutation")),
    "Shift": Arguments(("shift",)),
    "Sigmoid": Arguments(("low", "high")),
    "Softplus": Arguments(("hinge_softness", "low")),
    "Split": Arguments(structure=("num_or_size_splits", "axis")),
    "Tanh": Arguments(),
    "Transpose": Arguments(structure=("perm", "rightmost_transposed_ndims")),
}


def leaf_from_tfp(kind: str, leaf: Any) -> Bijector:
    """The refglow bijector of class `kind` with the function of the TFP bijector `leaf`."""
    row, given = LEAVES[kind], leaf.parameters
    numbers = {name: _number_from_tfp(getattr(leaf, name), name) for name in row.numbers}
    structure = {name: _plain(given[name]) for name in row.structure}
    built: Bijector = getattr(rgb, kind)(**numbers, **structure, validate_args=leaf.validate_args,
                                         name=leaf.name)
    return built


def leaf_twin(kind: str, leaf: Bijector, dtype: DType) -> Any:
    """The TFP bijector of class `kind` with the function of the refglow bijector `leaf`."""
    row, given = LEAVES[kind], leaf.parameters
    arguments = {name: number_to_tfp(given[name], dtype) for name in row.numbers}
    arguments |= {name: given[name] for name in row.structure}
    arguments |= {"validate_args": leaf.validate_args, "name": leaf.name}
    if kind == "Pad":
        return _tfp_pad(**arguments)
    source = tfp_glow_parts() if kind == "Expand" else tfp_bijectors()
    return getattr(source, kind)(**arguments)


def _number_from_tfp(value: Any, name: str) -> Any:
    """A parameter as refglow holds it: a tf.Variable as a Variable, anything else as an array."""
    tf = tensorflow()
    if value is None:
        return None
    if isinstance(value, tf.Variable):
        return Variable(value.numpy(), name, trainable=bool(value.trainable))
    return np.asarray(tf.convert_to_tensor(value))


def number_to_tfp(value: Any, dtype: DType) -> Any:
    """A parameter as TFP holds it; one without a number type of its own gets `dtype`."""
    tf = tensorflow()
    if value is None:
        return None
    if isinstance(value, Variable):
        return tf.Variable(value.numpy(), trainable=value.trainable)
    array = np.asarray(value)
    return tf.constant(array.astype(dtype) if is_weak(value) and array.dtype.kind == "f" else array)


def _plain(value: Any) -> Any:
    """A tensor as nested lists; anything else as it is."""
    return np.asarray(value).tolist() if hasattr(value, "numpy") else value


def _tfp_pad(paddings: Any, mode: str, constant_values: Any, axis: Any, validate_args: bool,
             name: str) -> Any:
    """tfb.Pad, built without its constructor.

    TFP 0.25's constructor calls np.reshape(newshape=...), which NumPy 2.4 no longer has. Only that
    line fails; what follows sets what it would have set.
    """
    tf, tfb = tensorflow(), tfp_bijectors()
    axes = list(range(-len(paddings), 0)) if axis is None else [int(a) for a in np.atleast_1d(axis)]
    pad = tfb.Pad.__new__(tfb.Pad)
    pad._axis, pad._paddings = tf.constant(axes), tf.constant(np.asarray(paddings, np.int32))
    pad._mode, pad._constant_values = mode, constant_values
    tfb.Bijector.__init__(
        pad, forward_min_event_ndims=-min(axes), inverse_min_event_ndims=-min(axes),
        is_constant_jacobian=True, validate_args=validate_args, name=name,
        parameters=dict(paddings=paddings, mode=mode, constant_values=constant_values, axis=axis,
                        validate_args=validate_args, name=name))
    return pad


# ---- compositions: by kind, a function of (bijector, how to convert its parts) -------------------

COMPOSITIONS_FROM_TFP: dict[str, Callable[[Any, Convert], Bijector]] = {
    "Invert": lambda b, convert: rgb.Invert(
        convert(b.bijector), validate_args=b.validate_args, name=b.name),
    "Chain": lambda b, convert: rgb.Chain(
        [convert(part) for part in b.bijectors], validate_args=b.validate_args,
        validate_event_size=b.validate_event_size, name=b.name),
    "JointMap": lambda b, convert: rgb.JointMap(
        _converted_structure(b.bijectors, convert), validate_args=b.validate_args, name=b.name),
    "Blockwise": lambda b, convert: rgb.Blockwise(
        [convert(part) for part in b.bijectors], _plain(b.parameters["block_sizes"]),
        validate_args=b.validate_args, name=b.name),
}

COMPOSITION_TWINS: dict[str, Callable[[Any, Convert], Any]] = {
    "Invert": lambda b, convert: tfp_bijectors().Invert(
        convert(b.bijector), validate_args=b.validate_args, name=b.name),
    "Squeeze": lambda b, convert: COMPOSITION_TWINS["Invert"](b, convert),
    "Chain": lambda b, convert: tfp_bijectors().Chain(
        [convert(part) for part in b.bijectors], validate_args=b.validate_args,
        validate_event_size=b.validate_event_size, name=b.name),
    "JointMap": lambda b, convert: tfp_bijectors().JointMap(
        map_structure(b.bijectors, convert, b.bijectors), validate_args=b.validate_args,
        name=b.name),
    "Blockwise": lambda b, convert: tfp_bijectors().Blockwise(
        [convert(part) for part in b.bijectors], b.block_sizes, validate_args=b.validate_args,
        name=b.name),
}


def _converted_structure(structure: Any, convert: Convert) -> Any:
    """The parts converted; TensorFlow's tracking wrappers of lists, tuples and dicts undone."""
    structure = getattr(structure, "__wrapped__", structure)
    if isinstance(structure, dict):
        return {key: _converted_structure(part, convert) for key, part in structure.items()}
    if hasattr(structure, "_fields"):
        return type(structure)(*(_converted_structure(part, convert) for part in structure))
    if isinstance(structure, (list, tuple)):
        kind = tuple if isinstance(structure, tuple) else list
        return kind(_converted_structure(part, convert) for part in structure)
    return convert(structure)
