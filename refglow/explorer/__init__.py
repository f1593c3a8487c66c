"""The explorer: one HTML page in which a trained Glow runs, and a Glow can be designed.

It loads nothing and works from a file. Its arithmetic is the JavaScript in js/, one concept in a
file, held against the golden vectors in the tests; `write_explorer` puts it into one page together
with a model, by default the small Glow of handwritten digits that comes with refglow (digits.md).
"""

from refglow.explorer.content import Content, content_of, shipped_content
from refglow.explorer.page import explorer_page, write_explorer

__all__ = ["Content", "content_of", "explorer_page", "shipped_content", "write_explorer"]
