"""`refglow explorer`: the page that it writes, and what it says when it cannot."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import refglow as rg
from refglow.cli.main import app
from refglow.explorer import Content, explorer_page
from refglow.networks import Conv2D, ReLU, Sequential
from refglow.training.data import open_data
from refglow.training.model import additive_network, affine_network
from refglow.validation.random_models import randomize_weights

MODEL = re.compile(r'<script type="application/json" id="data">(.*?)</script>')


def run(*arguments):
    done = CliRunner().invoke(app, ["explorer", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def random_glow(shape=(8, 8, 3), network=None, steps=1, dtype=np.float32, **options):
    rng = np.random.default_rng(2)
    glow = rg.bijectors.Glow(shape, 2, steps, network or affine_network(4), seed=rng, dtype=dtype,
                             **options)
    randomize_weights(glow, rng, 0.5)
    return glow


def saved(folder, glow):
    rg.save(folder / "model.safetensors", glow)
    return folder / "model.safetensors"


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8))
    return path


def test_the_page_that_comes_with_refglow(tmp_path):
    done = run("--out", tmp_path / "page.html", "--json", tmp_path / "found.json")
    assert done.exit_code == 0 and "opens in any browser" in done.stdout
    page = (tmp_path / "page.html").read_text("utf-8")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["bytes"] == len(page.encode()) < 3e6
    assert (found["model"], found["images"]) == (None, 12) and page == explorer_page()
    assert "refglow train --data digits --blocks 3" in page


@pytest.mark.parametrize(("glow", "steps", "hidden", "fractions"), [
    (random_glow(), 1, 4, None),
    (random_glow(network=additive_network(3), dtype=np.float64), 1, 3, None),
    (random_glow(steps=0, grab_after_block=(0.25, 0.5)), 0, 32, [0.25, 0.5]),
    (random_glow(steps=2, use_actnorm=False), 2, 4, None)])
def test_a_model_of_yours(glow, steps, hidden, fractions, images, tmp_path):
    done = run("--out", tmp_path / "page.html", "--model", saved(tmp_path, glow), "--data", images,
               "--count", 2)
    assert done.exit_code == 0
    data = json.loads(MODEL.search((tmp_path / "page.html").read_text("utf-8"))[1])
    assert len(data["images"]) == 2 and (data["n_bits"], data["max_level"]) == (8, 255)
    assert data["architecture"] == {"h": 8, "w": 8, "c": 3, "blocks": 2, "steps": steps,
                                    "hidden": hidden, "fractions": fractions}
    assert len(data["images"][0]["levels"]) == 192


def test_images_have_the_bits_of_the_model(images, tmp_path):
    assert run("--out", tmp_path / "page.html", "--model", saved(tmp_path, random_glow()), "--data",
               images, "--count", 2, "--n-bits", 5).exit_code == 0
    data = json.loads(MODEL.search((tmp_path / "page.html").read_text("utf-8"))[1])
    levels = open_data(images)[1].batch([0, 1]).reshape(2, -1)
    assert (data["n_bits"], data["max_level"]) == (5, 31)
    assert [image["levels"] for image in data["images"]] == (levels // 8).tolist()


def batch_of(shape):
    return np.zeros((1, *shape), np.uint8)


def not_finite():
    glow = random_glow()
    glow.trainable_variables[0].assign(np.full(glow.trainable_variables[0].shape, np.nan))
    return glow


def other_network(**layers):
    return lambda input_shape, dtype, **_: Sequential(
        {name: make(int(tuple(input_shape)[-1]), dtype) for name, make in layers.items()})


def conv(c, dtype):
    return Conv2D(c, 2 * c, 3, dtype=dtype)


@pytest.mark.parametrize(("glow", "sentence"), [
    (random_glow((8, 8, 2)), r"grey images and RGB, of 1 or 3 channels; those of glow have 2"),
    (not_finite(), r"has numbers that are not finite, .* refglow audit"),
    (random_glow(network=affine_network(300), steps=3),
     r"arrays take [\d,]+ bytes; the page has room for 1,900,000"),
    (random_glow((64, 64, 3), affine_network(64)),
     r"takes [\d,]+ operations; .* can do 30,000,000"),
    (random_glow(network=other_network(first=conv)),
     r"block0\.step0\.coupling is something else at its layer 'first'"),
    (random_glow(network=other_network(conv1=conv, relu1=lambda *_: ReLU())),
     r"that end in a convolution; block0\.step0\.coupling does not"),
    (random_glow(network=lambda s, dtype, **_: conv(int(tuple(s)[-1]), dtype)),
     r"block0\.step0\.coupling is something else\."),
    (random_glow(dtype=np.longdouble), r"models in float32 and float64; glow is \w+")])
def test_what_the_page_cannot_compute_is_refused(glow, sentence):
    shape = glow.parameters["output_shape"]
    with pytest.raises(ValueError, match=sentence):
        Content(glow, batch_of(shape), ("one",), 8, 255, "")


def test_images_that_do_not_fit_are_refused():
    glow = random_glow()
    with pytest.raises(ValueError, match=r"of shape \[N, 8, 8, 3\], at least one; got \[1, 8, 4"):
        Content(glow, batch_of((8, 4, 3)), ("one",), 8, 255, "")
    with pytest.raises(ValueError, match="2 images need as many names; got 1"):
        Content(glow, np.zeros((2, 8, 8, 3), np.uint8), ("one",), 8, 255, "")


def test_what_cannot_be_met_is_one_sentence(images, tmp_path):
    model = saved(tmp_path, random_glow())
    with pytest.raises(ValueError, match="A model file does not say what it was trained on"):
        run("--out", tmp_path / "page.html", "--model", model)
    for given in (("--data", images), ("--count", 3), ("--n-bits", 5)):
        assert "give --model too" in run("--out", tmp_path / "page.html", *given).output
    assert run("--out", "-").exit_code == 2
    with pytest.raises(OSError, match="Cannot write"):
        run("--out", tmp_path / "nowhere" / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_name_cannot_end_the_script_that_it_stands_in():
    glow = random_glow()
    page = explorer_page(Content(glow, batch_of((8, 8, 3)), ("</script><script>alert(1)",), 8, 255,
                                 "<b>about</b>"))
    assert "</script><script>alert(1)" not in page and "<b>about" not in page
