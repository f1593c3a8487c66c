"""Whole Glows: from one step on two by two pixels to the default configuration for CIFAR images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from refglow.validation.vectors.draws import gentle_factors, scaled, uniform
from refglow.validation.vectors.vector import Vector

_GLOW = ("WrongHalf", "StepOrder", "LatentOrder", "DroppedLatents", "SpaceToDepth", "SqueezeAxes",
         "FlattenNCHW", "ZeroInitBlind", "MissingHW", "DroppedTerm", "InverseDirection",
         "Gradient")
_AFFINE = ("SwappedParams", "ShiftBeforeScale", "ScaleOffset", "ScaleFunction", "LogDetSign")
_KEPT = 64  # numbers of an image; Glows for larger ones, or of three scales, have many weights


def _arguments(shape: tuple[int, int, int], blocks: int, steps: int, hidden: int,
               **more: Any) -> dict[str, Any]:
    return {"output_shape": list(shape), "num_glow_blocks": blocks, "num_steps_per_block": steps,
            "num_hidden": hidden} | more


def _small() -> Iterator[Vector]:
    for shape, blocks in (((2, 2, 1), 1), ((2, 4, 3), 1), ((4, 4, 1), 2), ((4, 8, 2), 2),
                          ((8, 4, 3), 2), ((8, 8, 1), 3), ((8, 16, 3), 3)):
        for steps in (1, 2):
            for label, more in (("", {}), ("-additive", {"network": "additive"}),
                                ("-no-actnorm", {"use_actnorm": False})):
                size = "x".join(map(str, shape))
                flags = tuple(f for f in _GLOW if blocks > 1 or f not in (
                    "LatentOrder", "DroppedLatents"))
                if not label.startswith("-additive"):
                    flags += _AFFINE
                if shape[2] == 1:  # images in either order are the same numbers
                    flags = tuple(f for f in flags if f != "FlattenNCHW")
                if shape == (2, 2, 1):  # one channel before the squeeze, one pixel after it
                    flags = tuple(f for f in flags if f not in ("SpaceToDepth", "MissingHW"))
                yield Vector(f"glow-{size}-{blocks}-{steps}{label}", "Glow",
                             _arguments(shape, blocks, steps, 4, **more), (2,),
                             (math.prod(shape),), flags,
                             f"{blocks} scales of {steps} steps, random weights everywhere.",
                             generated=blocks == 3 or math.prod(shape) > _KEPT)
    for label, grab, shape in (("none", [0.0, 0.0], (4, 4, 1)), ("some", [0.3, 0.8], (4, 4, 2)),
                               ("halves", [0.5, 0.0, 0.5], (8, 8, 1)),
                               ("all", [0.75, 1.0], (4, 4, 1)),
                               ("floor", [0.35, 0.0], (4, 4, 2))):
        yield Vector(f"glow-exits-{label}", "Glow",
                     _arguments(shape, len(grab), 1, 4, grab_after_block=grab), (2,),
                     (math.prod(shape),), ("ExitFraction", "WrongHalf"),
                     f"After each block these shares of the channels exit: {grab}.")


def _random() -> Iterator[Vector]:
    """Architectures drawn from the generator: what nobody would have thought of."""
    for index in range(30):
        drawn = iter(np.abs(uniform(f"glow-random-{index:02}", (16,))))

        def one_of(*choices: Any, drawn: Iterator[Any] = drawn) -> Any:
            return choices[int(next(drawn) * len(choices))]
        blocks = one_of(1, 2, 2, 3)
        height, width = (2**blocks * one_of(1, 1, 2) for _ in range(2))
        shape = (height, width, one_of(1, 2, 3, 4) if height * width < 64 else one_of(1, 2))
        grab = [one_of(0.5, 0.5, 0.0) for _ in range(blocks)]
        more: dict[str, Any] = {"grab_after_block": grab, "use_actnorm": one_of(True, True, False)}
        if one_of(True, False, False):
            more["network"] = "additive"
        steps = one_of(1, 2, 3)
        yield Vector(f"glow-random-{index:02}", "Glow",
                     _arguments(shape, blocks, steps, one_of(3, 5, 6), **more), (2,),
                     (math.prod(shape),), ("WrongHalf", "StepOrder", "ZeroInitBlind", "Gradient",
                                             *(() if "network" in more else _AFFINE)),
                     f"A random architecture: {blocks} blocks, {steps} steps, exits {grab}.",
                     generated=True)


def _large() -> Iterator[Vector]:
    yield Vector("glow-16x16x3-2-4", "Glow", _arguments((16, 16, 3), 2, 4, 16), (1,), (768,),
                 (*_GLOW, *_AFFINE, "Accumulation"), "A small image.", uniform, generated=True)
    yield Vector("glow-32x32x3-3-4", "Glow", _arguments((32, 32, 3), 3, 4, 16), (1,), (3072,),
                 (*_GLOW, *_AFFINE, "Accumulation"), "A CIFAR image, four steps a scale.", uniform,
                 generated=True)
    yield Vector("glow-96x64x3-2-1", "Glow", _arguments((96, 64, 3), 2, 1, 4), (1,), (18432,),
                 ("WrongHalf", "SpaceToDepth", "SqueezeAxes", "FlattenNCHW", "MissingHW",
                  "ZeroInitBlind", "Accumulation", "Gradient"),
                 "A large image, all from the generator; of its results 256 numbers are kept.",
                 uniform, generated=True, sampled=True)
    yield Vector("glow-cifar", "Glow", _arguments((32, 32, 3), 3, 32, 400), (1,), (3072,),
                 (*_GLOW, *_AFFINE, "Accumulation"),
                 "The default Glow for CIFAR images: 30 million weights, 96 steps. The weights are "
                 "such that it is well-conditioned in both directions.", uniform,
                 {"lower_upper": gentle_factors, "log_scale": scaled(2.0**-6, uniform, 0.0625)},
                 generated=True, derivatives=("vjp", "jvp"), gain_log2=-2, first_bits=960)


GLOWS: tuple[Vector, ...] = (*_small(), *_random(), *_large())
