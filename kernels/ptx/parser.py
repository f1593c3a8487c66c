"""PTX text to a module: its functions and variables. Nothing is skipped: what is not known fails.

The parser resolves scopes: PTX may declare registers and parameters inside braces, and the same
name again inside other braces. Every declaration in an inner scope gets a name of its own.
"""

from __future__ import annotations

from dataclasses import replace

from refglow.kernels.ptx.lexer import Token
from refglow.kernels.ptx.operands import OperandParser, Scope
from refglow.kernels.ptx.syntax import (
    FloatBits,
    Function,
    Instruction,
    Integer,
    Label,
    Operand,
    PtxError,
    Register,
    Variable,
)
from refglow.kernels.ptx.types import NUMPY_TYPE, size_of

_SPACES = {"param", "shared", "local", "global", "const"}
_LINKING = {".visible", ".extern", ".weak", ".common"}
# Hints to the compiler and to debuggers: read, checked for their form, without effect on results.
_PERFORMANCE = {".maxnreg", ".maxntid", ".reqntid", ".minnctapersm", ".maxnctapersm"}


class Parser(OperandParser):
    """A recursive-descent parser over one PTX text."""

    def __init__(self, text: str) -> None:
        """Start at the text's first token."""
        super().__init__(text)
        self._files: dict[str, str] = {}
        self._scope_count = 0
        self._source: str | None = None
        self.functions: dict[str, Function] = {}
        self.variables: dict[str, Variable] = {}
        self.target = ""

    # Module level.

    def module(self) -> None:
        """Parse the whole text into `functions` and `variables`."""
        while self._peek().kind != "end":
            token = self._peek()
            if token.text == ".version":
                self._next()
                self._next()
            elif token.text == ".target":
                self._next()
                self.target = self._next().text
                while self._accept(","):
                    self._next()
            elif token.text == ".address_size":
                self._next()
                if self._integer() != 64:
                    raise PtxError(f"PTX line {token.line}: only 64-bit addresses are interpreted")
            elif token.text == ".file":
                self._file()
            elif token.text == ".section":
                self._section()
            else:
                self._declaration()

    def _skip_line(self, line: int) -> None:
        while self._peek().line == line:
            self._next()

    def _file(self) -> None:
        self._expect(".file")
        number = self._next().text
        self._files[number] = self._next().text.strip('"')
        while self._accept(","):
            self._integer()

    def _section(self) -> None:
        # Debugging information: no instruction and no variable can stand in a .section.
        self._expect(".section")
        self._next()
        self._expect("{")
        while not self._accept("}"):
            if self._next().kind == "end":
                raise PtxError("a .section without its closing brace")

    def _declaration(self) -> None:
        linking = set()
        while self._peek().text in _LINKING:
            linking.add(self._next().text)
        token = self._next()
        if token.text in (".entry", ".func"):
            self._function(token, is_entry=token.text == ".entry")
        elif token.text[1:] in _SPACES and token.kind == "directive":
            variable = self._variable(token.text[1:])
            self._expect(";")
            self.variables[variable.name] = variable
        else:
            raise PtxError(f"PTX line {token.line}: {token.text!r} is not known at module level")

    def _variable(self, space: str) -> Variable:
        align = 0
        type_name = ""
        while self._peek().kind == "directive":
            token = self._next()
            if token.text == ".align":
                align = self._integer()
            elif token.text == ".ptr":
                continue
            elif token.text[1:] in NUMPY_TYPE:
                type_name = token.text[1:]
            elif token.text[1:] not in _SPACES:
                raise PtxError(f"PTX line {token.line}: {token.text!r} in a declaration")
        name = self._next()
        if name.kind != "word" or not type_name:
            raise PtxError(f"PTX line {name.line}: a declaration without a type or a name")
        count = 1
        while self._accept("["):
            count *= 0 if self._peek().text == "]" else self._integer()
            self._expect("]")
        size = size_of(type_name)
        content = self._initial_bytes(type_name, count * size) if self._accept("=") else None
        return Variable(name.text, space, align or size, count * size, content, type_name)

    def _initial_bytes(self, type_name: str, total: int) -> bytes:
        values: list[Operand] = []
        braced = self._accept("{")
        while True:
            line = self._peek().line
            values.append(self._constant())
            if not (braced and self._accept(",")):
                break
        if braced:
            self._expect("}")
        size = size_of(type_name)
        content = b""
        for value in values:
            if isinstance(value, Integer):
                number = value.value & ((1 << 8 * size) - 1)
            elif isinstance(value, FloatBits) and value.width == 8 * size:
                number = value.bits
            else:
                raise PtxError(f"PTX line {line}: this initial value is not interpreted")
            content += number.to_bytes(size, "little")
        return content.ljust(total, b"\0")

    # Functions.

    def _parameters(self) -> list[Variable]:
        found: list[Variable] = []
        if not self._accept("("):
            return found
        while not self._accept(")"):
            self._expect(".param")
            found.append(self._variable("param"))
            self._accept(",")
        return found

    def _function(self, token: Token, is_entry: bool) -> None:
        results = self._parameters() if self._peek().text == "(" else []
        name = self._next().text
        function = Function(name, is_entry, self._parameters(), results, line=token.line)
        while self._peek().text in _PERFORMANCE:
            self._next()
            self._integer()
            while self._accept(","):
                self._integer()
        self._accept(".noreturn")
        if not self._accept(";"):
            function.body = []
            self._expect("{")
            self._scope_count, self._source = 0, None
            self._scopes = [Scope("")]
            while self._scopes:
                self._statement(function, function.body)
        if function.body is not None or name not in self.functions:
            self.functions[name] = function

    def _statement(self, function: Function, body: list[Instruction | Label]) -> None:
        token = self._peek()
        if self._accept("{"):
            self._scope_count += 1
            self._scopes.append(Scope(f"@{self._scope_count}"))
        elif self._accept("}"):
            self._scopes.pop()
        elif self._accept(";"):
            pass
        elif token.kind == "directive":
            self._body_directive(function)
        elif token.kind == "word" and self._tokens[self._position + 1].text == ":":
            self._position += 2
            body.append(Label(token.text))
        else:
            body.append(self._instruction())

    def _body_directive(self, function: Function) -> None:
        token = self._next()
        if token.text == ".reg":
            self._registers()
        elif token.text == ".loc":
            self._location(token.line)
        elif token.text == ".pragma":
            self._next()
            self._expect(";")
        elif token.text[1:] in ("param", "local", "shared"):
            variable = self._variable(token.text[1:])
            self._expect(";")
            scope = self._scopes[-1]
            name = variable.name + scope.suffix
            scope.renamed[variable.name] = name
            function.variables.append(replace(variable, name=name))
        else:
            raise PtxError(f"PTX line {token.line}: {token.text!r} is not known in a body")

    def _registers(self) -> None:
        token = self._next()
        type_name = token.text[1:]
        if type_name not in NUMPY_TYPE:
            raise PtxError(f"PTX line {token.line}: registers of type {token.text!r}")
        scope = self._scopes[-1]
        while True:
            name = self._next().text
            if self._accept("<"):
                scope.ranges[name] = (self._integer(), type_name)
                self._expect(">")
            else:
                scope.registers[name] = Register(name + scope.suffix, type_name)
            if not self._accept(","):
                break
        self._expect(";")

    def _location(self, line: int) -> None:
        number, source_line = self._next().text, self._integer()
        self._source = f"{number}:{source_line}" if source_line else self._source
        self._skip_line(line)  # column, and what it was inlined from

    # Instructions.

    def _instruction(self) -> Instruction:
        predicate, negated = None, False
        if self._accept("@"):
            negated = self._accept("!")
            name = self._next()
            found = self._name(name)
            if not isinstance(found, Register) or found.type != "pred":
                raise PtxError(f"PTX line {name.line}: {name.text!r} is not a predicate register")
            predicate = found
        token = self._next()
        if token.kind != "word" or token.text[0] in "%$_":
            raise PtxError(f"PTX line {token.line}: expected an instruction, found {token.text!r}")
        opcode, *modifiers = token.text.split(".")
        operands: list[Operand] = []
        while not self._accept(";"):
            operands.append(self._operand())
            if self._peek().text != ";":
                self._expect(",")
        return Instruction(
            token.line, opcode, tuple(modifiers), tuple(operands), predicate, negated, self._source
        )

    def source_files(self) -> dict[str, str]:
        """The names of the source files by the numbers that .loc uses."""
        return self._files
