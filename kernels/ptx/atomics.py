"""Atomic read-modify-write of many lanes at once, as if one lane came after the other.

The lanes are taken in ascending order. A device takes them in an order of its own, so what the
order decides (which value exch returns, the last bits of a sum of floats) may differ there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx import halves
from refglow.kernels.ptx.rounding import flush_subnormal
from refglow.kernels.ptx.types import NUMPY_TYPE, UNSIGNED, Column

Update = Callable[..., Column]

_ACCUMULATE: dict[str, np.ufunc] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _increment(old: Column, bound: Column) -> Column:
    raised: Column = old + old.dtype.type(1)
    return np.where(old >= bound, old.dtype.type(0), raised)


def _decrement(old: Column, bound: Column) -> Column:
    lowered: Column = old - old.dtype.type(1)
    return np.where((old == 0) | (old > bound), bound, lowered)


def _compare_and_swap(old: Column, expected: Column, new: Column) -> Column:
    return np.where(old == expected, new, old)


def _add_halves(type_name: str) -> Update:
    kind = type_name.removesuffix("x2")

    def add(old: Column, value: Column) -> Column:
        total = halves.widen(old, kind) + halves.widen(value, kind)
        return halves.round_half(total, kind)

    if not type_name.endswith("x2"):
        return add

    def add_both(old: Column, value: Column) -> Column:
        low = add(old.astype(np.uint16), value.astype(np.uint16)).astype(np.uint32)
        shift = np.uint32(16)
        high = add((old >> shift).astype(np.uint16), (value >> shift).astype(np.uint16))
        return (high.astype(np.uint32) << shift) | low

    return add_both


def _update(operation: str, type_name: str, flushes: bool) -> Update:
    if operation == "add" and type_name in halves.TYPES:
        return _add_halves(type_name)
    if operation == "add" and type_name == "f32" and flushes:
        # atom.add.f32 on global memory flushes subnormal inputs and results; on shared memory not.
        return lambda old, value: flush_subnormal(flush_subnormal(old) + flush_subnormal(value))
    special: dict[str, Update] = {
        "exch": lambda old, value: value,
        "cas": _compare_and_swap,
        "inc": _increment,
        "dec": _decrement,
    }
    return special.get(operation) or _ACCUMULATE[operation]


def atomic_update(
    memory: npt.NDArray[Any],
    place: npt.NDArray[np.int64],
    operation: str,
    type_name: str,
    values: list[Column],
    flushes: bool,
) -> Column:
    """Apply an atomic operation lane after lane; returns each lane's old value, as bits.

    Args:
        memory: the memory as unsigned integers of the type's size; changed in place.
        place: element per lane.
        operation: "add", "min", "max", "and", "or", "xor", "exch", "cas", "inc" or "dec".
        type_name: PTX's type.
        values: the operands, one column each.
        flushes: whether float32 sums flush subnormal numbers.
    """
    dtype = NUMPY_TYPE[type_name]
    if type_name in halves.TYPES:
        dtype = UNSIGNED[dtype.itemsize]
        values = [np.asarray(value).view(dtype) for value in values]
    typed = memory.view(dtype)
    update = _update(operation, type_name, flushes)
    order = np.argsort(place, kind="stable")
    ordered = place[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    lengths = np.diff(starts, append=ordered.size)
    longest = int(lengths.max())
    old = np.empty(place.size, dtype)
    if longest > starts.size and isinstance(update, np.ufunc):
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            lanes = order[start : start + length]
            where = ordered[start]
            steps = update.accumulate(np.concatenate([typed[where : where + 1], values[0][lanes]]))
            old[lanes], typed[where] = steps[:-1], steps[-1]
        return old.view(memory.dtype)
    rank = np.arange(ordered.size) - np.repeat(starts, lengths)
    by_rank = order[np.argsort(rank, kind="stable")]
    ends = np.cumsum(np.bincount(rank)).tolist()
    start = 0
    for end in ends:
        lanes = by_rank[start:end]
        where = place[lanes]
        before = typed[where]
        old[lanes] = before
        typed[where] = update(before, *(value[lanes] for value in values))
        start = end
    return old.view(memory.dtype)
