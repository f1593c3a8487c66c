"""refglow in the tests of other projects, with pytest or without.

    from refglow.validation.testing import assert_conforms, golden_vectors

    assert_conforms(build, level="log_dets")        # build(architecture, parameters) -> your Glow

    with golden_vectors() as vectors:
        vector = vectors["onebyoneconv-5x7x4-of-2"]
        vector.assert_matches("forward/value", yours(vector.inputs["forward/input"],
                                                     **vector.parameters))

Where refglow is installed, pytest has the same as fixtures: `refglow.validation.pytest_plugin`.
"""

from refglow.validation.testing.conforming import assert_conforms as assert_conforms
from refglow.validation.testing.levels import LEVELS as LEVELS
from refglow.validation.testing.vectors import GoldenVector as GoldenVector
from refglow.validation.testing.vectors import GoldenVectors as GoldenVectors
from refglow.validation.testing.vectors import golden_vectors as golden_vectors
