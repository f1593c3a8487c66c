"""Dense: y = x W + b over the last dimension.

Source: keras.layers.Dense.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.dtypes import DEFAULT_FLOAT, Array, as_array, canonical_dtype
from refglow.networks.initializers import glorot_uniform
from refglow.networks.network import Network
from refglow.variable import Variable


def dense(x: Array, kernel: Array, bias: Array) -> Array:
    """x @ kernel + bias.

    Args:
      x: [..., I], any number type.
      kernel: [I, O].
      bias: [O].

    Returns:
      [..., O].

    Source: as the module.
    """
    product = x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) @ kernel
    return (product + bias).reshape(*x.shape[:-1], kernel.shape[-1])


class Dense(Network):
    """A fully connected layer."""

    def __init__(self, in_features: int, units: int, seed: int | np.random.Generator | None = None,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT) -> None:
        """Build it: glorot_uniform kernel, zero bias.

        Args:
          in_features: I.
          units: O.
          seed: int or NumPy Generator for the start.
          dtype: the number type.
        """
        number_type = canonical_dtype(dtype)
        weights = glorot_uniform((in_features, units), np.random.default_rng(seed))
        self.kernel = Variable(weights, "kernel", dtype=number_type)
        self.bias = Variable(np.zeros(units), "bias", dtype=number_type)

    def __call__(self, x: Any) -> Array:
        """x W + b, for array-like x [..., I].

        Raises:
          TypeError: if x is a floating array of another dtype than the kernel.
          ValueError: if x has another number of features.
        """
        vectors = as_array(x, self.kernel.dtype, "Dense", "x")
        if vectors.ndim < 1 or vectors.shape[-1] != self.kernel.shape[0]:
            raise ValueError(f"Dense: expected inputs [..., {self.kernel.shape[0]}]; "
                             f"got {list(vectors.shape)}.")
        return dense(vectors, self.kernel.numpy(), self.bias.numpy())

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """kernel and bias."""
        yield "kernel", self.kernel
        yield "bias", self.bias

    def config(self) -> dict[str, Any]:
        """The arguments, without the random start."""
        return {"in_features": self.kernel.shape[0], "units": self.kernel.shape[1]}
