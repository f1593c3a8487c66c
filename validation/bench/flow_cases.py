"""The functions of a Glow's step as cases: squeeze, coupling, ActNorm, the 1x1 convolution.

Counted are the bytes of the arrays that the mathematics needs. One that does not enter a derivative
at all is left out. One that enters in part (of [r | t] the r) is counted whole: the parts alternate
every few numbers, and memory is moved by the cache line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.bijectors import activation_normalization as actnorm
from refglow.bijectors import coupling, expand, normalized_conv, scale_matvec_lu
from refglow.bijectors.one_by_one_conv import random_orthonormal_lu
from refglow.dtypes import Array
from refglow.kernels.bench.records import Arrays, Case
from refglow.kernels.operation_counts import COUPLING_OPERATIONS
from refglow.validation import tolerances
from refglow.validation.bench.size import Size
from refglow.validation.compare import difference

Maker = Callable[[np.random.Generator], Arrays]


def case(op: str, specification: Callable[..., Any], size: str, dtype: str, make_inputs: Maker,
         elements: int, operations: int, tolerance: tolerances.Tolerance) -> Case:
    """A case whose one variant is the specification itself, "spec".

    Args:
      op, size, dtype, make_inputs, operations: as in Case.
      specification: whose name the case's function has.
      elements: how many numbers of this type must be read and written.
      tolerance: the largest relative error that is right.
    """
    return Case(op, specification.__name__, size, dtype, make_inputs, specification,
                {"spec": specification}, elements * np.dtype(dtype).itemsize, operations,
                lambda found, expected: difference(found, expected).relative, tolerance.relative)


def normal(rng: np.random.Generator, dtype: str, *shape: int) -> Array:
    """Standard normal numbers."""
    return rng.standard_normal(shape).astype(dtype)


def squeeze_cases(size: Size, dtype: str) -> Iterator[Case]:
    """Squeeze, whose results are [B, H, W, C], and unsqueeze (Expand), whose arguments are."""
    b, h, w, c = size.batch, size.height, size.width, size.channels
    exact = tolerances.Tolerance(0.0, "numbers are only moved")
    fine, coarse = (b, 2 * h, 2 * w, c // 4), (b, h, w, c)
    for op, function, shape in (("squeeze", expand.expand_inverse, fine),
                                ("unsqueeze", expand.expand_forward, coarse)):
        def make_inputs(rng: np.random.Generator, shape: tuple[int, ...] = shape) -> Arrays:
            return normal(rng, dtype, *shape), 2
        yield case(op, function, f"x {list(shape)}", dtype, make_inputs, 2 * size.elements, 0,
                   exact)


def coupling_cases(size: Size, dtype: str) -> Iterator[Case]:
    """The sigmoid, exp and shift couplings with half of the channels mapped, and their vjps."""
    n, p, c = size.batch, size.pixels, size.channels
    half = size.elements // 2
    tolerance = tolerances.agreement(dtype, 1, 1.0)
    for kind, parameters in (("sigmoid", 2), ("exp", 2), ("shift", 1)):
        def make_inputs(rng: np.random.Generator, width: int = parameters * c // 2) -> Arrays:
            return normal(rng, dtype, n, p, c), normal(rng, dtype, n, p, width), c // 2

        def with_bars(rng: np.random.Generator, make: Maker = make_inputs) -> Arrays:
            return *make(rng), normal(rng, dtype, n, p, c), normal(rng, "float64", n)

        # x, output and y; or the cotangents of y, x and output, and x and output themselves where
        # the map is not linear in them.
        values = (4 + parameters) * half
        bars = values + (values - 2 * half if kind != "shift" else 0)
        for suffix, maker, elements in (("forward", make_inputs, values),
                                        ("inverse", make_inputs, values),
                                        ("forward_vjp", with_bars, bars),
                                        ("inverse_vjp", with_bars, bars)):
            function = getattr(coupling, f"{kind}_coupling_{suffix}")
            yield case("coupling", function, f"x [{n}, {p}, {c}]", dtype, maker, elements,
                       COUPLING_OPERATIONS[function.__name__] * half, tolerance)


def channel_parameters(rng: np.random.Generator, dtype: str, channels: int) -> Arrays:
    """ActNorm's shift and log-scale; the sum of log-scales, a log-det, does not cancel."""
    shift, log_scale = 0.3 * rng.standard_normal((2, channels))
    return shift.astype(dtype), np.abs(log_scale).astype(dtype)


