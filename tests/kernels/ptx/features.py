"""The table of feature kernels: how one is entered, and what the test needs to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import float32, float64, int32, int64

# mypy: disable-error-code="no-untyped-def"


@dataclass(frozen=True)
class Feature:
    """A kernel, its signature and launch, its arguments, and the expected arrays by number."""

    kernel: Callable[..., None]
    signature: tuple[Any, ...]
    grid: Any
    block: Any
    arguments: Callable[[np.random.Generator], tuple[Any, ...]]
    expected: Callable[..., dict[int, np.ndarray]]
    tolerance: float = 0.0
    shared_bytes: int = 0


FEATURES: dict[str, Feature] = {}


def feature(signature, grid, block, arguments, expected, tolerance=0.0, shared_bytes=0):
    """Enter the decorated kernel into FEATURES."""

    def enter(kernel):
        FEATURES[kernel.__name__] = Feature(
            kernel, signature, grid, block, arguments, expected, tolerance, shared_bytes
        )
        return kernel

    return enter


F4, F8, I4, I8 = float32[::1], float64[::1], int32[::1], int64[::1]


def normal(*sizes, dtype=np.float32):
    return lambda rng: tuple(
        (rng.normal(size=s) if s else np.zeros(1)).astype(dtype) for s in sizes
    )
