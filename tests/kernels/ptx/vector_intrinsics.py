"""Loads and stores of four float32 at once: the 16-byte accesses of the tests' kernels."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.cuda.extending import intrinsic


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(ir.FloatType(), 4)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer()), vector


def _place(number: int) -> Any:
    return ir.Constant(ir.IntType(32), number)


@intrinsic
def load4(typing_context, array, index):  # type: ignore[no-untyped-def]
    """array[index : index + 4] as a tuple, by one ld.global.v4.f32."""
    result = types.UniTuple(types.float32, 4)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pointer, _ = _pointer(context, builder, signature.args[0], *arguments)
        value = builder.load(pointer)
        value.align = 16
        items = [builder.extract_element(value, _place(k)) for k in range(4)]
        return context.make_tuple(builder, result, items)

    return result(array, index), generate


@intrinsic
def store4(typing_context, array, index, values):  # type: ignore[no-untyped-def]
    """array[index : index + 4] = values, four float32, by one st.global.v4.f32."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array, index, values = arguments
        pointer, vector_type = _pointer(context, builder, signature.args[0], array, index)
        value = ir.Constant(vector_type, ir.Undefined)
        for k in range(4):
            value = builder.insert_element(value, builder.extract_value(values, k), _place(k))
        builder.store(value, pointer).align = 16
        return context.get_dummy_value()

    return types.void(array, index, values), generate
