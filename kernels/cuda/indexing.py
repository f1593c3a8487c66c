"""Index arithmetic in kernels: 64 bits wide, never negative."""

from __future__ import annotations

from typing import Any

from numba import config
from numba.cuda import types
from numba.cuda.extending import intrinsic


def _quotient(typing_context: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = [context.cast(builder, value, source, types.int64)
                for value, source in zip(arguments, (a, b), strict=True)]
        return builder.udiv(*wide)
    return types.int64(a, b), generate


def _quotient_simulated(a: int, b: int) -> int:
    if a < 0 or b <= 0:
        raise ValueError(f"quotient is for indices, a >= 0 and b > 0; got {a} and {b}.")
    return int(a) // int(b)


# quotient(a, b): a // b for a >= 0 and b > 0. An unsigned division, which the compiler carries out
# in 32 bits where both numbers are that small; Python's own, rounding towards minus infinity and
# checking for zero, costs several times as many instructions.
quotient: Any = _quotient_simulated if config.ENABLE_CUDASIM else intrinsic(_quotient)
