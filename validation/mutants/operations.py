"""The functions of tensors that a Glow needs, each with its pull (see `tape`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refglow.validation.mutants.tape import Array, Tensor


def elementwise(x: Tensor, value: Array, derivative: Array) -> Tensor:
    """f(x) for a function of one number, given its values and its derivative's."""
    return x.tape.record(value, (x, lambda bar: bar * derivative))


def exp(x: Tensor) -> Tensor:
    """e^x."""
    value = np.exp(x.value)
    return elementwise(x, value, value)


def log_absolute(x: Tensor) -> Tensor:
    """The logarithm of |x|."""
    return elementwise(x, np.log(np.abs(x.value)), 1 / x.value)


def absolute(x: Tensor) -> Tensor:
    """|x|."""
    return elementwise(x, np.abs(x.value), np.sign(x.value))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x)."""
    value = _sigmoid(x.value)
    return elementwise(x, value, value * _sigmoid(-x.value))


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x)."""
    return elementwise(x, _softplus(x.value), _sigmoid(x.value))


def log_sigmoid(x: Tensor) -> Tensor:
    """The logarithm of the sigmoid, -log(1 + e^-x)."""
    return -softplus(-x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    value = np.tanh(x.value)
    return elementwise(x, value, 1 - value**2)


def arctan(x: Tensor) -> Tensor:
    """The inverse tangent."""
    return elementwise(x, np.arctan(x.value), 1 / (1 + x.value**2))


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """x where it is positive, slope * x elsewhere; slope 0 is ReLU."""
    derivative = np.where(x.value > 0, x.value.dtype.type(1), x.value.dtype.type(slope))
    return elementwise(x, x.value * derivative, derivative)


def concatenated(parts: Sequence[Tensor], axis: int = 1) -> Tensor:
    """The parts one after another along an axis."""
    ends = np.cumsum([part.shape[axis] for part in parts])
    arguments = []
    for part, end in zip(parts, ends, strict=True):
        index = (slice(None),) * axis + (slice(int(end) - part.shape[axis], int(end)),)
        arguments.append((part, lambda bar, index=index: bar[index]))
    return parts[0].tape.record(np.concatenate([part.value for part in parts], axis), *arguments)


def channel_product(matrix: Tensor, x: Tensor) -> Tensor:
    """y[b, o, ...] = sum_i matrix[o, i] x[b, i, ...]."""
    factor = x.tape.factor
    m, v = factor(matrix.value), factor(x.value)

    def to_matrix(bar: Array) -> Array:
        return np.asarray(np.einsum("bohw,bihw->oi", bar, v, optimize=True))

    def to_x(bar: Array) -> Array:
        return np.asarray(np.einsum("oi,bohw->bihw", m, bar, optimize=True))
    return x.tape.record(np.einsum("oi,bihw->bohw", m, v, optimize=True),
                         (matrix, to_matrix), (x, to_x))


def channel_solution(matrix: Tensor, y: Tensor) -> Tensor:
    """x with channel_product(matrix, x) = y."""
    m = matrix.value
    x = _solved(m, y.value)

    def to_matrix(bar: Array) -> Array:
        return np.asarray(-np.einsum("bohw,bihw->oi", _solved(m.T, bar), x, optimize=True))
    return y.tape.record(x, (matrix, to_matrix), (y, lambda bar: _solved(m.T, bar)))


def matrix_product(a: Tensor, b: Tensor) -> Tensor:
    """The product of two matrices."""
    return a.tape.record(a.value @ b.value, (a, lambda bar: bar @ b.value.T),
                         (b, lambda bar: a.value.T @ bar))


def log_absolute_determinant(matrix: Tensor) -> Tensor:
    """log|det| of a matrix."""
    return matrix.tape.record(np.linalg.slogdet(matrix.value.astype(np.float64))[1],
                              (matrix, lambda bar: bar * np.linalg.inv(matrix.value).T))


def bordered(x: Tensor, rows: int, columns: int, value: float) -> Tensor:
    """Images [B, C, H, W] with a border of that many rows and columns of a constant."""
    widths = ((0, 0), (0, 0), (rows, rows), (columns, columns))
    inside = (slice(None), slice(None), slice(rows, rows + x.shape[2]),
              slice(columns, columns + x.shape[3]))
    return x.tape.record(np.pad(x.value, widths, constant_values=value),
                         (x, lambda bar: bar[inside]))


def _solved(matrix: Array, y: Array) -> Array:
    batch, channels, h, w = y.shape
    flat = y.transpose(1, 0, 2, 3).reshape(channels, -1)
    return np.linalg.solve(matrix, flat).reshape(channels, batch, h, w).transpose(1, 0, 2, 3)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
