"""Two analyses of a kernel before it runs: unassigned registers, and what may be written through.

Both only save work. The first tells which registers need tracking while the kernel runs, because
some path reads them before writing them; the second, which arrays need an access history, because
nobody can race on memory nobody writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from refglow.kernels.ptx.control import blocks
from refglow.kernels.ptx.flatten import Program
from refglow.kernels.ptx.syntax import (
    Address,
    Instruction,
    Negated,
    Operand,
    Pair,
    Register,
    Symbol,
    Vector,
)

_NO_RESULT = ("st", "red", "bra", "ret", "exit", "membar", "fence")


def _registers(operand: Operand) -> Iterator[Register]:
    match operand:
        case Register():
            yield operand
        case Address(base=Register() as base):
            yield base
        case Negated(operand=register):
            yield register
        case Pair(first=first, second=second):
            yield from _registers(first)
            yield from _registers(second)
        case Vector(items=items):
            for item in items:
                yield from _registers(item)


def _has_result(instruction: Instruction) -> bool:
    if instruction.opcode in ("bar", "barrier"):
        return "red" in instruction.modifiers
    return instruction.opcode not in _NO_RESULT


def registers_written(instruction: Instruction) -> list[Register]:
    """The registers that an instruction writes."""
    return list(_registers(instruction.operands[0])) if _has_result(instruction) else []


def registers_read(instruction: Instruction) -> list[Register]:
    """The registers that an instruction reads, its predicate included."""
    sources = instruction.operands[1 if _has_result(instruction) else 0 :]
    found = [register for operand in sources for register in _registers(operand)]
    if instruction.predicate is not None:
        found.append(instruction.predicate)
    return found


def maybe_unassigned(program: Program) -> set[Register]:
    """The registers that some path through the kernel reads before any write.

    Forward analysis to a fixed point: the registers surely written at a block's entry are those
    surely written at the end of all blocks before it. A predicated write is not sure.
    """
    graph = blocks(program)
    everything = {r for i in program.instructions for r in registers_written(i)}
    entry = {start: set(everything) for start in graph}
    entry[0] = set()
    changed = True
    while changed:
        changed = False
        for start, block in graph.items():
            written = set(entry[start])
            for instruction in program.instructions[start : block.end]:
                if instruction.predicate is None:
                    written.update(registers_written(instruction))
            last = program.instructions[block.end - 1]
            successors = [] if block.target is None else [block.target]
            ends = (block.target is not None or block.exits) and last.predicate is None
            if not ends and block.end in graph:
                successors.append(block.end)
            for successor in successors:
                if not entry[successor] <= written:
                    entry[successor] &= written
                    changed = True
    found: set[Register] = set()
    for start, block in graph.items():
        written = entry[start]
        for instruction in program.instructions[start : block.end]:
            found.update(r for r in registers_read(instruction) if r not in written)
            if instruction.predicate is None:
                written.update(registers_written(instruction))
    return found


def written_names(program: Program, pointers: set[str]) -> set[str] | None:
    """Which of `pointers` (parameters, variables) may be stored through; None: it cannot be told.

    A register may hold an address derived from every parameter or variable that any of its
    sources may hold. Values loaded from memory hold none, unless the kernel itself stores such an
    address: then nothing is known.
    """
    origins: dict[Register, set[str]] = {}
    changed = True
    while changed:
        changed = False
        for instruction in program.instructions:
            if instruction.opcode in ("ld", "ldu") and "param" not in instruction.modifiers:
                continue
            held = _origins(instruction, origins) & pointers
            for register in registers_written(instruction):
                known = origins.setdefault(register, set())
                if not held <= known:
                    known |= held
                    changed = True
    written: set[str] = set()
    for instruction in program.instructions:
        if instruction.opcode not in ("st", "atom", "red"):
            continue
        position = 1 if instruction.opcode == "atom" else 0
        place = instruction.operands[position]
        written |= _origins_of(place, origins) & pointers
        for operand in instruction.operands[position + 1 :]:
            if any(_holds_address(r) and origins.get(r) for r in _registers(operand)):
                return None
    return written


def _holds_address(register: Register) -> bool:
    return register.type[1:] == "64"


def _origins(instruction: Instruction, origins: dict[Register, set[str]]) -> set[str]:
    held: set[str] = set()
    for operand in instruction.operands[1:]:
        held |= _origins_of(operand, origins)
    return held


def _origins_of(operand: Operand, origins: dict[Register, set[str]]) -> set[str]:
    held: set[str] = set()
    match operand:
        case Symbol(name=name) | Address(base=Symbol(name=name)):
            held = {name}
        case _:
            for register in _registers(operand):
                held |= origins.get(register, set())
    return held
