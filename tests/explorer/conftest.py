"""What several of these tests share."""

import pytest

from refglow.validation.vectors.kept import kept_vectors


@pytest.fixture(scope="session")
def kept():
    """The package's golden vectors."""
    with kept_vectors() as file:
        yield file
