"""Mistakes in ActNorm: its form, and how its parameters are started from data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refglow.validation.mutants.mutant import Mutant, changed
from refglow.validation.mutants.operations import exp, log_absolute
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Array, Tensor
from refglow.validation.mutants.walk import Run


class LeftOut(PortedGlow):
    """ActNorm is built and not called."""

    def actnorm_do(self, x: Tensor, m: Tensor, v: Tensor) -> Tensor:
        """Nothing."""
        return x

    def actnorm_undo(self, z: Tensor, m: Tensor, v: Tensor) -> Tensor:
        """Nothing."""
        return z

    def actnorm_elements(self, v: Tensor) -> Tensor:
        """No log-det, however it is counted."""
        return v * 0.0

    actnorm_pixels = PortedGlow.actnorm_pixels
    counted_actnorm = PortedGlow.counted_actnorm


class BatchStatistics(PortedGlow):
    """A batch of images is normalised by its own statistics; the way back uses what is stored."""

    def actnorm_parameters(self, run: Run, place: str, x: Tensor,
                           encode: bool) -> tuple[Tensor, Tensor]:
        """From the batch, towards the latent."""
        if encode and run.starts is None:
            return _from_batch(self, run, x)
        return super().actnorm_parameters(run, place, x, encode)


class StartedAfterLoad(PortedGlow):
    """The flag "initialised" is not restored: the first batch after loading sets the parameters."""

    _started: dict[str, tuple[Array, Array]]

    def actnorm_parameters(self, run: Run, place: str, x: Tensor,
                           encode: bool) -> tuple[Tensor, Tensor]:
        """From the first batch of images."""
        if not encode or run.starts is not None:
            return super().actnorm_parameters(run, place, x, encode)
        started = self.__dict__.setdefault("_started", {})
        if place not in started:
            started[place] = tuple(t.value for t in _from_batch(self, run, x))
        m, v = started[place]
        return run.tape.constant(m), run.tape.constant(v)


def _from_batch(port: PortedGlow, run: Run, x: Tensor) -> tuple[Tensor, Tensor]:
    m, v = port.actnorm_start(*port.statistics(x.value))
    return run.tape.constant(m.astype(x.value.dtype)), run.tape.constant(v.astype(x.value.dtype))


def _form(do: Callable[..., Tensor], undo: Callable[..., Tensor],
          elements: Callable[..., Tensor], start: Callable[..., tuple[Array, Array]],
          hides: tuple[str, ...] = ()) -> Any:
    return changed(hides, actnorm_do=do, actnorm_undo=undo, actnorm_elements=elements,
                   actnorm_start=start)


# (name, bug, origin, alternative, (towards the latent, towards the image, log-det of a number,
#                                   start from data))
_FORMS = (
    ("actnorm-scale-first", "The shift is added after the scale: x exp(v) + m.", "nflows",
     "x exp(v) + m", _form(
         lambda self, x, m, v: x * exp(v) + m, lambda self, z, m, v: (z - m) / exp(v),
         lambda self, v: v, lambda self, mu, sd: (-mu / sd, -np.log(sd)))),
    ("actnorm-mean-subtracted", "The shift is a mean, subtracted: (x - m) exp(v).", "classic",
     "(x - m) exp(v)", _form(
         lambda self, x, m, v: (x - m) * exp(v), lambda self, z, m, v: z / exp(v) + m,
         lambda self, v: v, lambda self, mu, sd: (mu, -np.log(sd)))),
    ("actnorm-mean-and-deviation", "Both are the data's: (x - m) exp(-v).",
     "normflows; FrEIA", "(x - m) exp(-v)", _form(
         lambda self, x, m, v: (x - m) * exp(-v), lambda self, z, m, v: z * exp(v) + m,
         lambda self, v: -v, lambda self, mu, sd: (mu, np.log(sd)))),
    ("actnorm-scale-divides", "The scale divides: (x + m) exp(-v).", "classic",
     "(x + m) exp(-v)", _form(
         lambda self, x, m, v: (x + m) * exp(-v), lambda self, z, m, v: z * exp(v) - m,
         lambda self, v: -v, lambda self, mu, sd: (-mu, np.log(sd)))),
    ("actnorm-directions-exchanged", "ActNorm's forward is used for its inverse: x exp(-v) - m.",
     "classic: TFP's forward makes images", "x exp(-v) - m", _form(
         lambda self, x, m, v: x * exp(-v) - m, lambda self, z, m, v: (z + m) * exp(v),
         lambda self, v: -v, lambda self, mu, sd: (mu / sd, np.log(sd)))),
    ("actnorm-factor-3", "The log-scale is multiplied by 3: (x + m) exp(3 v).", "openai/glow",
     "(x + m) exp(3 v)", _form(
         lambda self, x, m, v: (x + m) * exp(v * 3.0), lambda self, z, m, v: z / exp(v * 3.0) - m,
         lambda self, v: v * 3.0, lambda self, mu, sd: (-mu, -np.log(sd) / 3))),
    ("actnorm-log-scale-as-scale", "The stored log-scale is used as the scale: (x + m) v.",
     "rosinality, whose scale is stored as such", "(x + m) v", _form(
         lambda self, x, m, v: (x + m) * v, lambda self, z, m, v: z / v - m,
         lambda self, v: log_absolute(v), lambda self, mu, sd: (-mu, 1 / sd))),
    ("actnorm-scale-itself-first", "The stored log-scale is the scale, the shift added after: "
     "x v + m.", "InvertibleNetworks.jl: s x + b", "x v + m", _form(
         lambda self, x, m, v: x * v + m, lambda self, z, m, v: (z - m) / v,
         lambda self, v: log_absolute(v), lambda self, mu, sd: (-mu / sd, 1 / sd))),
    ("actnorm-deviation-first", "The scale divides and the shift is added after: x exp(-v) + m.",
     "classic", "x exp(-v) + m", _form(
         lambda self, x, m, v: x * exp(-v) + m, lambda self, z, m, v: (z - m) * exp(v),
         lambda self, v: -v, lambda self, mu, sd: (-mu / sd, np.log(sd)))),
    ("actnorm-shift-only", "The scale is not applied: x + m.", "classic", "x + m", _form(
        lambda self, x, m, v: x + m, lambda self, z, m, v: z - m,
        lambda self, v: v * 0.0, lambda self, mu, sd: (-mu, -np.log(sd)),
        ("actnorm_pixels", "counted_actnorm"))),
    ("actnorm-scale-only", "The shift is not applied: x exp(v).", "classic", "x exp(v)", _form(
        lambda self, x, m, v: x * exp(v), lambda self, z, m, v: z / exp(v),
        lambda self, v: v, lambda self, mu, sd: (-mu, -np.log(sd)))),
)


def _all_channels(self: Any, centred: Array) -> Array:
    """One variance for all channels, about each channel's mean."""
    return np.full(len(centred[0]), (centred**2).mean())


