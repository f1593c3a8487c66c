"""The page to play with, as `refglow explorer` writes it, beside the site's own pages."""

from pathlib import Path

from sphinx.application import Sphinx

from refglow.explorer import write_explorer


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        write_explorer(Path(app.outdir) / "explorer.html")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
