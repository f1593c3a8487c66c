"""Four runs of numbers merged into one, number by number, and taken apart again, in vectors.

The compiler finds no vectors in loops that do this for a number of channels known only at run time.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types

from refglow.kernels.cpu.memory import instruction

# Numbers of each run that are handled at a time.
RUN = 4

_PAIRS = [place for k in range(RUN) for place in (k, RUN + k)]
_FOURS = [place for k in range(0, 2 * RUN, 2)
          for place in (k, k + 1, 2 * RUN + k, 2 * RUN + k + 1)]


@instruction
def interleave(typing_context: Any, target: Any, i: Any, source: Any, a: Any, b: Any, c: Any,
               d: Any) -> Any:
    """target[i + 4 k + m] = source[(a, b, c, d)[m] + k] for k < RUN, m < 4; flat arrays."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, i, origin, *starts = arguments
        runs = [builder.load(_place(context, builder, source, origin, start, RUN),
                             align=_number_bytes(source)) for start in starts]
        pairs = [builder.shuffle_vector(runs[m], runs[m + 1], _mask(_PAIRS)) for m in (0, 2)]
        merged = builder.shuffle_vector(*pairs, _mask(_FOURS))
        builder.store(merged, _place(context, builder, target, to, i, 4 * RUN),
                      align=_number_bytes(target))
        return context.get_dummy_value()

    where = types.intp
    return types.void(target, where, source, where, where, where, where), generate


@instruction
def deinterleave(typing_context: Any, target: Any, a: Any, b: Any, c: Any, d: Any, source: Any,
                 i: Any) -> Any:
    """target[(a, b, c, d)[m] + k] = source[i + 4 k + m] for k < RUN, m < 4, in the order of m."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, *starts, origin, i = arguments
        merged = builder.load(_place(context, builder, source, origin, i, 4 * RUN),
                              align=_number_bytes(source))
        for m, start in enumerate(starts):
            run = builder.shuffle_vector(merged, merged, _mask(range(m, 4 * RUN, 4)))
            builder.store(run, _place(context, builder, target, to, start, RUN),
                          align=_number_bytes(target))
        return context.get_dummy_value()

    where = types.intp
    return types.void(target, where, where, where, where, source, where), generate


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any, lanes: int) -> Any:
    """Where array[at:at + lanes] begins, as the place of a vector."""
    data = context.make_array(kind)(context, builder, array).data
    vector = ir.VectorType(context.get_data_type(kind.dtype), lanes)
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def _number_bytes(kind: Any) -> int:
    return int(kind.dtype.bitwidth // 8)


def _mask(places: Any) -> Any:
    numbers = [ir.Constant(ir.IntType(32), place) for place in places]
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