def _inside_the_root(self: Any, centred: Array, epsilon: float) -> Array:
    return np.asarray(np.sqrt(self.variance(centred) + 1e-5))


def _sample_variance(self: Any, centred: Array) -> Array:
    return np.asarray((centred**2).sum(axis=(0, 2, 3)) / (centred[:, 0].size - 1))


class FirstImage(PortedGlow):
    """The start looks at the first image only."""

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """Of the first image."""
        return super().statistics(x[:1])


def _of_parts(axes: tuple[int, ...], others: tuple[int, ...]) -> Any:
    """Deviations over some axes of [B, C, H, W], averaged over the others."""
    def deviation(self: Any, centred: Array, epsilon: float) -> Array:
        spread = centred - centred.mean(axis=axes, keepdims=True)
        each = np.sqrt((spread**2).mean(axis=axes, keepdims=True))
        return np.asarray(each.mean(axis=others, keepdims=True).reshape(-1)) + epsilon
    return changed(deviation=deviation, variance=PortedGlow.variance)


class WholeBatchMean(PortedGlow):
    """The mean is over channels too."""

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """One mean and one deviation for all channels."""
        wide = x.astype(np.float64)
        channels, mean = x.shape[1], wide.mean()
        deviation = np.sqrt(((wide - mean)**2).mean()) + self.epsilon(x)
        return np.full(channels, mean), np.full(channels, deviation)


