"""What pytest has where refglow is installed: golden vectors, and whether a Glow is right.

    def test_my_glow(refglow_assert_conforms):
        refglow_assert_conforms(build, level="log_dets")    # build(architecture, parameters)

    @pytest.mark.refglow_vectors("OneByOneConv", direction="forward")
    def test_my_convolution(refglow_vector):
        x = refglow_vector.inputs["forward/input"]
        refglow_vector.assert_matches("forward/value", mine(x, **refglow_vector.parameters))

Every run of pytest imports this file, so it imports pytest alone, which is there; what the fixtures
need is imported by the first test that uses them. `-p no:refglow` leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from refglow.validation.implementations import Conformance
    from refglow.validation.testing import GoldenVector, GoldenVectors

_MARKER = "refglow_vectors"
_ONE = "refglow_vector"  # the fixture that the marker is for


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", (
        f"{_MARKER}(*names, flags=(), direction=None): run the test once for each of refglow's "
        "golden vectors of these operations, or whose names begin so, that catch one of the "
        "flagged mistakes and have that direction; "
        f"the fixture {_ONE} is the vector."))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each vector that the marker chooses."""
    if _ONE not in metafunc.fixturenames:
        return
    from refglow.validation.testing.vectors import names_of

    marker = metafunc.definition.get_closest_marker(_MARKER)
    if marker is None:
        pytest.fail(f"{_ONE} needs the marker @pytest.mark.{_MARKER}(...), which says for which "
                    f'vectors the test is, e.g. @pytest.mark.{_MARKER}("OneByOneConv").',
                    pytrace=False)
    try:
        names = names_of(*marker.args, **marker.kwargs)
    except (ValueError, TypeError, AttributeError) as error:
        pytest.fail(f"@pytest.mark.{_MARKER}: {error}", pytrace=False)
    metafunc.parametrize(_ONE, names, ids=names, indirect=True)


@pytest.fixture(scope="session")
def refglow_assert_conforms() -> Callable[..., tuple[Conformance, ...]]:
    """Fail unless a Glow computes what refglow's specification says.

    refglow_assert_conforms(implementation, level="density"): the implementation is a function
    of (architecture, parameters) that makes your Glow, or an object beside the model with its
    weights, glow=...; the level is "offered", "values", "log_dets", "density", "layers",
    "gradients" or "all". A failure says what differs, in which layer first, and which convention or
    mistake explains it. See `refglow.validation.testing.assert_conforms`.
    """
    from refglow.validation.testing import assert_conforms

    return assert_conforms


@pytest.fixture(scope="session")
def refglow_vectors() -> Iterator[GoldenVectors]:
    """Golden vectors by name: inputs, parameters and true results of every operation of a Glow.

    refglow_vectors["onebyoneconv-5x7x4-of-2"].assert_matches("forward/value", yours) fails unless
    yours is right. See `refglow.validation.testing.GoldenVector`.
    """
    from refglow.validation.testing import golden_vectors

    with golden_vectors() as vectors:
        yield vectors


@pytest.fixture
def refglow_vector(request: pytest.FixtureRequest, refglow_vectors: GoldenVectors) -> GoldenVector:
    """The golden vector that the test is run for, of those that its marker names.

    @pytest.mark.refglow_vectors("OneByOneConv", "actnorm-", flags=("TransposedW",)): operations, or
    how names begin, and mistakes of which a vector catches one; direction="forward" leaves out
    those of the inverse alone.
    """
    return refglow_vectors[request.param]
