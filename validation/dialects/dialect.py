"""A dialect: which of Glow's many conventions an implementation follows.

One field for each question, its answers named in the tables of this package. The defaults are those
of TFP, which are refglow's. A mistake is a dialect that nobody meant: a missing H W, a transposed
matrix, a dropped term have their answers too, so that the diagnosis can look for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from refglow.validation.dialects.actnorms import (
    ACTNORMS,
    DEVIATIONS,
    EPSILONS,
    FROM_EVERY_BATCH,
    MEANS,
)
from refglow.validation.dialects.affines import AFFINES, LAYOUTS, SCALES
from refglow.validation.dialects.halves import GOING_ON, HALVES
from refglow.validation.dialects.images import READINGS
from refglow.validation.dialects.latent_orders import LATENT_ORDERS
from refglow.validation.dialects.log_dets import (
    BATCHES,
    BITS_PER_DIM,
    COUPLING_LOG_DETS,
    DENSITIES,
    ONLY_COARSEST,
    PIXELS,
    SIGNS,
    TERMS,
    UNITS,
)
from refglow.validation.dialects.matrices import CONV_LOG_DETS, FACTORS, MATRICES
from refglow.validation.dialects.networks import ACTIVATIONS, BIASES, GAINS, KERNELS, PADDINGS
from refglow.validation.dialects.squeezes import SQUEEZES

STEP_ORDERS = ("actnorm conv coupling", "actnorm coupling conv", "conv actnorm coupling",
               "conv coupling actnorm", "coupling actnorm conv", "coupling conv actnorm")
# How the arrays of the networks begin, one for each side, in order towards the latent.
SIDES = {"one": ("",), "both": ("first.", "second."), "both, by one network": ("", "")}
ORDERS = ("in order", "reversed")
STEPS = (*ORDERS, "all of them step 0's", "last one left out")


@dataclass(frozen=True)
class Dialect:
    """The answers; fields are questions, as for FIELDS, where all answers stand."""

    images: str = "as given"
    squeeze: str = "c a b"
    step_order: str = "actnorm conv coupling"
    steps: str = "in order"
    blocks: str = "in order"
    actnorm: str = "(x + m) exp(v)"
    actnorm_mean: str = "of each channel"
    actnorm_deviation: str = "population"
    actnorm_epsilon: str = "10 eps"
    factors: str = "P L U"
    matrix: str = "W"
    conditioning: str = "low half"
    sides: str = "one"
    joined: str = "in place"
    affine: str = "s x + t"
    scale: str = "sigmoid(r + 2)"
    layout: str = "[r, t]"
    exit_half: str = "high exits"
    exit_affine: str = "s x + t"
    exit_scale: str = "exp(r + 2)"
    exit_layout: str = "[r, t]"
    padding: str = "zeros"
    activation: str = "relu"
    kernel: str = "as given"
    bias: str = "added"
    gain: str = "none"
    hidden_norm: str = "none"
    latents: str = "interleaved"
    direction: str = "forward makes images"
    log_det_conv_formula: str = "log|det W|"
    log_det_coupling_formula: str = "sum log s"
    log_det_exit_formula: str = "sum log s"
    log_det_pixels: str = "all"
    log_det_actnorm: str = "added"
    log_det_conv: str = "added"
    log_det_coupling: str = "added"
    log_det_exit: str = "added"
    log_det_sign: str = "positive"
    log_det_unit: str = "nats"
    log_det_batch: str = "each"
    density: str = "normal"
    bits_per_dim: str = "-log p / (D ln 2) + 8"

    def __post_init__(self) -> None:
        for field in fields(self):
            answer = getattr(self, field.name)
            if answer not in FIELDS[field.name].answers:
                raise ValueError(f"A dialect's {field.name} is one of "
                                 f"{', '.join(map(repr, FIELDS[field.name].answers))}; "
                                 f"got {answer!r}.")

    def but(self, **answers: str) -> Dialect:
        """The same dialect with other answers to some questions."""
        return replace(self, **answers)

    def differences(self, other: Dialect) -> Iterator[tuple[str, str, str]]:
        """(field, this one's answer, the other's) wherever they differ."""
        for field in fields(self):
            here, there = getattr(self, field.name), getattr(other, field.name)
            if here != there:
                yield field.name, here, there


@dataclass(frozen=True)
class Field:
    """A question: in words, and the names of its answers, TFP's first."""

    question: str
    answers: tuple[str, ...]


