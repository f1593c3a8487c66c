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
_READ = "doctrees"


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


def sphinx(builder, folder):
    """Sphinx run with that builder, whose output is beside the site and called as it is.

    A second builder finds what the first has read and its notebooks printed, and runs none again.
    """
    # What a cell writes to stderr, a Python warning among others, is a warning of Sphinx, too.
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "nb_output_stderr=warn",
         "-b", builder, "-d", folder / _READ, DOCS, folder / builder], capture_output=True,
        text=True, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False)


def _build(folder):
    began = time.monotonic()
    done = sphinx("html", folder)
    seconds = time.monotonic() - began
    return BuiltSite(str(folder / "html"), done.stderr[-6000:] if done.returncode else "", seconds,
                     _notebook_seconds(folder / _READ / "environment.pickle"))


def _notebook_seconds(environment):
    """As MyST-NB measured them."""
    if not environment.exists():
        return {}
    pages = pickle.loads(environment.read_bytes()).nb_metadata
    return {page: found["exec_data"]["runtime"] for page, found in pages.items()
            if found.get("exec_data")}
