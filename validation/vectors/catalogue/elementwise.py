"""Element by element: ordinary numbers, both tails, numbers near zero and below the normal ones.

The numbers of "tails" are as far out as results stay finite in float32.
"""

from __future__ import annotations

from collections.abc import Iterator

from refglow.validation.vectors.draws import (
    Draw,
    away_from_zero,
    normal,
    points,
    positive,
    scaled,
    uniform,
)
from refglow.validation.vectors.vector import BOTH, FORWARD, INVERSE, Vector

# Below 2^-126 float32 numbers are subnormal; 2^-149 is the least.
# The first eight are normal numbers, the others not; neither sum cancels.
_TINY = points([2.0**-12, -2.0**-14, 2.0**-30, -2.0**-33, 2.0**-100, -2.0**-104, 2.0**-126,
                -2.0**-125, 3 * 2.0**-128, -2.0**-128, 2.0**-130, -2.0**-133, 2.0**-140,
                -3 * 2.0**-149, 2.0**-149, -2.0**-147])
_TINY_POSITIVE = points([2.0**-12, 3 * 2.0**-30, 2.0**-100, 2.0**-126, 3 * 2.0**-128])
_LOG_DET = ("LogDetSign", "LogDetBatch", "LogBase", "InverseDirection", "Gradient")
_OWN_INVERSE = tuple(flag for flag in _LOG_DET if flag != "InverseDirection")
_CONSTANT_LOG_DET = tuple(flag for flag in _LOG_DET if flag != "LogDetBatch")

_EXP_TAILS = points([-80, -20.5, -5, 5, 12.25, 60])  # no sum of theirs cancels
_WIDE = points([-80, -37, -16.5, -8, 8, 16.5, 37, 80])
_VERY_WIDE = points([-1e4, -700, -104, -89, 89, 104, 700, 1e4])
_NEAR_ONE = points([2.0**-100, 2.0**-24, 2.0**-8, 1 - 2.0**-8, 1 - 2.0**-23, 1 - 2.0**-24])


def _points_of(operation: str, ranges: dict[str, tuple[Draw, tuple[str, ...], tuple[str, ...], str]]
               ) -> Iterator[Vector]:
    """A vector for each range of numbers: (draw, directions, flags, why)."""
    for label, (draw, directions, flags, why) in ranges.items():
        yield Vector(f"{operation.lower()}-{label}", operation, {}, (2,), (4, 2), flags, why, draw,
                     directions=directions)


_ORDINARY = "Ordinary numbers, each another."
_TAILS = "Both tails: where the obvious formula overflows or cancels."
_NEAR_ZERO = "Numbers near zero, of the second example all subnormal in float32."
_TO_THE_EDGE = "The inverse near the ends of its interval, where its derivative grows."

