"""The squeeze: the class, the specification functions and the index formula are one map."""

import itertools

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow.bijectors.expand import expand_forward, expand_inverse

SHAPES = [(2, 3, 8, 2), (1, 5, 4, 2), (3, 2, 18, 3), (2, 3, 5, 1)]


@pytest.mark.parametrize(("height", "width", "channels", "block_size"), SHAPES)
def test_class_functions_and_formula_agree(height, width, channels, block_size):
    n, x = block_size, np.random.default_rng(0).standard_normal((4, height, width, channels))
    expected = np.empty((4, height * n, width * n, channels // n**2))
    for h, w, a, b, c in itertools.product(range(height), range(width), range(n), range(n),
                                           range(channels // n**2)):
        expected[:, h * n + a, w * n + b, c] = x[:, h, w, (c * n + a) * n + b]
    bijector = tfb.Expand((height, width, channels), block_size)
    squeeze = tfb.Squeeze((height * n, width * n, channels // n**2), block_size)
    for y in (bijector.forward(x), expand_forward(x, n)[0], squeeze.inverse(x)):
        np.testing.assert_array_equal(y, expected)
    for back in (bijector.inverse(expected), expand_inverse(expected, n)[0],
                 squeeze.forward(expected)):
        np.testing.assert_array_equal(back, x)
