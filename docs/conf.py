"""How Sphinx builds the documentation: `sphinx-build -W docs OUT`. The lessons run in the build."""

from refglow import __version__

project = "refglow"
author = "The refglow authors"
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.doctest",
              "sphinx_copybutton", "sphinx_design"]
html_theme = "furo"
html_title = "refglow"

# Lessons are Markdown; every cell runs at each build, and one that fails fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 60
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
