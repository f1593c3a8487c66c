"""Errata about exits: where channels leave Glow for the latent vector."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.errata.scene import additive, constant, glow, images
from refglow.validation.tfp.framework import tfp_bijectors, tfp_glow_parts


def _zeros(channels: int) -> Any:
    return np.zeros((1, 1, 1, channels), np.float32)


def _affine_tfp() -> Demonstration:
    def latents(fraction: float) -> Any:
        return glow(tfp_bijectors(), grab_after_block=(fraction, 0.0)).inverse(images(1))

    found = {f: attempt(functools.partial(latents, f)) for f in (0.25, 0.5, 0.75)}
    return Demonstration(
        f"0.25: {found[0.25]}; 0.75: {found[0.75]}",
        all(found[fraction].raised(Exception, "Incompatible shapes") for fraction in (0.25, 0.75))
        and found[0.5].error is None)


def _affine_refglow() -> Demonstration:
    errors = {}
    for fraction in (0.25, 0.75):
        model = glow(grab_after_block=(fraction, 0.0))
        x = images(2)
        errors[fraction] = float(np.abs(model.forward(model.inverse(x)) - x).max())
    return Demonstration(f"largest round-trip error by fraction: {errors}",
                         all(error < 1e-4 for error in errors.values()))


EXIT_SLICE_AFFINE = Erratum(
    identifier="exit-slice-affine",
    title="Affine exits fail for every fraction but one half",
    where="Glow, argument grab_after_block; exit_bijector_fn",
    documented="Any fraction of the channels can exit; a network with 2 * output_chan channels "
               "makes the exit affine.",
    tfp_does="Cuts the network's output [raw scale | shift] at the number of channels that stay "
             "instead of the number that exit; unless these are equal, the shapes do not fit.",
    refglow_does="Cuts at the number of exiting channels; all fractions work.",
    follows="documentation", show_tfp=_affine_tfp, show_refglow=_affine_refglow)


def _silent_tfp() -> Demonstration:
    exit_ = tfp_glow_parts().ExitBijector((1, 1, 4), (1, 3, 0), constant(1, 10, 100))
    y = np.asarray(exit_.forward(_zeros(4))).reshape(-1)
    return Demonstration(f"zeros shifted by a network that returns (1, 10, 100): {y.tolist()}",
                         y.tolist() == [0, 1, 1, 1])


def _silent_refglow() -> Demonstration:
    exit_ = tfb.ExitBijector((1, 1, 4), (1, 3, 0), constant(1, 10, 100))
    y = exit_.forward(_zeros(4)).reshape(-1)
    return Demonstration(f"zeros shifted by a network that returns (1, 10, 100): {y.tolist()}",
                         y.tolist() == [0, 1, 10, 100])


EXIT_SLICE_SILENT = Erratum(
    identifier="exit-slice-silent",
    title="An additive exit with one channel staying shifts all exiting channels alike",
    where="Glow, argument exit_bijector_fn",
    documented="A network with output_chan channels shifts each exiting channel by its own value.",
    tfp_does="Keeps as many of the shifts as channels stay. With one staying and three exiting, "
             "the first shift is broadcast to all three, without an error.",
    refglow_does="Shifts each channel by its own value.",
    follows="documentation", show_tfp=_silent_tfp, show_refglow=_silent_refglow)


def _additive_tfp() -> Demonstration:
    exit_ = tfp_glow_parts().ExitBijector((1, 1, 5), (2, 3, 0), additive)
    return raises(lambda: exit_.forward(_zeros(5)), Exception, "Incompatible shapes")


def _additive_refglow() -> Demonstration:
    exit_ = tfb.ExitBijector((1, 1, 5), (2, 3, 0), constant(1, 10, 100))
    y = exit_.forward(_zeros(5)).reshape(-1)
    return Demonstration(f"zeros become {y.tolist()}", y.tolist() == [0, 0, 1, 10, 100])


EXIT_SLICE_ADDITIVE = Erratum(
    identifier="exit-slice-additive",
    title="Additive exits fail when more channels exit than stay",
    where="Glow, argument exit_bijector_fn",
    documented="A network with output_chan channels makes the exit additive, whatever the "
               "number of channels that stay.",
    tfp_does="Keeps as many of the shifts as channels stay; with two staying and three exiting "
             "the shapes do not fit.",
    refglow_does="Works.",
    follows="documentation", show_tfp=_additive_tfp, show_refglow=_additive_refglow)


def _message_tfp() -> Demonstration:
    exit_ = tfp_glow_parts().ExitBijector((1, 1, 12), (3, 9, 0), constant(1, 2, 3, 4, 5))
    outcome = attempt(lambda: exit_.forward(_zeros(12)))
    return Demonstration(str(outcome), outcome.raised(ValueError, "[1, 1, 1, 3]", "[1 1 1 6]"))


def _message_refglow() -> Demonstration:
    exit_ = tfb.ExitBijector((1, 1, 12), (3, 9, 0), constant(1, 2, 3, 4, 5))
    return raises(lambda: exit_.forward(_zeros(12)), ValueError, "[1, 1, 1, 5]", "[1, 1, 1, 9]",
                  "[1, 1, 1, 18]")


EXIT_MESSAGE = Erratum(
    identifier="exit-message",
    title="The error about a wrong exit network names the wrong shapes",
    where="Glow, argument exit_bijector_fn",
    documented="The network returns output_chan or 2 * output_chan channels.",
    tfp_does="With 3 channels staying and 9 exiting, the error for a network that returns 5 says "
             "that 3 or 6 are expected (needed: 9 or 18).",
    refglow_does="Names the shape it got and the two that fit.",
    follows="documentation", show_tfp=_message_tfp, show_refglow=_message_refglow)


def _docstring_tfp() -> Demonstration:
    text = " ".join((tfp_glow_parts().ExitBijector.__init__.__doc__ or "").split())
    claimed = "tensor with the same event shape as `input_shape`" in text
    exit_ = tfp_glow_parts().ExitBijector((1, 1, 12), (3, 9, 0), constant(1, 2, 3))
    outcome = attempt(lambda: exit_.forward(_zeros(12)))
    return Demonstration(f"a network that returns its input's 3 channels: {outcome}",
                         claimed and outcome.raised(ValueError, "inconsistent"))


def _docstring_refglow() -> Demonstration:
    exit_ = tfb.ExitBijector((1, 1, 12), (3, 9, 0), constant(1, 2, 3))
    return raises(lambda: exit_.forward(_zeros(12)), ValueError, "[1, 1, 1, 3]", "[1, 1, 1, 9]")


EXIT_DOCSTRING = Erratum(
    identifier="exit-docstring",
    title="ExitBijector's docstring describes the block's network, not the exit's",
    where="ExitBijector, argument coupling_bijector_fn, to which Glow's documentation refers",
    documented="The network returns the shape of its input (additive) or twice its channels "
               "(affine). Glow's own documentation says output_chan or twice that.",
    tfp_does="Measures the output against output_chan; the shape of the input is an error.",
    refglow_does="The same, as Glow's documentation says.",
    follows="documentation", show_tfp=_docstring_tfp, show_refglow=_docstring_refglow)

ERRATA = (EXIT_SLICE_AFFINE, EXIT_SLICE_SILENT, EXIT_SLICE_ADDITIVE, EXIT_MESSAGE, EXIT_DOCSTRING)