MUTANTS = (
    *(Mutant(name, bug, origin, (f"actnorm={key}",), "actnorm", change)
      for name, bug, origin, key, change in _FORMS),
    Mutant("actnorm-left-out", "ActNorm is built and never called.", "classic",
           ("actnorm=left out",), "actnorm", LeftOut),
    Mutant("actnorm-batch-statistics", "Images are normalised by their own batch's statistics, as "
           "in batch normalisation.", "classic", ("actnorm=this batch's statistics",), "actnorm",
           BatchStatistics),
    Mutant("actnorm-started-after-load", "ActNorm starts again from the first batch after loading.",
           "rosinality#6", ("actnorm=this batch's statistics",), "actnorm", StartedAfterLoad),
    Mutant("actnorm-sample-deviation", "The deviation has n - 1 in its denominator.",
           "rosinality, normflows, nflows, FrEIA, InvertibleNetworks.jl (ddof 1)",
           ("actnorm_deviation=sample",), "", changed(variance=_sample_variance)),
    Mutant("actnorm-variance", "The variance is used where its root should be.", "classic",
           ("actnorm_deviation=variance",), "", changed(
               deviation=lambda self, centred, epsilon: self.variance(centred) + epsilon)),
    Mutant("actnorm-all-channels", "One deviation is computed for all channels.", "classic",
           ("actnorm_deviation=all channels together",), "", changed(variance=_all_channels)),
    Mutant("actnorm-one-mean", "One mean and deviation are computed for all channels.", "classic",
           ("actnorm_mean=of all channels", "actnorm_deviation=all channels together"), "",
           WholeBatchMean),
    Mutant("actnorm-first-image", "The start looks at the first image of the batch only.",
           "classic", ("actnorm_mean=of the first image", "actnorm_deviation=of the first image"),
           "", FirstImage),
    Mutant("actnorm-deviation-of-pixels", "Each pixel's deviation over the batch is averaged.",
           "classic: statistics over axis 0, reduced afterwards",
           ("actnorm_deviation=of each pixel, averaged",), "", _of_parts((0,), (2, 3))),
    Mutant("actnorm-deviation-of-images", "Each image's deviation is averaged over the batch.",
           "classic: statistics over the last axes, as in instance normalisation",
           ("actnorm_deviation=of each image, averaged",), "", _of_parts((2, 3), (0,))),
    Mutant("actnorm-start-without-shift", "The start sets scales only.", "classic",
           ("actnorm_mean=none",), "", changed(
               actnorm_start=lambda self, mu, sd: (mu * 0.0, -np.log(sd)))),
    Mutant("actnorm-start-without-scale", "The start sets shifts only.", "classic",
           ("actnorm_deviation=none",), "", changed(
               actnorm_start=lambda self, mu, sd: (-mu, sd * 0.0))),
    Mutant("actnorm-not-started", "The start is done in training mode only, and the port is not in "
           "it.", "nflows", ("actnorm_mean=none", "actnorm_deviation=none"), "", changed(
               actnorm_start=lambda self, mu, sd: (mu * 0.0, sd * 0.0))),
    Mutant("actnorm-no-epsilon", "Nothing is added to the deviation; a constant channel gets an "
           "infinite scale.", "nflows, InvertibleNetworks.jl (rosinality#46, FrEIA#121)",
           ("actnorm_epsilon=none",), "", changed(epsilon=lambda self, x: 0.0)),
    Mutant("actnorm-epsilon-1e-6", "1e-6 is added to the deviation.",
           "openai/glow, chaiyujin, y0ast", ("actnorm_epsilon=1e-6",), "",
           changed(epsilon=lambda self, x: 1e-6)),
    Mutant("actnorm-epsilon-in-variance", "1e-5 is added to the variance.",
           "classic: PyTorch's batch normalisation", ("actnorm_epsilon=1e-5 in the variance",), "",
           changed(deviation=_inside_the_root)),
    Mutant("actnorm-epsilon-1e-3", "1e-3 is added to the deviation.", "classic",
           ("actnorm_epsilon=1e-3",), "", changed(epsilon=lambda self, x: 1e-3)),
)