_RANGES: dict[str, dict[str, tuple[Draw, tuple[str, ...], tuple[str, ...], str]]] = {
    "Identity": {"ordinary": (normal, BOTH, ("FlattenNCHW",), "Nothing may change."),
                 "tiny": (_TINY, BOTH, ("FlushToZero",), _NEAR_ZERO)},
    "Exp": {"ordinary": (normal, BOTH, _LOG_DET, _ORDINARY),
            "tails": (_EXP_TAILS, BOTH, _LOG_DET, _TAILS),
            "tiny": (_TINY, FORWARD, ("FlushToZero", "LogDetSign", "LogBase"), _NEAR_ZERO)},
    "Log": {"ordinary": (positive, BOTH, _LOG_DET, _ORDINARY),
            "tails": (points([2.0**-120, 2.0**-60, 2.0**60, 2.0**100, 3]), BOTH, _LOG_DET,
                      "Very small and very large numbers."),
            "subnormal": (_TINY_POSITIVE, FORWARD, ("FlushToZero",),
                          "Numbers near zero, the last two subnormal in float32.")},
    "Reciprocal": {"ordinary": (away_from_zero, BOTH, _OWN_INVERSE, _ORDINARY),
                   "tails": (points([-2.0**62, -2.0**-62, 2.0**-62, 2.0**50, 3]), BOTH,
                             _OWN_INVERSE, "Very small and very large numbers of either sign.")},
    "Sigmoid": {"ordinary": (normal, BOTH, _LOG_DET, _ORDINARY),
                "tails": (_WIDE, FORWARD, ("Overflow", "LostTail"), _TAILS),
                "far": (_VERY_WIDE, FORWARD, ("Overflow", "LostTail"),
                        "So far out that the value is 0 or 1; the log-det is not infinite."),
                "tiny": (_TINY, FORWARD, ("LogDetSign",), _NEAR_ZERO),
                "edge": (_NEAR_ONE, INVERSE, ("LogDetSign",), _TO_THE_EDGE)},
    "Softplus": {"ordinary": (normal, BOTH, _LOG_DET, _ORDINARY),
                 "tails": (_WIDE, FORWARD, ("Overflow", "LostTail"), _TAILS),
                 "far": (points([-87, -60, 60, 89, 104, 700, 1e4, 2.0**100]), FORWARD,
                         ("Overflow",), "So far out that exp(x) overflows; the value is x."),
                 "tiny": (_TINY, FORWARD, ("LogDetSign",), _NEAR_ZERO),
                 "edge": (points([2.0**-100, 2.0**-24, 2.0**-8, 20, 90, 700]), INVERSE,
                          ("LostTail", "Overflow"),
                          "The inverse at small numbers, where log(exp(y) - 1) cancels, and at "
                          "large ones, where it overflows.")},
    "Tanh": {"ordinary": (normal, BOTH, _LOG_DET, _ORDINARY),
             "tails": (points([-40, -20, -9, -5, 5, 9, 20, 40]), FORWARD,
                       ("LostTail", "Overflow"), _TAILS),
             "tiny": (_TINY, FORWARD, ("FlushToZero",), _NEAR_ZERO),
             "edge": (points([-1 + 2.0**-24, -1 + 2.0**-8, 1.3125 * 2.0**-22, 1 - 2.0**-8,
                              1 - 2.0**-24]), INVERSE, ("LostTail",), _TO_THE_EDGE)},
    "AbsoluteValue": {"ordinary": (away_from_zero, FORWARD, ("Gradient",),
                                   "Both signs: the derivative has the sign of x."),
                      "inverse": (points([0, 2.0**-149, 2.0**-30, 0.75, 3, 2.0**60]), INVERSE,
                                  ("PartOrder",), "Two preimages each, of 0 twice the same.")},
}


def _with_parameters() -> Iterator[Vector]:
    """Maps with parameters: one for all numbers, one each, and something between."""
    broadcast = {"each": [3, 4], "row": [4], "column": [3, 1], "one": [1]}
    for operation in ("Shift", "Scale", "ScaleByLog", "SigmoidBetween", "SoftplusSoft",
                      "SigmoidAffine", "ExpAffine"):
        for label, shape in broadcast.items():
            flags: tuple[str, ...] = () if operation == "Shift" else (
                _LOG_DET if operation in ("SigmoidBetween", "SoftplusSoft") else _CONSTANT_LOG_DET)
            if label != "each" and operation not in ("Shift", "SoftplusSoft"):
                flags = (*flags, "LogDetBroadcast")
            if operation in ("SigmoidAffine", "ExpAffine"):
                flags += ("ShiftBeforeScale", "SwappedParams", "ScaleOffset", "ScaleFunction",
                          "ScaleFloor", "AdditiveInstead")
            yield Vector(f"{operation.lower()}-{label}", operation, {"parameter_shape": shape},
                         (2,), (3, 4), flags or ("Gradient",),
                         f"A parameter of shape {shape} for numbers of shape [3, 4].")


