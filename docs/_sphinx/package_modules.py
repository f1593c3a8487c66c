"""The package's modules and their files."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages

_ROOTS = ("refglow", "refglow.kernels", "refglow.validation")  # the latter two: other folders


def module_files() -> dict[str, Path]:
    """Where each module is, by its name, each once: a package is its __init__.py."""
    names = [name for root in _ROOTS for name in (
        root, *(info.name for info in walk_packages(import_module(root).__path__, f"{root}.")))]
    return {name: _file_of(name) for name in sorted(names)}


def _file_of(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)
