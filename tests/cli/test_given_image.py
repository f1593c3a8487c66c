"""An image as a model takes it: levels of the model's bits, however bright white is."""

import numpy as np
import pytest

from refglow.bijectors import Glow
from refglow.cli.given_image import centred, given_image, levels_of
from refglow.training.data import open_data
from refglow.training.dequantize import quantize
from refglow.training.pictures import brightness
from refglow.training.trained import Trained
from refglow.validation.cases import small_network


def trained(n_bits, max_level):
    return Trained(Glow((8, 4, 3), 2, 1, small_network, seed=0), n_bits, max_level)


@pytest.mark.parametrize(("n_bits", "max_level"), [(8, 255), (5, 31), (3, 7), (5, 16), (8, 200)])
def test_a_pictures_levels_are_those_that_it_shows(n_bits, max_level):
    model, levels = trained(n_bits, max_level), np.arange(max_level + 1).reshape(-1, 1, 1)
    found = levels_of(brightness(levels, max_level), model)
    assert np.array_equal(found, levels)
    x = centred(found, model)
    assert x.dtype == model.glow.dtype and np.array_equal(quantize(x, n_bits), levels)
    assert np.allclose(2.0**n_bits * (x + 0.5) % 1, 0.5, atol=1e-3)


@pytest.mark.parametrize("n_bits", [8, 5])
def test_a_numbered_image_is_reduced_to_the_models_bits(n_bits, tmp_path):
    np.save(tmp_path / "images.npy",
            np.random.default_rng(0).integers(0, 256, (30, 8, 4, 3), dtype=np.uint8))
    _, test = open_data(tmp_path / "images.npy")
    x = given_image("1", trained(n_bits, 2**n_bits - 1), str(tmp_path / "images.npy"))
    assert np.array_equal(quantize(x, n_bits), test.batch([1])[0] // 2**(8 - n_bits))