def _affine_tails() -> Iterator[Vector]:
    raw: dict[str, tuple[list[float], str]] = {
        "tails": ([-100, -40, -20, -2, 2, 10, 20, 40],
                  "Raw scales in both tails: s near 0, and near 1."),
        "default": ([0] * 8, "Raw scales of 0, the start of training: s = sigmoid(2)."),
        "tiny": ([2.0**-12, -2.0**-30, 2.0**-100, 2.0**-149, -2.0**-126, -2.0**-12, 1, -1],
                 "Raw scales near zero, some subnormal.")}
    for label, (values, why) in raw.items():
        yield Vector(f"sigmoidaffine-{label}", "SigmoidAffine", {"parameter_shape": [8]}, (3,),
                     (8,), ("ScaleOffset", "ScaleFunction", "Overflow" if label == "tails"
                            else "ShiftBeforeScale"), why,
                     params={"raw_scale": points(values)},
                     directions=FORWARD if label == "tails" else BOTH)
    yield Vector("sigmoidaffine-near-one", "SigmoidAffine", {"parameter_shape": [4]}, (2,), (4,),
                 ("LostTail", "LogDetSign"), "Scales so near 1 that their logarithms are lost with "
                 "the scale's rounding.", params={"raw_scale": points([16, 20, 30, 60])})
    yield Vector("expaffine-tails", "ExpAffine", {"parameter_shape": [8]}, (3,), (8,),
                 ("ScaleOffset", "ScaleFunction", "ShiftBeforeScale"),
                 "Large and small scales, e^-40 to e^40, all within float32.",
                 params={"raw_scale": points([-42, -22, -7, -2, 0, 3, 18, 38])})
    yield Vector("sigmoidaffine-inverse-tails", "SigmoidAffine", {"parameter_shape": [8]}, (3,),
                 (8,), ("LogDetSign", "ScaleOffset"),
                 "Divided by scales from e^-58 to 1: why sampling overflows.",
                 params={"raw_scale": points([-60, -40, -20, -10, -4, 4, 20, 60])},
                 directions=INVERSE)


def _special_parameters() -> Iterator[Vector]:
    yield Vector("scale-extremes", "Scale", {"parameter_shape": [6]}, (2,), (6,),
                 ("LogDetSign",), "Scales of either sign, from 2^-60 to 2^60.",
                 params={"scale": points([-2.0**60, -2.0**-60, 2.0**60, 2.0**-60, -1, 3])})
    yield Vector("scalebylog-extremes", "ScaleByLog", {"parameter_shape": [6]}, (2,), (6,),
                 ("LogDetSign",), "Log-scales from -40 to 40.",
                 params={"log_scale": points([-40, -10.5, -0.125, 0, 10.5, 40])})
    yield Vector("shift-cancels", "Shift", {"parameter_shape": [4]}, (2,), (4,), ("Gradient",),
                 "A shift a million times larger than the numbers.",
                 params={"shift": points([2.0**20, -2.0**20, 2.0**23, -1])})
    yield Vector("softplussoft-narrow", "SoftplusSoft", {"parameter_shape": [4]}, (2,), (4,),
                 ("Overflow",), "Hinges of 1/64: x / h is large.", scaled(8),
                 params={"hinge_softness": points([2.0**-6, 2.0**-5, 2.0**-4, 64])},
                 directions=FORWARD)
    yield Vector("sigmoidbetween-tails", "SigmoidBetween", {"parameter_shape": [4]}, (2,), (4,),
                 ("Overflow", "LostTail"), _TAILS, points([-80, -20, 20, 80, -37, 37, -16.5, 16.5]),
                 directions=FORWARD)


def _shapes() -> Iterator[Vector]:
    """One event number, and batches of several dimensions."""
    for operation, draw in (("Exp", normal), ("Sigmoid", normal), ("Softplus", normal),
                            ("Tanh", scaled(0.5)), ("Log", positive), ("Reciprocal", positive)):
        yield Vector(f"{operation.lower()}-one", operation, {}, (), (1,), ("SingleChannel",),
                     "One number, no batch.", draw)
        yield Vector(f"{operation.lower()}-batches", operation, {}, (2, 3), (5,), ("LogDetBatch",),
                     "Two batch dimensions: a log-det for each of the 2 x 3 examples.", draw)
    yield Vector("exp-long", "Exp", {}, (2,), (257,), ("LogDetBatch", "OddSize"),
                 "A log-det of 257 terms of both signs.", uniform)


ELEMENTWISE: tuple[Vector, ...] = (
    *(vector for operation, ranges in _RANGES.items() for vector in _points_of(operation, ranges)),
    *_with_parameters(), *_affine_tails(), *_special_parameters(), *_shapes())
