"""PTX text to tokens, each with its line."""

from __future__ import annotations

import re
from typing import NamedTuple

from refglow.kernels.ptx.syntax import PtxError

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<string>"[^"\n]*")
  | (?P<float>0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16})
  | (?P<version>[0-9]+\.[0-9]+)
  | (?P<integer>0[xX][0-9a-fA-F]+U?|[0-9]+U?)
  | (?P<word>[A-Za-z_$%][\w$.%]*(?:::[\w.]+)*)
  | (?P<directive>\.[A-Za-z_]\w*)
  | (?P<punctuation>[{}()\[\]<>,;:+\-|!@=])
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    """kind: string, float, version, integer, word, directive, punctuation or end."""

    kind: str
    text: str
    line: int


def tokens(text: str) -> list[Token]:
    """The tokens of a PTX text, comments dropped, with an "end" token last.

    Raises:
        PtxError: a character that no token begins with.
    """
    found: list[Token] = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise PtxError(f"PTX line {line}: unexpected character {text[position]!r}")
        kind = match.lastgroup or ""
        if kind != "blank":
            found.append(Token(kind, match.group(), line))
        line += match.group().count("\n")
        position = match.end()
    found.append(Token("end", "", line))
    return found
