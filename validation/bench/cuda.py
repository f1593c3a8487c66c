"""The cases of `refglow bench cuda`: every variant of every kernel, and its baselines.

Inputs are made on the host, as for the CPU, and brought to the device once. The kernels compute in
the type of their arguments (float16 in float32), and most return log-dets in the type they compute
in; the specification computes float32 in float64. So its log-dets are rounded before they are
compared, and what is allowed counts the roundings of float32 arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from refglow.bijectors import activation_normalization as actnorm
from refglow.bijectors import expand
from refglow.dtypes import Array
from refglow.kernels.bench.records import Arrays, Case
from refglow.kernels.cuda.kernel import Variant
from refglow.validation import tolerances
from refglow.validation.bench.bfloat16 import ROUNDINGS_OF_FLOAT16, in_bfloat16
from refglow.validation.bench.cpu import OPS, cases
from refglow.validation.bench.cuda_baselines import baselines, computing_dtype
from refglow.validation.bench.flow_cases import case, channel_parameters, normal
from refglow.validation.bench.size import Size

LARGE = Size(256, 64, 64, 12)
DTYPES = ("float32", "float64", "float16", "bfloat16")
_SUMMING = ("actnorm", "one_by_one_conv", "normalized_conv", "conv2d", "coupling_network")


def cuda_cases(variants: Iterable[Variant], xp: Any, dtype: str, size: Size) -> list[Case]:
    """A case for each op that has variants in this number type, its baselines first.

    Args:
      variants: the kernels'.
      xp: the array module: CuPy, or NumPy where something stands in for a GPU.
      dtype: of DTYPES.
      size: of the images.

    Raises:
      LookupError: if a variant belongs to no known op: nothing could say whether it is right.
    """
    available = list(variants)
    narrow = dtype == "bfloat16"
    stored = "float16" if narrow else dtype  # see bfloat16.py
    known = [*cases(OPS, stored, [size]), *_normalized_squeeze_cases(size, stored)]
    homeless = {variant.op for variant in available} - {one.function for one in known}
    if homeless:
        raise LookupError(f"There is no specification for {', '.join(sorted(homeless))}.")
    found = []
    for one in known:
        kernels = {variant.name: variant.run for variant in available
                   if variant.op == one.function and dtype in variant.dtypes}
        if kernels:
            allowed = _tolerance(one, size) * (ROUNDINGS_OF_FLOAT16 if narrow else 1)
            given = in_bfloat16(one) if narrow else one
            others = baselines(one.function, xp, moves_only=narrow)
            found.append(replace(
                given, make_inputs=_on_device(given.make_inputs, xp), tolerance=allowed,
                specification=_rounding_log_dets(given.specification, dtype),
                variants={**others, **kernels}))
    return found


def _on_device(make_inputs: Callable[[np.random.Generator], Arrays],
               xp: Any) -> Callable[[np.random.Generator], Arrays]:
    return lambda rng: tuple(xp.asarray(value) if isinstance(value, np.ndarray) else value
                             for value in make_inputs(rng))


def _rounding_log_dets(specification: Callable[..., Any], dtype: str) -> Callable[..., Any]:
    """The specification, its log-det or statistics in what a kernel for `dtype` computes in.

    The log-det of a small matrix is computed in float64 on the device too.
    """
    name = specification.__name__
    if name.startswith(("scale_matvec_lu", "normalized_conv")):
        return specification
    if name != "channel_statistics" and not name.endswith(
            ("_forward", "_inverse", "_squeeze", "_expand")):
        return specification

    @wraps(specification)
    def rounding(*arguments: Any) -> tuple[Array, Array]:
        value, other = specification(*arguments)
        if name == "channel_statistics":
            value = value.astype(computing_dtype(dtype))
        return value, np.asarray(other, computing_dtype(dtype))
    return rounding


def _tolerance(one: Case, size: Size) -> float:
    """As many roundings as operations enter one number, or vectors a sum."""
    if one.tolerance == 0:  # nothing is rounded
        return 0.0
    roundings = max(1, one.operations // size.elements)
    sums = one.function.endswith("vjp") and one.op in _SUMMING
    if sums or one.function == "channel_statistics":
        roundings = max(roundings, size.vectors)
    return tolerances.agreement(one.dtype, roundings, 1.0).relative


# ---- squeeze and ActNorm in one -----------------------------------------------------------------

def normalized_squeeze(y: Array, block_size: int, shift: Array,
                       log_scale: Array) -> tuple[Array, Array]:
    """Squeeze, then ActNorm's inverse; the log-det of one vector of channels."""
    squeezed, _ = expand.expand_inverse(y, block_size)
    z, ildj = actnorm.activation_normalization_inverse(squeezed, shift, log_scale)
    return z.astype(y.dtype), ildj


def normalized_expand(z: Array, block_size: int, shift: Array,
                      log_scale: Array) -> tuple[Array, Array]:
    """ActNorm's forward, then the expansion; the log-det of one vector of channels."""
    x, fldj = actnorm.activation_normalization_forward(z, shift, log_scale)
    return expand.expand_forward(x.astype(z.dtype), block_size)[0], fldj


def _normalized_squeeze_cases(size: Size, dtype: str) -> Iterator[Case]:
    b, h, w, c = size.batch, size.height, size.width, size.channels
    for function, shape in ((normalized_squeeze, (b, 2 * h, 2 * w, c // 4)),
                            (normalized_expand, (b, h, w, c))):
        def make_inputs(rng: np.random.Generator, shape: tuple[int, ...] = shape) -> Arrays:
            parameters = channel_parameters(rng, computing_dtype(dtype), c)
            return normal(rng, dtype, *shape), 2, *parameters
        yield case("squeeze", function, f"x {list(shape)}", dtype, make_inputs, 2 * size.elements,
                   2 * size.elements, tolerances.agreement(dtype, 2, 1.0))
