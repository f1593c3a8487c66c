"""Instructions that threads of one warp execute together: shfl, vote, match, redux, activemask.

The scheduler lets such an instruction run only when all live threads that its member mask names
have arrived (see machine.py), so here the active lanes of a warp are its members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx import findings as kinds
from refglow.kernels.ptx.decode import Decoder, Modifiers, Step
from refglow.kernels.ptx.syntax import Instruction, Operand, Pair, Symbol
from refglow.kernels.ptx.types import Column, Lanes, size_of

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave

Int64 = npt.NDArray[np.int64]


def source_lanes(mode: str, lane: Int64, b: Int64, c: Int64) -> tuple[Int64, Column]:
    """shfl's source lane before the range check, and whether it is in range.

    Args:
        mode: "up", "down", "bfly" or "idx".
        lane: number of the own lane, 0 to 31.
        b: the lane or the distance.
        c: the clamp in bits 0-4 and the segment mask in bits 8-12.
    """
    b, clamp, segment = b & 31, c & 31, (c >> 8) & 31
    limit = (lane & segment) | (clamp & ~segment)
    if mode == "up":
        return lane - b, lane - b >= limit
    if mode == "idx":
        source = (lane & segment) | (b & ~segment)
    else:
        source = lane + b if mode == "down" else lane ^ b
    return source, source <= limit


def _shuffle(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    modifiers = Modifiers(instruction)
    modifiers.one_of(("sync",))
    mode = modifiers.one_of(("up", "down", "bfly", "idx"))
    modifiers.type(("b32",))
    modifiers.end()
    target, value, b, c, _mask = instruction.operands
    first: Operand = target.first if isinstance(target, Pair) else target
    second: Operand = target.second if isinstance(target, Pair) else Symbol("_")
    write = decoder.writer(instruction, first, "b32")
    write_in_range = decoder.writer(instruction, second, "pred")
    read = decoder.reader(instruction, value, "b32")
    read_b, read_c = (decoder.reader(instruction, x, "u32") for x in (b, c))

    def step(wave: Wave, lanes: Lanes | None) -> None:
        slots = wave.all_slots(lanes)
        own = slots & 31
        source, in_range = source_lanes(
            mode, own, read_b(wave, lanes).astype(np.int64), read_c(wave, lanes).astype(np.int64)
        )
        source = np.where(in_range, source, own)
        value = np.broadcast_to(read(wave, lanes), slots.size)
        if wave.slots(lanes) is None:
            position = (slots - own) + source
        else:
            position = wave.positions(lanes)[(slots - own) + source]
            absent = position < 0
            if absent.any():
                which = np.flatnonzero(absent)
                wave.report(
                    kinds.DIVERGENT_WARP,
                    pc,
                    which if lanes is None else lanes[which],
                    f"reads from lane {int(source[which[0]])} of its warp, which takes no part",
                )
                position = np.where(absent, np.arange(slots.size), position)
        write(wave, lanes, value[position])
        write_in_range(wave, lanes, np.broadcast_to(in_range, slots.size).copy())

    return step


def reduce_by_warp(
    ufunc: np.ufunc, slots: Int64, values: Column
) -> Column:
    """Per lane, the reduction of `values` over the active lanes of its warp."""
    warp = slots >> 5
    starts = np.flatnonzero(np.diff(warp, prepend=-1))
    row = np.repeat(np.arange(starts.size), np.diff(starts, append=warp.size))
    return ufunc.reduceat(values, starts)[row]


def _bit(slots: Int64) -> npt.NDArray[np.uint32]:
    return np.uint32(1) << (slots & 31).astype(np.uint32)


def _ballot(slots: Int64, held: Column) -> npt.NDArray[np.uint32]:
    bits = np.where(held, _bit(slots), np.uint32(0))
    result: npt.NDArray[np.uint32] = reduce_by_warp(np.bitwise_or, slots, bits)
    return result


def _vote(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    modifiers = Modifiers(instruction)
    modifiers.one_of(("sync",))
    mode = modifiers.one_of(("all", "any", "uni", "ballot"))
    type_name = modifiers.type(("b32",) if mode == "ballot" else ("pred",))
    modifiers.end()
    target, source, _mask = instruction.operands
    read = decoder.reader(instruction, source, "pred")
    write = decoder.writer(instruction, target, type_name)

    def step(wave: Wave, lanes: Lanes | None) -> None:
        slots = wave.all_slots(lanes)
        held = np.broadcast_to(read(wave, lanes), slots.size)
        votes = _ballot(slots, held)
        if mode == "ballot":
            write(wave, lanes, votes)
            return
        everyone = _ballot(slots, np.ones(slots.size, np.bool_))
        results = {
            "all": lambda: votes == everyone,
            "any": lambda: votes != 0,
            "uni": lambda: (votes == everyone) | (votes == 0),
        }
        write(wave, lanes, results[mode]())

    return step


def _match(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    modifiers = Modifiers(instruction)
    mode = modifiers.one_of(("any", "all"))
    modifiers.one_of(("sync",))
    type_name = modifiers.type(("b32", "b64"))
    modifiers.end()
    target, source, _mask = instruction.operands
    first: Operand = target.first if isinstance(target, Pair) else target
    second: Operand = target.second if isinstance(target, Pair) else Symbol("_")
    read = decoder.reader(instruction, source, type_name)
    write = decoder.writer(instruction, first, "b32")
    write_all = decoder.writer(instruction, second, "pred")

    def step(wave: Wave, lanes: Lanes | None) -> None:
        slots = wave.all_slots(lanes)
        value = np.broadcast_to(read(wave, lanes), slots.size)
        everyone = _ballot(slots, np.ones(slots.size, np.bool_))
        if mode == "all":
            lowest = reduce_by_warp(np.minimum, slots, value)
            same = lowest == reduce_by_warp(np.maximum, slots, value)
            write(wave, lanes, np.where(same, everyone, np.uint32(0)))
            write_all(wave, lanes, same)
            return
        order = np.lexsort((value, slots >> 5))
        changes = np.diff((slots >> 5)[order], prepend=-1) != 0
        changes |= np.concatenate([[True], value[order][1:] != value[order][:-1]])
        starts = np.flatnonzero(changes)
        group = np.repeat(np.arange(starts.size), np.diff(starts, append=slots.size))
        masks = np.bitwise_or.reduceat(_bit(slots)[order], starts)[group]
        result = np.empty(slots.size, np.uint32)
        result[order] = masks
        write(wave, lanes, result)

    return step


def _reduce(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    operations = {
        "add": np.add,
        "min": np.minimum,
        "max": np.maximum,
        "and": np.bitwise_and,
        "or": np.bitwise_or,
        "xor": np.bitwise_xor,
    }
    modifiers = Modifiers(instruction)
    modifiers.one_of(("sync",))
    ufunc = operations[modifiers.one_of(operations)]
    type_name = modifiers.type(("u32", "s32", "b32"))
    modifiers.end()
    target, source, _mask = instruction.operands
    read = decoder.reader(instruction, source, type_name)
    write = decoder.writer(instruction, target, type_name)
    assert size_of(type_name) == 4

    def step(wave: Wave, lanes: Lanes | None) -> None:
        slots = wave.all_slots(lanes)
        value = np.broadcast_to(read(wave, lanes), slots.size)
        # reduceat would widen a 32-bit sum otherwise
        total = reduce_by_warp(ufunc, slots, value)
        write(wave, lanes, total.astype(value.dtype))

    return step


def _active_mask(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    modifiers = Modifiers(instruction)
    modifiers.type(("b32",))
    modifiers.end()
    (target,) = instruction.operands
    write = decoder.writer(instruction, target, "b32")

    def step(wave: Wave, lanes: Lanes | None) -> None:
        slots = wave.all_slots(lanes)
        write(wave, lanes, _ballot(slots, np.ones(slots.size, np.bool_)))

    return step


def member_mask(instruction: Instruction) -> Operand | None:
    """The operand that names the threads an instruction waits for; None if it waits for none."""
    if instruction.opcode in ("shfl", "vote", "match", "redux"):
        if "sync" not in instruction.modifiers:
            raise instruction.error("only the .sync form is interpreted")
        return instruction.operands[-1]
    if instruction.opcode in ("bar", "barrier") and "warp" in instruction.modifiers:
        return instruction.operands[0]
    return None


def lanes_present(slots: Lanes, masks: Column, live_slots: npt.NDArray[np.bool_]) -> Column:
    """Per active lane, whether all live threads that its mask names are active with it.

    Args:
        slots: warp * 32 + lane of the active lanes, ascending.
        masks: member mask per active lane.
        live_slots: per slot, whether its thread exists and has not exited.
    """
    present = _ballot(slots, np.ones(slots.size, np.bool_))
    warps = live_slots.reshape(-1, 32)
    weights = np.uint32(1) << np.arange(32, dtype=np.uint32)
    live = (warps * weights).sum(axis=1).astype(np.uint32)
    wanted = masks & live[slots >> 5]
    complete = (wanted & ~present) == 0
    # A warp goes on only as a whole: if one of its lanes must wait, the others wait with it.
    result: Column = reduce_by_warp(np.logical_and, slots, complete)
    return result


DECODERS: dict[str, Callable[[Decoder, Instruction, int], Step]] = {
    "shfl": _shuffle,
    "vote": _vote,
    "match": _match,
    "redux": _reduce,
    "activemask": _active_mask,
}