_TERMS = tuple(TERMS)
FIELDS: dict[str, Field] = {
    "images": Field("what is done to images first", tuple(READINGS)),
    "squeeze": Field("the order of channel c, row a and column b of a 2 x 2 tile among the "
                     "squeezed channels, the slowest first", tuple(SQUEEZES)),
    "step_order": Field("the order in a step, towards the latent", STEP_ORDERS),
    "steps": Field("whether a block's steps use the weights of their own places", STEPS),
    "blocks": Field("whether blocks use the weights of their own places", ORDERS),
    "actnorm": Field("ActNorm towards the latent, m the shift, v the log-scale",
                     (*ACTNORMS, FROM_EVERY_BATCH)),
    "actnorm_mean": Field("the mean that ActNorm's start takes away", tuple(MEANS)),
    "actnorm_deviation": Field("the deviation that ActNorm's start divides by",
                               tuple(DEVIATIONS)),
    "actnorm_epsilon": Field("what is added to the deviation in ActNorm's start", tuple(EPSILONS)),
    "factors": Field("how the 1x1 convolution's matrix W comes from its arrays", tuple(FACTORS)),
    "matrix": Field("what multiplies a pixel's channels, towards the latent", tuple(MATRICES)),
    "conditioning": Field("which channels a coupling's network sees", tuple(HALVES)),
    "sides": Field("whether the other channels are then transformed too", tuple(SIDES)),
    "joined": Field("where the two halves stand after a coupling", ("in place", "exchanged")),
    "affine": Field("the coupling towards the latent, s its scale, t its shift", tuple(AFFINES)),
    "scale": Field("the coupling's scale s of the network's raw scale r", tuple(SCALES)),
    "layout": Field("r and t in the coupling network's output", tuple(LAYOUTS)),
    "exit_half": Field("which channels leave at an exit", tuple(GOING_ON)),
    "exit_affine": Field("the exit towards the latent, s its scale, t its shift", tuple(AFFINES)),
    "exit_scale": Field("the exit's scale s of the network's raw scale r",
                        ("exp(r + 2)", *(name for name in SCALES if name != "exp(r + 2)"))),
    "exit_layout": Field("r and t in the exit network's output", tuple(LAYOUTS)),
    "padding": Field("what stands around an image in a convolution", tuple(PADDINGS)),
    "activation": Field("between a network's convolutions", tuple(ACTIVATIONS)),
    "kernel": Field("how a convolution's kernel is read", tuple(KERNELS)),
    "bias": Field("a convolution's bias", tuple(BIASES)),
    "gain": Field("a factor after a network's last convolution", tuple(GAINS)),
    "hidden_norm": Field("what follows a hidden convolution", ("none", "actnorm")),
    "latents": Field("the order of the latents", tuple(LATENT_ORDERS)),
    "direction": Field("what forward makes",
                       ("forward makes images", "forward makes latents")),
    "log_det_conv_formula": Field("a 1x1 convolution's log-det at one pixel",
                                  tuple(CONV_LOG_DETS)),
    "log_det_coupling_formula": Field("a coupling's log-det", tuple(COUPLING_LOG_DETS)),
    "log_det_exit_formula": Field("an exit's log-det", tuple(COUPLING_LOG_DETS)),
    "log_det_pixels": Field("which log-dets of one pixel are multiplied by H W", tuple(PIXELS)),
    "log_det_actnorm": Field("what ActNorms' log-dets are in the total", _TERMS),
    "log_det_conv": Field("what 1x1 convolutions' log-dets are in the total", _TERMS),
    "log_det_coupling": Field("what couplings' log-dets are in the total", _TERMS),
    "log_det_exit": Field("what exits' log-dets are in the total", _TERMS),
    "log_det_sign": Field("the sign of log-dets", tuple(SIGNS)),
    "log_det_unit": Field("the unit of log-dets", tuple(UNITS)),
    "log_det_batch": Field("the log-dets of which image", tuple(BATCHES)),
    "density": Field("log p of an image, from |z|^2 and the log-det", (*DENSITIES, ONLY_COARSEST)),
    "bits_per_dim": Field("bits per dimension, from log p", tuple(BITS_PER_DIM)),
}
