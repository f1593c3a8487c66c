"""Coupling layers, and the affine maps that Glow's networks control, in both directions.

What decides a TFP RealNVP's map is an opaque function: it is called live. In the other direction
refglow's own template is rebuilt in Keras; any other function is called live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from refglow import bijectors as rgb
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array, DType
from refglow.networks import Dense, ReLU
from refglow.networks.real_nvp_template import RealNVPTemplate
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors, tfp_deferred_tensor
from refglow.validation.tfp.leaves import Convert, number_to_tfp
from refglow.validation.tfp.live import LiveVariable, live_variables, numpy_network
from refglow.validation.tfp.networks import keras_stack, network_variables
from refglow.variable import Variable


class LiveBijectorFn:
    """A TFP RealNVP's bijector_fn, called on arrays."""

    def __init__(self, real_nvp: Any, convert: Convert) -> None:
        """Hold the coupling layer whose function it is."""
        self._real_nvp, self._convert = real_nvp, convert

    def __call__(self, x0: Array, output_units: int, **condition: Any) -> Bijector:
        """The refglow bijector for the mapped channels."""
        bijector: Bijector = self._convert(self._real_nvp._bijector_fn(
            tensorflow().constant(x0), output_units, **condition))
        return bijector

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """Live handles on the coupling layer's variables."""
        for name, variable in live_variables(self._real_nvp).items():
            yield name, LiveVariable(variable, name)


def real_nvp_from_tfp(real_nvp: Any, convert: Convert) -> Bijector:
    """The refglow RealNVP whose function is called live."""
    given = real_nvp.parameters
    return rgb.RealNVP(
        num_masked=given["num_masked"], fraction_masked=given["fraction_masked"],
        bijector_fn=LiveBijectorFn(real_nvp, convert),
        is_constant_jacobian=real_nvp.is_constant_jacobian, validate_args=real_nvp.validate_args,
        name=real_nvp.name)


def real_nvp_twin(real_nvp: rgb.RealNVP, twin: Convert, dtype: DType) -> Any:
    """TFP's RealNVP with the same function in it, rebuilt or live."""
    given = real_nvp.parameters
    template = given["shift_and_log_scale_fn"]
    functions = {"bijector_fn": given["bijector_fn"], "shift_and_log_scale_fn": template}
    if isinstance(template, RealNVPTemplate):
        network, functions["shift_and_log_scale_fn"] = _template_twin(template)
    else:
        functions = {name: function and numpy_network(function, twin, dtype)
                     for name, function in functions.items()}
        network = None
    built = tfp_bijectors().RealNVP(
        num_masked=given["num_masked"], fraction_masked=given["fraction_masked"], **functions,
        is_constant_jacobian=real_nvp.is_constant_jacobian, validate_args=real_nvp.validate_args,
        name=real_nvp.name)
    built.network = network  # an attribute, so that TensorFlow counts its variables as built's
    return built


def _template_twin(template: RealNVPTemplate) -> tuple[Any, Callable[..., Any]]:
    """(the Keras network with the template's weights, the shift_and_log_scale_fn it makes).

    Raises:
      ValueError: if the template has no layers yet.
      TypeError: if its activation has no counterpart.
    """
    tf, state = tensorflow(), dict(template.named_variables())
    if template.network is None:
        raise ValueError("This real_nvp_default_template has no layers yet: they are built when it "
                         "is first called. Use the bijector once, then convert it.")
    layers = template.network.layers
    other = [layer for layer in layers.values() if type(layer) not in (Dense, ReLU)]
    if other:
        raise TypeError("Only the activations relu and None of a real_nvp_default_template have a "
                        f"counterpart here; got {other[0]!r}.")
    inputs = state["dense0.kernel"].shape[0]
    network = keras_stack(list(layers.items()), (inputs,), state["dense0.kernel"].dtype)
    for name, variable in network_variables(network, (inputs,)).items():
        variable.assign(state[name].numpy())

    def shift_and_log_scale(x0: Any, output_units: int) -> tuple[Any, Any]:
        flat = network(tf.reshape(x0, [-1, inputs]))
        y = tf.reshape(flat, tf.concat([tf.shape(x0)[:-1], [-1]], axis=0))
        y = tf.ensure_shape(y, [*x0.shape[:-1], flat.shape[-1]])
        return (y, None) if flat.shape[-1] == output_units else tuple(tf.split(y, 2, axis=-1))
    return network, shift_and_log_scale


def affine_twin(affine: Bijector, dtype: DType) -> Any:
    """SigmoidAffine or ExpAffine as TFP's Glow makes it: Shift(t)(Scale(s(r + 2)))."""
    tf, tfb, given = tensorflow(), tfp_bijectors(), affine.parameters
    raw_scale, shift = (number_to_tfp(given[name], dtype) for name in ("raw_scale", "shift"))
    squash = tf.nn.sigmoid if isinstance(affine, rgb.SigmoidAffine) else tf.exp
    scale = tfp_deferred_tensor()(raw_scale, lambda raw: squash(raw + 2.0))
    return tfb.Chain([tfb.Shift(shift), tfb.Scale(scale)], name=affine.name)
