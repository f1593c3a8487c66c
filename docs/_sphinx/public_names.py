"""The public names of the package: what its packages export, and where each is defined."""

import ast
import inspect
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from markdown_cells import cell
from package_modules import module_files

_NO_API = ("refglow.cli",)  # commands, which the how-tos and --help document


@dataclass(frozen=True)
class PublicName:
    """One name.

    Attributes:
      package: which exports it.
      name: what it is called there.
      value: what it is.
    """

    package: str
    name: str
    value: Any

    @property
    def target(self) -> str | None:
        """Where it is in the reference; None for a module or a constant."""
        if inspect.isclass(self.value) or inspect.isfunction(self.value):
            return f"{self.value.__module__}.{self.value.__qualname__}"
        return None

    @property
    def summary(self) -> str:
        """The first line of its docstring; of a constant, its type."""
        if self.target is None and not inspect.ismodule(self.value):
            return f"a constant, {type(self.value).__name__}"
        return (inspect.getdoc(self.value) or "").partition("\n")[0]


def public_names() -> list[PublicName]:
    """All of them, package by package."""
    return [PublicName(package, name, getattr(import_module(package), name))
            for package, path in module_files().items()
            if path.name == "__init__.py" and not package.startswith(_NO_API)
            for name in _exported(path)]


def _exported(path: Path) -> list[str]:
    """The names in `__all__`, and those that are imported as themselves, as type checkers ask."""
    names: list[str] = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in
                                             node.targets] == ["__all__"]:
            names += ast.literal_eval(node.value)
        if isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names if alias.asname == alias.name]
    return sorted(set(names))


def table() -> Any:
    """The table of all names, as a notebook shows it."""
    from IPython.display import Markdown
    rows = ["| package | name | what it is |", "|---|---|---|"]
    before = ""
    for one in public_names():
        shown = f"{{py:obj}}`{one.name} <{one.target}>`" if one.target else f"`{one.name}`"
        package = f"`{one.package}`" if one.package != before else ""
        before = one.package
        rows.append(f"| {package} | {shown} | {cell(one.summary)} |")
    return Markdown("\n".join(rows))

