"""Text from strangers' files, for a terminal: short, on one line, without control characters."""

from __future__ import annotations

import re

_MOST = 300  # characters


def one_line(text: str) -> str:
    """A message on one line."""
    return shown(" ".join(text.split()))


def shown(text: str) -> str:
    """The text, its beginning if it is long, with ? for what is neither Latin nor printable."""
    plain = re.sub(r"[^\x20-\x7e\xa0-\xff]", "?", text)
    return plain if len(plain) <= _MOST else plain[:_MOST] + "..."
