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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_taken_as_viewers_show_it(orientation, tmp_path):
    """Phones store what the sensor has, and in EXIF data how the phone was held."""
    image = pytest.importorskip("PIL.Image")
    seen = np.kron(np.random.default_rng(0).integers(0, 256, (8, 4, 3)), np.ones((5, 5, 1)))
    of_seen = {1: seen, 2: seen[:, ::-1], 3: seen[::-1, ::-1], 4: seen[::-1]}
    turned = seen.transpose(1, 0, 2)                    # 5: rows are columns
    of_seen |= {5: turned, 6: turned[::-1], 7: turned[::-1, ::-1], 8: turned[:, ::-1]}
    exif = image.Exif()
    exif[0x0112] = orientation
    image.fromarray(of_seen[orientation].astype(np.uint8)).save(tmp_path / "a.png", exif=exif)
    x = given_image(str(tmp_path / "a.png"), trained(8, 255), None, "resize")
    kept = image.fromarray(seen.astype(np.uint8)).resize((4, 8), image.Resampling.LANCZOS)
    assert np.array_equal(quantize(x, 8), np.asarray(kept))


def test_an_image_of_the_models_size_is_taken_as_stored_as_in_training(tmp_path):
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x0112] = 3
    stored = np.random.default_rng(0).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    x = given_image(str(tmp_path / "a.png"), trained(8, 255), None, "crop")
    assert np.array_equal(quantize(x, 8), stored)


@pytest.mark.parametrize("n_bits", [8, 5])
def test_a_numbered_image_is_reduced_to_the_models_bits(n_bits, tmp_path):
    np.save(tmp_path / "images.npy",
            np.random.default_rng(0).integers(0, 256, (30, 8, 4, 3), dtype=np.uint8))
    _, test = open_data(tmp_path / "images.npy")
    x = given_image("1", trained(n_bits, 2**n_bits - 1), str(tmp_path / "images.npy"))
    assert np.array_equal(quantize(x, n_bits), test.batch([1])[0] // 2**(8 - n_bits))
