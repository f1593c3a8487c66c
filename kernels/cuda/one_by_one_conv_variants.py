"""The records of the 1x1 convolution's ladders, which are described where their kernels are.

scale_matvec_lu_forward and normalized_conv_forward in one_by_one_conv_kernels.py, substitutions in
triangular_solve.py, the sum over pixels for the matrix's gradient in outer_products.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refglow.kernels.cuda import (
    normalized_conv,
    one_by_one_conv,
    outer_products,
    scale_matvec_lu,
    triangular_solve,
)
from refglow.kernels.cuda.kernel import Size, Variant
from refglow.kernels.cuda.layout import example_numbers

Run = Callable[..., Any]

_BY_TILES = "the matrix and a tile of pixels in shared memory, sums in registers"
_LADDERS: tuple[tuple[str, str, str, Run], ...] = (
    ("scale_matvec_lu_forward", "naive", "a thread for each pixel",
     partial(scale_matvec_lu.forward_by, one_by_one_conv.multiply_naive)),
    ("scale_matvec_lu_forward", "coalesced", "a thread for each number of y",
     partial(scale_matvec_lu.forward_by, one_by_one_conv.multiply_coalesced)),
    ("scale_matvec_lu_forward", "vectorized", "a thread for each 16 bytes of y",
     partial(scale_matvec_lu.forward_by, one_by_one_conv.multiply_vectorized)),
    ("scale_matvec_lu_forward", "tiled", _BY_TILES,
     partial(scale_matvec_lu.forward_by, one_by_one_conv.multiply_tiled)),
    ("normalized_conv_forward", "fused", "tiled, with ActNorm in the same pass",
     normalized_conv.normalized_conv_forward),
    ("scale_matvec_lu_inverse", "inverted", "the tiled product with the inverted matrix",
     partial(scale_matvec_lu.inverse_by_product, one_by_one_conv.multiply_tiled)),
    ("scale_matvec_lu_inverse", "naive", "two substitutions, in each pixel's row of y",
     partial(scale_matvec_lu.inverse_by_substitution, triangular_solve.solve_naive)),
    ("scale_matvec_lu_inverse", "tiled", "two substitutions, factors and tile in shared memory",
     partial(scale_matvec_lu.inverse_by_substitution, triangular_solve.solve_tiled)),
    ("normalized_conv_inverse", "fused", "the inverse, with ActNorm in the same pass",
     normalized_conv.normalized_conv_inverse),
    ("scale_matvec_lu_forward_vjp", "naive", "a thread for each number of the matrix, in strips",
     partial(scale_matvec_lu.forward_vjp_by, outer_products.outer_products_by_naive)),
    ("scale_matvec_lu_forward_vjp", "tiled", "strips through shared memory, squares in registers",
     partial(scale_matvec_lu.forward_vjp_by, outer_products.outer_products_by_tiled)),
    ("scale_matvec_lu_inverse_vjp", "only", "products with W^-1, L^-1, U^-1; two sums of products",
     scale_matvec_lu.scale_matvec_lu_inverse_vjp),
    ("normalized_conv_forward_vjp", "only", "a product, and one pass for all sums",
     normalized_conv.normalized_conv_forward_vjp),
    ("normalized_conv_inverse_vjp", "only", "four products with factors, three passes for sums",
     normalized_conv.normalized_conv_inverse_vjp),
)


def example_matrix(channels: int, dtype: str) -> tuple[Any, Any]:
    """(lower_upper, permutation) of a well-conditioned random matrix, NumPy arrays."""
    numbers = example_numbers((channels, channels), "float64", 10) / (2 * channels**0.5)
    signs = np.where(np.arange(channels) % 3 == 1, -1.0, 1.0)
    lower_upper = numbers - np.diag(np.diagonal(numbers)) + np.diag(signs * np.exp(
        np.diagonal(numbers)))
    return lower_upper.astype(dtype), np.random.default_rng(11).permutation(channels)


def _example(op: str, size: Size, dtype: str) -> tuple[Any, ...]:
    shape = (3, 5, 7, 8) if size == "small" else (8, 16, 16, 48)
    x, bar = (example_numbers(shape, dtype, seed) for seed in (0, 1))
    parameters: tuple[Any, ...] = example_matrix(shape[-1], dtype)
    if op.startswith("normalized"):
        parameters = (example_numbers(shape[-1:], dtype, 2),
                      example_numbers(shape[-1:], dtype, 3) / 4, *parameters)
    return (x, *parameters, bar, np.float64(0.7)) if op.endswith("vjp") else (x, *parameters)


# A product or two substitutions take 2 C operations for each number of a result, a sum of outer
# products as many for each number of x.
def _variant(op: str, name: str, idea: str, run: Run) -> Variant:
    vjp = op.endswith("vjp")
    products = {"scale_matvec_lu_inverse_vjp": 6, "normalized_conv_inverse_vjp": 7}.get(
        op, 2 if vjp else 1)

    def bytes_moved(x: Any, *rest: Any) -> int:
        """Each array of pixels once: two are read and one written by a vjp."""
        return int(x.nbytes) * (3 if vjp else 2)

    def operations(x: Any, *rest: Any) -> int:
        return 2 * int(x.size) * int(x.shape[-1]) * products

    return Variant(op=op, name=name, idea=idea, run=run, example=partial(_example, op),
                   bytes_moved=bytes_moved, operations=operations,
                   elements=lambda x, *rest: int(x.size))


VARIANTS = tuple(_variant(*rung) for rung in _LADDERS)
