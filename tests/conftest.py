"""What all tests share: repeatable hypothesis runs, and a quiet, live TensorFlow."""

import os

import pytest
from browser import running_browser
from built_site import built_once
from hypothesis import settings

from refglow.backend import use_backend

pytest_plugins = ["pytester"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def by_the_specification():
    """For tests that plant a bug there, where no kernel must pass it by."""
    with use_backend("spec"):
        yield


@pytest.fixture(scope="session")
def tf():
    pytest.importorskip("tensorflow_probability")
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="session")
def tfb(tf):
    return pytest.importorskip("tensorflow_probability").bijectors


@pytest.fixture(scope="session")
def keras(tf):
    return pytest.importorskip("tf_keras")


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, for the tests of a module."""
    with running_browser() as found:
        yield found


@pytest.fixture(scope="session")
def built_site(tmp_path_factory):
    """The documentation as Sphinx builds it, with its notebooks run: once for all processes."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "site"
    folder.mkdir(exist_ok=True)
    return built_once(folder)
