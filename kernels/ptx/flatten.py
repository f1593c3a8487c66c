"""One kernel as a straight list of instructions: device functions inlined, labels resolved.

A call becomes: the callee's instructions in place of the call, its registers, labels and local
variables renamed, its `ret` a branch to the instruction after. Parameters of calls live in
registers here, one per (parameter, offset). So a call costs nothing extra to schedule, and lanes
that part inside a device function meet again by their program counters like everywhere else.
Recursion cannot be inlined and is refused; compilers of kernels do not emit it unasked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refglow.kernels.ptx.syntax import (
    Address,
    Function,
    Group,
    Instruction,
    Label,
    Negated,
    Operand,
    Pair,
    PtxError,
    Register,
    Symbol,
    Variable,
    Vector,
)


@dataclass(frozen=True)
class Program:
    """A kernel ready to decode.

    Attributes:
        name: the kernel's name.
        parameters: its .param variables, in order.
        instructions: by program counter; branches name entries of `labels`.
        labels: label to program counter.
        variables: shared, local, global and const variables that it can name, by name.
        source_files: names of source files by .file number.
        argument_names, argument_dtypes: of the Python function, where it is known; a dtype is
            None for an argument that is not an array.
    """

    name: str
    parameters: tuple[Variable, ...]
    instructions: tuple[Instruction, ...]
    labels: dict[str, int]
    variables: dict[str, Variable]
    source_files: dict[str, str]
    argument_names: tuple[str, ...] = ()
    argument_dtypes: tuple[np.dtype[Any] | None, ...] = ()


class _Flattener:
    def __init__(self, functions: dict[str, Function], entry: Function) -> None:
        self.functions = functions
        self.entry = entry
        self.instructions: list[Instruction] = []
        self.labels: dict[str, int] = {}
        self.variables: dict[str, Variable] = {}
        self.inlined = 0

    def add(self, function: Function, prefix: str, bound: dict[str, str], stack: list[str]) -> None:
        """Append `function`'s body; `bound` maps its parameter names to the caller's."""
        if function.body is None:
            raise PtxError(
                f"{self.entry.name} calls {function.name}, whose body is not in this PTX text; "
                "link it in, or write the kernel without it (float16 and bfloat16: store 16 bits, "
                "convert to float32, compute there)"
            )
        if function.name in stack:
            raise PtxError(f"{function.name} calls itself; recursion is not interpreted")
        local = {v.name: prefix + v.name for v in function.variables} | bound
        parameters = {v.name for v in function.variables if v.space == "param"} | set(bound)
        for variable in function.variables:
            if variable.space != "param":
                self.variables[prefix + variable.name] = replace(
                    variable, name=prefix + variable.name
                )
        end = prefix + "end of " + function.name
        for item in function.body:
            if isinstance(item, Label):
                self.labels[prefix + item.name] = len(self.instructions)
                continue
            instruction = _renamed(item, prefix, local)
            if item.opcode == "call":
                self._call(instruction, [*stack, function.name])
            elif item.opcode == "ret" and stack:
                self.instructions.append(
                    replace(instruction, opcode="bra", modifiers=("uni",), operands=(Symbol(end),))
                )
            elif item.opcode in ("ld", "st") and "param" in item.modifiers:
                self.instructions.append(_parameter_access(instruction, item, parameters))
            else:
                self.instructions.append(instruction)
        self.labels[end] = len(self.instructions)

    def _call(self, call: Instruction, stack: list[str]) -> None:
        groups = [o for o in call.operands if isinstance(o, Group)]
        names = [o for o in call.operands if isinstance(o, Symbol)]
        if call.predicate is not None or len(names) != 1:
            raise call.error("predicated and indirect calls are not interpreted")
        function = self.functions.get(names[0].name.split("/")[-1])
        if function is None:
            raise call.error(f"there is no function {names[0].name}")
        results = groups[0].items if len(groups) == 2 or not function.parameters else ()
        arguments = groups[-1].items if function.parameters else ()
        formal = [v.name for v in (*function.results, *function.parameters)]
        actual = [o.name for o in (*results, *arguments) if isinstance(o, Symbol)]
        if len(formal) != len(actual):
            raise call.error(f"{function.name} takes {len(formal)} parameters, got {len(actual)}")
        self.inlined += 1
        prefix = f"{function.name}#{self.inlined}/"
        self.add(function, prefix, dict(zip(formal, actual, strict=True)), stack)


def _renamed(instruction: Instruction, prefix: str, local: dict[str, str]) -> Instruction:
    def rename(operand: Operand) -> Operand:
        match operand:
            case Register(name, type_name):
                return Register(prefix + name, type_name)
            case Symbol(name):
                return Symbol(local.get(name, prefix + name if name.startswith("$") else name))
            case Address(base, offset):
                renamed = rename(base)
                assert isinstance(renamed, type(base))
                return Address(renamed, offset)
            case Vector(items):
                return Vector(tuple(rename(item) for item in items))
            case Group(items):
                return Group(tuple(rename(item) for item in items))
            case Pair(first, second):
                return Pair(rename(first), rename(second))
            case Negated(register):
                return Negated(Register(prefix + register.name, register.type))
        return operand

    predicate = instruction.predicate
    if predicate is not None:
        predicate = Register(prefix + predicate.name, predicate.type)
    operands = tuple(rename(operand) for operand in instruction.operands)
    return replace(instruction, operands=operands, predicate=predicate)


def _parameter_access(
    instruction: Instruction, original: Instruction, parameters: set[str]
) -> Instruction:
    """A call's ld.param or st.param as a mov; a kernel's own ld.param as it is."""
    memory, value = instruction.operands[:: 1 if instruction.opcode == "st" else -1]
    before = original.operands[0 if instruction.opcode == "st" else 1]
    if not isinstance(memory, Address) or not isinstance(memory.base, Symbol):
        raise instruction.error("a parameter is read or written by name only")
    assert isinstance(before, Address)
    assert isinstance(before.base, Symbol)
    if before.base.name not in parameters:
        return instruction
    type_name = instruction.modifiers[-1]
    cell = Register(f"{memory.base.name}+{memory.offset}", "b" + type_name[1:])
    pair = (cell, value) if instruction.opcode == "st" else (value, cell)
    return replace(instruction, opcode="mov", modifiers=(cell.type,), operands=pair)


def flatten(
    functions: dict[str, Function],
    variables: dict[str, Variable],
    source_files: dict[str, str],
    name: str,
) -> Program:
    """The kernel `name` with every call inlined.

    Raises:
        PtxError: a call of a function without a body, recursion, or an unknown label.
    """
    entry = functions[name]
    flattener = _Flattener(functions, entry)
    flattener.variables.update(variables)
    flattener.add(entry, "", {}, [])
    for instruction in flattener.instructions:
        target = instruction.operands[0] if instruction.opcode == "bra" else None
        if isinstance(target, Symbol) and target.name not in flattener.labels:
            raise instruction.error(f"there is no label {target.name}")
    return Program(
        name,
        tuple(entry.parameters),
        tuple(flattener.instructions),
        flattener.labels,
        flattener.variables,
        source_files,
    )
