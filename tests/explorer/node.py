"""The explorer's modules, run by Node.js."""

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = resources.files("refglow.explorer") / "js"


def by_node(script, *arguments, modules=MODULES, given=None):
    """What a script of this folder prints; `modules` is where it imports from."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    done = subprocess.run(["node", HERE / script, modules, *arguments], capture_output=True,
                          text=True, check=False, input=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def with_mistake(folder, name, right, wrong):
    """A copy of the modules in which a mistake was planted."""
    copy = Path(shutil.copytree(MODULES, folder / "js"))
    source = (copy / name).read_text("utf-8")
    assert source.count(right) == 1, f"{right!r} is in {name} {source.count(right)} times"
    (copy / name).write_text(source.replace(right, wrong), "utf-8")
    return copy
