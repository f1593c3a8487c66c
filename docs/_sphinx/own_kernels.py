"""Notebooks' kernels in a profile of their own: no settings of whoever builds, and no history kept.

A kernel warns, at every start, that it talks to Sphinx over TCP. It does so on this machine alone;
and before warnings of pages, which fail the build, its own would be all that is seen.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from sphinx.application import Sphinx

_SETTINGS = 'get_config().IPKernelApp.log_level = "ERROR"\n'


def _begin(app: Sphinx) -> None:
    folder = TemporaryDirectory()
    profile = Path(folder.name) / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text(_SETTINGS, encoding="utf-8")
    os.environ["IPYTHONDIR"] = folder.name
    app.connect("build-finished", lambda app, error: folder.cleanup())


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _begin)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
