"""What a parsed PTX module is made of: variables, registers, operands, instructions, functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


class PtxError(Exception):
    """The PTX text, or the way it is launched, cannot be interpreted; the message says why."""


@dataclass(frozen=True)
class Register:
    """A virtual register; `name` is unique within a flattened kernel, `type` is PTX's ("b32")."""

    name: str
    type: str


@dataclass(frozen=True)
class Special:
    """A special register such as %tid.x, by its name without the percent sign."""

    name: str


@dataclass(frozen=True)
class Integer:
    """An integer constant."""

    value: int


@dataclass(frozen=True)
class FloatBits:
    """A floating-point constant as PTX writes it: its bits and their number (32 or 64)."""

    bits: int
    width: int


@dataclass(frozen=True)
class Symbol:
    """The name of a variable, a label or a function."""

    name: str


@dataclass(frozen=True)
class Address:
    """[base + offset]."""

    base: Register | Symbol | Integer
    offset: int


@dataclass(frozen=True)
class Vector:
    """{a, b, ...}."""

    items: tuple[Operand, ...]


@dataclass(frozen=True)
class Pair:
    """a|b: a result and the predicate beside it."""

    first: Operand
    second: Operand


@dataclass(frozen=True)
class Negated:
    """!p."""

    operand: Register


@dataclass(frozen=True)
class Group:
    """(a, b): the parameters of a call."""

    items: tuple[Operand, ...]


Operand = (
    Register | Special | Integer | FloatBits | Symbol | Address | Vector | Pair | Negated | Group
)


@dataclass(frozen=True)
class Variable:
    """A declared variable or parameter.

    Attributes:
        name: unique within the function it is declared in.
        space: "param", "shared", "local", "global" or "const".
        align: alignment of its first byte, bytes.
        size: its length in bytes; 0 for extern shared memory, whose length the launch decides.
        content: the initial bytes, or None.
        type: the type of its elements.
    """

    name: str
    space: str
    align: int
    size: int
    content: bytes | None = None
    type: str = "b8"


@dataclass(frozen=True)
class Instruction:
    """One instruction, with the PTX line it stands on and the source line from .loc, if any."""

    line: int
    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    predicate: Register | None = None
    negated: bool = False
    source: str | None = None

    @property
    def name(self) -> str:
        """The full opcode as PTX writes it."""
        return ".".join((self.opcode, *self.modifiers))

    def error(self, message: str) -> PtxError:
        """A PtxError that names this instruction and its line."""
        return PtxError(f"PTX line {self.line}: {self.name}: {message}")

    def with_operands(self, operands: tuple[Operand, ...]) -> Instruction:
        """The same instruction on other operands."""
        return replace(self, operands=operands)


@dataclass(frozen=True)
class Label:
    """A place that branches go to."""

    name: str


@dataclass
class Function:
    """A .entry or a .func as parsed; `body` is None where only the prototype is there."""

    name: str
    is_entry: bool
    parameters: list[Variable]
    results: list[Variable]
    body: list[Instruction | Label] | None = None
    variables: list[Variable] = field(default_factory=list)
    line: int = 0
