"""The fused multiply-add, a b + c rounded once, where a kernel wants one.

The compiler may fuse nothing by itself (compiled.py). In a b + c d it could fuse the one product or
the other, which give different last digits; and a function is compiled again into everything that
calls it, where the compiler may choose otherwise. Which of the copies runs depends on what else the
process has compiled or loaded, and where a vector ends, on a number's place in its array. So every
operation rounds as it is written, the fused ones are written `fma`, and equal input gives equal
bits in every process.
"""

from __future__ import annotations

from typing import Any

from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once, in the widest of their number types (float32 or float64).

    It is LLVM's own operation: vectors are made of it as of an addition. A processor without it
    computes the same by a call of the C library's, slowly.
    """
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fma(*args)
    number = typing_context.unify_types(a, b, c)
    return number(number, number, number), generate
