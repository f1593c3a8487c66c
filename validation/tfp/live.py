"""Functions of one framework called live by the other, where they cannot be rebuilt.

A network that is any callable stays in the framework it was written in:

    LiveNetwork       a TensorFlow callable as a refglow network (arrays in, arrays out)
    numpy_network     a NumPy callable as a network that TFP can call (tensors in, tensors out)

No gradient passes through `numpy_network`; where TensorFlow records one it raises rather than give
a gradient with that path missing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array, DType
from refglow.networks.network import Network
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors
from refglow.variable import Variable, _Cell


class _LiveCell(_Cell):
    """Storage inside a TensorFlow variable."""

    __slots__ = ("variable",)

    def __init__(self, variable: Any) -> None:
        self.variable, self.checks = variable, ()

    @property
    def array(self) -> Array:
        array = np.array(self.variable.numpy())
        array.flags.writeable = False
        return array

    @array.setter
    def array(self, value: Array) -> None:
        self.variable.assign(value)


class LiveVariable(Variable):
    """A handle on a TensorFlow variable: it is read and assigned there."""

    __slots__ = ()

    def __init__(self, variable: Any, name: str) -> None:
        """Name the variable."""
        self._cell = _LiveCell(variable)
        self.name, self.trainable = name, bool(variable.trainable)


def live_variables(function: Any) -> dict[str, Any]:
    """The tf.Variables that `function` says it has, by names made of theirs."""
    found = getattr(function, "variables", ())
    named: dict[str, Any] = {}
    for variable in found if isinstance(found, (list, tuple)) else ():
        if isinstance(variable, tensorflow().Variable):
            named[unused_name(name_of(variable), named)] = variable
    return named


def name_of(variable: Any) -> str:
    """A tf.Variable's name, written like a state name: "dense/kernel:0" is "dense.kernel"."""
    return str(variable.name).split(":")[0].replace("/", ".")


def unused_name(name: str, used: Any) -> str:
    """`name`, or if it is used `name`_1, `name`_2, ..."""
    candidate, k = name, 0
    while candidate in used:
        k += 1
        candidate = f"{name}_{k}"
    return candidate


class LiveNetwork(Network):
    """A callable on tensors, called on arrays [..., H, W, C]."""

    def __init__(self, network: Callable[..., Any], convert: Callable[[Any], Bijector]) -> None:
        """Hold the callable.

        Args:
          network: takes a tensor [N, H, W, C]; returns a tensor or a TFP bijector.
          convert: makes refglow bijectors of TFP's.
        """
        self._network, self._convert = network, convert
        self.__name__ = getattr(network, "__name__", type(network).__name__)

    def __call__(self, x: Array, **condition: Any) -> Any:
        """The output: an array, or a refglow bijector.

        Raises:
          TypeError: if x is not a floating array, or the output is neither tensor nor bijector.
        """
        tf = tensorflow()
        if x.dtype.kind != "f":
            raise TypeError(f"The network {self.__name__!r} runs in TensorFlow, which computes in "
                            f"floating point here; got an array of dtype {x.dtype}.")
        output = self._network(tf.constant(x.reshape(-1, *x.shape[-3:])), **condition)
        batch = x.shape[:-3]
        if isinstance(output, tfp_bijectors().Bijector):
            bijector = self._convert(output)
            return bijector if len(batch) == 1 else OnFlatBatch(bijector)
        if not tf.is_tensor(output):
            raise TypeError(f"The network {self.__name__!r} returned a {type(output).__name__}; "
                            "expected a tensor or a TFP bijector.")
        array = np.asarray(output)
        return array.reshape(batch + array.shape[1:])

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """Live handles on the variables that the callable says it has."""
        for name, variable in live_variables(self._network).items():
            yield name, LiveVariable(variable, name)


class OnFlatBatch(Bijector):
    """A bijector of images [N, H, W, C] applied to images with any batch dimensions."""

    def __init__(self, bijector: Bijector) -> None:
        """Wrap a bijector that acts on scalars or on channel vectors and keeps the rank."""
        self._bijector = bijector
        super().__init__(forward_min_event_ndims=bijector.forward_min_event_ndims,
                         inverse_min_event_ndims=bijector.inverse_min_event_ndims,
                         is_constant_jacobian=bijector.is_constant_jacobian, dtype=bijector.dtype,
                         members={"": bijector}, name=bijector.name,
                         parameters=dict(bijector=bijector))

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return self._flat(self._bijector._forward_and_event_log_det, x)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return self._flat(self._bijector._inverse_and_event_log_det, y)

    def _flat(self, evaluate: Callable[..., Any], x: Array) -> tuple[Array, Array]:
        batch, ndims = x.shape[:-3], self.forward_min_event_ndims
        value, log_det = evaluate(x.reshape(-1, *x.shape[-3:]), ndims)
        return (value.reshape(batch + value.shape[1:]),
                log_det.reshape(batch + log_det.shape[1:]))


def numpy_network(function: Callable[..., Any], twin: Callable[[Any], Any], dtype: DType) -> Any:
    """A callable on arrays as a tf.Module that is called on tensors.

    Args:
      function: takes an array (and further arguments); returns an array, a refglow bijector, or a
        tuple of those and None.
      twin: makes TFP bijectors of refglow's.
      dtype: the number type it computes in.

    Returns:
      the tf.Module. It has a variable `dtype_marker`, by which GlowBlock learns the number type;
      delete it when the block is built.
    """
    tf = tensorflow()

    def converted(output: Any) -> Any:
        if output is None:
            return None
        if isinstance(output, Bijector):
            return twin(output)
        if isinstance(output, tuple):
            return tuple(converted(part) for part in output)
        return tf.constant(np.asarray(output))

    class NumpyNetwork(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.dtype_marker = tf.Variable(tf.zeros((), dtype), trainable=False)

        def __call__(self, x: Any, *args: Any, **condition: Any) -> Any:
            record = importlib.import_module("tensorflow.python.eager.record")
            if not tf.executing_eagerly() or record.should_record_backprop([x]):
                raise NotImplementedError(
                    "This network is a NumPy function: TensorFlow can neither trace nor "
                    "differentiate it. Build it from refglow.networks' layers instead.")
            return converted(function(np.asarray(x), *args, **condition))

    return NumpyNetwork()
