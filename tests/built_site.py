"""The documentation, built once for all tests: in the build its notebooks run, so they run once."""

import fcntl
import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class BuiltSite:
    """What a build has left.

    Attributes:
      html: the folder of the pages.
      said: what Sphinx wrote to stderr, if it failed; a warning fails it.
      seconds: how long the whole took.
      notebook_seconds: how long each notebook ran from its kernel's start, by the page's name.
    """

    html: str
    said: str
    seconds: float
    notebook_seconds: dict[str, float]


def built_once(folder):
    """The site in that folder, built by whichever process comes first; the others wait for it."""
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        summary = folder / "summary.json"
        if not summary.exists():
            summary.write_text(json.dumps(asdict(_build(folder))))
        return BuiltSite(**json.loads(summary.read_text()))


def _build(folder):
    html, read = folder / "html", folder / "doctrees"
    began = time.monotonic()
    # What a cell writes to stderr, a Python warning among others, is a warning of Sphinx, too.
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "nb_output_stderr=warn",
         "-d", read, DOCS, html], capture_output=True, text=True,
        env={**os.environ, "PYTHONHASHSEED": "0"})
    seconds = time.monotonic() - began
    return BuiltSite(str(html), done.stderr[-6000:] if done.returncode else "", seconds,
                     _notebook_seconds(read / "environment.pickle"))


def _notebook_seconds(environment):
    """As MyST-NB measured them."""
    if not environment.exists():
        return {}
    pages = pickle.loads(environment.read_bytes()).nb_metadata
    return {page: found["exec_data"]["runtime"] for page, found in pages.items()
            if found.get("exec_data")}
