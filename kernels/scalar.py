"""The scalar maths that kernels share, on the CPU and on a GPU.

The constants are float32: exact here, and in an expression with a float64 they become float64, so
that one function serves both number types and a float32 kernel holds no float64 instruction.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from refglow.kernels.cpu.compiled import inlined

Number: TypeAlias = Any  # float32 or float64

_ONE = np.float32(1)
_ZERO = np.float32(0)


@inlined
def sigmoid(x: Number) -> Number:
    """1 / (1 + e^-x), without overflow and with full relative accuracy in both tails.

    With e = exp(-|x|) <= 1 it is 1/(1+e) for x >= 0 and e/(1+e) for x < 0: nothing is subtracted.
    """
    e = math.exp(-abs(x))
    return (_ONE if x >= 0 else e) / (_ONE + e)


@inlined
def log_sigmoid(x: Number) -> Number:
    """log(1 / (1 + e^-x)) = min(x, 0) - log1p(exp(-|x|)), in nats.

    A kernel that asks for both functions of one x pays for one exponential: the compiler sees that
    they are the same.
    """
    return (x if x < 0 else _ZERO) - math.log1p(math.exp(-abs(x)))
