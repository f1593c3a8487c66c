"""Errata about the interface that all bijectors share."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.dtypes import Array
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.errata.scene import additive, glow, images
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors


def _static_tfp() -> Demonstration:
    return raises(lambda: glow(tfp_bijectors()).has_static_min_event_ndims, AttributeError,
                  "has_static_min_event_ndims")


def _static_refglow() -> Demonstration:
    value = glow().has_static_min_event_ndims
    return Demonstration(f"has_static_min_event_ndims = {value}", value is True)


HAS_STATIC = Erratum(
    identifier="has-static-min-event-ndims",
    title="has_static_min_event_ndims does not exist",
    where="Glow, attributes",
    documented="The attribute says whether min_event_ndims are statically known.",
    tfp_does="TFP 0.25 has no such attribute.",
    refglow_does="It is True.",
    follows="documentation", show_tfp=_static_tfp, show_refglow=_static_refglow)


def _log_det_shapes(library: Any) -> dict[str, tuple[int, ...]]:
    x = np.ones((5, 3), np.float32)
    model = glow(library, additive, use_actnorm=False)
    return {"Scale(2.)": tuple(library.Scale(2.0).forward_log_det_jacobian(x, 1).shape),
            "Reshape": tuple(library.Reshape([3, 1], [3]).forward_log_det_jacobian(x, 1).shape),
            "additive Glow": tuple(model.inverse_log_det_jacobian(images(5), 3).shape)}


def _shape_tfp() -> Demonstration:
    shapes = _log_det_shapes(tfp_bijectors())
    return Demonstration(f"batches of 5 give {shapes}", set(shapes.values()) == {()})


def _shape_refglow() -> Demonstration:
    shapes = _log_det_shapes(tfb)
    return Demonstration(f"batches of 5 give {shapes}", set(shapes.values()) == {(5,)})


LOG_DET_SHAPE = Erratum(
    identifier="log-det-shape",
    title="Constant log-dets lose the batch dimensions",
    where="forward_log_det_jacobian and inverse_log_det_jacobian, argument event_ndims",
    documented="The result has rank(x) - event_ndims dimensions, one number for each event.",
    tfp_does="Where the Jacobian is constant, as for Scale, Reshape or a Glow with additive "
             "couplings and no ActNorm, the result is a scalar whatever the batch.",
    refglow_does="The result always has the full batch shape.",
    follows="documentation", show_tfp=_shape_tfp, show_refglow=_shape_refglow)


def _required_tfp() -> Demonstration:
    shape = tuple(glow(tfp_bijectors()).inverse_log_det_jacobian(images(2)).shape)
    return Demonstration(f"without event_ndims: shape {shape}", shape == (2,))


def _required_refglow() -> Demonstration:
    shape = glow().inverse_log_det_jacobian(images(2)).shape
    return Demonstration(f"without event_ndims: shape {shape}", shape == (2,))


EVENT_NDIMS = Erratum(
    identifier="event-ndims-optional",
    title="event_ndims is optional",
    where="forward_log_det_jacobian and inverse_log_det_jacobian, signature",
    documented="event_ndims is a required argument.",
    tfp_does="It defaults to min_event_ndims.",
    refglow_does="The same.",
    follows="code", show_tfp=_required_tfp, show_refglow=_required_refglow)


def _int_tfp() -> Demonstration:
    ndims = glow(tfp_bijectors()).forward_event_ndims(1)
    return Demonstration(f"forward_event_ndims(1) is a {type(ndims).__name__}",
                         isinstance(ndims, np.integer))


def _int_refglow() -> Demonstration:
    ndims = glow().forward_event_ndims(1)
    return Demonstration(f"forward_event_ndims(1) is an {type(ndims).__name__}", type(ndims) is int)


EVENT_NDIMS_TYPE = Erratum(
    identifier="event-ndims-type",
    title="Event ranks come back as NumPy integers",
    where="forward_event_ndims and inverse_event_ndims, docstring",
    documented="Given Python ints, the results are Python ints.",
    tfp_does="Returns np.int32.",
    refglow_does="Returns int.",
    follows="documentation", show_tfp=_int_tfp, show_refglow=_int_refglow)


def _notation_tfp() -> Demonstration:
    bijector = tfp_bijectors().Bijector
    forward, inverse = bijector.forward.__doc__ or "", bijector.inverse.__doc__ or ""
    value = float(tfp_bijectors().Exp().forward(1.0))
    return Demonstration(f"Exp().forward(1.) = {value:.4f}; documented as X = g(Y)",
                         "X = g(Y)" in forward and "X = g^{-1}(Y)" in inverse
                         and abs(value - np.e) < 1e-5)


def _notation_refglow() -> Demonstration:
    forward, inverse = tfb.Bijector.forward.__doc__ or "", tfb.Bijector.inverse.__doc__ or ""
    return Demonstration("forward: y = g(x); inverse: x = g^-1(y)",
                         "y = g(x)" in forward and "x = g^-1(y)" in inverse)


NOTATION = Erratum(
    identifier="forward-notation",
    title="forward is documented with x and y exchanged",
    where="forward",
    documented="forward evaluates X = g(Y), inverse X = g^-1(Y).",
    tfp_does="forward evaluates y = g(x), as everywhere else in the documentation.",
    refglow_does="Documents and computes y = g(x).",
    follows="code", show_tfp=_notation_tfp, show_refglow=_notation_refglow)


def _equal_tfp() -> Demonstration:
    first, second = (glow(tfp_bijectors(), use_actnorm=False) for _ in range(2))
    pairs = zip(first.trainable_variables, second.trainable_variables, strict=True)
    difference = max(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in pairs)
    return Demonstration(f"weights differ by {difference:.2g}; first == second: {first == second}",
                         difference > 1e-3 and first == second)


def _equal_refglow() -> Demonstration:
    first, second, twin = (glow(use_actnorm=False, seed=seed) for seed in (0, 0, 0))
    same = first == second
    for variable in twin.trainable_variables:
        variable.assign(variable.numpy() * 2)
    return Demonstration(f"same weights: {same}; other weights: {first == twin}",
                         same and first != twin)


EQUALITY = Erratum(
    identifier="equality",
    title="Glows with different weights compare equal",
    where="__eq__",
    documented="Returns self == value.",
    tfp_does="Compares the constructor's arguments only; weights are not looked at.",
    refglow_does="Compares arguments and the values of all variables.",
    follows="documentation", show_tfp=_equal_tfp, show_refglow=_equal_refglow)


def _invert_tfp() -> Demonstration:
    inverted = tfp_bijectors().Invert(tfp_bijectors().Exp())
    return raises(lambda: inverted.forward_event_shape_tensor([3], name="shape"), TypeError,
                  "unexpected keyword argument 'name'")


def _invert_refglow() -> Demonstration:
    shape = tfb.Invert(tfb.Exp()).forward_event_shape_tensor([3], name="shape")
    return Demonstration(f"returns {shape.tolist()}", shape.tolist() == [3])


INVERT_NAME = Erratum(
    identifier="invert-shape-name",
    title="Invert's event_shape_tensor methods take no name",
    where="forward_event_shape_tensor and inverse_event_shape_tensor, argument name",
    documented="All bijectors take name.",
    tfp_does="Invert overrides the methods without it: TypeError.",
    refglow_does="Takes it.",
    follows="documentation", show_tfp=_invert_tfp, show_refglow=_invert_refglow)


def _multiple_tfp() -> Demonstration:
    chain = tfp_bijectors().Chain([tfp_bijectors().AbsoluteValue()])
    log_det = chain.inverse_log_det_jacobian(2.0, 0)
    inverse = attempt(lambda: chain.inverse(2.0))
    return Demonstration(f"log-det: {np.asarray(log_det).tolist()}, a "
                         f"{type(log_det).__name__}; inverse: {inverse}",
                         not isinstance(log_det, tuple) and np.shape(log_det) == (2,)
                         and isinstance(inverse.error, NotImplementedError))


def _multiple_refglow() -> Demonstration:
    chain = tfb.Chain([tfb.AbsoluteValue()])
    return raises(lambda: chain.inverse_log_det_jacobian(2.0, 0), NotImplementedError,
                  "one at a time")


NON_INJECTIVE = Erratum(
    identifier="non-injective-chain",
    title="A chain with a non-injective part returns a stacked log-det",
    where="inverse_log_det_jacobian, returns",
    documented="A non-injective bijector returns a tuple, one log-det for each preimage.",
    tfp_does="The chain stacks the tuple into one tensor, which reads as a batch of two; its "
             "inverse raises NotImplementedError.",
    refglow_does="Both raise NotImplementedError: invert the parts one at a time.",
    follows="neither", show_tfp=_multiple_tfp, show_refglow=_multiple_refglow)


def _tensor_tfp() -> Demonstration:
    return raises(lambda: tfp_bijectors().Exp()([-1, 0, 1]), Exception, "int32")


def _tensor_refglow() -> Demonstration:
    y = tfb.Exp()([-1, 0, 1])
    return Demonstration(f"{np.round(y, 4).tolist()}", bool(np.allclose(y, np.exp([-1, 0, 1]))))


INTEGERS = Erratum(
    identifier="integers",
    title="Integers are not numbers to an elementwise bijector",
    where="__call__ and forward, argument (Tensor)",
    documented="Takes a tensor; the example shows Exp()([-1., 0., 1.]).",
    tfp_does="Fails for [-1, 0, 1] in the kernel of exp, which takes no integers.",
    refglow_does="Integers convert to the bijector's number type, or float32.",
    follows="neither", show_tfp=_tensor_tfp, show_refglow=_tensor_refglow)


def _pixels() -> Array:
    return (images(1) * 4).astype(np.uint8)


def _pixels_tfp() -> Demonstration:
    model = glow(tfp_bijectors(), use_actnorm=False)
    from_array = attempt(lambda: model.inverse(_pixels()).dtype.name)
    from_tensor = attempt(lambda: model.inverse(tensorflow().constant(_pixels())))
    return Demonstration(f"NumPy uint8: {from_array}; a uint8 tensor: {from_tensor}",
                         from_array.value == "float32"
                         and from_tensor.raised(ValueError, "requested dtype float32"))


def _pixels_refglow() -> Demonstration:
    z = glow(use_actnorm=False).inverse(_pixels())
    return Demonstration(f"latents are {z.dtype}", z.dtype == np.float32)


PIXELS = Erratum(
    identifier="integer-images",
    title="Integer pixels are taken as an array and refused as a tensor",
    where="inverse, Raises",
    documented="TypeError if the dtype of y is incompatible with the expected one.",
    tfp_does="Converts a NumPy uint8 array, but raises ValueError for a uint8 tensor.",
    refglow_does="Integers convert to the bijector's number type, whatever holds them.",
    follows="neither", show_tfp=_pixels_tfp, show_refglow=_pixels_refglow)

ERRATA = (HAS_STATIC, LOG_DET_SHAPE, EVENT_NDIMS, EVENT_NDIMS_TYPE, NOTATION, EQUALITY, INVERT_NAME,
          NON_INJECTIVE, INTEGERS, PIXELS)
