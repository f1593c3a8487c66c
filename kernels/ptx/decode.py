"""From instructions to closures: reading operands, writing results, checking modifiers.

A decoded instruction is a function of (wave, lanes). `wave` holds one column per register; `lanes`
is None where every lane of the wave is active (columns are then used whole, without copying), or
the ascending indices of the active lanes (columns are then gathered, and results scattered).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.kernels.ptx.syntax import (
    FloatBits,
    Instruction,
    Integer,
    Negated,
    Operand,
    Register,
    Special,
    Symbol,
)
from refglow.kernels.ptx.types import NUMPY_TYPE, UNSIGNED, Column, Lanes, is_float, is_signed

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave

Step = Callable[["Wave", Lanes | None], None]
Reader = Callable[["Wave", Lanes | None], Column]
Writer = Callable[["Wave", Lanes | None, Column], None]

CARRY = Register("the carry flag CC", "u32")


class Modifiers:
    """The modifiers of one instruction, each to be taken exactly once."""

    def __init__(self, instruction: Instruction) -> None:
        """Hold all of an instruction's modifiers."""
        self._instruction = instruction
        self._left = list(instruction.modifiers)

    def flag(self, *names: str) -> bool:
        """Whether any of the names is there."""
        return self.one_of(names, "") != ""

    def one_of(self, names: Iterable[str], default: str | None = None) -> str:
        """The first modifier among `names`; `default` if there is none, an error without one."""
        names = tuple(names)
        for name in self._left:
            if name in names:
                self._left.remove(name)
                return name
        if default is None:
            raise self._instruction.error(f"needs one of {', '.join(names)}")
        return default

    def type(self, allowed: Iterable[str] = tuple(NUMPY_TYPE)) -> str:
        """The next type modifier."""
        for name in self._left:
            if name in NUMPY_TYPE:
                if name not in allowed:
                    raise self._instruction.error(f"type .{name} is not known here")
                self._left.remove(name)
                return name
        raise self._instruction.error("has no type")

    def end(self) -> None:
        """Fail if a modifier was not taken: none is ever skipped."""
        if self._left:
            raise self._instruction.error(f"modifier .{self._left[0]} is not known here")


