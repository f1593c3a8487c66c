"""A program decoded for running: a closure per instruction, basic blocks, symbols placed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from refglow.kernels.ptx import (
    bits,
    control,
    conversions,
    floating,
    integer,
    memory,
    moves,
    warp,
)
from refglow.kernels.ptx import findings as kinds
from refglow.kernels.ptx.address_space import Region
from refglow.kernels.ptx.control import BarrierCall, Block
from refglow.kernels.ptx.dataflow import maybe_unassigned, registers_read, registers_written
from refglow.kernels.ptx.decode import Decoder, Reader, Step, predicated
from refglow.kernels.ptx.flatten import Program
from refglow.kernels.ptx.layout import (
    ARRAY_ALIGNMENT,
    GLOBAL_BASE,
    GUARD_BYTES,
    SHARED_GUARD_BYTES,
    aligned,
)
from refglow.kernels.ptx.syntax import Instruction, Register
from refglow.kernels.ptx.types import NUMPY_TYPE, Lanes, is_float, size_of

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave

_ANY = {**bits.DECODERS, **conversions.DECODERS, **moves.DECODERS}
_WITH_PC = {**memory.DECODERS, **warp.DECODERS, **control.DECODERS}
_ACCESSES = ("ld", "ldu", "st", "atom", "red")


@dataclass
class Variables:
    """Where a program's variables are.

    Attributes:
        regions: "global", "shared" and "local" regions, ascending.
        addresses: symbol to address, in its own space.
        contents: initial bytes of global regions by name.
        shared_bytes, local_bytes: the length of the two spaces, gaps included.
    """

    regions: dict[str, list[Region]] = field(
        default_factory=lambda: {"global": [], "shared": [], "local": []}
    )
    addresses: dict[str, int] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    shared_bytes: int = 0
    local_bytes: int = 0


def place_variables(program: Program, dynamic_shared_bytes: int) -> Variables:
    """Give every variable of a program its address.

    Extern shared arrays all name the one dynamic shared memory, as on a device.
    """
    placed = Variables()
    ends = {"global": GLOBAL_BASE, "shared": 0, "local": 0}
    gaps = {"global": GUARD_BYTES, "shared": SHARED_GUARD_BYTES, "local": 16}
    extern: list[str] = []
    for variable in program.variables.values():
        space = "global" if variable.space == "const" else variable.space
        if space == "shared" and variable.size == 0:
            extern.append(variable.name)
            continue
        alignment = max(variable.align, {"global": ARRAY_ALIGNMENT, "shared": 128}.get(space, 16))
        start = aligned(ends[space] + gaps[space], alignment)
        if space != "global" and not placed.regions[space]:
            start = 0
        read_only = variable.space == "const"
        placed.regions[space].append(Region(variable.name, start, variable.size, read_only))
        placed.addresses[variable.name] = start
        placed.contents[variable.name] = variable.content or b""
        ends[space] = start + variable.size
    if extern or dynamic_shared_bytes:
        start = aligned(ends["shared"] + SHARED_GUARD_BYTES, 128) if ends["shared"] else 0
        placed.regions["shared"].append(
            Region("dynamic shared memory", start, dynamic_shared_bytes)
        )
        placed.addresses.update(dict.fromkeys(extern, start))
        ends["shared"] = start + dynamic_shared_bytes
    placed.shared_bytes = aligned(ends["shared"], 128)
    placed.local_bytes = aligned(ends["local"], 16)
    return placed


@dataclass
class Code:
    """A decoded program.

    Attributes:
        program: what was decoded.
        variables: where its variables are.
        columns: registers to column numbers.
        steps: per program counter, the closure that executes the instruction.
        blocks: basic blocks by first program counter.
        predicates: readers of branches' predicates by program counter, with their negation.
        masks: readers of member masks by program counter.
        barriers: block-wide barriers by program counter.
        tracked: columns of registers that may be read before they are written.
        granule: the smallest access the program makes, bytes.
    """

    program: Program
    variables: Variables
    columns: dict[Register, int]
    steps: list[Step]
    blocks: dict[int, Block]
    predicates: dict[int, tuple[Reader, bool]]
    masks: dict[int, Reader]
    barriers: dict[int, BarrierCall]
    tracked: list[int]
    granule: int


def decode(program: Program, dynamic_shared_bytes: int) -> Code:
    """Decode a program.

    Raises:
        PtxError: an instruction, modifier or operand that is not known; names the PTX line.
    """
    variables = place_variables(program, dynamic_shared_bytes)
    decoder = Decoder(variables.addresses.get)
    unassigned = maybe_unassigned(program)
    steps, predicates, masks, barriers = [], {}, {}, {}
    for pc, instruction in enumerate(program.instructions):
        step = _decode(decoder, instruction, pc)
        reads = [decoder.column(r) for r in registers_read(instruction) if r in unassigned]
        writes = [decoder.column(r) for r in registers_written(instruction) if r in unassigned]
        if reads or writes:
            step = _tracked(step, reads, writes, pc)
        if instruction.predicate is not None:
            read = decoder.reader(instruction, instruction.predicate, "pred")
            if instruction.opcode in control.TERMINATORS:
                predicates[pc] = (read, instruction.negated)
            elif control.waits(instruction):
                raise instruction.error("a predicated barrier or warp operation")
            else:
                step = predicated(step, read, instruction.negated, pc)
        mask = warp.member_mask(instruction)
        if mask is not None:
            masks[pc] = decoder.reader(instruction, mask, "b32")
        barrier = control.barrier_call(instruction)
        if barrier is not None:
            barriers[pc] = barrier
        steps.append(step)
    return Code(
        program, variables, decoder.columns, steps, control.blocks(program), predicates, masks,
        barriers, [decoder.column(r) for r in unassigned], _granule(program),
    )


def _decode(decoder: Decoder, instruction: Instruction, pc: int) -> Step:
    opcode = instruction.opcode
    if opcode in _WITH_PC:
        return _WITH_PC[opcode](decoder, instruction, pc)
    if opcode in _ANY:
        return _ANY[opcode](decoder, instruction)
    floats = any(m in NUMPY_TYPE and is_float(m) for m in instruction.modifiers)
    family = floating.DECODERS if floats else integer.DECODERS
    if opcode not in family:
        raise instruction.error("this instruction is not known")
    return family[opcode](decoder, instruction)


def _tracked(step: Step, reads: list[int], writes: list[int], pc: int) -> Step:
    """`step` with its registers checked for having been written."""

    def checked(wave: Wave, lanes: Lanes | None) -> None:
        for number in reads:
            known = wave.assigned[number]
            known = known if lanes is None else known[lanes]
            if not known.all():
                which = (~known).nonzero()[0]
                name = wave.register_name(number)
                wave.report(
                    kinds.UNASSIGNED,
                    pc,
                    which if lanes is None else lanes[which],
                    f"reads the register {name} before anything was written to it",
                    name,
                )
        step(wave, lanes)
        for number in writes:
            wave.assigned[number][... if lanes is None else lanes] = True

    return checked


def _granule(program: Program) -> int:
    sizes = [
        size_of(next(m for m in reversed(i.modifiers) if m in NUMPY_TYPE))
        for i in program.instructions
        if i.opcode in _ACCESSES and "param" not in i.modifiers
    ]
    return min(sizes, default=4)
