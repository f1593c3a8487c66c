"""How numbers lie in memory and how kernels compute with them.

    in memory                          in a kernel
    float32, float64                   the same
    float16                            float32
    bfloat16, as its bits in uint16    float32

A kernel reads and writes elements with `load` and `store`, which convert on the way: a load is
exact, a store rounds to nearest, ties to even; NaN stays NaN. Inside a kernel `uint16` always means
bfloat16. Neither function lets a negative index count from the end, which saves instructions.

In the simulator, which has no intrinsics, the same names are plain Python functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config
from numba.cuda import types
from numba.cuda.extending import intrinsic

_INT16, _INT32, _INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_STORED_IN_16_BITS = ("float16", "uint16")


def computing_dtype(stored: np.dtype[Any]) -> np.dtype[Any]:
    """The number type a kernel computes in for numbers stored as `stored`."""
    return np.dtype(np.float32) if stored.itemsize == 2 else stored


def computing_type(stored: Any) -> Any:
    """The same for Numba's types."""
    return types.float32 if str(stored) in _STORED_IN_16_BITS else stored


def widened(builder: Any, value: Any, stored: Any) -> Any:
    """LLVM's value of the computing type, from one as it lies in memory."""
    if str(stored) == "float16":
        return builder.fpext(builder.bitcast(value, ir.HalfType()), ir.FloatType())
    if str(stored) == "uint16":
        bits = builder.shl(builder.zext(value, _INT32), _INT32(16))
        return builder.bitcast(bits, ir.FloatType())
    return value


def narrowed(builder: Any, value: Any, stored: Any) -> Any:
    """LLVM's value as it lies in memory, rounded from one of the computing type."""
    if str(stored) == "float16":
        return builder.bitcast(builder.fptrunc(value, ir.HalfType()), _INT16)
    if str(stored) == "uint16":
        return _rounded_to_bfloat16(builder, value)
    return value


# A bfloat16 is the upper half of a float32. Adding 0x7fff, and 1 more where the upper half is odd,
# carries into it exactly when the lower half is more than half a unit, or half a unit and the upper
# half is odd: round to nearest, ties to even. The largest numbers carry into infinity, as they
# should. A NaN could lose its payload or carry over; it keeps its upper half, made quiet.


def _rounded_to_bfloat16(builder: Any, value: Any) -> Any:
    bits = builder.bitcast(value, _INT32)
    upper = builder.lshr(bits, _INT32(16))
    odd = builder.and_(upper, _INT32(1))
    nearest = builder.lshr(builder.add(bits, builder.add(odd, _INT32(0x7FFF))), _INT32(16))
    quiet = builder.or_(upper, _INT32(0x40))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, quiet, nearest), _INT16)


def pointer_to(context: Any, builder: Any, array_type: Any, array: Any, index_type: Any,
               index: Any) -> Any:
    """LLVM's pointer to element `index` of a one-dimensional contiguous array."""
    if array_type.ndim != 1 or array_type.layout != "C":
        raise TypeError(f"kernels read one-dimensional contiguous arrays; got {array_type}.")
    at = context.cast(builder, index, index_type, types.int64)
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [at])


def _load(typing_context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, array, arguments[0], index, arguments[1])
        return widened(builder, builder.load(pointer), array.dtype)
    return computing_type(array.dtype)(array, index), generate


def _store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = pointer_to(context, builder, array, arguments[0], index, arguments[1])
        wide = context.cast(builder, arguments[2], value, computing_type(array.dtype))
        builder.store(narrowed(builder, wide, array.dtype), pointer)
        return context.get_dummy_value()
    return types.void(array, index, value), generate


def load_simulated(array: Any, index: int) -> Any:
    """`load` in plain Python."""
    value = array[index]
    if array.dtype == np.uint16:
        return np.uint32(int(value) << 16).view(np.float32)
    return np.float32(value) if array.dtype == np.float16 else value


def store_simulated(array: Any, index: int, value: Any) -> None:
    """`store` in plain Python."""
    if array.dtype != np.uint16:
        with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite
            array[index] = value
        return
    bits = int(np.float32(value).view(np.uint32))
    nearest = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    array[index] = bits >> 16 | 0x40 if np.isnan(value) else nearest


# load(array, index): element `index`, in the computing type.
load: Any = load_simulated if config.ENABLE_CUDASIM else intrinsic(_load)
# store(array, index, value): write `value` to element `index`, rounded to the array's type.
store: Any = store_simulated if config.ENABLE_CUDASIM else intrinsic(_store)
