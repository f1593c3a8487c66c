"""Errata about number types."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.errata.scene import affine, default_networks, glow, images
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors


def _double(network: Any) -> Any:
    return functools.partial(network, dtype=np.float64)


def _narrowed_tfp() -> Demonstration:
    model = glow(tfp_bijectors(), **default_networks(tfp_bijectors()))
    z = model.inverse(images(2, dtype=np.float64))
    return Demonstration(f"dtype {model.dtype}; float64 images give latents of {z.dtype.name}",
                         model.dtype is None and z.dtype.name == "float32")


def _narrowed_refglow() -> Demonstration:
    return raises(lambda: glow().inverse(images(2, dtype=np.float64)), TypeError,
                  "computes in float32", "astype('float32')")


NARROWED = Erratum(
    identifier="float64-narrowed",
    title="float64 images silently become float32",
    where="forward and inverse, Raises; attribute dtype",
    documented="TypeError if dtype is specified and the input has another.",
    tfp_does="Glow's dtype is None, so nothing is checked; a NumPy float64 batch is rounded to "
             "the float32 of its networks.",
    refglow_does="Glow has a dtype; another floating type is a TypeError with the cast to write.",
    follows="documentation", show_tfp=_narrowed_tfp, show_refglow=_narrowed_refglow)


def _closure_tfp() -> Demonstration:
    model = glow(tfp_bijectors(), _double(affine), use_actnorm=False)
    widths = {variable.dtype.name for variable in model.trainable_variables}
    outcome = attempt(lambda: model.inverse(tensorflow().constant(images(1, dtype=np.float64))))
    return Demonstration(f"1x1 convolutions of {widths}; float64 tensor: {outcome}",
                         widths == {"float32"}
                         and outcome.raised(ValueError, "requested dtype float32"))


def _closure_refglow() -> Demonstration:
    model = glow(network=_double(affine), use_actnorm=False, dtype=np.float64)
    x = images(1, dtype=np.float64)
    z = model.inverse(x)
    error = float(np.abs(model.forward(z) - x).max())
    return Demonstration(f"{z.dtype} latents, round-trip error {error:.1g}",
                         z.dtype == np.float64 and error < 1e-12)


CLOSURE = Erratum(
    identifier="float64-plain-function",
    title="A float64 network without Keras variables cannot be used",
    where="Glow, argument coupling_bijector_fn",
    documented="A callable network, Keras for example.",
    tfp_does="Takes the number type of the 1x1 convolutions from the network's tracked "
             "variables; if there are none it is float32, whatever the network computes in.",
    refglow_does="Glow's argument dtype decides.",
    follows="documentation", show_tfp=_closure_tfp, show_refglow=_closure_refglow)


def _default_tfp() -> Demonstration:
    library = tfp_bijectors()
    return raises(lambda: library.GlowDefaultNetwork((2, 2, 6), dtype="float64"), TypeError,
                  "dtype")


def _default_refglow() -> Demonstration:
    network = tfb.GlowDefaultNetwork((2, 2, 6), num_hidden=4, dtype=np.float64)
    dtypes = {str(variable.dtype) for variable in network.trainable_variables}
    return Demonstration(f"weights of {dtypes}", dtypes == {"float64"})


DEFAULT_NETWORK = Erratum(
    identifier="float64-default-network",
    title="The default networks cannot be asked for float64",
    where="GlowDefaultNetwork, signature",
    documented="Nothing restricts Glow to float32.",
    tfp_does="The networks take no dtype; only Keras' global floatx changes it.",
    refglow_does="The networks take dtype, and Glow passes its own.",
    follows="neither", show_tfp=_default_tfp, show_refglow=_default_refglow)


def _log_det_dtypes(library: Any) -> dict[str, str]:
    x = np.ones((5, 3))
    split = library.Split([1, 2]).forward_log_det_jacobian(x, 1)
    empty = library.Chain([]).forward_log_det_jacobian(x, 1)
    return {"Split": np.asarray(split).dtype.name, "empty Chain": np.asarray(empty).dtype.name}


def _zero_tfp() -> Demonstration:
    dtypes = _log_det_dtypes(tfp_bijectors())
    return Demonstration(f"float64 input: {dtypes}", set(dtypes.values()) == {"float32"})


def _zero_refglow() -> Demonstration:
    dtypes = _log_det_dtypes(tfb)
    return Demonstration(f"float64 input: {dtypes}", set(dtypes.values()) == {"float64"})


ZERO = Erratum(
    identifier="zero-log-det-dtype",
    title="Log-dets of zero are float32 whatever the input",
    where="forward_log_det_jacobian, inverse_log_det_jacobian: returns",
    documented="A tensor for the input's events; elsewhere its dtype is the input's.",
    tfp_does="Split and an empty Chain return float32 for float64 input.",
    refglow_does="The input's number type.",
    follows="documentation", show_tfp=_zero_tfp, show_refglow=_zero_refglow)


def _mixed(library: Any, composition: str) -> Any:
    scales = [library.Scale(np.float32(2)), library.Scale(np.float64(2))]
    return getattr(library, composition)(scales)


def _mixed_tfp() -> Demonstration:
    made = [attempt(functools.partial(_mixed, tfp_bijectors(), c)) for c in ("Chain", "JointMap")]
    return Demonstration("Chain and JointMap of a float32 and a float64 Scale are built",
                         all(outcome.error is None for outcome in made))


def _mixed_refglow() -> Demonstration:
    made = [attempt(functools.partial(_mixed, tfb, c)) for c in ("Chain", "JointMap")]
    return Demonstration(str(made[0]), all(outcome.raised(ValueError, "different dtypes")
                                           for outcome in made))


MIXED = Erratum(
    identifier="mixed-dtypes",
    title="Compositions of different number types are built without an error",
    where="Chain and JointMap, Raises",
    documented="ValueError if the bijectors have different dtypes.",
    tfp_does="No error until one of the parts is applied.",
    refglow_does="ValueError.",
    follows="documentation", show_tfp=_mixed_tfp, show_refglow=_mixed_refglow)


def _factors(library: Any) -> Any:
    return library.ScaleMatvecLU(np.asarray([[1, 2], [0.5, 1 / 3]]), [0, 1])


def _factors_tfp() -> Demonstration:
    library = tfp_bijectors()
    rounded = _factors(library).lower_upper.dtype.name
    scale = library.Scale(np.float64(1 / 3)).dtype.name
    return Demonstration(f"float64 factors become {rounded}; a Scale's float64 stays {scale}",
                         (rounded, scale) == ("float32", "float64"))


def _factors_refglow() -> Demonstration:
    matrix = _factors(tfb)
    third = float(np.asarray(matrix.lower_upper)[1, 1])
    return Demonstration(f"{matrix.forward_dtype()}, 1/3 is kept as {third!r}",
                         matrix.forward_dtype() == np.float64 and third == 1 / 3)


FACTORS = Erratum(
    identifier="lu-array-float32",
    title="ScaleMatvecLU rounds a float64 array to float32",
    where="ScaleMatvecLU, argument lower_upper",
    documented="The factors as tf.linalg.lu returns them; other bijectors keep the number type of "
               "their parameters.",
    tfp_does="A NumPy float64 array silently becomes float32; only tensors and variables stay "
             "float64.",
    refglow_does="The factors keep their number type.",
    follows="neither", show_tfp=_factors_tfp, show_refglow=_factors_refglow)


def _identity_tfp() -> Demonstration:
    identity, x = tfp_bijectors().Scale(), np.asarray([1 / 3])
    y = np.asarray(identity.forward(x))
    tensor = attempt(lambda: identity.forward(tensorflow().constant(x)))
    return Demonstration(f"Scale().forward of NumPy's float64 1/3 is {y.tolist()}, {y.dtype}; of "
                         f"a tensor: {tensor}",
                         y.dtype == np.float32 and y[0] != x[0]
                         and tensor.raised(ValueError, "requested dtype float32"))


def _identity_refglow() -> Demonstration:
    x = np.asarray([1 / 3])
    y = tfb.Scale().forward(x)
    return Demonstration(f"{y.tolist()}, {y.dtype}", y.dtype == np.float64 and y[0] == x[0])


IDENTITY = Erratum(
    identifier="scale-neither-float32",
    title="A Scale without a scale rounds to float32",
    where="Scale, argument log_scale",
    documented="With None no scale is applied.",
    tfp_does="Takes its number type to be float32: a NumPy float64 array is rounded silently, a "
             "float64 tensor is a ValueError.",
    refglow_does="The identity, in the input's number type.",
    follows="documentation", show_tfp=_identity_tfp, show_refglow=_identity_refglow)

ERRATA = (NARROWED, CLOSURE, DEFAULT_NETWORK, ZERO, MIXED, FACTORS, IDENTITY)
