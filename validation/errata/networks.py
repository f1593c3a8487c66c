"""Errata about the networks in couplings."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.errata.scene import constant, images, tfp_block
from refglow.validation.tfp.framework import tfp_bijectors

_WHERE = "Glow, argument coupling_bijector_fn"


def _odd_tfp() -> Demonstration:
    y = tfp_block(2, constant(1, 2, 3)).inverse(images(1, shape=(2, 2, 2)))
    return Demonstration(f"a block of 2 channels returns {y.shape[-1]}", y.shape[-1] == 3)


def _odd_refglow() -> Demonstration:
    block = tfb.GlowBlock((2, 2, 2), 1, constant(1, 2, 3), use_actnorm=False)
    return raises(lambda: block.inverse(images(1, shape=(2, 2, 2))), ValueError, "[1, 2, 2, 3]",
                  "[1, 2, 2, 1]", "[1, 2, 2, 2]")


ODD = Erratum(
    identifier="network-odd-channels",
    title="A network with 2c + 1 channels passes for affine",
    where=_WHERE,
    documented="The network returns c channels, 2c channels or a bijector.",
    tfp_does="Compares c with half the number rounded down. For c = 1, three channels broadcast "
             "and the block's output grows by one channel; for larger c the shapes do not fit.",
    refglow_does="ValueError with the shape it got and those that fit.",
    follows="documentation", show_tfp=_odd_tfp, show_refglow=_odd_refglow)


def _cropping(shape: Any) -> Any:
    return lambda x: x[:, :1]


def _crop_tfp() -> Demonstration:
    outcome = attempt(lambda: tfp_block(4, _cropping).inverse(images(1, shape=(2, 2, 4))))
    return Demonstration(f"{type(outcome.error).__name__} with the message {str(outcome.error)!r}",
                         outcome.raised(AssertionError) and not str(outcome.error))


def _crop_refglow() -> Demonstration:
    block = tfb.GlowBlock((2, 2, 4), 1, _cropping, use_actnorm=False)
    return raises(lambda: block.inverse(images(1, shape=(2, 2, 4))), ValueError, "[1, 1, 2, 2]",
                  "[1, 2, 2, 2]")


CROP = Erratum(
    identifier="network-crops",
    title="A network that changes height or width gives an error without a message",
    where=_WHERE,
    documented="The network keeps height and width.",
    tfp_does="A bare AssertionError.",
    refglow_does="ValueError with the shape it got and those that fit.",
    follows="documentation", show_tfp=_crop_tfp, show_refglow=_crop_refglow)


def _default_tfp() -> Demonstration:
    text = " ".join((tfp_bijectors().real_nvp_default_template.__doc__ or "").split())
    outcome = raises(lambda: tfp_bijectors().real_nvp_default_template(), TypeError,
                     "hidden_layers")
    return Demonstration(outcome.observed, outcome.holds and "Default: `[512, 512]`" in text)


def _default_refglow() -> Demonstration:
    signature = inspect.signature(tfb.real_nvp_default_template)
    default = signature.parameters["hidden_layers"].default
    return Demonstration(f"hidden_layers={default}", default == (512, 512))


TEMPLATE_DEFAULT = Erratum(
    identifier="template-default",
    title="real_nvp_default_template has no default layers",
    where="real_nvp_default_template, argument hidden_layers",
    documented="The default is [512, 512].",
    tfp_does="The argument is required.",
    refglow_does="The default is (512, 512).",
    follows="documentation", show_tfp=_default_tfp, show_refglow=_default_refglow)


def _template_variables(library: Any) -> int:
    coupling = library.RealNVP(
        num_masked=1, shift_and_log_scale_fn=library.real_nvp_default_template([8]))
    coupling.forward(np.ones((2, 3), np.float32))
    return len(coupling.trainable_variables)


def _variables_tfp() -> Demonstration:
    count = _template_variables(tfp_bijectors())
    return Demonstration(f"{count} trainable variables after the first call", count == 0)


def _variables_refglow() -> Demonstration:
    count = _template_variables(tfb)
    return Demonstration(f"{count} trainable variables after the first call", count == 4)


TEMPLATE_VARIABLES = Erratum(
    identifier="template-variables",
    title="The default template's weights are not among RealNVP's variables",
    where="attribute trainable_variables; RealNVP, argument shift_and_log_scale_fn",
    documented="The trainable variables of the bijector and of what it is made of.",
    tfp_does="Empty: a loop that trains bijector.trainable_variables trains nothing.",
    refglow_does="Holds each layer's kernel and bias.",
    follows="documentation", show_tfp=_variables_tfp, show_refglow=_variables_refglow)

ERRATA = (ODD, CROP, TEMPLATE_DEFAULT, TEMPLATE_VARIABLES)
