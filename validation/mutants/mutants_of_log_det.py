"""Mistakes in the log-determinant: its sign, its sums, its parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow.validation.mutants.mutant import Mutant, changed
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Array, Tensor


class MeanScalar(PortedGlow):
    """The log-det of a batch is one number, its mean."""

    def inverse_and_log_det(self, x: Any) -> tuple[Array, Array]:
        """(latents, one number)."""
        z, log_det = super().inverse_and_log_det(x)
        return z, np.asarray(log_det.mean())

    def forward_and_log_det(self, z: Any) -> tuple[Array, Array]:
        """(images, one number)."""
        x, log_det = super().forward_and_log_det(z)
        return x, np.asarray(log_det.mean())


def _for_the_batch(self: Any, log_det: Tensor, weight: float) -> Tensor:
    """The sum over the batch times a weight, for each image."""
    zeros = log_det.tape.constant(np.zeros(log_det.shape))
    return zeros + log_det.sum() * weight


def _mean(self: Any, log_det: Tensor) -> Tensor:
    return _for_the_batch(self, log_det, 1 / log_det.shape[0])


def _sum(self: Any, log_det: Tensor) -> Tensor:
    return _for_the_batch(self, log_det, 1.0)


_ONE = changed(conv_pixels=lambda self, h, w: 1), changed(actnorm_pixels=lambda self, h, w: 1)

_COUNTED = (("left out", lambda self, log_det: log_det * 0.0, "left-out", "is left out"),
            ("subtracted", lambda self, log_det: -log_det, "subtracted", "has the wrong sign"),
            ("twice", lambda self, log_det: log_det * 2.0, "twice", "is added twice"))

_FORMULAS = {"actnorm": ("actnorm_pixels",), "conv": ("conv_pixels", "conv_pixel_log_det"),
             "coupling": ("coupling_log_det",), "exit": ("exit_log_det",)}

_PARTS = (("actnorm", "ActNorm's log-det"), ("conv", "The 1x1 convolution's log-det"),
          ("coupling", "The coupling's log-det"), ("exit", "The exit's log-det"))


def _part(kind: str, text: str) -> tuple[Mutant, ...]:
    origin = ("normflows: exits are not conditioned, so nothing is counted" if kind == "exit"
              else "classic")
    found = []
    for key, function, slug, says in _COUNTED:
        hides = _FORMULAS[kind] if key == "left out" else ()
        found.append(Mutant(
            f"log-det-{kind}-{slug}", f"{text} {says}.", origin, (f"log_det_{kind}={key}",), kind,
            changed(hides, **{f"counted_{kind}": function})))
    return tuple(found)


MUTANTS = (
    Mutant("log-det-negative", "The log-det is that of the other direction.",
           "classic (tfp#554, normflows#27)", ("log_det_sign=negative",), "actnorm",
           changed(log_det_out=lambda self, log_det: -log_det)),
    Mutant("log-det-forward-not-negated", "forward's log-det is the inverse's, not its negative.",
           "classic (flowjax#208)", ("log_det_sign=negative",), "",
           changed(forward_log_det_out=lambda self, log_det: self.log_det_out(log_det))),
    Mutant("log-det-conv-one-pixel", "The 1x1 convolution's log-det is not multiplied by H W.",
           "classic (tfp#576)", ("log_det_pixels=conv not times H W",), "conv", _ONE[0]),
    Mutant("log-det-actnorm-one-pixel", "ActNorm's log-det is not multiplied by H W.",
           "classic (tfp#238)", ("log_det_pixels=actnorm not times H W",), "actnorm", _ONE[1]),
    Mutant("log-det-one-pixel", "ActNorm's and the convolution's log-dets are not multiplied by "
           "H W.", "classic", ("log_det_pixels=actnorm and conv not times H W",), "actnorm",
           changed(conv_pixels=lambda self, h, w: 1, actnorm_pixels=lambda self, h, w: 1)),
    Mutant("log-det-conv-image-pixels", "The convolution's log-det is multiplied by the whole "
           "image's H W at every scale.", "classic",
           ("log_det_pixels=conv times the image's H W",), "conv", changed(
               conv_pixels=lambda self, h, w: self.image_shape[0] * self.image_shape[1])),
    Mutant("log-det-conv-finest-pixels", "H W is computed once, at the finest scale, and used for "
           "the convolutions of all.", "classic",
           ("log_det_pixels=conv times the finest scale's H W",), "conv", changed(
               conv_pixels=lambda self, h, w: self.image_shape[0] * self.image_shape[1] // 4)),
    Mutant("log-det-actnorm-finest-pixels", "H W is computed once, at the finest scale, and used "
           "for ActNorms of all.", "classic",
           ("log_det_pixels=actnorm times the finest scale's H W",), "actnorm", changed(
               actnorm_pixels=lambda self, h, w: self.image_shape[0] * self.image_shape[1] // 4)),
    Mutant("log-det-conv-one-pixel-finest", "The convolution's log-det is not multiplied by H W at "
           "the finest scale.", "classic", ("log_det_pixels=conv not times H W at the finest scale",
                                            ), "conv", changed(
               conv_pixels=lambda self, h, w: 1 if 2 * h == self.image_shape[0] else h * w)),
    Mutant("log-det-actnorm-one-pixel-finest", "ActNorm's log-det is not multiplied by H W at the "
           "finest scale.", "classic",
           ("log_det_pixels=actnorm not times H W at the finest scale",), "actnorm", changed(
               actnorm_pixels=lambda self, h, w: 1 if 2 * h == self.image_shape[0] else h * w)),
    Mutant("log-det-bits", "The log-det is in bits.", "classic", ("log_det_unit=bits",), "actnorm",
           changed(log_det_out=lambda self, log_det: log_det * (1 / math.log(2)))),
    Mutant("log-det-decimal", "The log-det uses log10.", "classic", ("log_det_unit=powers of ten",),
           "actnorm", changed(log_det_out=lambda self, log_det: log_det * (1 / math.log(10)))),
    Mutant("log-det-batch-mean", "The log-det is averaged over the batch, then given to each "
           "image.", "InvertibleNetworks.jl averages over the batch", ("log_det_batch=mean",),
           "coupling", changed(log_det_out=_mean)),
    Mutant("log-det-batch-scalar", "The log-det of a batch is one number, the mean.",
           "InvertibleNetworks.jl", ("log_det_batch=mean",), "", MeanScalar),
    Mutant("log-det-batch-sum", "The log-det is summed over the batch too.", "classic",
           ("log_det_batch=sum",), "actnorm", changed(log_det_out=_sum)),
    Mutant("log-det-per-dimension", "The log-det is divided by H W C.", "classic",
           ("log_det_unit=per dimension",), "actnorm", changed(
               log_det_out=lambda self, log_det: log_det * (1 / math.prod(self.image_shape)))),
    *(mutant for kind, text in _PARTS for mutant in _part(kind, text)),
    Mutant("log-det-coupling-sum-s", "The coupling's log-det is the sum of s, the log forgotten.",
           "classic", ("log_det_coupling_formula=sum s",), "coupling", changed(
               coupling_log_det=lambda self, elements, s, r: s.sum(1, 2, 3))),
    Mutant("log-det-coupling-sum-r", "The coupling's log-det is the sum of the raw scales.",
           "classic: right where s = exp(r)", ("log_det_coupling_formula=sum r",), "coupling",
           changed(coupling_log_det=lambda self, elements, s, r: r.sum(1, 2, 3))),
    Mutant("log-det-coupling-mean", "The coupling's log-det is a mean over pixels and channels.",
           "classic", ("log_det_coupling_formula=mean log s",), "coupling", changed(
               coupling_log_det=lambda self, elements, s, r:
               elements.sum(1, 2, 3) * (1 / math.prod(elements.shape[1:])))),
    *(Mutant(f"log-det-{kind}-times-pixels", f"The {kind}'s log-det, a sum over pixels, is "
             "multiplied by H W.", "classic", (f"log_det_{kind}_formula=H W times sum log s",),
             kind, changed((), **{f"{kind}_log_det": lambda self, elements, s, r:
                                  elements.sum(1, 2, 3) * float(math.prod(elements.shape[2:]))}))
      for kind in ("coupling", "exit")),
    Mutant("log-det-exit-sum-s", "The exit's log-det is the sum of s, the log forgotten.",
           "classic", ("log_det_exit_formula=sum s",), "exit", changed(
               exit_log_det=lambda self, elements, s, r: s.sum(1, 2, 3))),
    Mutant("log-det-exit-sum-r", "The exit's log-det is the sum of the raw scales, their 2 "
           "forgotten.", "classic: right where s = exp(r) (tfp#1177)",
           ("log_det_exit_formula=sum r",), "exit", changed(
               exit_log_det=lambda self, elements, s, r: r.sum(1, 2, 3))),
    Mutant("log-det-exit-mean", "The exit's log-det is a mean over pixels and channels.",
           "classic", ("log_det_exit_formula=mean log s",), "exit", changed(
               exit_log_det=lambda self, elements, s, r:
               elements.sum(1, 2, 3) * (1 / math.prod(elements.shape[1:])))),
    Mutant("log-det-exit-channels-averaged", "The exit's log-det is averaged over channels and "
           "summed over pixels.", "classic",
           ("log_det_exit_formula=mean over channels of log s",), "exit", changed(
               exit_log_det=lambda self, elements, s, r:
               elements.sum(1, 2, 3) * (1 / elements.shape[1]))),
    Mutant("log-det-coupling-channels-averaged", "The coupling's log-det is averaged over "
           "channels and summed over pixels.", "classic",
           ("log_det_coupling_formula=mean over channels of log s",), "coupling", changed(
               coupling_log_det=lambda self, elements, s, r:
               elements.sum(1, 2, 3) * (1 / elements.shape[1]))),
)
