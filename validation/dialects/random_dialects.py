"""Random Glows in any dialect: every layer random, moderately conditioned.

As `random_models`: kernels get the standard deviation sqrt(1 / fan_in) (the last one of a network
half of it), biases, shifts and log-scales 0.2, and matrices are orthonormal with noise of 0.1.
Log-scales that are multiplied by 3 are a third of that. Where ActNorm's parameter is the scale
itself its signs are random.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from refglow.bijectors.one_by_one_conv import lu_factorization
from refglow.dtypes import Array
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.structure import Structure

Arrays = dict[str, Array]


def random_dialect_glow(dialect: Dialect, structure: Structure, rng: np.random.Generator,
                        additive: bool = False, hidden: int = 6,
                        dtype: npt.DTypeLike = np.float64) -> DialectGlow:
    """A Glow of a dialect with random arrays.

    Args:
      dialect: in which they are read, and which says what there is.
      structure: its shape.
      rng: the source of numbers.
      additive: whether couplings only shift (exits scale too).
      hidden: the number of hidden channels in couplings' networks.
      dtype: the arrays' number type.
    """
    glow = DialectGlow(structure, dialect, {})
    arrays: Arrays = {}
    for i, (leave, grab, _) in enumerate(structure.splits):
        channels = leave + grab
        for j in range(structure.steps[i]):
            place = glow._source(i, j)
            arrays |= _named(f"{place}.actnorm", _actnorm(channels, dialect, rng))
            arrays |= _named(f"{place}.conv", _conv(channels, dialect, rng))
            seen = channels // 2
            for side, inputs in _sides(dialect, channels, seen):
                outputs = (channels - inputs) * (1 if additive else 2)
                shapes = {"conv1": (3, inputs, hidden), "conv2": (1, hidden, hidden),
                          "conv3": (3, hidden, outputs)}
                arrays |= _named(f"{place}.coupling{side}", _network(shapes, dialect, rng))
        if structure.has_exit(i) and dialect.exit_affine != "left out":
            block = glow._source(i, 0).partition(".")[0]
            arrays |= _named(f"{block}.exit",
                             _network({"conv1": (3, leave, 2 * grab)}, dialect, rng))
    stored = {name: value.astype(dtype) if value.dtype.kind == "f" else value
              for name, value in arrays.items()}
    return DialectGlow(structure, dialect, stored)


def _named(place: str, arrays: Mapping[str, Array]) -> Arrays:
    return {f"{place}.{role}": value for role, value in arrays.items()}


def _sides(dialect: Dialect, channels: int, seen: int) -> list[tuple[str, int]]:
    if dialect.sides != "both":
        return [("", seen)]
    return [(".first", seen), (".second", channels - seen)]


def _small(rng: np.random.Generator, *shape: int) -> Array:
    return 0.2 * rng.standard_normal(shape)


def _actnorm(channels: int, dialect: Dialect, rng: np.random.Generator) -> Arrays:
    v = _small(rng, channels)
    if dialect.actnorm in ("(x + m) v", "x v + m"):
        v = np.exp(v) * rng.choice([-1.0, 1.0], channels)
    if dialect.actnorm == "(x + m) exp(3 v)":
        v = v / 3
    return {"shift": _small(rng, channels), "log_scale": v}


def _conv(channels: int, dialect: Dialect, rng: np.random.Generator) -> Arrays:
    orthonormal, _ = np.linalg.qr(rng.standard_normal((channels, channels)))
    noise = 0.1 * rng.standard_normal((channels, channels))
    if dialect.factors == "full matrix":
        return {"lower_upper": orthonormal + noise}
    packed, permutation = lu_factorization(orthonormal)
    return {"lower_upper": packed + noise, "permutation": permutation}


def _network(shapes: Mapping[str, tuple[int, int, int]], dialect: Dialect,
             rng: np.random.Generator) -> Arrays:
    names = list(shapes)
    arrays: Arrays = {}
    for name, (side, inputs, outputs) in shapes.items():
        inputs += dialect.padding == "border indicator"
        last = name == names[-1]
        kernel = rng.standard_normal((side, side, inputs, outputs)) / np.sqrt(side**2 * inputs)
        layer = {"kernel": kernel / (2 if last else 1), "bias": _small(rng, outputs)}
        if dialect.bias == "left out":
            del layer["bias"]
        if dialect.hidden_norm == "actnorm" and not last:
            layer |= {"shift": _small(rng, outputs), "log_scale": _small(rng, outputs)}
        if dialect.gain != "none" and last:
            layer["gain"] = _small(rng, outputs) / (3 if "3" in dialect.gain else 1)
        arrays |= _named(name, layer)
    return arrays
