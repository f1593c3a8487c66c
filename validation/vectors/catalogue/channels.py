"""Maps of channels, alike in every pixel: 1x1 convolutions by LU factors, and ActNorm."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refglow.dtypes import Array
from refglow.validation.vectors.draws import Draw, Shape, factors, normal, points, scaled, uniform
from refglow.validation.vectors.vector import FORWARD, INVERSE, Vector

_MATRIX = ("TransposedW", "PermutationInverse", "LUPacking", "LUSign", "LogDetSign", "Gradient")
_SIZES = (1, 2, 3, 4, 5, 6, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48)


def _identity(name: str, shape: Shape) -> Array:
    return np.arange(shape[-1])


def _reversed(name: str, shape: Shape) -> Array:
    return np.arange(shape[-1])[::-1].copy()


def _nearly_singular(exponent: int) -> Draw:
    """LU factors whose diagonal falls to 2^exponent."""
    def draw(name: str, shape: Shape) -> Array:
        packed = factors(name, shape)
        channels = shape[-1]
        sizes = 2.0 ** np.round(np.linspace(0, exponent, channels))
        packed[..., np.arange(channels), np.arange(channels)] = np.copysign(
            sizes, np.diagonal(packed, axis1=-2, axis2=-1))
        return packed
    return draw


def _with_diagonal_of_sign(sign: int) -> Draw:
    def draw(name: str, shape: Shape) -> Array:
        packed, places = factors(name, shape), np.arange(shape[-1])
        packed[..., places, places] = sign * np.abs(packed[..., places, places])
        return packed
    return draw


def _growing(name: str, shape: Shape) -> Array:
    """Factors whose triangles are -1 beside a diagonal of 1: the inverse grows as 2^C."""
    channels = shape[-1]
    return np.where(np.eye(channels, dtype=bool), 1, -np.ones(shape)).astype(np.float32)


def _growing_below(name: str, shape: Shape) -> Array:
    """Packed factors: the inverse of L grows as 1.9^C, U is well-conditioned.

    y = P e, e the last unit vector, is L e as well: substitution has nothing to do in L and gives
    U^-1 e to all digits. Who multiplies out W = P L U rounds each of its numbers, and W^-1 makes
    the errors larger by L^-1.
    """
    packed = factors(name, shape)
    below = np.tril_indices(shape[-1], -1)
    packed[below] = -(1 - np.abs(packed[below]))
    return packed


def _first_alone(name: str, shape: Shape) -> Array:
    """Only the first channel is not zero."""
    numbers = np.zeros(shape, np.float32)
    numbers[..., 0] = normal(name, shape[:-1])
    return numbers


def _flags_of_size(channels: int) -> tuple[str, ...]:
    if channels == 1:
        return ("SingleChannel", "LUSign", "LogDetSign")
    return _MATRIX if channels > 2 else tuple(f for f in _MATRIX if f != "PermutationInverse")


def _matrices() -> Iterator[Vector]:
    for channels in _SIZES:
        yield Vector(f"scalematveclu-{channels}", "ScaleMatvecLU", {"channels": channels}, (3,),
                     (channels,), _flags_of_size(channels),
                     "One vector of channels; sizes at, above and below those of blocks.")
    for label, draw, why in (
            ("identity", _identity, "No permutation: W = L U."),
            ("reversed", _reversed, "The permutation is its own inverse.")):
        yield Vector(f"scalematveclu-{label}", "ScaleMatvecLU", {"channels": 5}, (3,), (5,),
                     ("TransposedW", "LUPacking", "LUSign"), why, params={"permutation": draw})
    for sign, word in ((1, "positive"), (-1, "negative")):
        for channels in (3, 6):
            yield Vector(f"scalematveclu-{word}-{channels}", "ScaleMatvecLU",
                         {"channels": channels}, (2, 3), (channels,), ("TransposedW", "LUPacking"),
                         f"All of the diagonal {word}.",
                         params={"lower_upper": _with_diagonal_of_sign(sign)})
    for exponent in (-8, -16, -24, -32):
        yield Vector(f"scalematveclu-singular{exponent}", "ScaleMatvecLU", {"channels": 6}, (3,),
                     (6,), ("NearSingular", "LogDetSign"),
                     f"A diagonal that falls to 2^{exponent}: the inverse is ill-conditioned, the "
                     "log-det is not.", params={"lower_upper": _nearly_singular(exponent)})
    for channels in (8, 16, 24):
        yield Vector(f"scalematveclu-growing-{channels}", "ScaleMatvecLU", {"channels": channels},
                     (3,), (channels,), ("NearSingular",),
                     f"Factors of ones whose inverse has numbers up to 2^{channels - 2} though "
                     "log|det| is 0.", params={"lower_upper": _growing})


def _substitutions() -> Iterator[Vector]:
    """The inverses of matrices on the one vector in whose way the large factor does not stand.

    In the way of the gradient of L^-1 it does: who has it from the rounded x loses digits there.
    """
    for name, operation, channels, event in (
            ("scalematveclu-substitution-24", "ScaleMatvecLU", 24, (24,)),
            ("scalematveclu-substitution-32", "ScaleMatvecLU", 32, (32,)),
            ("onebyoneconv-substitution", "OneByOneConv", 24, (2, 3, 24))):
        yield Vector(name, operation, {"channels": channels}, (2,), event, ("InvertedMatrix",),
                     "W is ill-conditioned, x = U^-1 L^-1 P^T y for this y is not: L^-1 leaves it "
                     "as it is. Two substitutions keep all digits, W^-1 y does not.", _first_alone,
                     {"lower_upper": _growing_below, "permutation": _reversed}, INVERSE,
                     derivatives=("jvp",))


def _images() -> Iterator[Vector]:
    for h, w, c in ((1, 1, 1), (1, 1, 4), (1, 3, 2), (2, 2, 3), (3, 2, 6), (4, 4, 12), (5, 7, 4),
                    (2, 3, 24), (7, 1, 3), (8, 8, 3)):
        odd = ("OddSize",) if h % 2 or w % 2 else ()
        hw = ("MissingHW",) if h * w > 1 else ()
        for batch in ((2,), (1,), (2, 3)):
            yield Vector(f"onebyoneconv-{h}x{w}x{c}-of-{'x'.join(map(str, batch))}", "OneByOneConv",
                         {"channels": c}, batch, (h, w, c), (*_flags_of_size(c), *hw, *odd),
                         "The same matrix in every pixel, its log-det once for each.")
            yield Vector(f"actnorm-{h}x{w}x{c}-of-{'x'.join(map(str, batch))}",
                         "ActivationNormalization", {"channels": c}, batch, (h, w, c),
                         ("ActNormOrder", "ActNormGain", "LogDetSign", "InverseDirection",
                          "Gradient", *hw, *odd),
                         "Another shift and scale in each channel.")
    for label, values, why in (
            ("small", [-40, -20, -8, -3], "Scales of e^-40 to e^-3."),
            ("large", [40, 20, 8, 3], "Scales of e^3 to e^40.")):
        yield Vector(f"actnorm-{label}", "ActivationNormalization", {"channels": 4}, (2,),
                     (3, 2, 4), ("ActNormOrder", "ActNormGain", "MissingHW"), why,
                     params={"log_scale": points(values)})
    yield Vector("actnorm-subnormal", "ActivationNormalization", {"channels": 4}, (2,), (3, 2, 4),
                 ("FlushToZero", "MissingHW"), "Pixels below the normal numbers, and no shift.",
                 points([2.0**-127, -3 * 2.0**-130, 2.0**-139, -2.0**-126, 5 * 2.0**-140]),
                 params={"shift": points([0])})
    yield Vector("actnorm-large-image", "ActivationNormalization", {"channels": 3}, (1,),
                 (32, 24, 3), ("MissingHW", "Gradient"),
                 "768 pixels: the gradients are sums over all of them.", uniform)


def _column(*parts: Array) -> Array:
    return np.stack([np.asarray(part, np.float32) for part in parts], axis=-1)


def _statistics() -> Iterator[Vector]:
    n = 24
    ramp, wave = np.arange(n), np.where(np.arange(n) % 2, 1.0, -1.0)
    cases = {
        "constant": (_column(np.zeros(n), np.full(n, 3), np.full(n, -0.125)), -20,
                     ("ZeroVariance", "ActNormEpsilon"), "Channels that never vary."),
        "tiny": (_column(wave * 2.0**-20, wave * 2.0**-40, wave * 2.0**-120), -20,
                 ("ActNormEpsilon", "ZeroVariance"), "Deviations about and below epsilon."),
        "offset": (_column(2.0**20 + ramp, 2.0**23 + wave, -(2.0**22) + ramp), -20,
                   ("Cancellation", "Accumulation"),
                   "Means a million times the deviations: E[x^2] - E[x]^2 loses all digits."),
        "bytes": (_column((ramp * 37) % 256, (ramp * 101) % 256, 255 - ramp), -20,
                  ("SampleStd",), "Raw numbers of 0 to 255."),
        "large": (_column(wave * 2.0**60, ramp * 2.0**50, wave * 2.0**40), -20,
                  ("SampleStd",), "Squares up to 2^120, still finite in float32."),
    }
    for label, (data, epsilon, flags, why) in cases.items():
        yield Vector(f"initialactnorm-{label}", "InitialActNorm", {"epsilon_log2": epsilon}, (2,),
                     (3, 4, 3), flags, why, points(data), directions=FORWARD)
    for count in (1, 2, 3, 5, 16, 100):
        yield Vector(f"initialactnorm-of-{count}", "InitialActNorm", {"epsilon_log2": -20},
                     (count,), (1, 1, 4),
                     ("SampleStd",) if count > 1 else ("ZeroVariance", "SampleStd"),
                     f"{count} pixels: dividing by n - 1 is another number.",
                     scaled(2, normal, 1), directions=FORWARD)
    for epsilon, flags in ((-49, ("SampleStd",)), (-10, ("ActNormEpsilon", "SampleStd"))):
        yield Vector(f"initialactnorm-epsilon{epsilon}", "InitialActNorm",
                     {"epsilon_log2": epsilon}, (2,), (2, 3, 3), flags,
                     f"Another epsilon, 2^{epsilon}.", scaled(0.125), directions=FORWARD)


CHANNELS: tuple[Vector, ...] = (
    *_matrices(), *_substitutions(), *_images(), *_statistics())