class Decoder:
    """What decoding needs to know: where registers are and what symbols stand for."""

    def __init__(self, symbol_value: Callable[[str], int | None]) -> None:
        """Ask `symbol_value` for the addresses of variables; None means unknown."""
        self.columns: dict[Register, int] = {}
        self._symbol_value = symbol_value

    def column(self, register: Register) -> int:
        """The number of a register's column."""
        return self.columns.setdefault(register, len(self.columns))

    def reader(self, instruction: Instruction, operand: Operand, type_name: str) -> Reader:
        """A function that reads `operand` as `type_name`, a column or a scalar."""
        dtype = NUMPY_TYPE[type_name]
        match operand:
            case Register():
                return _register_reader(self.column(operand), operand, dtype, instruction)
            case Negated(register):
                inner = _register_reader(self.column(register), register, dtype, instruction)
                return lambda wave, lanes: ~inner(wave, lanes)
            case Special(name):
                return _special_reader(instruction, name, dtype)
            case Integer() | FloatBits() | Symbol():
                value = self._constant(instruction, operand, type_name)
                return lambda wave, lanes: value
        raise instruction.error(f"cannot read the operand {operand}")

    def _constant(self, instruction: Instruction, operand: Operand, type_name: str) -> Any:
        dtype = NUMPY_TYPE[type_name]
        if isinstance(operand, Symbol):
            address = self._symbol_value(operand.name)
            if address is None:
                raise instruction.error(f"there is no variable {operand.name}")
            operand = Integer(address)
        if isinstance(operand, FloatBits):
            bits = UNSIGNED[operand.width // 8].type(operand.bits)
            value = bits.view(np.float32 if operand.width == 32 else np.float64)
            if is_float(type_name) and dtype.kind == "f":
                return dtype.type(value)
            if dtype.itemsize * 8 == operand.width:
                return bits.view(dtype)
            raise instruction.error("a floating-point constant where an integer belongs")
        assert isinstance(operand, Integer)
        if type_name == "pred":
            return np.bool_(operand.value != 0)
        size = dtype.itemsize
        bits = UNSIGNED[size].type(operand.value & ((1 << 8 * size) - 1))
        return bits.view(dtype)

    def writer(self, instruction: Instruction, operand: Operand, type_name: str) -> Writer:
        """A function that writes values of `type_name` to `operand`, widening to its register."""
        if operand == Symbol("_"):
            return lambda wave, lanes, value: None
        if not isinstance(operand, Register):
            raise instruction.error(f"cannot write to {operand}")
        number = self.column(operand)
        dtype, wide = NUMPY_TYPE[type_name], NUMPY_TYPE[operand.type]
        if wide.itemsize < dtype.itemsize or (operand.type == "pred") != (type_name == "pred"):
            raise instruction.error(f"a .{type_name} does not fit {operand.name}")
        if wide.itemsize == dtype.itemsize:
            return lambda wave, lanes, value: wave.write(number, lanes, value)
        size = wide.itemsize
        widened = np.dtype(f"i{size}") if is_signed(type_name) else UNSIGNED[size]
        narrow = dtype if is_signed(type_name) else UNSIGNED[dtype.itemsize]
        return lambda wave, lanes, value: wave.write(
            number, lanes, value.view(narrow).astype(widened)
        )


def _register_reader(
    number: int, register: Register, dtype: np.dtype[Any], instruction: Instruction
) -> Reader:
    stored = NUMPY_TYPE[register.type]
    if (stored == np.bool_) != (dtype == np.bool_) or stored.itemsize < dtype.itemsize:
        raise instruction.error(f"cannot read {register.name}, a .{register.type}, as {dtype}")
    if stored.itemsize > dtype.itemsize:
        low = UNSIGNED[dtype.itemsize]

        def read_low(wave: Wave, lanes: Lanes | None) -> Column:
            column = wave.columns[number].view(UNSIGNED[stored.itemsize])
            return (column if lanes is None else column[lanes]).astype(low).view(dtype)

        return read_low

    def read(wave: Wave, lanes: Lanes | None) -> Column:
        column = wave.columns[number]
        if column.dtype is not dtype:
            column = column.view(dtype)
        return column if lanes is None else column[lanes]

    return read


def _special_reader(instruction: Instruction, name: str, dtype: np.dtype[Any]) -> Reader:
    if name in ("clock", "clock64", "globaltimer", "clock_hi", "globaltimer_lo"):
        raise instruction.error(f"%{name}: an interpreter has no clock to read")

    def read(wave: Wave, lanes: Lanes | None) -> Column:
        column = wave.special(name)
        if column is None:
            raise instruction.error(f"the special register %{name} is not known")
        if column.dtype is not dtype:
            column = column.astype(dtype)
        return column if lanes is None else column[lanes]

    return read


def elementwise(function: Callable[..., Column], writer: Writer, *readers: Reader) -> Step:
    """The step that writes function(*operands)."""
    if len(readers) == 1:
        (only,) = readers
        return lambda wave, lanes: writer(wave, lanes, function(only(wave, lanes)))
    if len(readers) == 2:
        first, second = readers
        return lambda wave, lanes: writer(
            wave, lanes, function(first(wave, lanes), second(wave, lanes))
        )

    def step(wave: Wave, lanes: Lanes | None) -> None:
        writer(wave, lanes, function(*(reader(wave, lanes) for reader in readers)))

    return step


def predicated(step: Step, predicate: Reader, negated: bool, pc: int) -> Step:
    """`step` for those lanes whose predicate holds."""

    def guarded(wave: Wave, lanes: Lanes | None) -> None:
        held = predicate(wave, lanes)
        if negated:
            held = ~held
        count = int(np.count_nonzero(held))
        wave.counts.predicated[pc] += count
        if count == held.size:
            step(wave, lanes)
        elif count:
            step(wave, np.flatnonzero(held) if lanes is None else lanes[held])

    return guarded
