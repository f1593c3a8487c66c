"""The files of the model that comes with refglow: made again, and as their card says."""

from importlib import resources

import numpy as np
import pytest

import refglow as rg
from refglow.explorer import content, shipped_content, shipping
from refglow.training.model import affine_network
from refglow.training.settings import Settings
from refglow.training.trained import Trained

SETTINGS = Settings(num_glow_blocks=3, num_hidden=32, batch_size=64, average_decay=0.998)
FOLDER = resources.files("refglow.explorer")


def test_the_command_that_made_it_is_on_its_card():
    glow = shipped_content().glow
    command = shipping.command_of(Trained(glow, 5, 16, SETTINGS, 4000))
    assert command in shipped_content().about
    assert command in (FOLDER / "digits.md").read_text("utf-8")
    assert "126,612 parameters" in (FOLDER / "digits.md").read_text("utf-8")
    assert sum(len((FOLDER / f"digits.{kind}").read_bytes())
               for kind in ("safetensors", "json", "md")) < 600_000
    with pytest.raises(ValueError, match="give the run's folder"):
        shipping.command_of(Trained(glow, 5, 16))


def test_its_files_are_made_from_a_run(tmp_path, monkeypatch):
    glow = rg.bijectors.Glow((8, 8, 1), 1, 1, affine_network(2), seed=0)
    glow.initialize(np.random.default_rng(0).random((4, 8, 8, 1), np.float32))
    monkeypatch.setattr(shipping, "load_trained", lambda run: Trained(glow, 5, 16, SETTINGS, 7))
    levels = shipped_content().levels
    shipping.ship(tmp_path, tmp_path)
    monkeypatch.setattr(content.resources, "files", lambda package: tmp_path)
    made = shipped_content()
    assert "--steps 7 --out run/" in made.about
    assert np.array_equal(made.levels, levels)
    for name, array in glow.state_dict().items():
        assert np.array_equal(made.glow.state_dict()[name], array)
