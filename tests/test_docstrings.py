"""Every public function, class and method says what it is; the specification says all of it."""

import ast
import importlib
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import pytest

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGES = ("refglow", "refglow.kernels", "refglow.validation")  # the latter two: other folders
SPECIFIED = ("refglow.bijectors.", "refglow.networks.", "refglow.elementary")
ELEMENTARY = ("conv2d", "dense", "relu")


def module_names():
    """The package's modules; found by name, so that none of them has to be imported."""
    names = set(PACKAGES)
    for package in map(importlib.import_module, PACKAGES):
        names |= {m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")}
    return sorted(names)


def source_of(name):
    return Path(find_spec(name).origin).read_text(encoding="utf-8")


def public_definitions(body, prefix=""):
    """(qualified name, node) of the public functions, classes and methods defined in `body`."""
    for node in body:
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)) or node.name.startswith("_"):
            continue
        if any(isinstance(d, ast.Attribute) and d.attr in ("setter", "deleter")
               for d in node.decorator_list):
            continue  # the property's docstring is its getter's
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node.body, f"{prefix}{node.name}.")


def without_docstring(source):
    tree = ast.parse(source)
    missing = [] if ast.get_docstring(tree) else ["the module"]
    return missing + [name for name, node in public_definitions(tree.body)
                      if not ast.get_docstring(node)]


def specification(source):
    """(name, docstring) of the specification's functions that are defined at module level."""
    for node in ast.parse(source).body:
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_") and (
                node.name.endswith(("_forward", "_inverse", "_vjp", "_jvp"))
                or node.name in ELEMENTARY):
            yield node.name, ast.get_docstring(node) or ""


def missing_sections(docstring):
    return [section for section in ("Args", "Returns", "Source")
            if section not in docstring and (section == "Source" or "as for" not in docstring)]


@pytest.mark.parametrize("name", module_names())
def test_everything_public_has_a_docstring(name):
    assert not without_docstring(source_of(name))


def test_specification_functions_say_arguments_results_and_source():
    docstrings = {f"{module}.{name}": docstring
                  for module in module_names() if module.startswith(SPECIFIED)
                  for name, docstring in specification(source_of(module))}
    assert len(docstrings) >= 110
    assert not {name: missing for name, docstring in docstrings.items()
                if (missing := missing_sections(docstring))}


def test_the_checks_find_what_is_missing():
    source = '''
class Public:
    """Documented."""

    def method(self): ...

    @property
    def shown(self):
        """Documented."""

    @shown.setter
    def shown(self, value): ...

    def _private(self): ...


def scale_forward(x):
    """x * 2."""


def scale_inverse(y):
    """y / 2.

    Args, Returns: as for the forward function.
    """


def silent(): ...
'''
    assert without_docstring(source) == ["the module", "Public.method", "silent"]
    assert {name: missing_sections(doc) for name, doc in specification(source)} == {
        "scale_forward": ["Args", "Returns", "Source"], "scale_inverse": ["Source"]}
