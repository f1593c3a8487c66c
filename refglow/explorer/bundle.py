"""The page's modules as one script.

A page that is opened from a file cannot import: browsers refuse modules from file: addresses, and
the page's policy allows no other script than its own. So the modules, which Node.js imports as they
are, are put into one script, each in a function of its own that returns what it exports:

    import { a, b as c } from "./x.mjs";     const { a, b: c } = module_x;
    export const a = ...                     const a = ...         and at its end  return { a };

That is all that the modules use of imports and exports; anything else is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

_IMPORT = re.compile(r'^import \{([\w\s,]+)\} from "(\.[\w./]+\.mjs)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:const|class|function) (\w+))", re.MULTILINE)
_LEFT_OVER = re.compile(r"^\s*(?:import|export)\b.*|\bimport\s*\(.*", re.MULTILINE)


def bundled(entry: str, read: Callable[[str], str]) -> str:
    """One script that does what importing a module would.

    Args:
      entry: the module's path, such as "view/page.mjs".
      read: gives the text of a module by its path.

    Raises:
      ValueError: if modules import each other in a circle, or import or export in another way than
        the two above.
    """
    order: list[str] = []
    _visit(entry, read, order, ())
    return "\n".join(_as_function(path, read(path)) for path in order)


def _visit(path: str, read: Callable[[str], str], order: list[str], above: tuple[str, ...]) -> None:
    """Add a module to the order, after those that it imports."""
    if path in above:
        raise ValueError(f"Modules import each other: {' imports '.join((*above, path))}.")
    if path in order:
        return
    for _, imported in _IMPORT.findall(read(path)):
        _visit(_place(path, imported), read, order, (*above, path))
    order.append(path)


def _as_function(path: str, text: str) -> str:
    """The module as a constant that holds what it exports."""
    def constant(found: re.Match[str]) -> str:
        names = " ".join(found[1].split()).replace(" as ", ": ")
        return f"const {{ {names} }} = {_name(_place(path, found[2]))};\n"
    exported = _EXPORT.findall(text)
    body = _EXPORT.sub("", _IMPORT.sub(constant, text))
    left = _LEFT_OVER.search(body)
    if left:
        raise ValueError(f"{path} imports or exports in a way that is not bundled: "
                         f"{left[0].strip()!r}.")
    return f"const {_name(path)} = (() => {{\n{body}return {{ {', '.join(exported)} }};\n}})();\n"


def _place(path: str, imported: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), imported))


def _name(path: str) -> str:
    return "module_" + re.sub(r"\W", "_", path.removesuffix(".mjs"))
