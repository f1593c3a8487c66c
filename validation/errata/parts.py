"""Errata about the other bijectors: Reshape, Pad, Split, Blockwise, Chain, elementwise ones."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.tfp.framework import tfp_bijectors


def _reshape_tfp() -> Demonstration:
    outcome = attempt(lambda: tfp_bijectors().Reshape([2, 3], [7]).forward_event_shape([7]))
    return Demonstration(f"7 numbers reshaped to {outcome}",
                         outcome.error is None and tuple(outcome.value) == (2, 3))


def _reshape_refglow() -> Demonstration:
    return raises(lambda: tfb.Reshape([2, 3], [7]), ValueError, "different numbers of elements")


RESHAPE = Erratum(
    identifier="reshape-sizes",
    title="A Reshape between different sizes is built",
    where="Reshape, Raises",
    documented="ValueError if the sizes of event_shape_in and event_shape_out do not match.",
    tfp_does="No error until it is applied; forward_event_shape gives an answer.",
    refglow_does="ValueError.",
    follows="documentation", show_tfp=_reshape_tfp, show_refglow=_reshape_refglow)


def _inferred_tfp() -> Demonstration:
    reshape = tfp_bijectors().Reshape([2, -1])
    shape = np.asarray(reshape.forward_event_shape_tensor([6])).tolist()
    return Demonstration(f"6 numbers reshaped to [2, -1]: {shape}, statically "
                         f"{tuple(reshape.forward_event_shape([6]))}", shape == [2, -1])


def _inferred_refglow() -> Demonstration:
    reshape = tfb.Reshape([2, -1])
    shape = reshape.forward_event_shape_tensor([6]).tolist()
    static = tuple(reshape.forward_event_shape([6]))
    return Demonstration(f"6 numbers reshaped to [2, -1]: {shape}, statically {static}",
                         shape == [2, 3] and static == (2, 3))


RESHAPE_INFERRED = Erratum(
    identifier="reshape-inferred-size",
    title="Reshape reports a size of -1",
    where="forward_event_shape_tensor and inverse_event_shape_tensor, returns",
    documented="The shape of an event after applying forward, or inverse.",
    tfp_does="A -1 in the constructor's shape is returned as it is, though the input's shape "
             "determines the size; forward_event_shape returns None in its place.",
    refglow_does="Both return the size.",
    follows="documentation", show_tfp=_inferred_tfp, show_refglow=_inferred_refglow)


def _pad_tfp() -> Demonstration:
    outcome = attempt(lambda: tfp_bijectors().Pad())
    return Demonstration(f"NumPy {np.__version__}: {outcome}",
                         outcome.raised(TypeError, "newshape"))


def _pad_refglow() -> Demonstration:
    y = tfb.Pad().forward([3.0, 4.0])
    return Demonstration(f"Pad().forward([3, 4]) = {y.tolist()}", y.tolist() == [3, 4, 0])


PAD = Erratum(
    identifier="pad-numpy",
    title="Pad cannot be built with a current NumPy",
    where="Pad, example",
    documented="Pad().forward([3., 4.]) appends a zero.",
    tfp_does="Calls np.reshape with the argument newshape, which NumPy has removed (2.4): "
             "TypeError.",
    refglow_does="Appends the zero.",
    follows="documentation", show_tfp=_pad_tfp, show_refglow=_pad_refglow)


def _pieces() -> list[Any]:
    return [np.ones(1, np.float32), np.ones(2, np.float32)]


def _split_tfp() -> Demonstration:
    split = tfp_bijectors().Split(2)
    joined = split.inverse(_pieces())
    again = attempt(lambda: split.forward(joined + 0.0))  # a copy, which no cache knows
    return Demonstration(f"pieces of 1 and 2 are joined to {joined.shape[0]}; forward: {again}",
                         joined.shape[0] == 3 and again.error is not None)


def _split_refglow() -> Demonstration:
    return raises(lambda: tfb.Split(2).inverse(_pieces()), ValueError, "pieces must be equal")


SPLIT = Erratum(
    identifier="split-unequal",
    title="Split into equal pieces joins unequal ones",
    where="Split, argument num_or_size_splits",
    documented="An int is the number of pieces, which are then equal; inverse undoes forward.",
    tfp_does="inverse joins pieces of any sizes to something that forward cannot split.",
    refglow_does="ValueError.",
    follows="documentation", show_tfp=_split_tfp, show_refglow=_split_refglow)


def _blockwise(library: Any) -> Any:
    return library.Blockwise([library.Transpose(rightmost_transposed_ndims=2)], [2])


def _blockwise_tfp() -> Demonstration:
    text = " ".join((tfp_bijectors().Blockwise.__init__.__doc__ or "").split())
    text += " ".join((tfp_bijectors().Blockwise.__mro__[1].__init__.__doc__ or "").split())
    outcome = raises(lambda: _blockwise(tfp_bijectors()), ValueError, "scalar and vector")
    return Demonstration(outcome.observed, outcome.holds
                         and "NotImplementedError: If there is a bijector with" in text)


def _blockwise_refglow() -> Demonstration:
    return raises(lambda: _blockwise(tfb), ValueError, "scalar and vector")


BLOCKWISE = Erratum(
    identifier="blockwise-error",
    title="Blockwise raises another error than documented",
    where="Blockwise, Raises",
    documented="NotImplementedError for a bijector of more than one event dimension.",
    tfp_does="ValueError.",
    refglow_does="ValueError.",
    follows="code", show_tfp=_blockwise_tfp, show_refglow=_blockwise_refglow)


def _validate_event_size(library: Any) -> Any:
    constructor = library.Chain.__mro__[1] if library is not tfb else library.Chain
    return inspect.signature(constructor.__init__).parameters["validate_event_size"].default


def _chain_tfp() -> Demonstration:
    text = " ".join((tfp_bijectors().Chain.__mro__[1].__init__.__doc__ or "").split())
    default = _validate_event_size(tfp_bijectors())
    return Demonstration(f"validate_event_size={default}",
                         default is False and "`validate_event_size=True` (default)" in text)


def _chain_refglow() -> Demonstration:
    default = _validate_event_size(tfb)
    return Demonstration(f"validate_event_size={default}", default is False)


CHAIN = Erratum(
    identifier="chain-validate-event-size",
    title="Chain does not check event sizes by default",
    where="Chain, argument validate_event_size",
    documented="True, said to be the default, warns of parts that act on dependent numbers.",
    tfp_does="The default is False.",
    refglow_does="The default is False.",
    follows="code", show_tfp=_chain_tfp, show_refglow=_chain_refglow)


def _softplus_tfp() -> Demonstration:
    y = np.asarray(tfp_bijectors().Softplus(hinge_softness=0.0).forward([1.0, 2.0]))
    return Demonstration(f"forward([1, 2]) = {y.tolist()}", bool(np.isnan(y).all()))


def _softplus_refglow() -> Demonstration:
    return raises(lambda: tfb.Softplus(hinge_softness=0.0), ValueError, "must not be zero")


SOFTPLUS_ZERO = Erratum(
    identifier="softplus-zero",
    title="A softness of zero gives NaN instead of an exception",
    where="Softplus, docstring",
    documented="hinge_softness = 0 is not bijective and triggers an exception.",
    tfp_does="Only with validate_args; otherwise NaN.",
    refglow_does="ValueError.",
    follows="documentation", show_tfp=_softplus_tfp, show_refglow=_softplus_refglow)


def _reflected(library: Any) -> tuple[float, float, float]:
    """Softplus of softness -1 at 2; minus that of softness 1 at -2; that of softness 1 at -2."""
    plus, minus = library.Softplus(hinge_softness=1.0), library.Softplus(hinge_softness=-1.0)
    return float(minus.forward(2.0)), -float(plus.forward(-2.0)), float(plus.forward(-2.0))


def _reflection_tfp() -> Demonstration:
    value, origin, axis = _reflected(tfp_bijectors())
    claimed = "reflects around the `y-axis`" in " ".join(
        (tfp_bijectors().Softplus.__doc__ or "").split())
    return Demonstration(f"f_-1(2) = {value:.4f}, -f_1(-2) = {origin:.4f}, f_1(-2) = {axis:.4f}",
                         claimed and value == origin)


def _reflection_refglow() -> Demonstration:
    value, origin, axis = _reflected(tfb)
    return Demonstration(f"f_-1(2) = {value:.4f}, -f_1(-2) = {origin:.4f}, f_1(-2) = {axis:.4f}",
                         value == origin)


SOFTPLUS_REFLECTION = Erratum(
    identifier="softplus-reflection",
    title="A negative softness reflects in the origin, not in an axis",
    where="Softplus, docstring",
    documented="A negative c flips the sign and reflects around the y-axis.",
    tfp_does="f_-c(x) = -f_c(-x), a reflection in the origin, as the formula beside it says.",
    refglow_does="The same.",
    follows="code", show_tfp=_reflection_tfp, show_refglow=_reflection_refglow)


def _reciprocal_tfp() -> Demonstration:
    outcome = attempt(lambda: np.asarray(tfp_bijectors().Reciprocal().forward([0.0, 2.0])).tolist())
    return Demonstration(f"forward([0, 2]) = {outcome}", outcome.value == [np.inf, 0.5])


def _reciprocal_refglow() -> Demonstration:
    loose = attempt(lambda: tfb.Reciprocal().forward([0.0, 2.0]).tolist())
    strict = attempt(lambda: tfb.Reciprocal(validate_args=True).forward([0.0, 2.0]))
    return Demonstration(f"{loose} with a warning {loose.warned[:1]}; with validate_args: {strict}",
                         loose.value == [np.inf, 0.5] and bool(loose.warned)
                         and strict.raised(ValueError))


RECIPROCAL = Erratum(
    identifier="reciprocal-zero",
    title="The reciprocal of zero is infinity, not an error",
    where="Reciprocal, examples",
    documented="forward of an array with a zero raises AssertionError.",
    tfp_does="Returns inf, unless validate_args is set.",
    refglow_does="Returns inf with NumPy's warning; ValueError under validate_args.",
    follows="code", show_tfp=_reciprocal_tfp, show_refglow=_reciprocal_refglow)


def _sigmoid_formulas(library: Any) -> tuple[int, int]:
    """At how many of 1001 points Sigmoid(-1, 2) differs from the documented and the other form."""
    x, low, high = np.linspace(-5, 5, 1001).astype(np.float32), np.float32(-1), np.float32(2)
    y, width = np.asarray(library.Sigmoid(low, high).forward(x)), high - low
    up, down = (np.asarray(library.Sigmoid().forward(t)) for t in (x, -x))
    documented = high * up + low * down
    other = np.where(x < 0, low + width * up, high - width * down)
    return int((y != documented).sum()), int((y != other).sum())


def _sigmoid_tfp() -> Demonstration:
    documented, other = _sigmoid_formulas(tfp_bijectors())
    return Demonstration(f"differs from the documented form at {documented} of 1001 points, from "
                         f"the two-sided one at {other}", documented > 100 and other == 0)


def _sigmoid_refglow() -> Demonstration:
    documented, other = _sigmoid_formulas(tfb)
    return Demonstration(f"differs from the documented form at {documented} of 1001 points, from "
                         f"the two-sided one at {other}", documented > 100 and other == 0)


SIGMOID = Erratum(
    identifier="sigmoid-formula",
    title="Sigmoid onto an interval uses another formula",
    where="Sigmoid, docstring",
    documented="Implemented as high * g(x) + low * g(-x).",
    tfp_does="low + (high - low) g(x) for negative x, high - (high - low) g(-x) otherwise; the "
             "last bits differ.",
    refglow_does="The same two-sided form.",
    follows="code", show_tfp=_sigmoid_tfp, show_refglow=_sigmoid_refglow)

ERRATA = (RESHAPE, RESHAPE_INFERRED, PAD, SPLIT, BLOCKWISE, CHAIN, SOFTPLUS_ZERO,
          SOFTPLUS_REFLECTION, RECIPROCAL, SIGMOID)
