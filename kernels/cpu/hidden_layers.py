"""What both ways of computing a coupling network share: its weights, and a tile's hidden layers.

Source: the specification in refglow/networks/coupling_network.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.layout import Array, padded, read_only, with_columns
from refglow.kernels.cpu.micro_product import FROM_EXTRA, RELU
from refglow.kernels.cpu.tile_product import tile_product


def as_weights(kernel1: Array, bias1: Array, kernel2: Array, bias2: Array, kernel3: Array,
               bias3: Array, filters: int) -> tuple[Array, ...]:
    """The weights, read-only and contiguous; those of the hidden layers with spare zeros.

    Args:
      kernel1, bias1, kernel2, bias2, kernel3, bias3: as the network takes them.
      filters: columns of a hidden layer's array.

    Returns:
      kernel1 [K K I, filters], bias1 [filters], kernel2 [filters, filters], bias2 [filters], and
      kernel3 and bias3 in their own shapes.
    """
    return (with_columns(kernel1.reshape(-1, kernel1.shape[3]), filters),
            with_columns(bias1, filters), padded(kernel2[0, 0], (filters, filters)),
            with_columns(bias2, filters), read_only(np.ascontiguousarray(kernel3)),
            read_only(np.ascontiguousarray(bias3)))


@compiled
def hidden_layers(patches: int, length: int, rows: int, kernel1: Any, bias1: Any, kernel2: Any,
                  bias2: Any, inner: int, h1: int, h2: int, one: Any) -> None:
    """h1 = relu(patches kernel1 + bias1), h2 = relu(h1 kernel2 + bias2), for a tile.

    Args:
      patches, length, rows: address of [rows, length]; rows is a multiple of ROWS.
      kernel1, bias1, kernel2, bias2: as `as_weights` makes them.
      inner: of the filters' columns, how many are not spare.
      h1, h2: addresses of [rows, filters].
      one: 1 in the number type.
    """
    hidden_layer(patches, length, length, rows, kernel1, bias1, h1, one)
    hidden_layer(h1, len(bias1), inner, rows, kernel2, bias2, h2, one)


@compiled
def hidden_layer(x: int, x_row: int, length: int, rows: int, kernel: Any, bias: Any, h: int,
                 one: Any) -> None:
    """h = relu(x kernel + bias): one of them.

    Args:
      x, x_row, length, rows: address of [rows, x_row], of which `length` columns are read: spare
        ones are not multiplied by zeros, which would make NaN of an infinity.
      kernel, bias: [length or more, filters] and [filters].
      h: address of [rows, filters].
      one: 1 in the number type.
    """
    filters = len(bias)
    tile_product(x, x_row, rows, length, kernel.ctypes.data, filters, filters, h, filters,
                 bias.ctypes.data, 0, FROM_EXTRA, RELU, one)
