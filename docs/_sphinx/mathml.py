"""Formulas as MathML, which browsers draw themselves: no script, no font and no network.

A formula that cannot be read is a warning, so that it fails the build.
"""

from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)
_CONVERTER = LatexToMathML()


def mathml(latex: str, display: bool, where: nodes.Element) -> str:
    """The MathML of a formula; `where` is the node that is blamed."""
    try:
        return _CONVERTER.convert_with_local_state(latex, displaystyle=display)
    except LatexError as error:
        _LOG.warning("formula %r: %s", latex, error, location=where)
        return ""


def _visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), False, node))
    raise nodes.SkipNode


def _visit_block(self: Any, node: nodes.math_block) -> None:
    self.body.append('<div class="math" tabindex="0">' + mathml(node.astext(), True, node)
                     + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
