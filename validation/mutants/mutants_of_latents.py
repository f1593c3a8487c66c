"""Mistakes in the latent vector and in the interface: orders, what is dropped, directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow.validation.mutants.mutant import Change, Mutant, changed
from refglow.validation.mutants.operations import concatenated
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Array, Tensor


class InterleavedNCHW(PortedGlow):
    """The coarsest tensor is flattened as [C, H, W]."""

    def latents_out(self, latents: list[Tensor]) -> Tensor:
        """Channels slowest."""
        h, w, channels = _coarsest(self)
        z = super().latents_out(latents).reshape(-1, h, w, channels)
        return z.transpose(0, 3, 1, 2).reshape(-1, h * w * channels)

    def latents_in(self, z: Tensor) -> list[Tensor]:
        """The inverse of `latents_out`."""
        h, w, channels = _coarsest(self)
        return super().latents_in(z.reshape(-1, channels, h, w).transpose(0, 2, 3, 1))


class OnlyCoarsest(PortedGlow):
    """What exits is dropped; the way back puts the means of the exits in its place."""

    def latents_out(self, latents: list[Tensor]) -> Tensor:
        """What went through all blocks (or, if nothing did, exited last)."""
        kept = _kept(latents)
        return kept.transpose(0, 2, 3, 1).reshape(kept.shape[0], math.prod(kept.shape[1:]))

    def latents_in(self, z: Tensor) -> list[Tensor]:
        """Zeros for what exited.

        Raises:
          ValueError: if z has another number of latents than `latents_out` gives.
        """
        shapes = part_shapes(self)
        held = 0 if shapes[0][0] else 1
        c, h, w = shapes[held]
        if z.shape[1:] != (h * w * c,):
            raise ValueError(f"Expected latents [B, {h * w * c}]; got {list(z.shape)}.")
        parts = [z.tape.constant(np.zeros((z.shape[0], *shape), z.value.dtype)) for shape in shapes]
        parts[held] = z.reshape(-1, h, w, c).transpose(0, 3, 1, 2)
        return parts


class OnlyCoarsestCounted(OnlyCoarsest):
    """What exits is dropped from the density too."""

    def prior(self, latents: list[Tensor]) -> Tensor:
        """The kept latents' log-density."""
        return super().prior([_kept(latents)])


class DirectionsExchanged(PortedGlow):
    """The directions' names are exchanged: `forward` makes latents."""

    def inverse_and_log_det(self, x: Any) -> tuple[Array, Array]:
        """Images from latents."""
        return super().forward_and_log_det(x)

    def forward_and_log_det(self, z: Any) -> tuple[Array, Array]:
        """Latents from images."""
        return super().inverse_and_log_det(z)


def part_shapes(port: PortedGlow) -> list[tuple[int, int, int]]:
    """(C, H, W) of what went through all blocks, then of what exits, the coarsest first."""
    (height, width, _), n = port.image_shape, port.num_blocks
    sizes = [(height >> (n - i), width >> (n - i)) for i in range(n)]
    exits = [(grab, *size) for (_, grab, _), size in zip(port.splits, sizes, strict=True)]
    return [(port.splits[0][0], *sizes[0]), *exits]


def _kept(latents: list[Tensor]) -> Tensor:
    return latents[0] if latents[0].shape[1] else latents[1]


def _coarsest(port: PortedGlow) -> tuple[int, int, int]:
    (h, w, c), n = port.image_shape, port.num_blocks
    return h >> n, w >> n, c << 2 * n


def _concatenated(finest_first: bool, channels_last: bool) -> Change:
    """Every scale flattened, one after another."""
    there = (0, 2, 3, 1) if channels_last else (0, 1, 2, 3)

    def latents_out(self: PortedGlow, latents: list[Tensor]) -> Tensor:
        flat = [part.transpose(*there).reshape(part.shape[0], math.prod(part.shape[1:]))
                for part in latents]
        return concatenated(flat[::-1] if finest_first else flat)

    def latents_in(self: PortedGlow, z: Tensor) -> list[Tensor]:
        shapes, parts, start = part_shapes(self), [], 0
        z = z.reshape(z.shape[0], math.prod(self.image_shape))
        for c, h, w in (shapes[::-1] if finest_first else shapes):
            part = z[:, start:start + c * h * w]
            start += c * h * w
            parts.append(part.reshape(z.shape[0], h, w, c).transpose(0, 3, 1, 2)
                         if channels_last else part.reshape(z.shape[0], c, h, w))
        return parts[::-1] if finest_first else parts
    return changed(latents_out=latents_out, latents_in=latents_in)


MUTANTS = (
    Mutant("latents-interleaved-nchw", "The coarsest tensor is flattened as [C, H, W].", "classic",
           ("latents=interleaved NCHW",), "", InterleavedNCHW),
    Mutant("latents-finest-first", "The scales are concatenated, the finest first, as [H, W, C].",
           "openai/glow", ("latents=finest first NHWC",), "", _concatenated(True, True)),
    Mutant("latents-finest-first-nchw", "The scales are concatenated, the finest first, as "
           "[C, H, W].", "rosinality, nflows, InvertibleNetworks.jl",
           ("latents=finest first NCHW",), "", _concatenated(True, False)),
    Mutant("latents-coarsest-first", "The scales are concatenated, the coarsest first, as "
           "[H, W, C].", "TFP's documentation cuts contiguous ranges",
           ("latents=coarsest first NHWC",), "", _concatenated(False, True)),
    Mutant("latents-coarsest-first-nchw", "The scales are concatenated, the coarsest first, as "
           "[C, H, W].", "normflows", ("latents=coarsest first NCHW",), "",
           _concatenated(False, False)),
    Mutant("latents-dropped", "What exits is not returned: images cannot be rebuilt.",
           "chaiyujin, y0ast (rosinality#45, #7)", ("latents=only the coarsest",), "",
           OnlyCoarsest),
    Mutant("latents-dropped-from-density", "What exits is neither returned nor counted in log p.",
           "classic", ("latents=only the coarsest",
           "density=of the coarsest latents only"), "", OnlyCoarsestCounted),
    Mutant("latents-temperature", "forward multiplies latents by a temperature, 0.7.",
           "openai/glow, rosinality sample with 0.7", ("temperature=0.7",), "", changed(
               latents_in=lambda self, z: PortedGlow.latents_in(self, z * 0.7))),
    Mutant("direction-exchanged", "forward makes latents, inverse makes images.",
           "openai/glow, rosinality, nflows, FrEIA", ("direction=forward makes latents",), "",
           DirectionsExchanged),
)
