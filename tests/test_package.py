"""The package as it is described, built, installed and imported."""

import configparser
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import refglow

ROOT = Path(__file__).parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
PACKAGE_DIR = dict(re.findall(r"(\S+) = (\S+)", SETUP["options"]["package_dir"]))
BUILT_FROM = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", *PACKAGE_DIR.values())
FRAMEWORKS = {"tensorflow", "tensorflow_probability", "tf_keras", "keras", "torch", "jax"}


# Public names are loaded at their first use.
EVERYTHING = "from refglow import *"


def run(*command, cwd, **options):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python(code, cwd):
    return run(sys.executable, "-c", code, cwd=cwd)


def package_files():
    """Every file of the package's folders: (name as installed, path)."""
    for package, folder in PACKAGE_DIR.items():
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                inside = path.relative_to(ROOT / folder).as_posix()
                yield f"{package.replace('.', '/')}/{inside}", path


def test_files_of_tests_have_names_of_their_own():
    """pytest takes two of one name, in folders that are no packages, for one module."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("*.py")
                   if path.name != "conftest.py")
    assert len(names) == len(set(names)), [a for a, b in pairwise(names) if a == b]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that nothing left in build/ can get into it."""
    source = tmp_path_factory.mktemp("source")
    for _, path in package_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    for name in BUILT_FROM:
        if (ROOT / name).is_file():
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=source)
    [built] = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """A folder into which the wheel is installed."""
    target = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--disable-pip-version-check", "--target", str(target), str(wheel), cwd=target)
    return target


# ---- as described ---------------------------------------------------------------------------


def test_packages_are_the_folders():
    folders = {name.rpartition("/")[0].replace("/", ".")
               for name, path in package_files() if path.suffix == ".py"}
    assert sorted(SETUP["options"]["packages"].split()) == sorted(folders)


def test_every_package_has_an_init():
    names = {name for name, _ in package_files()}
    for package in SETUP["options"]["packages"].split():
        assert f"{package.replace('.', '/')}/__init__.py" in names


def test_pyproject_holds_the_build_backend_only():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject.keys() == {"build-system"}


def test_version_is_one():
    stated = SETUP["metadata"]["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert refglow.__version__ == stated == version("refglow")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [stated]


def test_readme_commands_are_one_line_each():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^<!-- command: (\w+) -->\n```sh\n(.+)\n```$", readme, re.MULTILINE)
    assert [name for name, _ in commands] == ["main", "test"]
    assert commands[0][1].endswith("&& .venv/bin/refglow validate")
    assert commands[1][1].endswith("&& .venv/bin/pytest -n 2 --dist worksteal")


def test_constraints_pin_every_requirement_by_public_version():
    lines = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    pinned = {canonicalize_name(pin.partition("==")[0]): pin.partition("==")[2] for pin in pins}
    extras = SETUP["options.extras_require"]
    needed = [Requirement(line) for section in (SETUP["options"]["install_requires"],
                                                *(extras[name] for name in (
                                                    "certify", "tfp", "torch", "train", "test")))
              for line in section.split("\n") if line and not line.startswith("#")]
    for requirement in needed:
        if requirement.name != "refglow":
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier


# ---- as imported ----------------------------------------------------------------------------


def test_import_is_fast(tmp_path):
    # Seconds of processor time, on all threads: what an idle machine takes, on a busy one too.
    timed = (f"import time; start = time.process_time(); {EVERYTHING}; "
             "print(time.process_time() - start)")
    assert min(float(python(timed, tmp_path)) for _ in range(3)) < 0.5


def test_import_loads_nothing_heavy(tmp_path):
    loaded = set(python(f"import sys; {EVERYTHING}; print(*sys.modules)", tmp_path).split())
    heavy = FRAMEWORKS | {"numba", "cupy", "scipy.linalg", "typer", "rich", "matplotlib", "PIL",
                          "sklearn"}
    assert loaded & heavy == set()


def test_public_names_are_there_before_they_are_used(tmp_path):
    code = ("import sys, refglow, refglow.validation\n"
            "assert 'numpy' not in sys.modules, 'the pytest plugin would import it in every run'\n"
            "assert set(refglow.__all__) <= set(dir(refglow))\n"
            "assert not hasattr(refglow, 'bijector') and not hasattr(refglow.validation, 'check')\n"
            "found = {name: getattr(refglow, name) for name in refglow.__all__}\n"
            "assert all(getattr(refglow, name) is found[name] for name in found)\n"
            "print(refglow.use_backend.__module__, refglow.validation.check_gradients.__module__)")
    assert python(code, tmp_path).split() == ["refglow.backend", "refglow.validation.gradients"]


def test_no_module_imports_a_framework(tmp_path):
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
             for name, path in package_files() if path.suffix == ".py"]
    code = (f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
            "print(*sys.modules)")
    assert set(python(code, tmp_path).split()) & FRAMEWORKS == set()


# ---- as written -----------------------------------------------------------------------------


def test_ruff_finds_nothing():
    run(sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet",
        "--output-format", "concise", cwd=ROOT)


@pytest.mark.slow
@pytest.mark.wheel
def test_mypy_strict_finds_nothing_in_the_installed_wheel(installed, tmp_path):
    run(sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "setup.cfg"),
        "--cache-dir", str(tmp_path / "cache"), "-p", "refglow", cwd=tmp_path,
        env={"MYPYPATH": str(installed), "PATH": "/usr/bin:/bin"})


# ---- as built -------------------------------------------------------------------------------


@pytest.mark.wheel
def test_wheel_holds_the_packages_files_and_no_others(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name, _ in package_files()}
    assert "refglow/py.typed" in held
    assert any(re.fullmatch(r"refglow/validation/golden/.*\.safetensors", name) for name in held)


@pytest.mark.wheel
def test_wheel_metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(metadata).decode()
        [entries] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        assert "[pytest11]\nrefglow = refglow.validation.pytest_plugin" in (
            archive.read(entries).decode())
        licences = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    assert "\nLicense-Expression: Apache-2.0\n" in text
    assert "\nRequires-Python: >=3.11\n" in text
    assert len(licences) == 1


@pytest.mark.wheel
def test_the_source_folder_is_not_taken_for_the_package():
    """Python started there finds it first; without an editable installation it has no kernels."""
    code = ("import sys\n"
            "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
            "import refglow")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1
    assert "Start Python in another folder" in done.stderr.splitlines()[-1]


def test_wheel_adds_one_top_level_name(installed, tmp_path):
    assert [p.name for p in installed.iterdir() if p.suffix != ".dist-info"
            and p.name != "bin"] == ["refglow"]
    code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
            "import refglow, refglow.kernels, refglow.validation\n"
            "from importlib.util import find_spec\n"
            "print(refglow.__file__, refglow.kernels.__file__, refglow.validation.__file__)\n"
            "print(find_spec('kernels'), find_spec('validation'), find_spec('tests'))")
    where, names = run(sys.executable, "-c", code, str(installed), cwd=tmp_path).splitlines()
    assert all(Path(file).is_relative_to(installed) for file in where.split())
    assert names == "None None None"
