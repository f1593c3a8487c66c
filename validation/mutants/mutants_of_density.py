"""Mistakes in the density, in bits per dimension and in gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow.validation.mutants.mutant import Mutant, changed
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Array, Tensor


class ScaleDetachedInLogDet(PortedGlow):
    """The couplings' scales get no gradient from the log-det."""

    def coupling_log_det(self, elements: Tensor, s: Tensor, r: Tensor) -> Tensor:
        """The right value, a constant."""
        return super().coupling_log_det(elements.detached(), s, r)


class SeenHalfDetached(PortedGlow):
    """The network's input is detached: no gradient flows through the deciding half."""

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The halves; what is joined later is the detached one too."""
        seen, transformed = super().halves(x)
        return seen.detached(), transformed


def _zero(self: Any, name: str, bar: Array) -> Array:
    return np.zeros_like(bar)


def _named(suffix: str, change: Any) -> Any:
    """Changes the gradients whose names end so."""
    return changed(gradient_out=lambda self, name, bar:
                   change(bar) if name.endswith(suffix) else bar)


def _lower_only(bar: Array) -> Array:
    return np.tril(bar, -1)


_PRIOR = (
    ("density-without-log-2-pi", "The normalising constant log(2 pi) is left out.",
     "classic: right up to a constant", "without log 2 pi",
     changed(prior=lambda self, latents: self.squares(latents) * -0.5)),
    ("density-without-half", "The 1/2 of z^2 / 2 is left out.", "classic",
     "without 1/2 of the square",
     changed(prior=lambda self, latents: -self.squares(latents)
             + -0.5 * math.log(2 * math.pi) * self.count(latents))),
    ("density-minus-log-det", "The log-det is subtracted.", "classic (tfp#554)",
     "log-det subtracted",
     changed(log_density=lambda self, prior, log_det: prior - log_det)),
    ("density-without-log-det", "The log-det is left out.", "classic", "without log-det",
     changed(log_density=lambda self, prior, log_det: prior)),
)

_LOSS = (
    ("density-negative", "The loss -log p is returned for log p.", "classic", "negative",
     changed(log_density=lambda self, prior, log_det: -(prior + log_det))),
    ("density-log-2-pi-once", "log(2 pi) is counted once, not for every dimension.", "classic",
     "log 2 pi once", changed(prior=lambda self, latents: self.squares(latents) * -0.5
                              + -0.5 * math.log(2 * math.pi))),
)

_BITS = (
    ("bits-without-8", "The 8 bits of the levels are not added: nats of a density, in bits.",
     "normflows#5, y0ast#27", "without + 8",
     changed(bits=lambda self, log_prob, count: -log_prob / (count * math.log(2)))),
    ("bits-nats", "The result is in nats per dimension.", "openai/glow#51", "in nats throughout",
     changed(bits=lambda self, log_prob, count: -log_prob / count + 8 * math.log(2))),
    ("bits-per-pixel", "The result is per pixel, not per dimension.", "classic", "per pixel",
     changed(bits=lambda self, log_prob, count: -log_prob / (
         math.prod(self.image_shape[:2]) * math.log(2)) + 8)),
    ("bits-sign", "log p has the wrong sign in it.", "classic", "log p / (D ln 2) + 8",
     changed(bits=lambda self, log_prob, count: log_prob / (count * math.log(2)) + 8)),
    ("bits-8-subtracted", "The 8 bits are subtracted.", "classic", "- 8",
     changed(bits=lambda self, log_prob, count: -log_prob / (count * math.log(2)) - 8)),
    ("bits-log2-255", "log2(255) is added in place of 8.", "chaiyujin: k / 255", "+ log2 255",
     changed(bits=lambda self, log_prob, count: -log_prob / (count * math.log(2))
             + math.log2(255))),
)

_GRADIENT = (
    ("gradient-sum", "The gradient is of the batch's sum.", "classic", "sum over the batch",
     changed(objective=lambda self, log_prob, prior: log_prob.sum())),
    ("gradient-of-the-loss", "The gradient is of -log p.", "classic", "of the loss",
     changed(objective=lambda self, log_prob, prior: log_prob.sum() * (-1 / log_prob.shape[0]))),
    ("gradient-without-log-det", "The log-det is not differentiated.",
     "InvertibleNetworks.jl (#122)", "without the log-det",
     changed(objective=lambda self, log_prob, prior: prior.sum() * (1 / prior.shape[0]))),
    ("gradient-zero", "The gradient is 0: the tape was cut.", "InvertibleNetworks.jl (#122)",
     "zero", changed(gradient_out=_zero)),
)

MUTANTS = (
    *(Mutant(name, bug, origin, (f"density={key}",), "", change)
      for name, bug, origin, key, change in (*_PRIOR, *_LOSS)),
    *(Mutant(name, bug, origin, (f"bits_per_dim={key}",), "", change)
      for name, bug, origin, key, change in _BITS),
    Mutant("bits-ln-2-forgotten", "-log p / D is not divided by ln 2, but 8 is added.", "classic",
           ("bits_per_dim=in nats",), "",
           changed(bits=lambda self, log_prob, count: -log_prob / count + 8)),
    *(Mutant(name, bug, origin, (f"gradient={key}",), "", change)
      for name, bug, origin, key, change in _GRADIENT),
    Mutant("gradient-scale-detached", "The couplings' scales are detached in the log-det.",
           "classic", (), "", ScaleDetachedInLogDet),
    Mutant("gradient-seen-half-detached", "The deciding half is detached.", "classic", (), "",
           SeenHalfDetached),
    Mutant("gradient-log-scale-tripled", "The gradient by ActNorm's log-scale is three times too "
           "large.", "openai/glow's factor 3, kept in the gradient only",
           ("gradient=three times, by log_scale",), "",
           _named("log_scale", lambda bar: bar * 3)),
    Mutant("gradient-lu-transposed", "The gradient by the packed LU factors is transposed.",
           "classic", ("gradient=transposed, by lower_upper",), "", _named("lower_upper",
           lambda bar: bar.T)),
    Mutant("gradient-lu-lower-only", "U's entries get no gradient.", "classic",
           ("gradient=strictly lower part, by lower_upper",), "",
           _named("lower_upper", _lower_only)),
    Mutant("gradient-kernel-rotated", "The gradient by kernels is rotated by 180 degrees.",
           "classic: a convolution by hand", ("gradient=rotated by 180 degrees, by kernel",), "",
           _named("kernel", lambda bar: np.flip(bar, (0, 1)))),
    Mutant("gradient-bias-batch-mean", "The gradient by biases is half of what it is.", "classic",
           ("gradient=half, by bias",), "", _named("bias", lambda bar: bar / 2)),
    Mutant("gradient-of-images-negative", "The gradient by the images has the wrong sign.",
           "classic", ("gradient=minus, by x",), "", changed(
               gradient_out=lambda self, name, bar: -bar if name == "x" else bar)),
)
