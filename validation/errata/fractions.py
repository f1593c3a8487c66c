"""Errata about how many channels exit: grab_after_block."""

from __future__ import annotations

import numpy as np

from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.errata.scene import glow, images
from refglow.validation.tfp.framework import tfp_bijectors

_WHERE = "Glow, argument grab_after_block"


def _all_tfp() -> Demonstration:
    return raises(lambda: glow(tfp_bijectors(), grab_after_block=(1.0, 0.0)), ValueError,
                  "True is not in list")


def _all_refglow() -> Demonstration:
    return raises(lambda: glow(grab_after_block=(1.0, 0.0)), ValueError,
                  "grab_after_block[0] = 1.0", "leaves none for the next block")


FRACTION_ALL = Erratum(
    identifier="fraction-all-message",
    title="A fraction that takes all channels gives an unrelated error",
    where=_WHERE,
    documented="The code holds a message: all channels are taken out, use a lower value at the "
               "index it names.",
    tfp_does="Fails while it looks for that index: 'True is not in list'.",
    refglow_does="Names the block, the fraction and the remedy.",
    follows="documentation", show_tfp=_all_tfp, show_refglow=_all_refglow)


def _last_tfp() -> Demonstration:
    return raises(lambda: glow(tfp_bijectors(), grab_after_block=(0.5, 1.0)), ValueError,
                  "True is not in list")


def _last_refglow() -> Demonstration:
    model, x = glow(grab_after_block=(0.5, 1.0)), images(2)
    error = float(np.abs(model.forward(model.inverse(x)) - x).max())
    return Demonstration(f"splits {model.blockwise_splits}, round-trip error {error:.1g}",
                         model.blockwise_splits[0] == [0, 24, 24] and error < 1e-4)


FRACTION_LAST = Erratum(
    identifier="fraction-all-last",
    title="The special case of all channels exiting always raises",
    where="Glow, overview: two special cases, all channels exiting and none",
    documented="All channels may exit; the coupling is then left out.",
    tfp_does="ExitBijector has that case, but Glow rejects it, after the last block too.",
    refglow_does="All channels may exit after the last block; earlier it is an error.",
    follows="documentation", show_tfp=_last_tfp, show_refglow=_last_refglow)


def _small_tfp() -> Demonstration:
    return raises(lambda: glow(tfp_bijectors(), grab_after_block=(0.01, 0.5)), ValueError,
                  "True is not in list")


def _small_refglow() -> Demonstration:
    return raises(lambda: glow(grab_after_block=(0.01, 0.5)), ValueError,
                  "grab_after_block[0] = 0.01", "less than one channel")


FRACTION_SMALL = Erratum(
    identifier="fraction-small-message",
    title="A fraction too small for one channel gives an unrelated error",
    where=_WHERE,
    documented="The code holds a message: the layer has no output channels, use a larger value.",
    tfp_does="Fails while it looks for the index: 'True is not in list'.",
    refglow_does="Names the block, the fraction and the least fraction that takes a channel.",
    follows="documentation", show_tfp=_small_tfp, show_refglow=_small_refglow)


def _ignored_tfp() -> Demonstration:
    splits = [list(s) for s in glow(tfp_bijectors(), grab_after_block=(0.01, 0.0)).blockwise_splits]
    return Demonstration(f"splits {splits}: nothing exits", splits[-1] == [12, 0, 0])


def _ignored_refglow() -> Demonstration:
    return raises(lambda: glow(grab_after_block=(0.01, 0.0)), ValueError,
                  "grab_after_block[0] = 0.01", "less than one channel")


FRACTION_IGNORED = Erratum(
    identifier="fraction-small-silent",
    title="A 0 anywhere switches the check for too small fractions off",
    where=_WHERE,
    documented="A fraction that takes no channel, without being 0, is an error.",
    tfp_does="If any fraction is 0, as the default's last is, (0.01, 0.) silently takes nothing.",
    refglow_does="Each fraction is checked on its own.",
    follows="documentation", show_tfp=_ignored_tfp, show_refglow=_ignored_refglow)


def _negative_tfp() -> Demonstration:
    small = attempt(lambda: [list(s) for s in glow(
        tfp_bijectors(), grab_after_block=(-0.01, 0.0)).blockwise_splits])
    large = attempt(lambda: glow(tfp_bijectors(), grab_after_block=(-0.5, 0.0)))
    return Demonstration(f"-0.01: {small}; -0.5: {large}",
                         small.value == [[48, 0, 0], [12, 0, 0]]
                         and large.raised(ValueError, "elements must be"))


def _negative_refglow() -> Demonstration:
    small = raises(lambda: glow(grab_after_block=(-0.01, 0.0)), ValueError, "between 0 and 1")
    large = raises(lambda: glow(grab_after_block=(-0.5, 0.0)), ValueError, "between 0 and 1")
    return Demonstration(f"-0.01: {small.observed}; -0.5: {large.observed}",
                         small.holds and large.holds)


FRACTION_NEGATIVE = Erratum(
    identifier="fraction-negative",
    title="Negative fractions are not rejected as such",
    where=_WHERE,
    documented="A fraction of the remaining channels.",
    tfp_does="Small negative ones silently take nothing; larger ones fail in Split, about its "
             "sizes.",
    refglow_does="Raises: a fraction must be between 0 and 1.",
    follows="documentation", show_tfp=_negative_tfp, show_refglow=_negative_refglow)


def _rounding_tfp() -> Demonstration:
    text = " ".join((tfp_bijectors().Glow.__doc__ or "").split())
    grab = int(glow(tfp_bijectors(), grab_after_block=(0.3, 0.0)).blockwise_splits[-1][1])
    return Demonstration(f"0.3 of 12 channels = 3.6: {grab} exit",
                         grab == 3 and "remaining number of channels and rounding" in text)


def _rounding_refglow() -> Demonstration:
    grab = glow(grab_after_block=(0.3, 0.0)).blockwise_splits[-1][1]
    return Demonstration(f"0.3 of 12 channels = 3.6: {grab} exit", grab == 3)


FRACTION_ROUNDING = Erratum(
    identifier="fraction-rounding",
    title="The number of exiting channels is truncated, not rounded",
    where="Glow, overview (rounding) against argument grab_after_block (floor)",
    documented="The overview says the product is rounded, the argument's text that the floor is "
               "taken.",
    tfp_does="Takes the floor.",
    refglow_does="Takes the floor.",
    follows="code", show_tfp=_rounding_tfp, show_refglow=_rounding_refglow)


def _default_tfp() -> Demonstration:
    splits = [list(s) for s in glow(tfp_bijectors()).blockwise_splits]
    return Demonstration(f"splits {splits}", splits == [[24, 0, 24], [6, 6, 0]])


def _default_refglow() -> Demonstration:
    splits = glow().blockwise_splits
    return Demonstration(f"splits {splits}", splits == [[24, 0, 24], [6, 6, 0]])


FRACTION_DEFAULT = Erratum(
    identifier="fraction-default",
    title="By default no channels exit after the last block",
    where=_WHERE,
    documented="The default takes half of the channels after each block.",
    tfp_does="Takes half after each block but the last, and none after the last.",
    refglow_does="The same.",
    follows="code", show_tfp=_default_tfp, show_refglow=_default_refglow)

ERRATA = (FRACTION_ALL, FRACTION_LAST, FRACTION_SMALL, FRACTION_IGNORED, FRACTION_NEGATIVE,
          FRACTION_ROUNDING, FRACTION_DEFAULT)
