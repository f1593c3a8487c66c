"""Cells of other kinds as a reader wants them: without the line that only a notebook understands.

What that line may be:

    %%shell            commands, coloured as a shell's
    %%writefile NAME   a file, under its name and coloured by it
"""

from pathlib import PurePath

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_LANGUAGES = {".py": "python", ".mjs": "javascript", ".c": "c"}


class ShownCells(SphinxTransform):
    """Takes the line away."""

    default_priority = 400

    def apply(self) -> None:
        """Called by Sphinx for every page."""
        for node in list(self.document.findall(nodes.literal_block)):
            first, _, rest = node.astext().partition("\n")
            magic, _, argument = first.partition(" ")
            if magic == "%%shell" and rest:
                node.replace_self(nodes.literal_block(rest, rest, language="sh"))
            elif magic == "%%writefile" and rest:
                node.replace_self(_file(argument, rest))


def _file(name: str, text: str) -> nodes.container:
    language = _LANGUAGES.get(PurePath(name).suffix, "text")
    block = nodes.literal_block(text, text, language=language)
    return nodes.container("", nodes.caption("", name), block, literal_block=True,
                           classes=["literal-block-wrapper"], ids=[nodes.make_id(f"file {name}")])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_transform(ShownCells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
