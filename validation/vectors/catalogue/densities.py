"""Log-densities, in nats: the normal distribution's, and whole Glows'."""

from __future__ import annotations

from collections.abc import Iterator

from refglow.validation.vectors.draws import points, uniform
from refglow.validation.vectors.vector import FORWARD, Vector

_DENSITY = ("LogBase", "DroppedTerm", "Gradient")


def _normals() -> Iterator[Vector]:
    for label, shape in (("each", [4]), ("one", [1])):
        yield Vector(f"normal-{label}", "Normal", {"parameter_shape": shape}, (3,), (4,),
                     (*_DENSITY, "LogDetBatch"), "Each number has its own density.",
                     params={"scale": points([0.5, 2, 0.125, 7])}, directions=FORWARD)
    yield Vector("normal-tails", "Normal", {"parameter_shape": [1]}, (1,), (6,),
                 ("Overflow", "LogBase"), "Far out, where the density itself is 0.",
                 points([-1e4, -40, -14.5, 14.5, 40, 1e4]), params={"loc": points([0]),
                                                                    "scale": points([1])},
                 directions=FORWARD)
    yield Vector("normal-scales", "Normal", {"parameter_shape": [4]}, (2,), (4,),
                 ("Overflow", "LogBase"), "Deviations of 2^-40 to 2^40.",
                 params={"loc": points([0]),
                         "scale": points([2.0**-40, 2.0**-10, 2.0**10, 2.0**40])},
                 directions=FORWARD)


def _sums() -> Iterator[Vector]:
    for shape in ([4], [2, 3]):
        yield Vector(f"independent-{'x'.join(map(str, shape))}", "Independent",
                     {"parameter_shape": shape}, (3,), tuple(shape),
                     (*_DENSITY, "LogDetBatch"), "One density for all numbers of an example.",
                     params={"scale": points([0.5, 2, 0.125, 7])}, directions=FORWARD)


def _samples() -> Iterator[Vector]:
    for shape in ([5], [2, 3]):
        yield Vector(f"sample-{'x'.join(map(str, shape))}", "Sample", {"sample_shape": shape}, (3,),
                     tuple(shape), (*_DENSITY, "LogDetBatch"),
                     "One loc and one scale for all numbers of an example.",
                     params={"scale": points([2]), "loc": points([0.375])}, directions=FORWARD)


def _glows() -> Iterator[Vector]:
    for h, w, c, blocks, steps in ((4, 4, 1, 1, 1), (4, 2, 3, 1, 2), (4, 8, 2, 2, 1),
                                   (8, 8, 3, 2, 2), (8, 8, 1, 3, 1), (2, 2, 1, 1, 1),
                                   (4, 4, 3, 2, 1), (6, 10, 2, 1, 2)):
        for label, more in (("", {}), ("-additive", {"network": "additive"}),
                            ("-no-actnorm", {"use_actnorm": False})):
            yield Vector(f"glowdensity-{h}x{w}x{c}-{blocks}-{steps}{label}", "GlowDensity",
                         {"output_shape": [h, w, c], "num_glow_blocks": blocks,
                          "num_steps_per_block": steps, "num_hidden": 4} | more, (2,), (h, w, c),
                         (*_DENSITY, "LogDetSign", "LogDetBatch", "ZeroInitBlind",
                          *(("MissingHW",) if h * w > 4 else ())),
                         "The log-density of images, and its gradient in every weight: what "
                         "training follows.", uniform, directions=FORWARD)


DENSITIES: tuple[Vector, ...] = (*_normals(), *_sums(), *_samples(), *_glows())
