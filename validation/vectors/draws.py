"""How the numbers of a vector's inputs and parameters are drawn, once; then they are kept.

All are float32 numbers, so that float32 and float64 implementations start from the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from refglow.dtypes import Array
from refglow.validation.vectors.counter_random import counter_random, seed_of

Shape = tuple[int, ...]
Draw = Callable[[str, Shape], Array]  # (name of the stream, shape) -> float32


def uniform(name: str, shape: Shape) -> Array:
    """Numbers in (-1, 1)."""
    return counter_random(seed_of(name), math.prod(shape)).reshape(shape)


def normal(name: str, shape: Shape) -> Array:
    """Sums of three numbers in (-1, 1): mean 0, variance 1, nearly normal."""
    return np.asarray(uniform(name, (3, *shape)).sum(axis=0), np.float32)


def positive(name: str, shape: Shape) -> Array:
    """Numbers in [0.25, 3)."""
    return np.asarray(0.25 + 2.75 * np.abs(uniform(name, shape)), np.float32)


def away_from_zero(name: str, shape: Shape) -> Array:
    """Numbers of either sign, 0.25 to 3 in size."""
    return np.copysign(positive(name, shape), uniform(f"{name} signs", shape))


def scaled(scale: float, draw: Draw = normal, centre: float = 0.0) -> Draw:
    """Drawn numbers times `scale`, around `centre`."""
    return lambda name, shape: np.asarray(centre + scale * draw(name, shape), np.float32)


def points(values: Sequence[float] | Array) -> Draw:
    """Given numbers, from the first again where they do not suffice."""
    given = np.asarray(values, np.float32).reshape(-1)
    if not np.array_equal(given, np.asarray(values).reshape(-1)):
        raise ValueError(f"These are not all float32 numbers: {values}.")
    return lambda name, shape: np.resize(given, shape)


def factors(name: str, shape: Shape) -> Array:
    """Packed LU factors [..., C, C]: a diagonal of either sign, 0.75 to 1.25 in size.

    Beside it are numbers in (-1, 1) times a power of two near 1 / sqrt(8 C), so that large matrices
    are as well conditioned as small ones. The last number of the diagonal is negative: a lost sign
    shows.
    """
    channels = shape[-1]
    packed = uniform(name, shape) * np.float32(2.0 ** -round(math.log2(math.sqrt(8 * channels))))
    sizes = 1 + uniform(f"{name} diagonal", shape[:-1]) / 4
    diagonal = np.copysign(sizes, uniform(f"{name} signs", shape[:-1]))
    diagonal[..., -1] = -np.abs(diagonal[..., -1])
    packed[..., np.arange(channels), np.arange(channels)] = diagonal
    return packed


def gentle_factors(name: str, shape: Shape) -> Array:
    """Packed LU factors with a diagonal of 1 and -1, and numbers of at most 1/32 beside it."""
    packed, places = uniform(name, shape) / np.float32(32), np.arange(shape[-1])
    packed[..., places, places] = np.sign(uniform(f"{name} signs", shape[:-1]))
    return packed


def permutation(name: str, shape: Shape) -> Array:
    """A permutation of 0 ... C - 1 that is not its own inverse, where C > 2 has one."""
    order = np.argsort(uniform(name, shape), kind="stable")
    if len(order) > 2 and np.array_equal(order[order], np.arange(len(order))):
        return np.roll(np.arange(len(order)), 1)
    return order


def weights(name: str, shape: Shape, gain_log2: int = 0) -> Array:
    """A kernel: uniform, in (-1, 1) times a power of two near 2^gain_log2 / sqrt(fan-in)."""
    return uniform(name, shape) * np.float32(2.0**weights_exponent(shape, gain_log2))


def weights_exponent(shape: Shape, gain_log2: int) -> int:
    """e, where kernels of a shape are numbers in (-1, 1) times 2^e."""
    return gain_log2 - round(math.log2(math.sqrt(math.prod(shape[:-1]))))


_BY_LAST_NAME: dict[str, Draw] = {
    "bias": scaled(0.125, centre=0.125), "shift": scaled(0.25), "log_scale": scaled(0.125),
    "scale": away_from_zero, "raw_scale": normal, "loc": normal, "lower_upper": factors,
    "permutation": permutation, "hinge_softness": positive, "low": scaled(0.5, centre=-1.5),
    "high": scaled(0.5, positive, 0.5)}


def draw_of(last: str) -> Draw:
    """How a parameter is drawn, by the last part of its name; kernels are `weights`."""
    return _BY_LAST_NAME[last]