def actnorm_cases(size: Size, dtype: str) -> Iterator[Case]:
    """ActNorm, its vjps and its statistics."""
    n, c = size.elements, size.channels

    def make_inputs(rng: np.random.Generator) -> Arrays:
        return normal(rng, dtype, size.batch, size.pixels, c), *channel_parameters(rng, dtype, c)

    def with_bars(rng: np.random.Generator) -> Arrays:
        return (*make_inputs(rng), normal(rng, dtype, size.batch, size.pixels, c),
                np.asarray(rng.standard_normal()))

    text = f"x [{size.batch}, {size.pixels}, {c}]"
    for suffix in ("forward", "inverse"):
        yield case("actnorm", getattr(actnorm, f"activation_normalization_{suffix}"), text, dtype,
                   make_inputs, 2 * n, 2 * n, tolerances.agreement(dtype, 1, 1.0))
        yield case("actnorm", getattr(actnorm, f"activation_normalization_{suffix}_vjp"), text,
                   dtype, with_bars, 3 * n, 4 * n, _of_sums(size, dtype))
    yield _statistics_case(size, dtype)


def _statistics_case(size: Size, dtype: str) -> Case:
    """ActNorm's statistics, which initialise it."""
    shape = size.batch, size.pixels, size.channels

    def make_inputs(rng: np.random.Generator) -> Arrays:
        return normal(rng, dtype, *shape) + np.ones((), dtype), 1e-6  # a mean of 0 would cancel
    return case("actnorm", actnorm.channel_statistics, f"x {list(shape)}", dtype, make_inputs,
                size.elements, 4 * size.elements, _of_sums(size, dtype))


def _of_sums(size: Size, dtype: str) -> tolerances.Tolerance:
    """For sums over all pixels; those of float32 numbers are accumulated in float64."""
    return tolerances.agreement(dtype, size.vectors if dtype == "float64" else 1, 1.0)


def _matrix(channels: int) -> Arrays:
    """The packed factors and the permutation of 1.25 times an orthonormal matrix, of condition 1.

    Pivoting keeps the substitutions with its factors about as accurate as the product.
    """
    factors, permutation = random_orthonormal_lu(channels, np.random.default_rng(channels))
    # The log-det of an orthonormal matrix, 0, would leave nothing to compare with.
    return factors + 0.25 * np.triu(factors), permutation


def matrix_cases(size: Size, dtype: str) -> Iterator[Case]:
    """The 1x1 convolution alone, and with the ActNorm before it."""
    c, vectors = size.channels, size.vectors
    factors, permutation = _matrix(c)
    packed = factors.astype(dtype)
    text = f"x [{size.batch}, {size.pixels}, {c}]"

    def one_by_one(rng: np.random.Generator) -> Arrays:
        return normal(rng, dtype, size.batch, size.pixels, c), packed, permutation

    def normalized(rng: np.random.Generator) -> Arrays:
        x, *matrix = one_by_one(rng)
        return x, *channel_parameters(rng, dtype, c), *matrix

    def with_bars(maker: Maker) -> Maker:
        return lambda rng: (*maker(rng), normal(rng, dtype, size.batch, size.pixels, c),
                            np.asarray(rng.standard_normal()))

    # A float32 result is rounded once from float64, where the products' roundings do not show.
    values = tolerances.agreement(dtype, 2 * c if dtype == "float64" else 1, 1.0)
    sums = _of_sums(size, dtype)
    product, n = 2 * c * c * vectors, size.elements
    for op, module, prefix, maker, extra in (
            ("one_by_one_conv", scale_matvec_lu, "scale_matvec_lu", one_by_one, 0),
            ("normalized_conv", normalized_conv, "normalized_conv", normalized, n)):
        # Two substitutions are as much work as a product, and so are the two triangles of its sums.
        # The inverse's vjp has four substitutions: two of them as the inverse itself.
        for suffix, of_vjp in (("forward", 2), ("inverse", 3)):
            yield case(op, getattr(module, f"{prefix}_{suffix}"), text, dtype, maker, 2 * n,
                       product + extra, values)
            yield case(op, getattr(module, f"{prefix}_{suffix}_vjp"), text, dtype,
                       with_bars(maker), 3 * n, of_vjp * product + extra, sums)
