"""Control flow: basic blocks, branches, barriers, fences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from refglow.kernels.ptx.decode import Decoder, Modifiers, Step
from refglow.kernels.ptx.flatten import Program
from refglow.kernels.ptx.syntax import Instruction, Integer, Symbol
from refglow.kernels.ptx.types import Lanes
from refglow.kernels.ptx.warp import member_mask

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave

TERMINATORS = ("bra", "ret", "exit")


@dataclass(frozen=True)
class Block:
    """A basic block: instructions that run one after the other.

    Lanes part and meet only between blocks. An instruction that waits for other threads begins a
    block of its own, so that a block, once begun, runs to its end.

    Attributes:
        start, end: program counters of the first instruction and after the last.
        target: where the branch at its end goes, or None.
        exits: whether its last instruction ends the thread.
    """

    start: int
    end: int
    target: int | None
    exits: bool


@dataclass(frozen=True)
class BarrierCall:
    """bar.sync and its like: which barrier, and for how many threads (None: all of the block)."""

    number: int
    threads: int | None


def waits(instruction: Instruction) -> bool:
    """Whether an instruction waits for other threads."""
    return instruction.opcode in ("bar", "barrier") or member_mask(instruction) is not None


def blocks(program: Program) -> dict[int, Block]:
    """The basic blocks of a program by their first program counter."""
    leaders = {0, *program.labels.values()}
    for pc, instruction in enumerate(program.instructions):
        if instruction.opcode in TERMINATORS:
            leaders.add(pc + 1)
        elif waits(instruction):
            leaders.add(pc)
    count = len(program.instructions)
    ordered = sorted(pc for pc in leaders if pc < count)
    found = {}
    for start, end in zip(ordered, [*ordered[1:], count], strict=True):
        last = program.instructions[end - 1]
        target = None
        if last.opcode == "bra":
            operand = last.operands[0]
            if not isinstance(operand, Symbol):
                raise last.error("goes to no label")
            target = program.labels[operand.name]
        found[start] = Block(start, end, target, last.opcode in ("ret", "exit"))
    return found


def barrier_call(instruction: Instruction) -> BarrierCall | None:
    """What a block-wide barrier instruction waits for; None for other instructions.

    Raises:
        PtxError: a form that is not interpreted.
    """
    if instruction.opcode not in ("bar", "barrier") or "warp" in instruction.modifiers:
        return None
    modifiers = Modifiers(instruction)
    modifiers.flag("cta")
    kind = modifiers.one_of(("sync", "red"))
    modifiers.flag("aligned")
    operands = list(instruction.operands)
    if kind == "red":
        operation = modifiers.one_of(("popc", "and", "or"))
        modifiers.type(("u32",) if operation == "popc" else ("pred",))
        operands = operands[1:-1]
    modifiers.end()
    numbers = [operand.value for operand in operands if isinstance(operand, Integer)]
    if len(numbers) != len(operands) or not 1 <= len(numbers) <= 2:
        raise instruction.error("barrier number and thread count must be constants")
    return BarrierCall(numbers[0], numbers[1] if len(numbers) == 2 else None)


def _barrier(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    """What is left to do once a barrier has been passed: bar.red's reduction over the block."""
    if "warp" in instruction.modifiers:
        modifiers = Modifiers(instruction)
        modifiers.one_of(("warp",))
        modifiers.one_of(("sync",))
        modifiers.end()
        return lambda wave, lanes: None
    barrier_call(instruction)
    if "red" not in instruction.modifiers:
        return lambda wave, lanes: None
    operation = next(m for m in instruction.modifiers if m in ("popc", "and", "or"))
    target, *_, source = instruction.operands
    read = decoder.reader(instruction, source, "pred")
    write = decoder.writer(instruction, target, "u32" if operation == "popc" else "pred")

    def step(wave: Wave, lanes: Lanes | None) -> None:
        block = wave.block_of(lanes)
        held = np.broadcast_to(read(wave, lanes), block.size)
        total = np.bincount(block, weights=held, minlength=wave.block_count)[block]
        if operation == "popc":
            write(wave, lanes, total.astype(np.uint32))
        elif operation == "or":
            write(wave, lanes, total > 0)
        else:
            write(wave, lanes, total == np.bincount(block)[block])

    return step


def _fence(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    """Nothing to do: every access here is complete before the next begins."""
    modifiers = Modifiers(instruction)
    if instruction.opcode == "membar":
        modifiers.one_of(("cta", "gl", "sys"))
    else:
        modifiers.one_of(("sc", "acq_rel", "acquire", "release"), "acq_rel")
        modifiers.one_of(("cta", "cluster", "gpu", "sys"))
    modifiers.end()
    return lambda wave, lanes: None


def _end(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    """bra, ret and exit are the scheduler's; here only their modifiers are checked."""
    modifiers = Modifiers(instruction)
    modifiers.flag("uni")
    modifiers.end()
    return lambda wave, lanes: None


DECODERS: dict[str, Callable[[Decoder, Instruction, int], Step]] = {
    **dict.fromkeys(("bar", "barrier"), _barrier),
    **dict.fromkeys(("membar", "fence"), _fence),
    **dict.fromkeys(TERMINATORS, _end),
}
