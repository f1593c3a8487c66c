"""How Sphinx builds the documentation: `python -m sphinx -W docs OUT`, in a few minutes.

What a page shows as output was printed while it was built: lessons and how-tos run, tables and the
reference come from the package. Nothing is fetched, neither by the build nor by the pages.
"""

import logging
import os
import shutil
import sys
from pathlib import Path

from refglow import __version__

_OWN = str(Path(__file__).parent / "_sphinx")
sys.path.insert(0, _OWN)
os.environ["PYTHONPATH"] = os.pathsep.join([_OWN, os.environ.get("PYTHONPATH", "")]).rstrip(":")
# Pages call `refglow` and `python` as a reader does, by name: those beside this Python.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# A kernel asks programs for colours; their output is a file's all the same.
os.environ |= {"TTY_COMPATIBLE": "0", "NO_COLOR": "1", "COLUMNS": "88"}
# A theme's styles have every log of this process shown: that a notebook began, again and again.
logging.getLogger("traitlets").setLevel(logging.WARNING)

project = "refglow"
author = "The refglow authors"
copyright = author
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.doctest",
              "sphinx_copybutton", "sphinx_design",
              "explorer_page", "mathml", "own_kernels", "plain_docstrings", "shown_cells"]
exclude_patterns = ["_build", "pictures/*.py"]

html_theme = "furo"
html_title = "refglow"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False

# Notebooks are Markdown; every cell runs at each build. One that fails is a warning, with what went
# wrong, and so fails the build.
nb_execution_mode = "force"
nb_execution_show_tb = True
nb_execution_timeout = 180  # seconds for a cell, on a machine with other work to do
nb_execution_in_temp = True  # what a page writes is nobody's
nb_execution_excludepatterns = []
if shutil.which("node") is None:
    nb_execution_excludepatterns.append("howto/vectors.md")
    suppress_warnings = ["myst-nb.lexer"]  # a page that did not run does not know its language
    print("Node.js was not found: howto/vectors, a program in JavaScript, is shown without what it "
          "prints.")
nb_merge_streams = True
nb_render_markdown_format = "myst"  # of what cells make: tables with links
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings: names as in a module, in its order; types stand in the signature.
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: name.rpartition(".")[2] for name in (
    "Array", "npt.ArrayLike", "npt.DTypeLike")}
autoclass_content = "both"  # a class's arguments are its __init__'s
napoleon_numpy_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
default_role = "py:obj"

# `python -m sphinx -b linkcheck docs OUT` looks at what is on other machines, and needs a network.
# These answer programs with a refusal, though they are there.
linkcheck_ignore = [r"https://doi\.org/", r"https://dl\.acm\.org/"]
linkcheck_timeout = 20
linkcheck_retries = 2
