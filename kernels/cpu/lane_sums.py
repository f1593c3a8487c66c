"""Sums over runs of numbers, in float64 and in a fixed order: a coupling's log-dets, above all.

A sum runs in LANES lanes side by side, each in the order of its elements, held in vector registers;
the lanes are joined pairwise. The order is the same whatever the width of a vector.

A log-det is summed run by run. Between the runs its state is in memory: LANES sums, LANES products,
how many factors these have, and what was summed and joined before.
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

# Numbers in the state of a log-det, and where two of them are.
LOG_DET_STATE = 2 * LANES + 2
_FACTORS, _TOTAL = 2 * LANES, 2 * LANES + 1


@compiled
def start_log_det(state: int) -> None:
    """The state of a log-det before its first run: 0.

    Args:
      state: address of LOG_DET_STATE float64 numbers.
    """
    for i in range(LOG_DET_STATE):
        store(state, i, 0.0)


@compiled
def add_log_sigmoids(x: int, offset: float, e: int, count: int, state: int, one: Number) -> None:
    """Add log sigmoid(x[i] + offset) = min(x[i] + offset, 0) - log1p(e[i]), in nats, for all i.

    Args:
      x: address of `count` numbers, a multiple of LANES.
      offset: see above.
      e: address of decay(x[i] + offset).
      count: how many.
      state: of the log-det, by address.
      one: 1 in the number type of x and e.
    """
    _sum_below_zero(x, offset, count // LANES, state, one)
    for start in range(0, count, MOST_FACTORS):
        run = min(MOST_FACTORS, count - start)
        if load(state, _FACTORS, 1.0) + run > MOST_FACTORS:
            _join_products(state)
        _join_in_lanes(e + start * size_of(one), 0.0, run // LANES, state + LANES * 8, one)
        store(state, _FACTORS, load(state, _FACTORS, 1.0) + run)


@compiled
def add_shifted(x: int, offset: float, count: int, state: int, one: Number) -> None:
    """Add x[i] + offset for all i. Args: as for `add_log_sigmoids`."""
    _sum_shifted(x, offset, count // LANES, state, one)


@compiled
def log_det_of(state: int) -> float:
    """The sum of all runs so far; the state cannot be added to any more."""
    _join_products(state)
    total: float = load(state, _TOTAL, 1.0) + lane_sum(state)
    return total


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
def _join_products(state: int) -> None:
    """Take the logarithm of all products into the total, and start new ones."""
    products = state + LANES * 8
    for half in (16, 8, 4, 2, 1):
        for lane in range(half):
            store(products, lane, _joined(load(products, lane, 1.0),
                                          load(products, lane + half, 1.0)))
    store(state, _TOTAL, load(state, _TOTAL, 1.0) - math.log1p(load(products, 0, 1.0)))
    for lane in range(LANES):
        store(products, lane, 0.0)
    store(state, _FACTORS, 0.0)


@inlined
def _joined(u: float, e: float) -> float:
    """(1 + u) (1 + e) - 1."""
    product: float = u + fma(u, e, e)
    return product


# ---- in registers -------------------------------------------------------------------------------


def _in_lanes(step: Callable[[VectorCode, Any, Any, Any], Any]) -> Any:
    """A compiled function of (numbers, offset, rows, lanes, one).

        lanes[l] becomes what `step` makes of it by each of the numbers [rows, LANES] in column l

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

            starts = [code.load(code.beyond(to, INT(column))) for column in columns]
            ends = code.sums_over(args[2], starts, add_row)
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
