"""Errata about the bijector cache: TFP remembers results; refglow computes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow import Variable
from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum
from refglow.validation.errata.scene import glow, images
from refglow.validation.tfp.framework import tensorflow, tfp_bijectors

_WHERE = "forward, inverse (the documentation of Glow does not mention a cache)"


def _wrong_tfp() -> Demonstration:
    library, tf = tfp_bijectors(), tensorflow()

    class Wrong(library.Bijector):  # type: ignore[misc,name-defined]
        """y = 2 x, with an inverse that is not one."""

        def __init__(self) -> None:
            super().__init__(forward_min_event_ndims=0, parameters={}, name="wrong")

        def _forward(self, x: Any) -> Any:
            return 2.0 * x

        def _inverse(self, y: Any) -> Any:
            return y + 100.0

    bijector, x = Wrong(), tf.constant([1.0, 2.0])
    y = bijector.forward(x)
    cached, computed = np.asarray(bijector.inverse(y)), np.asarray(bijector.inverse(y + 0.0))
    return Demonstration(f"inverse(forward([1, 2])) = {cached.tolist()}; of a copy: "
                         f"{computed.tolist()}",
                         cached.tolist() == [1, 2] and computed.tolist() == [102, 104])


class _Wrong(tfb.Bijector):
    """y = 2 x, with an inverse that is not one."""

    def __init__(self) -> None:
        super().__init__(forward_min_event_ndims=0, name="wrong")

    def _forward_and_log_det(self, x: Any, **kwargs: Any) -> tuple[Any, Any]:
        return 2 * x, np.log(np.asarray(2, x.dtype))

    def _inverse_and_log_det(self, y: Any, **kwargs: Any) -> tuple[Any, Any]:
        return y + 100, -np.log(np.asarray(2, y.dtype))


def _wrong_refglow() -> Demonstration:
    bijector = _Wrong()
    back = bijector.inverse(bijector.forward([1.0, 2.0])).tolist()
    return Demonstration(f"inverse(forward([1, 2])) = {back}", back == [102, 104])


WRONG_INVERSE = Erratum(
    identifier="cache-hides-wrong-inverse",
    title="A round trip does not run the inverse",
    where=_WHERE,
    documented="inverse evaluates g^-1; TFP's own test helper assert_bijective_and_finite checks "
               "a bijector by a round trip.",
    tfp_does="inverse(forward(x)) returns the remembered x: a bijector whose inverse is wrong "
             "passes.",
    refglow_does="Nothing is remembered; the wrong inverse shows.",
    follows="documentation", show_tfp=_wrong_tfp, show_refglow=_wrong_refglow)


def _gradient_tfp() -> Demonstration:
    tf = tensorflow()
    scale, y = tf.Variable(2.0), tf.constant(3.0)
    bijector = tfp_bijectors().Scale(scale)
    x = bijector.inverse(y)
    with tf.GradientTape() as tape:
        loss = bijector.inverse(y)
    gradient = tape.gradient(loss, scale)
    return Demonstration(f"x = {float(x)}; gradient of a second inverse(y): {gradient}",
                         gradient is None)


def _gradient_refglow() -> Demonstration:
    step = 1e-30
    bijector, y = tfb.Scale(np.asarray(2 + 1j * step)), np.asarray(3 + 0j)
    first, second = bijector.inverse(y), bijector.inverse(y)
    slopes = [float(x.imag / step) for x in (first, second)]
    return Demonstration(f"d inverse(3) / d scale at 2, first and second call: {slopes}",
                         all(abs(slope + 0.75) < 1e-12 for slope in slopes))


GRADIENT = Erratum(
    identifier="cache-gradient-none",
    title="Gradients vanish if the inverse was computed before",
    where=_WHERE,
    documented="inverse is a differentiable function of its input and the variables.",
    tfp_does="Under a gradient tape, inverse returns the tensor remembered from outside the tape; "
             "the gradient is None.",
    refglow_does="Every call computes, so derivatives do not depend on earlier calls.",
    follows="documentation", show_tfp=_gradient_tfp, show_refglow=_gradient_refglow)


def _stale_tfp() -> Demonstration:
    tf = tensorflow()
    scale, x = tf.Variable(2.0), tf.constant(1.0)
    bijector = tfp_bijectors().Scale(scale)
    y = bijector.forward(x)
    scale.assign(5.0)
    again, fresh = float(bijector.forward(x)), float(bijector.forward(tf.constant(1.0)))
    return Demonstration(f"scale 2: {float(y)}; scale 5, same tensor: {again}, new tensor: {fresh}",
                         again == 2 and fresh == 5)


def _stale_refglow() -> Demonstration:
    scale, x = Variable(np.asarray(2.0)), np.asarray(1.0)
    bijector = tfb.Scale(scale)
    y = bijector.forward(x)
    scale.assign(5.0)
    again = float(bijector.forward(x))
    return Demonstration(f"scale 2: {float(y)}; scale 5: {again}", float(y) == 2 and again == 5)


STALE = Erratum(
    identifier="cache-stale",
    title="Changed weights have no effect on a tensor already seen",
    where=_WHERE,
    documented="forward evaluates the map that the variables define.",
    tfp_does="After a variable is assigned, forward of the same tensor object still returns the "
             "old result, while that is referred to anywhere.",
    refglow_does="The current values count.",
    follows="documentation", show_tfp=_stale_tfp, show_refglow=_stale_refglow)


def _log_det_tfp() -> Demonstration:
    tf = tensorflow()
    scale, x = tf.Variable(2.0), tf.constant(1.0)
    bijector = tfp_bijectors().Scale(scale)
    y = bijector.forward(x)
    bijector.forward_log_det_jacobian(x, 0)
    scale.assign(5.0)
    fldj = float(bijector.forward_log_det_jacobian(x, 0))
    return Demonstration(f"forward(1) was {float(y)}; scale 5: fldj = {fldj:.4f} = log 2",
                         abs(fldj - np.log(2)) < 1e-6)


def _log_det_refglow() -> Demonstration:
    scale, x = Variable(np.asarray(2.0)), np.asarray(1.0)
    bijector = tfb.Scale(scale)
    bijector.forward_log_det_jacobian(x, 0)
    scale.assign(5.0)
    fldj = float(bijector.forward_log_det_jacobian(x, 0))
    return Demonstration(f"scale 5: fldj = {fldj:.4f} = log 5", abs(fldj - np.log(5)) < 1e-12)


STALE_LOG_DET = Erratum(
    identifier="cache-stale-log-det",
    title="Changed weights have no effect on a log-det already computed",
    where="forward_log_det_jacobian, inverse_log_det_jacobian",
    documented="They evaluate the map that the variables define.",
    tfp_does="The log-det is remembered with the tensor, as the value is.",
    refglow_does="The current values count.",
    follows="documentation", show_tfp=_log_det_tfp, show_refglow=_log_det_refglow)


def _shared_tfp() -> Demonstration:
    tf = tensorflow()
    first, second = (glow(tfp_bijectors(), use_actnorm=False) for _ in range(2))
    x = tf.constant(images(1))
    z = first.inverse(x)
    mistaken = np.asarray(second.inverse(x))
    own = np.asarray(second.inverse(tf.constant(images(1))))
    difference = float(np.abs(mistaken - own).max())
    return Demonstration(f"second.inverse(x) is first's result: {np.array_equal(mistaken, z)}; it "
                         f"is off by {difference:.2g}",
                         np.array_equal(mistaken, z) and difference > 1e-3)


def _shared_refglow() -> Demonstration:
    first, second = (glow(use_actnorm=False, seed=seed) for seed in (1, 2))
    x = images(1)
    difference = float(np.abs(first.inverse(x) - second.inverse(x)).max())
    again = np.array_equal(second.inverse(x), second.inverse(x.copy()))
    return Demonstration(f"the latents of two models differ by {difference:.2g}",
                         difference > 1e-3 and again)


SHARED = Erratum(
    identifier="cache-shared",
    title="Two Glows with different weights return each other's results",
    where=_WHERE,
    documented="inverse evaluates the inverse of this bijector.",
    tfp_does="All bijectors share one cache, keyed by equality, and Glows built with the same "
             "arguments are equal: the second's inverse of a tensor that the first has seen is "
             "the first's.",
    refglow_does="Each model computes its own result.",
    follows="documentation", show_tfp=_shared_tfp, show_refglow=_shared_refglow)

ERRATA = (WRONG_INVERSE, GRADIENT, STALE, STALE_LOG_DET, SHARED)
