"""Text that Markdown would read something into, as it stands."""

_SPECIAL = "\\`*_|<>[]{}$"


def cell(text: str) -> str:
    """Text in a cell of a table, or in a paragraph."""
    for character in _SPECIAL:
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def code(text: str) -> str:
    """Text in the type of code."""
    return f"`{text}`"
