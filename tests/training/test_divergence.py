"""Where training first went wrong: the layer that is named is the one that was broken."""

import numpy as np
import pytest

from refglow.training.divergence import (
    LATENT,
    DivergedError,
    first_bad_gradient,
    first_overflow,
    too_large,
)
from refglow.training.image_data import ArrayImages
from refglow.training.settings import Settings
from refglow.training.trainer import Trainer
from refglow.validation.random_models import randomize_weights


def trainer_with(**settings):
    """A trainer whose model has random weights in every layer."""
    rng = np.random.default_rng(0)
    data = ArrayImages("noise", rng.integers(0, 256, (20, 8, 4, 3), dtype=np.uint8), 8)
    trainer = Trainer(Settings(**dict(num_glow_blocks=2, num_steps_per_block=2, num_hidden=5,
                                      batch_size=4) | settings), data, data)
    randomize_weights(trainer.glow, rng, gain=0.3)
    trainer.glow.initialize(trainer.batches.initial())
    return trainer


def broken(glow, name, value, place=...):
    """Put `value` into a part of one of the model's arrays."""
    array = np.array(glow.state_dict()[name])
    array[place] = value
    glow.load_state_dict(glow.state_dict() | {name: array})


BREAKS = {
    "ActNorm's scale overflows": ("actnorm.log_scale", 200.0, 0),
    "ActNorm's scale is zero": ("actnorm.log_scale", -np.inf, 0),  # only the log-det shows it
    "ActNorm's shift is infinite": ("actnorm.shift", np.inf, 1),
    "a factor overflows": ("conv.lower_upper", 3e38, ...),
    "a pivot is zero": ("conv.lower_upper", 0.0, (1, 1)),
    "a pivot is NaN": ("conv.lower_upper", np.nan, (1, 1)),
    "the network's last bias": ("coupling.conv3.bias", np.inf, -1),
    "the network's last kernel": ("coupling.conv3.kernel", np.inf, (1, 1, 0, -1)),
}


@pytest.mark.parametrize("memory", ["store", "checkpoint", "reversible"])
@pytest.mark.parametrize("step", ["block0.step0", "block1.step0", "block1.step1"])
@pytest.mark.parametrize("case", BREAKS)
def test_the_broken_layer_is_named(case, step, memory):
    trainer = trainer_with(memory=memory)
    trainer.step()
    part, value, place = BREAKS[case]
    layer = f"{step}.{part.split('.')[0]}"
    broken(trainer.glow, f"{step}.{part}", value, place)
    before = trainer.glow.state_dict()
    with pytest.raises(DivergedError, match="diverged in step 2") as caught:
        trainer.step()
    assert (caught.value.layer, caught.value.step) == (layer, 1)
    assert f"{layer} is the first layer whose output or log-det" in str(caught.value)
    after = trainer.glow.state_dict()
    assert trainer.step_count == 1
    assert all(after[name].tobytes() == before[name].tobytes() for name in before)


@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_an_exit_is_named(coupling):
    trainer = trainer_with(coupling=coupling)
    broken(trainer.glow, "block1.exit.conv1.bias", 1e3 if coupling == "affine" else np.inf)
    with pytest.raises(DivergedError) as caught:
        trainer.step()
    assert caught.value.layer == "block1.exit"


def test_the_first_from_the_image_is_named():
    trainer = trainer_with()
    for name in ("block0.step1.actnorm.shift", "block1.exit.conv1.bias",
                 "block1.step0.conv.lower_upper"):
        broken(trainer.glow, name, np.inf)
        assert first_overflow(trainer.glow, trainer.batches.training(0)) == ".".join(
            name.split(".")[:2 if "exit" in name else 3])


def test_nothing_is_named_where_all_is_finite():
    trainer = trainer_with()
    assert first_overflow(trainer.glow, trainer.batches.training(0)) is None
    _, gradients = trainer.loss_and_gradients(trainer.batches.training(0))
    assert first_bad_gradient(trainer.glow, gradients) is None
    assert too_large(trainer.glow, gradients, 1e19) is None


def test_latents_that_are_too_large():
    trainer = trainer_with(dtype="float64")
    broken(trainer.glow, "block0.step0.actnorm.log_scale", 400.0)
    with pytest.raises(DivergedError, match="latents are finite, but so large") as caught:
        trainer.step()
    assert caught.value.layer == LATENT


def test_the_first_bad_gradient_from_the_latent_is_named():
    trainer = trainer_with()
    _, gradients = trainer.loss_and_gradients(trainer.batches.training(0))
    order = ["block1.step1.actnorm.shift", "block1.step1.conv.lower_upper",
             "block1.step1.coupling.conv1.bias", "block1.step0.actnorm.log_scale",
             "block1.exit.conv1.kernel", "block0.step1.coupling.conv3.kernel",
             "block0.step0.conv.lower_upper", "block0.step0.coupling.conv2.bias"]
    for name in order:  # each nearer to the latent
        gradients[name] = np.full_like(gradients[name], np.nan)
        assert first_bad_gradient(trainer.glow, gradients) == ".".join(
            name.split(".")[:2 if "exit" in name else 3])


def test_gradients_whose_squares_overflow():
    trainer = trainer_with()
    broken(trainer.glow, "block0.step1.actnorm.log_scale", 24.0)  # latents of 1e10, densities 1e20
    with pytest.raises(DivergedError, match="whose square float32 cannot hold") as caught:
        trainer.step()
    with np.errstate(all="ignore"):
        _, gradients = trainer.loss_and_gradients(trainer.batches.training(0))
    layer = caught.value.layer
    assert max(gradients, key=lambda name: np.abs(gradients[name]).max()).startswith(f"{layer}.")
    clipped = trainer_with(clip_norm=1.0)
    broken(clipped.glow, "block0.step1.actnorm.log_scale", 24.0)
    clipped.step()
    assert all(np.isfinite(v.numpy()).all() for v in clipped.glow.trainable_variables)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adamax"])
def test_a_huge_learning_rate(optimizer):
    trainer = trainer_with(optimizer=optimizer, learning_rate=1e38, warm_up_steps=0)
    trainer.step()
    with pytest.raises(DivergedError, match="diverged in step 2"):
        trainer.step()
