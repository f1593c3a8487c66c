"""Errata about building a Glow: its defaults, its seed, the size of its images."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.errata.scene import affine, glow
from refglow.validation.tfp.framework import tfp_bijectors


def _networks_tfp() -> Demonstration:
    return raises(lambda: tfp_bijectors().Glow(), TypeError, "'NoneType' object is not callable")


def _networks_refglow() -> Demonstration:
    model = tfb.Glow()
    return Demonstration(f"splits {model.blockwise_splits}, {len(model.trainable_variables)} "
                         "trainable arrays", len(model.trainable_variables) == 868)


DEFAULT_NETWORKS = Erratum(
    identifier="default-networks",
    title="Glow with its documented defaults cannot be built",
    where="Glow, arguments coupling_bijector_fn=None, exit_bijector_fn=None",
    documented="Every argument has a default, and the default configuration is the paper's.",
    tfp_does="Calls None as a function: both network functions must be given.",
    refglow_does="None means GlowDefaultNetwork and GlowDefaultExitNetwork.",
    follows="documentation", show_tfp=_networks_tfp, show_refglow=_networks_refglow)


def _use_actnorm(library: Any) -> Any:
    return inspect.signature(library.Glow.__init__).parameters["use_actnorm"].default


def _actnorm_tfp() -> Demonstration:
    text = " ".join((tfp_bijectors().Glow.__init__.__doc__ or "").split())
    claimed = "initialize this layer. Default value: `False`" in text
    default = _use_actnorm(tfp_bijectors())
    return Demonstration(f"use_actnorm={default}", claimed and default is True)


def _actnorm_refglow() -> Demonstration:
    default = _use_actnorm(tfb)
    return Demonstration(f"use_actnorm={default}", default is True)


USE_ACTNORM = Erratum(
    identifier="use-actnorm-default",
    title="use_actnorm is on by default",
    where="Glow, argument use_actnorm",
    documented="The argument's text says the default is False, the signature True.",
    tfp_does="The default is True.",
    refglow_does="The default is True.",
    follows="code", show_tfp=_actnorm_tfp, show_refglow=_actnorm_refglow)


def _largest_difference(library: Any) -> float:
    first, second = (glow(library, use_actnorm=False, seed=7) for _ in range(2))
    pairs = zip(first.trainable_variables, second.trainable_variables, strict=True)
    return float(max(np.abs(a.numpy() - b.numpy()).max() for a, b in pairs))


def _seed_tfp() -> Demonstration:
    difference = _largest_difference(tfp_bijectors())
    return Demonstration(f"two Glows with seed=7 in one process differ by {difference:.2g} in "
                         "their 1x1 convolutions", difference > 1e-3)


def _seed_refglow() -> Demonstration:
    difference = _largest_difference(tfb)
    return Demonstration(f"two Glows with seed=7 differ by {difference:.2g}", difference == 0)


SEED = Erratum(
    identifier="seed-not-reproducible",
    title="The same seed gives different weights",
    where="Glow, argument seed",
    documented="The seed controls the random start of the 1x1 convolutions; None means not "
               "reproducible.",
    tfp_does="Uses stateful random operations: a second Glow with the same seed in the same "
             "process gets other weights, unless the global seed is reset before it.",
    refglow_does="The weights are a function of the seed.",
    follows="documentation", show_tfp=_seed_tfp, show_refglow=_seed_refglow)


def _of_shape(library: Any, shape: tuple[int, int, int], blocks: int) -> Any:
    return glow(library, output_shape=shape, num_glow_blocks=blocks)


def _divide_tfp() -> Demonstration:
    works = attempt(lambda: _of_shape(tfp_bijectors(), (8, 8, 3), 3).inverse_event_shape((8, 8, 3)))
    fails = attempt(lambda: _of_shape(tfp_bijectors(), (12, 12, 3), 3))
    return Demonstration(f"3 blocks on 8 x 8: {works}; on 12 x 12: {fails}",
                         works.error is None and fails.raised(ValueError, "divisible by 2"))


def _divide_refglow() -> Demonstration:
    works = attempt(lambda: _of_shape(tfb, (8, 8, 3), 3).inverse_event_shape((8, 8, 3)))
    fails = attempt(lambda: _of_shape(tfb, (12, 12, 3), 3))
    return Demonstration(f"3 blocks on 8 x 8: {works}; on 12 x 12: {fails}", works.error is None
                         and fails.raised(ValueError, "divisible by 2^num_glow_blocks", "12"))


BLOCKS_DIVIDE = Erratum(
    identifier="blocks-divide",
    title="2^num_glow_blocks, not num_glow_blocks, must divide the image's sides",
    where="Glow, argument num_glow_blocks",
    documented="num_glow_blocks must divide H and W (the overview has it right).",
    tfp_does="Takes 3 blocks for 8 x 8, which 3 does not divide; rejects 12 x 12, which it does.",
    refglow_does="The same, and says so.",
    follows="code", show_tfp=_divide_tfp, show_refglow=_divide_refglow)


def _height_tfp() -> Demonstration:
    outcome = attempt(lambda: _of_shape(tfp_bijectors(), (6, 4, 3), 2))
    return Demonstration(str(outcome), outcome.raised(ValueError, "Height should be divisible")
                         and "6" not in str(outcome.error))


def _height_refglow() -> Demonstration:
    return raises(lambda: _of_shape(tfb, (6, 4, 3), 2), ValueError, "height 6", "at most 1 block")


HEIGHT_MESSAGE = Erratum(
    identifier="height-message",
    title="The error about the height does not say what it found",
    where="Glow, argument output_shape",
    documented="The same check of the width names the width and 2^n.",
    tfp_does="Says that the height should be divisible by 2 at least n times, without a number.",
    refglow_does="Names the size, 2^n and how many blocks fit, for both sides.",
    follows="neither", show_tfp=_height_tfp, show_refglow=_height_refglow)


def _too_large_tfp() -> Demonstration:
    small = attempt(lambda: _of_shape(tfp_bijectors(), (2, 2, 3), 2))
    empty = attempt(lambda: _of_shape(tfp_bijectors(), (0, 0, 3), 1))
    return Demonstration(f"2 x 2, 2 blocks: {small}; 0 x 0: {empty}",
                         small.raised(ValueError, "Width must be divisible")
                         and empty.raised(OverflowError))


def _too_large_refglow() -> Demonstration:
    small = attempt(lambda: _of_shape(tfb, (2, 2, 3), 2))
    empty = attempt(lambda: _of_shape(tfb, (0, 0, 3), 1))
    return Demonstration(f"2 x 2, 2 blocks: {small}; 0 x 0: {empty}",
                         small.raised(ValueError, "allows at most 1 block")
                         and empty.raised(ValueError, "positive sizes"))


TOO_LARGE = Erratum(
    identifier="blocks-too-large-message",
    title="The message about too many blocks is never seen",
    where="Glow, argument num_glow_blocks",
    documented="The code holds a message: num_glow_blocks is too large, the image can be halved "
               "only so many times.",
    tfp_does="The check for divisibility comes first and catches every size but 0; for 0 the "
             "message's own arithmetic fails (OverflowError).",
    refglow_does="The check for divisibility says how many blocks fit; sizes must be positive.",
    follows="documentation", show_tfp=_too_large_tfp, show_refglow=_too_large_refglow)


def _inherits_tfp() -> Demonstration:
    bases = [base.__name__ for base in tfp_bijectors().Glow.__mro__]
    return Demonstration(" < ".join(bases[:3]),
                         not issubclass(tfp_bijectors().Glow, tfp_bijectors().Chain))


def _inherits_refglow() -> Demonstration:
    return Demonstration(" < ".join(base.__name__ for base in tfb.Glow.__mro__[:3]),
                         issubclass(tfb.Glow, tfb.Composition)
                         and not issubclass(tfb.Glow, tfb.Chain))


INHERITS = Erratum(
    identifier="inherits-chain",
    title="Glow is not a Chain",
    where="Glow, heading",
    documented="Glow inherits from Chain, Composition and Bijector.",
    tfp_does="It is a Composition that holds a Chain: isinstance(glow, Chain) is False.",
    refglow_does="The same; `bijectors` lists the parts, as a Chain's does.",
    follows="code", show_tfp=_inherits_tfp, show_refglow=_inherits_refglow)

_PARTS = ("ActivationNormalization", "ExitBijector", "Expand", "GlowBlock", "OneByOneConv")


def _exports_tfp() -> Demonstration:
    missing = [name for name in _PARTS if not hasattr(tfp_bijectors(), name)]
    return Demonstration(f"missing from tfp.bijectors: {', '.join(missing)}",
                         missing == list(_PARTS))


def _exports_refglow() -> Demonstration:
    block = tfb.GlowBlock((2, 2, 4), 1, affine)
    return Demonstration(f"all there, e.g. {block.name}",
                         all(hasattr(tfb, name) for name in _PARTS))


EXPORTS = Erratum(
    identifier="parts-not-exported",
    title="The bijectors that Glow's documentation describes are not exported",
    where="Glow, overview; argument exit_bijector_fn (see the documentation of ExitBijector)",
    documented="Glow is explained by its parts, among them " + ", ".join(_PARTS) + ".",
    tfp_does="None of them is in tfp.bijectors, nor documented on a page of its own.",
    refglow_does="All are in refglow.bijectors.",
    follows="documentation", show_tfp=_exports_tfp, show_refglow=_exports_refglow)

ERRATA = (DEFAULT_NETWORKS, USE_ACTNORM, SEED, BLOCKS_DIVIDE, HEIGHT_MESSAGE, TOO_LARGE, INHERITS,
          EXPORTS)
