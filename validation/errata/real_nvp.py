"""Errata about RealNVP, the coupling layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.validation.errata.erratum import Demonstration, Erratum, raises
from refglow.validation.tfp.framework import tfp_bijectors


def _doubling(library: Any, **masked: Any) -> Any:
    """A RealNVP that doubles the mapped channels."""
    return library.RealNVP(bijector_fn=lambda x0, units: library.Scale(2.0), **masked)


def _doubled(coupling: Any, channels: int) -> list[float]:
    """What it makes of ones: 2 where a channel is mapped."""
    return [float(v) for v in np.asarray(coupling.forward(np.ones((1, channels), np.float32)))[0]]


def _mask_tfp() -> Demonstration:
    return raises(lambda: _doubling(tfp_bijectors()), TypeError,
                  "`fraction_masked` must be a float")


def _mask_refglow() -> Demonstration:
    return raises(lambda: _doubling(tfb), ValueError, "exactly one of num_masked and")


NO_MASK = Erratum(
    identifier="realnvp-no-mask",
    title="Without num_masked and fraction_masked the error is about a float",
    where="RealNVP, arguments num_masked and fraction_masked",
    documented="Exactly one of the two is to be given.",
    tfp_does="TypeError: fraction_masked must be a float.",
    refglow_does="ValueError: give exactly one of them.",
    follows="documentation", show_tfp=_mask_tfp, show_refglow=_mask_refglow)


def _function_tfp() -> Demonstration:
    coupling = tfp_bijectors().RealNVP(num_masked=1)
    return raises(lambda: _doubled(coupling, 2), TypeError, "'NoneType' object is not callable")


def _function_refglow() -> Demonstration:
    return raises(lambda: tfb.RealNVP(num_masked=1), ValueError,
                  "exactly one of shift_and_log_scale_fn and bijector_fn")


NO_FUNCTION = Erratum(
    identifier="realnvp-no-function",
    title="A RealNVP without a function is built and fails when used",
    where="RealNVP, Raises",
    documented="ValueError if both or none of shift_and_log_scale_fn and bijector_fn are given.",
    tfp_does="Only both are an error; with none, the first use calls None.",
    refglow_does="ValueError for both and for none.",
    follows="documentation", show_tfp=_function_tfp, show_refglow=_function_refglow)


def _rounding_tfp() -> Demonstration:
    three, five = (_doubled(_doubling(tfp_bijectors(), fraction_masked=0.5), n) for n in (3, 5))
    text = " ".join((tfp_bijectors().RealNVP.__init__.__doc__ or "").split())
    return Demonstration(f"half of 3 channels: {three.count(1.0)} masked; of 5: {five.count(1.0)}",
                         three.count(1.0) == five.count(1.0) == 2 and "towards zero" in text)


def _rounding_refglow() -> Demonstration:
    three, five = (_doubled(_doubling(tfb, fraction_masked=0.5), n) for n in (3, 5))
    return Demonstration(f"half of 3 channels: {three.count(1.0)} masked; of 5: {five.count(1.0)}",
                         three.count(1.0) == five.count(1.0) == 2)


ROUNDING = Erratum(
    identifier="realnvp-rounding",
    title="fraction_masked is rounded to even, not towards zero",
    where="RealNVP, argument fraction_masked",
    documented="Size times fraction, rounded to the nearest integer towards zero.",
    tfp_does="Rounds to the nearest integer, halves to the even one: half of 3 masks 2.",
    refglow_does="The same.",
    follows="code", show_tfp=_rounding_tfp, show_refglow=_rounding_refglow)


def _interval_tfp() -> Demonstration:
    return raises(lambda: _doubling(tfp_bijectors(), fraction_masked=1.0), ValueError, "(-1, 1)")


def _interval_refglow() -> Demonstration:
    return raises(lambda: _doubling(tfb, fraction_masked=1.0), ValueError, "(-1, 1)")


INTERVAL = Erratum(
    identifier="realnvp-interval",
    title="fraction_masked must be inside (-1, 1)",
    where="RealNVP, argument fraction_masked",
    documented="In the closed interval [-1, 1].",
    tfp_does="-1 and 1 are errors: they would leave nothing to map.",
    refglow_does="The same.",
    follows="code", show_tfp=_interval_tfp, show_refglow=_interval_refglow)


def _negative_tfp() -> Demonstration:
    positive, negative = (_doubled(_doubling(tfp_bijectors(), fraction_masked=f), 3)
                          for f in (0.1, -0.1))
    return Demonstration(f"0.1 of 3 channels: {positive}; -0.1: {negative}",
                         positive == [2, 2, 2] and negative == [1, 1, 1])


def _negative_refglow() -> Demonstration:
    positive, negative = (_doubled(_doubling(tfb, fraction_masked=f), 3) for f in (0.1, -0.1))
    return Demonstration(f"0.1 of 3 channels: {positive}; -0.1: {negative}",
                         positive == negative == [2, 2, 2])


NEGATIVE = Erratum(
    identifier="realnvp-negative-zero",
    title="A small negative fraction masks everything instead of nothing",
    where="RealNVP, argument fraction_masked",
    documented="A negative fraction masks the last channels instead of the first.",
    tfp_does="Where the fraction rounds to no channel, a negative one masks all: the layer "
             "silently becomes the identity.",
    refglow_does="No channel is masked; all are mapped, as for a positive fraction.",
    follows="documentation", show_tfp=_negative_tfp, show_refglow=_negative_refglow)


def _memory_tfp() -> Demonstration:
    coupling = _doubling(tfp_bijectors(), fraction_masked=0.5)
    first, second = _doubled(coupling, 4), _doubled(coupling, 6)
    return Demonstration(f"4 channels: {first.count(1.0)} masked; then 6: {second.count(1.0)}",
                         (first.count(1.0), second.count(1.0)) == (2, 2))


def _memory_refglow() -> Demonstration:
    coupling = _doubling(tfb, fraction_masked=0.5)
    first, second = _doubled(coupling, 4), _doubled(coupling, 6)
    return Demonstration(f"4 channels: {first.count(1.0)} masked; then 6: {second.count(1.0)}",
                         (first.count(1.0), second.count(1.0)) == (2, 3))


MEMORY = Erratum(
    identifier="realnvp-memory",
    title="RealNVP remembers the size of its first input",
    where="RealNVP, argument fraction_masked against section Caching",
    documented="The argument masks a fraction of the input's size; the section says that the "
               "first call's size is kept.",
    tfp_does="Masks half of the first input's 4 channels, 2, for a later input of 6 as well.",
    refglow_does="Half of each input.",
    follows="documentation", show_tfp=_memory_tfp, show_refglow=_memory_refglow)

ERRATA = (NO_MASK, NO_FUNCTION, ROUNDING, INTERVAL, NEGATIVE, MEMORY)
