"""PyTorch's tensors and 1x1 convolutions as this package has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.conversion import NotRepresentableError


def array_of(tensor: Any, where: str) -> Array:
    """A copy of a float32 or float64 tensor as an array.

    Raises:
      NotRepresentableError: if it holds another number type.
    """
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        raise NotRepresentableError.at(
            where, f"it holds {tensor.dtype}; convert the model with .float() or .double() first.")
    array: Array = tensor.detach().cpu().numpy().copy()
    return array


def channels_of(tensor: Any, where: str) -> Array:
    """A parameter of one number per channel, such as [1, C, 1, 1], as [C]."""
    array = array_of(tensor, where)
    if array.size != max(array.shape, default=1):
        raise NotRepresentableError.at(
            where, f"its shape {list(array.shape)} is not one number per channel.")
    return array.ravel()


def kernel_of(tensor: Any, where: str) -> Array:
    """A convolution's weight [out, in, kh, kw] as [kh, kw, in, out]."""
    return np.ascontiguousarray(array_of(tensor, where).transpose(2, 3, 1, 0))


def permutation_of(matrix: Array, where: str) -> Array:
    """p with P[p[i], i] = 1, of a permutation matrix P.

    Raises:
      NotRepresentableError: if it is none.
    """
    permutation: Array = matrix.argmax(axis=0)
    if not np.array_equal(matrix, np.eye(len(matrix))[:, permutation]):
        raise NotRepresentableError.at(where, "it is not a permutation matrix.")
    return permutation


def packed(lower: Array, upper: Array, diagonal: Array) -> Array:
    """L (unit diagonal, not kept) and U in one array, U's diagonal given apart."""
    array: Array = np.tril(lower, -1) + np.triu(upper, 1) + np.diag(diagonal)
    return array
