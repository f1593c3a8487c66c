"""The dialects of known implementations, read from their code.

A record holds what the questions of FIELDS ask; `beyond` says what an implementation does that no
record can say. Options that change a convention (FrEIA's legacy_backend, normflows' scale_map) have
records with the options' defaults; importers look at the model that they are given.
"""

from __future__ import annotations

from dataclasses import dataclass

from refglow.validation.dialects.dialect import Dialect


@dataclass(frozen=True)
class KnownDialect:
    """One implementation's conventions.

    Attributes:
      title: the project, and which of its classes or options.
      dialect: its answers.
      beyond: what it does that a record cannot say.
    """

    title: str
    dialect: Dialect
    beyond: str = ""


TFP = Dialect()

OPENAI = Dialect(
    actnorm="(x + m) exp(3 v)", actnorm_epsilon="1e-6", factors="full matrix", matrix="W^T",
    affine="s (x + t)", layout="interleaved t, r", exit_affine="(x - t) / s", exit_scale="exp(r)",
    exit_layout="interleaved t, r", padding="border indicator", gain="exp(3 gain)",
    hidden_norm="actnorm", latents="finest first NHWC", direction="forward makes latents")

ROSINALITY = Dialect(
    actnorm="(x + m) v", actnorm_deviation="sample", actnorm_epsilon="1e-6",
    affine="s (x + t)", exit_affine="(x - t) / s", exit_scale="exp(r)", exit_layout="[t, r]",
    padding="ones, last", gain="exp(3 gain)", latents="finest first NCHW",
    direction="forward makes latents")

CHAIYUJIN = OPENAI.but(
    actnorm="(x + m) exp(v)", matrix="W", padding="zeros", latents="only the coarsest")

NORMFLOWS = Dialect(
    actnorm="(x - m) exp(-v)", actnorm_deviation="sample", actnorm_epsilon="1e-6",
    affine="s (x - t)", layout="interleaved t, r", exit_affine="left out",
    latents="coarsest first NCHW")

NFLOWS = Dialect(
    actnorm="x exp(v) + m", actnorm_deviation="sample", actnorm_epsilon="none", factors="L U P",
    conditioning="high half", scale="sigmoid(r + 2) + 0.001", layout="[t, r]",
    exit_half="low exits", exit_affine="left out", latents="finest first NCHW",
    direction="forward makes latents")

FREIA_GLOW = Dialect(
    actnorm="x exp(v) + m", actnorm_deviation="sample", actnorm_epsilon="none",
    factors="full matrix", conditioning="high half", sides="both", scale="exp(1.272 atan(r))",
    exit_affine="left out", latents="finest first NCHW", direction="forward makes latents")

FREIA_ALL_IN_ONE = FREIA_GLOW.but(
    step_order="coupling actnorm conv", conditioning="low half", sides="one",
    scale="exp(2 tanh(r))", log_det_conv="left out")

INVERTIBLE_NETWORKS = Dialect(
    actnorm="x v + m", actnorm_deviation="sample", actnorm_epsilon="none", factors="full matrix",
    conditioning="high half", scale="sigmoid(r)", exit_affine="left out",
    latents="finest first NCHW", direction="forward makes latents")

KNOWN: dict[str, KnownDialect] = {
    "tfp": KnownDialect("TensorFlow Probability, tfp.bijectors.Glow", TFP),
    "openai": KnownDialect(
        "openai/glow", OPENAI,
        "couplings are additive by default in its training script; images are whitened latents "
        "eps, not z; the coarsest latents may have a learned mean and scale"),
    "rosinality": KnownDialect(
        "rosinality/glow-pytorch", ROSINALITY,
        "couplings are additive by default; forward gives latents before they are whitened; the "
        "coarsest latents have a learned mean and scale"),
    "chaiyujin": KnownDialect(
        "chaiyujin/glow-pytorch", CHAIYUJIN,
        "what leaves at exits is dropped; noise is Gaussian while ln 256 is charged; the coarsest "
        "latents may have a learned mean and scale"),
    "y0ast": KnownDialect(
        "y0ast/Glow-PyTorch", CHAIYUJIN,
        "what leaves at exits is dropped; the coarsest latents may have a learned mean and scale"),
    "normflows": KnownDialect(
        "normflows, MultiscaleFlow of GlowBlocks", NORMFLOWS,
        "the larger half of an odd number of channels conditions"),
    "nflows": KnownDialect(
        "nflows, MultiscaleCompositeTransform", NFLOWS,
        "which channels condition is the caller's mask; a convolution's bias follows its matrix; "
        "its images experiment ends each level with one more 1x1 convolution"),
    "freia-glow": KnownDialect(
        "FrEIA, GLOWCouplingBlock", FREIA_GLOW,
        "the clamp, 2 by default, is the factor of the log-scale: 0.636 clamp atan(r)"),
    "freia-all-in-one": KnownDialect(
        "FrEIA, AllInOneBlock", FREIA_ALL_IN_ONE,
        "r and t are a tenth of the network's output; a soft permutation is orthogonal to float32, "
        "its inverse is taken to be its transpose and its log-det 0"),
    "invertible-networks": KnownDialect(
        "InvertibleNetworks.jl", INVERTIBLE_NETWORKS,
        "its networks have a residual middle layer and a transposed last convolution, its inverse "
        "divides by s + eps"),
}
