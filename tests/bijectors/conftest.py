"""Live TFP, for the tests that compare with it."""

import pytest


@pytest.fixture(scope="package")
def tfb():
    return pytest.importorskip("tensorflow_probability").bijectors
