"""Numbers read and written by address.

A compiled function that cuts a slice out of an array counts a reference to it, by an atomic
operation; two threads that do so for the same array at every pixel take turns at one counter, which
costs more than the copying. Where the inner loops are short, arrays are therefore given by address.
The index counts elements from there, is not checked, and may be a loop's counter: LLVM then makes
vectors of the loop. The caller holds the array.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Number: TypeAlias = Any  # float32 or float64

_INT = ir.IntType(64)


@intrinsic  # type: ignore[untyped-decorator]
def size_of(typing_context: Any, one: Any) -> Any:
    """The bytes of a number of one's type, a constant."""
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _INT(sig.args[0].bitwidth // 8)
    return types.int64(one), generate


@intrinsic  # type: ignore[untyped-decorator]
def as_number(typing_context: Any, value: Any, one: Any) -> Any:
    """The value, float32 or float64, rounded to one's type."""
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], sig.args[0], one)
    return one(value, one), generate


@intrinsic  # type: ignore[untyped-decorator]
def load(typing_context: Any, address: Any, index: Any, one: Any) -> Any:
    """The number at address[index], of one's type."""
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, args, sig.args[2]))
    return one(types.int64, types.int64, one), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
    """address[index] = value."""
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, args, sig.args[2]))
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, value), generate


def _pointer(context: Any, builder: Any, args: Any, number: Any) -> Any:
    element = context.get_value_type(number)
    return builder.gep(builder.inttoptr(args[0], element.as_pointer()), [args[1]])
