"""The package's docstrings, which are plain text with Google's sections, as reStructuredText.

    an indented block after an empty line     formulas and code: shown as it stands
    lines from >>> on                         an example, which is tried
    a sentence that goes on indented          one paragraph ("Args, Returns: as for ...")
    | * and a name's last _                   themselves

Runs before Napoleon, which takes the sections apart.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_BEFORE_NAPOLEON = 400
_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Example|Examples):$")
_BULLET = re.compile(r"\s*([*-]|\d+\.) ")
_CODE = re.compile(r"(`[^`]*`)")
_AS_IT_STANDS = ".. code-block:: text"
_BLOCK = 4  # spaces further in than the text before


def plain(lines: list[str]) -> list[str]:
    """A docstring's lines, as reStructuredText."""
    found: list[str] = []
    block: int | None = None  # how far in the text is that a block belongs to
    example = False  # whether the lines are an example's
    text = 0  # how far in the last line of text is
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        after_gap = number == 0 or not lines[number - 1].strip()
        if not line.strip():
            found.append("")
            continue
        if example or (block is not None and indent >= block + _BLOCK):
            found.append(line)
            continue
        block = None
        if after_gap and indent >= text + _BLOCK and found:
            block = text
            found += [" " * text + _AS_IT_STANDS, "", line]
            continue
        if not after_gap and indent > text == 0 and not _opens(lines, number):
            line = line.lstrip()
        else:
            text = indent
        found.append(_escaped(line))
    return found


def _opens(lines: list[str], number: int) -> bool:
    """Whether the paragraph of a line begins with a section's title or a bullet."""
    while number and lines[number - 1].strip():
        number -= 1
        if not lines[number].startswith(" ") and (_SECTION.match(lines[number])
                                                  or _BULLET.match(lines[number])):
            return True
    return False


def _escaped(line: str) -> str:
    bullet = _BULLET.match(line)
    start = bullet.end() if bullet else 0
    parts = _CODE.split(line[start:])
    parts[::2] = [re.sub(r"([|*])|(?<=\w)(_)(?!\w)", r"\\\1\2", part) for part in parts[::2]]
    return line[:start] + "".join(parts)


def _process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = plain(lines)


def _signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None,
               result: str | None) -> tuple[str | None, str | None]:
    """Types with aliases inside, by the aliases' names."""
    alias = re.compile(r"TypeAliasForwardRef\('([^']*)'\)")
    return tuple(text and alias.sub(r"\1", text) for text in (signature, result))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _process, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-process-signature", _signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
