"""What vector registers this machine has.

Numba's cache of compiled code is kept apart by processor and its features, so code compiled for
these constants never runs on a machine that has others.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import binding


def _vector_registers() -> tuple[int, int]:
    """(bytes in a vector register, how many there are)."""
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx") and features.get("fma"):
        return 32, 16
    return 16, 32 if platform.machine() in ("aarch64", "arm64") else 16


VECTOR_BYTES, REGISTERS = _vector_registers()


def lanes_of(dtype: np.dtype[Any]) -> int:
    """How many numbers of `dtype` are in one vector register."""
    return VECTOR_BYTES // dtype.itemsize
