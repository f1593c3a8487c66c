"""Reading tokens and operands: registers, constants, addresses, vectors, within scopes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from refglow.kernels.ptx.lexer import Token, tokens
from refglow.kernels.ptx.syntax import (
    Address,
    FloatBits,
    Group,
    Integer,
    Negated,
    Operand,
    Pair,
    PtxError,
    Register,
    Special,
    Symbol,
    Vector,
)


@dataclass
class Scope:
    """The registers and renamed variables declared between one pair of braces."""

    suffix: str
    registers: dict[str, Register] = field(default_factory=dict)
    ranges: dict[str, tuple[int, str]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def register(self, name: str) -> Register | None:
        """The register of that name, or None if this scope declares none."""
        if name in self.registers:
            return self.registers[name]
        match = re.fullmatch(r"(.*?)(0|[1-9]\d*)", name)
        if match and match[1] in self.ranges and int(match[2]) < self.ranges[match[1]][0]:
            return Register(name + self.suffix, self.ranges[match[1]][1])
        return None


class OperandParser:
    """A stream of tokens with the scopes that give names their meaning."""

    def __init__(self, text: str) -> None:
        """Read the text's tokens."""
        self._tokens = tokens(text)
        self._position = 0
        self._scopes: list[Scope] = []

    # Tokens.

    def _peek(self) -> Token:
        return self._tokens[self._position]

    def _next(self) -> Token:
        token = self._tokens[self._position]
        self._position += 1
        return token

    def _accept(self, text: str) -> bool:
        if self._peek().text == text and self._peek().kind != "string":
            self._position += 1
            return True
        return False

    def _expect(self, text: str) -> Token:
        token = self._next()
        if token.text != text:
            raise PtxError(f"PTX line {token.line}: expected {text!r}, found {token.text!r}")
        return token

    def _integer(self) -> int:
        negative = self._accept("-")
        token = self._next()
        if token.kind != "integer":
            raise PtxError(f"PTX line {token.line}: expected an integer, found {token.text!r}")
        value = int(token.text.rstrip("U"), 0)
        return -value if negative else value

    # Operands.

    def _constant(self) -> Operand:
        if self._peek().kind == "float":
            return self._float()
        return Integer(self._integer())

    def _float(self) -> FloatBits:
        text = self._next().text
        return FloatBits(int(text[2:], 16), 32 if text[1] in "fF" else 64)

    def _operand(self) -> Operand:
        first = self._simple_operand()
        if self._accept("|"):
            return Pair(first, self._simple_operand())
        return first

    def _simple_operand(self) -> Operand:
        token = self._peek()
        if self._accept("["):
            return self._address()
        if self._accept("{"):
            return Vector(self._operand_list("}"))
        if self._accept("("):
            return Group(self._operand_list(")"))
        if self._accept("!"):
            register = self._name(self._next())
            if not isinstance(register, Register):
                raise PtxError(f"PTX line {token.line}: '!' before {register}")
            return Negated(register)
        if token.kind in ("integer", "float") or token.text == "-":
            return self._constant()
        return self._name(self._next())

    def _operand_list(self, closing: str) -> tuple[Operand, ...]:
        items: list[Operand] = []
        while not self._accept(closing):
            items.append(self._operand())
            if self._peek().text != closing:
                self._expect(",")
        return tuple(items)

    def _address(self) -> Address:
        base = self._simple_operand()
        if not isinstance(base, Register | Symbol | Integer):
            raise PtxError(f"PTX line {self._peek().line}: an address cannot begin with {base}")
        offset = 0
        if self._accept("+") or self._peek().text == "-":
            offset = self._integer()
        self._expect("]")
        return Address(base, offset)

    def _name(self, token: Token) -> Register | Special | Symbol:
        if token.kind != "word":
            raise PtxError(f"PTX line {token.line}: expected an operand, found {token.text!r}")
        for scope in reversed(self._scopes):
            register = scope.register(token.text)
            if register is not None:
                return register
            if token.text in scope.renamed:
                return Symbol(scope.renamed[token.text])
        if token.text.startswith("%"):
            return Special(token.text[1:])
        return Symbol(token.text)
