"""Trained models from disk, strangers' ones included; samples, interpolations, bits/dim."""

import json
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import refglow as rg
from refglow.training import bits_per_dim as measuring
from refglow.training.bits_per_dim import MeanBitsPerDim, measured_bits_per_dim
from refglow.training.checkpoint import load_checkpoint, save_checkpoint
from refglow.training.data import open_data
from refglow.training.dequantize import bits_per_dim, dequantize
from refglow.training.image_data import ArrayImages
from refglow.training.model import arrays_of, build_glow, distribution_of, num_parameters
from refglow.training.run_folder import RunFolder
from refglow.training.sampling import draw_images, interpolate
from refglow.training.settings import Settings
from refglow.training.train import Schedule, train
from refglow.training.trained import load_run, load_trained
from refglow.training.trainer import Trainer
from refglow.validation.random_models import randomize_weights

SETTINGS = Settings(num_glow_blocks=2, num_steps_per_block=1, num_hidden=4, batch_size=5,
                    average_decay=0.8, learning_rate=0.01, warm_up_steps=0)


def images(count=20, shape=(4, 8, 1), seed=0):
    rng = np.random.default_rng(seed)
    return ArrayImages("noise", rng.integers(0, 256, (count, *shape), dtype=np.uint8), 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run."""
    found = RunFolder(tmp_path_factory.mktemp("runs"))
    train(Trainer(SETTINGS, images(), images(6, seed=1)), found, Schedule(8))
    return found


def random_glow(shape=(4, 8, 3), dtype=np.float32, **settings):
    glow = build_glow(replace(SETTINGS, dtype=np.dtype(dtype).name, **settings), shape)
    rng = np.random.default_rng(5)
    randomize_weights(glow, rng, gain=0.3)
    glow.initialize(rng.random((16, *shape)).astype(dtype) - 0.5)
    return glow


# ---- from disk ----------------------------------------------------------------------------------


def test_a_run_and_its_model_file_are_one_model(folder):
    run, file = load_trained(folder.path), load_trained(folder.model)
    by_checkpoint = load_trained(folder.checkpoint)
    for name, array in run.glow.state_dict().items():
        assert array.tobytes() == file.glow.state_dict()[name].tobytes()
        assert array.tobytes() == by_checkpoint.glow.state_dict()[name].tobytes()
    assert (run.n_bits, run.max_level, run.settings, run.step) == (8, 255, SETTINGS, 8)
    assert (file.n_bits, file.max_level, file.settings, file.step) == (8, 255, None, None)
    assert load_trained(folder.model, 5).max_level == 31
    x = images(3, seed=4).batch([0, 1, 2]) / np.float32(256) - np.float32(0.5)
    assert np.array_equal(distribution_of(run.glow).log_prob(x),
                          distribution_of(rg.load(folder.model)).log_prob(x))


def test_the_data_of_a_model(folder):
    """A run knows its own; photographs are cut to the size that a model takes."""
    run, file = load_trained(folder.path), load_trained(folder.model)
    assert run.source(None) == run.source("digits") == ("digits", None)
    assert run.source("photographs") == file.source("photographs") == ("photographs", 4)
    assert file.source("digits") == ("digits", None)
    with pytest.raises(ValueError, match=r"A model file does not say .*: give --data"):
        file.source(None)
    large = replace(run, settings=replace(SETTINGS, data="photographs", image_size=16))
    assert large.source(None) == large.source("photographs") == ("photographs", 16)


def test_what_is_not_a_trained_model(folder, tmp_path):
    with pytest.raises(ValueError, match=r"holds no checkpoint.safetensors; it is not the folder"):
        load_trained(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        load_trained(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"levels of 8 bits; got n_bits = 5"):
        load_trained(folder.path, 5)
    (tmp_path / "checkpoint.safetensors").write_bytes(folder.model.read_bytes())
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_trained(tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(folder.checkpoint.read_bytes()[:-9])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_trained(tmp_path)


HOSTILE = {
    "vast networks": (dict(num_hidden=10**9), {}, "misfit: .*conv1.kernel"),
    "vast networks, additive": (dict(num_hidden=10**9, coupling="additive"), {}, "misfit"),
    "many steps": (dict(num_steps_per_block=10**15), {}, "declare more than"),
    "many blocks": (dict(num_glow_blocks=31), {}, "must be divisible by"),
    "vast blocks": (dict(num_glow_blocks=10**9), {}, "at most 31"),
    "many channels": ({}, dict(image_shape=[4, 8, 30_000]), "misfit"),
    "vast images": ({}, dict(image_shape=[2**20, 2**20, 1]), "does not describe a training run"),
    "another type": (dict(dtype="float64"), {}, "misfit"),
    "no images": ({}, dict(image_shape=[0, 8, 1]), "does not describe"),
    "odd images": ({}, dict(image_shape=[5, 8, 1]), "must be divisible by"),
    "levels": ({}, dict(max_level=256), "does not describe"),
    "bits": ({}, dict(n_bits="8"), "does not describe"),
    "vast batches": (dict(batch_size=2**62), {}, "batch_size must be"),
    "unknown": (dict(command="rm"), {}, "no settings called 'command'"),
    "no number": (dict(learning_rate=[0.1]), {}, "learning_rate must be"),
    "no text": (dict(data=["digits"]), {}, "data must be"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_strangers_checkpoint_takes_no_memory(case, folder, tmp_path):
    settings, described, message = HOSTILE[case]
    real = load_checkpoint(folder.checkpoint)
    stranger = RunFolder(tmp_path)
    save_checkpoint(stranger.checkpoint, replace(real, settings={
        "settings": real.settings["settings"] | settings,
        "images": real.settings["images"] | described}))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"(?s)checkpoint.safetensors: .*{message}") as caught:
            load_run(stranger)
        with pytest.raises(ValueError, match=r"checkpoint.safetensors: "):
            load_trained(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3e6 > stranger.checkpoint.stat().st_size
    assert len(str(caught.value)) < 100_000


@pytest.mark.parametrize("entry", [{}, {"settings": 3}, {"settings": {}, "images": [1]},
                                   {"settings": {}, "images": {}}, {"images": {}}])
def test_settings_that_describe_no_run(entry, folder, tmp_path):
    stranger = RunFolder(tmp_path)
    save_checkpoint(stranger.checkpoint, replace(load_checkpoint(folder.checkpoint),
                                                 settings=entry))
    with pytest.raises(ValueError, match="does not describe a training run"):
        load_trained(tmp_path)


@pytest.mark.parametrize("coupling", ["affine", "additive"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (4, 2, 3), (16, 8, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_arrays_are_known_without_the_model(coupling, shape, dtype):
    settings = replace(SETTINGS, coupling=coupling, dtype=dtype, num_glow_blocks=None,
                       num_steps_per_block=2)
    glow = build_glow(settings, shape)
    assert {variable.name: (variable.dtype.name, variable.shape) for variable in glow.variables
            } == {name: (kind.dtype, kind.shape) for name, kind in arrays_of(settings, shape)}
    assert len(glow.blockwise_splits) == {8: 3, 4: 1, 16: 3}[shape[0]]
    assert num_parameters(glow) == sum(v.size for v in glow.trainable_variables)


# ---- samples and interpolations -----------------------------------------------------------------


def test_samples_follow_their_seed():
    glow = random_glow()
    one, lost = draw_images(glow, 5, 0.7, seed=3)
    assert one.shape == (5, 4, 8, 3) and one.dtype == np.float32 and lost == 0
    assert np.array_equal(draw_images(glow, 5, 0.7, seed=3)[0], one)
    assert not np.array_equal(draw_images(glow, 5, 0.7, seed=4)[0], one)
    many, _ = draw_images(glow, 40, 0.7, seed=3)
    assert np.array_equal(many[:5], one)
    assert len({image.tobytes() for image in many}) == 40


def test_samples_are_the_glow_of_normal_latents():
    glow = random_glow()
    z = glow.inverse(draw_images(glow, 400, 0.5, seed=0)[0])
    assert z.mean() == pytest.approx(0, abs=0.5 * 4 / math.sqrt(z.size))
    assert z.std() == pytest.approx(0.5, rel=4 / math.sqrt(2 * z.size))


def test_temperature_zero_gives_one_image():
    glow = random_glow()
    found, _ = draw_images(glow, 3, 0.0, seed=1)
    expected = glow.forward(np.zeros(4 * 8 * 3, np.float32))
    assert np.array_equal(found, np.stack([expected] * 3))


@pytest.mark.parametrize(("count", "temperature", "message"), [
    (0, 1.0, "at least 1; got 0"), (1, -0.1, "at least 0; got -0.1"),
    (1, math.nan, "got nan"), (1, math.inf, "got inf")])
def test_samples_that_cannot_be_drawn(count, temperature, message):
    with pytest.raises(ValueError, match=message):
        draw_images(random_glow(), count, temperature, 0)


def test_samples_that_are_not_finite_are_black_and_counted():
    glow = random_glow()
    name = "block1.step0.coupling.conv3.kernel"
    glow.load_state_dict(glow.state_dict() | {
        name: np.full_like(glow.state_dict()[name], np.inf)})
    found, lost = draw_images(glow, 20, 1.0, 0)
    black = (found == -0.5).all(axis=(1, 2, 3))
    assert lost == black.sum() > 0 and np.isfinite(found).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("frames", [2, 5, 40])
def test_an_interpolation_is_a_straight_line_between_its_ends(frames, dtype):
    glow = random_glow(dtype=dtype)
    ends = np.random.default_rng(8).random((2, 4, 8, 3)).astype(dtype) - dtype(0.5)
    found, lost = interpolate(glow, *ends, frames)
    assert found.shape == (frames, 4, 8, 3) and found.dtype == dtype and lost == 0
    eps = 1000 * np.finfo(dtype).eps  # what inverse and forward lose
    assert np.abs(found[[0, -1]] - ends).max() < eps
    first, last = glow.inverse(ends)
    z = glow.inverse(found)
    for k in range(frames):
        t = k / (frames - 1)
        assert np.abs(z[k] - ((1 - t) * first + t * last)).max() < eps * np.abs(z).max()


def test_interpolations_that_cannot_be_made():
    glow, end = random_glow(), np.zeros((4, 8, 3), np.float32)
    with pytest.raises(ValueError, match="at least 2 frames; got 1"):
        interpolate(glow, end, end, 1)
    with pytest.raises(ValueError, match=r"\[2, 4, 8, 1\]"):
        interpolate(glow, end[..., :1], end[..., :1], 3)


# ---- bits per dimension -------------------------------------------------------------------------


def test_bits_per_dim_are_the_log_probs():
    glow, data = random_glow(n_bits=5), images(23, (4, 8, 3))
    found = measured_bits_per_dim(glow, data.batches(4), 8, 5, seed=6)
    levels = data.batch(np.arange(23))
    x = dequantize(levels, 8, 5, np.random.default_rng(6), np.float32)
    values = bits_per_dim(distribution_of(glow).log_prob(x), 96, 5)
    assert (found.count, found.not_finite) == (23, 0)
    assert found.mean == pytest.approx(values.mean(), rel=1e-7)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(23), rel=1e-6)
    whole = measured_bits_per_dim(glow, data.batches(100), 8, 5, seed=6)
    assert whole.mean == pytest.approx(found.mean, rel=1e-7)
    other = measured_bits_per_dim(glow, data.batches(4), 8, 5, seed=7)
    assert other.mean != found.mean


@pytest.mark.parametrize("n_bits", [8, 3])
def test_bits_per_dim_of_an_identity_in_closed_form(n_bits):
    """A Glow without steps only rearranges, so p(x) is a standard normal.

    In the cell [a, a + w) the mean of x^2 over the noise is (a^2 + a b + b^2) / 3, b = a + w, and
    bits/dim = (mean of x^2 / 2 + ln(2 pi) / 2) / ln 2 + n.
    """
    glow = rg.bijectors.Glow((8, 8, 3), 1, 0)
    data = images(600, (8, 8, 3))
    width = 2.0**-n_bits
    a = (data.batch(np.arange(600)) >> (8 - n_bits)).astype(np.float64) * width - 0.5
    b = a + width
    mean_square = ((a * a + a * b + b * b) / 3).mean()
    expected = (mean_square + math.log(2 * math.pi)) / (2 * math.log(2)) + n_bits
    found = measured_bits_per_dim(glow, data.batches(64), 8, n_bits, seed=0)
    # The noise alone moves x^2 / 2 by |x| w / sqrt(12) at most a number, |x| <= 1/2.
    noise = 0.5 * width / math.sqrt(12) / math.log(2) / math.sqrt(600 * 192)
    assert found.mean == pytest.approx(expected, abs=4 * noise)
    assert noise < 1e-3 * (expected - n_bits)


def test_bits_per_dim_take_constant_memory(tmp_path):
    # Images large enough that a batch is far more than what Python and NumPy put aside of small
    # blocks, about 100 KB in the end however long they work.
    rng, glow, peaks = np.random.default_rng(0), random_glow((24, 24, 1)), {}
    for count in (100, 1000):
        np.save(tmp_path / "images.npy", rng.integers(0, 256, (count, 24, 24), dtype=np.uint8))
        train_data, _ = open_data(tmp_path / "images.npy")
        measured_bits_per_dim(glow, train_data.batches(45), 8, 8, 0)  # whatever is made once
        tracemalloc.start()
        try:
            found = measured_bits_per_dim(glow, train_data.batches(45), 8, 8, 0)
            peaks[count] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found.count == count * 9 // 10
    assert peaks[1000] < 1.1 * peaks[100]


def test_the_memory_test_notices_what_is_kept(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(measuring, "dequantize",
                        lambda *arguments: kept.append(dequantize(*arguments)) or kept[-1])
    with pytest.raises(AssertionError):
        test_bits_per_dim_take_constant_memory(tmp_path)


@pytest.mark.parametrize("parts", [[7], [1, 6], [3, 1, 3], [1] * 7])
def test_a_mean_that_grows(parts):
    values = np.random.default_rng(3).normal(3.5, 2, 7)
    found, start = MeanBitsPerDim(), 0
    for part in parts:
        found.add(values[start:start + part])
        start += part
    assert (found.count, found.not_finite) == (7, 0)
    assert found.mean == pytest.approx(values.mean(), rel=1e-14)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(7), rel=1e-13)


def test_likelihoods_that_are_not_finite_are_counted():
    found = MeanBitsPerDim()
    assert found.standard_error == 0
    found.add(np.array([1.0]))
    assert (found.mean, found.standard_error) == (1, 0)
    found.add(np.array([np.inf, 2.0, np.nan]))
    found.add(np.array([np.inf]))
    assert (found.count, found.not_finite) == (5, 3)
    assert not math.isfinite(found.mean)


def test_a_checkpoint_is_json_and_arrays(folder):
    """What another program may rely on."""
    entry = load_checkpoint(folder.checkpoint).settings
    assert json.loads(json.dumps(entry)) == entry
    assert entry["settings"] == SETTINGS.as_dict()
    assert entry["images"].items() >= {"image_shape": [4, 8, 1], "n_bits": 8, "max_level": 255,
                                       "count": 20}.items()
