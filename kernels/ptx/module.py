"""A parsed PTX module."""

from __future__ import annotations

from dataclasses import dataclass

from refglow.kernels.ptx.flatten import Program, flatten
from refglow.kernels.ptx.parser import Parser
from refglow.kernels.ptx.syntax import Function, PtxError, Variable


@dataclass(frozen=True)
class Module:
    """The functions and variables of one PTX text.

    Attributes:
        target: the architecture it was compiled for, for example "sm_80".
        functions: by name; `.func` prototypes without a body included.
        variables: those declared outside functions, by name.
        source_files: names of source files by .file number.
    """

    target: str
    functions: dict[str, Function]
    variables: dict[str, Variable]
    source_files: dict[str, str]

    @staticmethod
    def parse(text: str) -> Module:
        """The module that a PTX text describes.

        Args:
            text: the whole PTX text, as a compiler writes it.

        Raises:
            PtxError: text that is not PTX, or PTX that is not known here; names the line.
        """
        parser = Parser(text)
        parser.module()
        return Module(
            parser.target, parser.functions, parser.variables, parser.source_files()
        )

    def kernel_names(self) -> list[str]:
        """The names of the .entry functions, in the order of the text."""
        return [name for name, function in self.functions.items() if function.is_entry]

    def kernel(self, name: str | None = None) -> Program:
        """The kernel of that name (or the only one), its device functions inlined.

        Raises:
            PtxError: no such kernel, several and no name given, or a call that has no body here.
        """
        names = self.kernel_names()
        if name is None and len(names) == 1:
            name = names[0]
        if name is None or name not in names:
            raise PtxError(f"no kernel {name!r} in this module; it has {names}")
        return flatten(self.functions, self.variables, self.source_files, name)
