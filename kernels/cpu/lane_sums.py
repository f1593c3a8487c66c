"""Sums over runs of numbers, in float64 and in a fixed order: a coupling's log-dets, above all.

A sum runs in LANES lanes side by side, each in the order of its elements, held in vector registers;
the lanes are joined pairwise. The order is the same whatever the width of a vector.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from refglow.kernels.cpu.addresses import Number, load, size_of, store
from refglow.kernels.cpu.compiled import compiled, inlined
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.vector_code import INT, VectorCode

LANES = 32

# So many factors of at most 2 have a product that does not overflow.
MOST_FACTORS = 16 * LANES


@compiled
def log_sigmoid_sum(x: int, offset: float, e: int, count: int, lanes: int, one: Number) -> float:
    """sum of log sigmoid(x[i] + offset) = min(x[i] + offset, 0) - log1p(e[i]), in nats.

    Args:
      x: address of `count` numbers, a multiple of LANES.
      offset: see above.
      e: address of decay(x[i] + offset).
      count: how many.
      lanes: address of LANES float64 numbers, which are overwritten.
      one: 1 in the number type of x and e.
    """
    _sum_below_zero(x, offset, count // LANES, lanes, one)
    total = lane_sum(lanes)
    for start in range(0, count, MOST_FACTORS):
        factors = min(MOST_FACTORS, count - start)
        _join_in_lanes(e + start * size_of(one), 0.0, factors // LANES, lanes, one)
        total -= math.log1p(_joined_lanes(lanes))
    return total


@compiled
def shifted_sum(x: int, offset: float, count: int, lanes: int, one: Number) -> float:
    """sum of x[i] + offset. Args: as for `log_sigmoid_sum`."""
    _sum_shifted(x, offset, count // LANES, lanes, one)
    return lane_sum(lanes)


@compiled
def lane_sum(lanes: int) -> float:
    """The sum of LANES float64 numbers, by address, in a fixed order; they are overwritten."""
    for half in (16, 8, 4, 2, 1):
        for lane in range(half):
            store(lanes, lane, load(lanes, lane, 1.0) + load(lanes, lane + half, 1.0))
    total: float = load(lanes, 0, 1.0)
    return total


# sum_i log1p(e_i) = log1p(u) with 1 + u = prod_i (1 + e_i): one logarithm for all. u, not 1 + u,
# is what is kept, by
#     1 + u' = (1 + u) (1 + e)     so    u' = u + e + u e
# As no term is negative, every step adds at most two roundings to u's relative error, and log1p
# passes on a relative error of u at most as large: (u / (1 + u)) / log1p(u) <= 1. With LANES
# products of 16 factors, joined pairwise, that is (16 + 5) * 2 roundings at most.


@compiled
def _joined_lanes(lanes: int) -> float:
    for half in (16, 8, 4, 2, 1):
        for lane in range(half):
            store(lanes, lane, _joined(load(lanes, lane, 1.0), load(lanes, lane + half, 1.0)))
    total: float = load(lanes, 0, 1.0)
    return total


@inlined
def _joined(u: float, e: float) -> float:
    """(1 + u) (1 + e) - 1."""
    product: float = u + fma(u, e, e)
    return product


# ---- in registers -------------------------------------------------------------------------------


def _in_lanes(step: Callable[[VectorCode, Any, Any, Any], Any]) -> Any:
    """A compiled function of (numbers, offset, rows, lanes, one).

        lanes[l] = what 0 becomes by `step` for each of the numbers [rows, LANES] in column l

    Args:
      step: writes code: from vectors of what the lanes are, numbers and offsets, all float64, to
        what the lanes become.
    """
    def typed(typing_context: Any, numbers: Any, offset: Any, rows: Any, lanes: Any,
              one: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            code = VectorCode(builder, types.float64)
            offsets, to = code.everywhere(args[1]), code.pointer(args[3])
            number = context.get_value_type(one)
            origin = builder.inttoptr(args[0], number.as_pointer())
            columns = range(0, LANES, code.lanes)

            def add_row(k: Any, running: list[Any]) -> list[Any]:
                row = builder.gep(origin, [builder.mul(k, INT(LANES))])
                return [step(code, lane, code.widened(builder.gep(row, [INT(column)])), offsets)
                        for lane, column in zip(running, columns, strict=True)]

            ends = code.sums_over(args[2], [code.zero for _ in columns], add_row)
            for column, end in zip(columns, ends, strict=True):
                code.store(end, code.beyond(to, INT(column)))
            return context.get_dummy_value()
        return types.void(types.int64, types.float64, types.int64, types.int64, one), generate
    return intrinsic(typed)


@_in_lanes
def _sum_shifted(code: VectorCode, lane: Any, number: Any, offset: Any) -> Any:
    """lane + (number + offset)."""
    return code.builder.fadd(lane, code.builder.fadd(number, offset))


@_in_lanes
def _sum_below_zero(code: VectorCode, lane: Any, number: Any, offset: Any) -> Any:
    """lane + min(number + offset, 0); NaN for NaN."""
    shifted = code.builder.fadd(number, offset)
    is_above = code.builder.fcmp_ordered(">", shifted, code.zero)
    return code.builder.fadd(lane, code.builder.select(is_above, code.zero, shifted))


@_in_lanes
def _join_in_lanes(code: VectorCode, lane: Any, number: Any, offset: Any) -> Any:
    """(1 + lane) (1 + number) - 1, as `_joined` has it."""
    return code.builder.fadd(lane, code.fma(lane, number, number))
