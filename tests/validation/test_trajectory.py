"""Training step by step: refglow's losses are TFP's and PyTorch's, 100 steps of Adam in float64.

All start with the same random weights in every layer and see the same batches. The loss of step n
depends on all n - 1 updates before it, so that an error of any of them stays in sight.
"""

import numpy as np
import pytest

from refglow.training import optimizer
from refglow.training.image_data import ArrayImages
from refglow.training.settings import Settings
from refglow.training.trainer import Trainer
from refglow.validation.tolerances import TRAJECTORY_AGAINST_PEERS

STEPS = 100
SETTINGS = Settings(dtype="float64", num_glow_blocks=2, num_steps_per_block=1, num_hidden=6,
                    learning_rate=0.002, warm_up_steps=0, batch_size=8, seed=3)
SHAPE = (4, 8, 2)


@pytest.fixture(autouse=True)
def one_thread():
    """For arrays this small PyTorch's threads wait for one another."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def new_trainer():
    """A trainer on smooth random images; nothing in its Glow is zero any more."""
    rng = np.random.default_rng(0)
    waves = rng.standard_normal((60, *SHAPE)).cumsum(axis=1).cumsum(axis=2)
    levels = np.clip(8 + waves, 0, 31).astype(np.uint8)
    images = ArrayImages("waves", levels, n_bits=5)
    trainer = Trainer(SETTINGS, images, images)
    for variable in trainer.glow.trainable_variables:
        noise = rng.standard_normal(variable.shape)
        variable.assign(variable.numpy() + 0.1 * noise / np.sqrt(max(1, noise[..., 0].size)))
    return trainer


def peer(name, glow):
    """TFP or PyTorch at the same start."""
    from refglow.validation import peers
    arguments = glow, SETTINGS.learning_rate, SETTINGS.beta_1, SETTINGS.beta_2
    return getattr(peers, name)(*arguments)


def batches(trainer, count):
    return [trainer.batches.training(step) for step in range(count)]


def losses(trainer, count=STEPS):
    """refglow's, in nats per image."""
    return np.array([trainer.step().loss for _ in range(count)])


def errors(found, expected):
    return np.abs(found - expected) / np.abs(expected)


def growth(found, expected):
    """The differences along the way, for a message."""
    error = errors(found, expected)
    marks = ", ".join(f"{error[step - 1]:.1e} at step {step}"
                      for step in (1, 10, 100) if step <= len(error))
    return f"largest relative difference {error.max():.1e} at step {error.argmax() + 1}; {marks}"


def check_same(name):
    trainer = new_trainer()
    theirs = peer(name, trainer.glow)
    expected = np.array([theirs.step(images) for images in batches(trainer, STEPS)])
    start = trainer.glow.state_dict()
    found = losses(trainer)
    assert found[-10:].mean() < found[:10].mean() - 1  # they learn, so the updates matter
    message = growth(found, expected)
    assert errors(found, expected).max() <= TRAJECTORY_AGAINST_PEERS, message
    assert errors(found, expected)[0] <= 1e-13, message
    assert errors(found, expected)[9] <= 1e-11, message
    state, others = trainer.glow.state_dict(), theirs.parameters
    for name, value in others.items():
        moved = np.abs(value - start[name]).max()
        assert moved > 0
        assert np.abs(state[name] - value).max() <= TRAJECTORY_AGAINST_PEERS * moved, name


@pytest.mark.tfp
def test_a_hundred_losses_are_tfp_s(tf):
    check_same("TfpTraining")


def test_a_hundred_losses_are_pytorch_s():
    check_same("TorchTraining")


# ---- planted bugs -------------------------------------------------------------------------------

def without_bias_correction(parameter, gradient, first, second, step, *rest):
    """Moments as if infinitely many updates had been made."""
    return optimizer_adam_update(parameter, gradient, first, second, 10**9, *rest)


def epsilon_beside_the_uncorrected_root(parameter, gradient, first, second, step, rate, beta_1,
                                        beta_2, epsilon):
    """Keras's epsilon."""
    return optimizer_adam_update(parameter, gradient, first, second, step, rate, beta_1, beta_2,
                                 epsilon / np.sqrt(1 - beta_2**step))


def twice_the_epsilon(*arguments):
    *others, epsilon = arguments
    return optimizer_adam_update(*others, 2 * epsilon)


optimizer_adam_update = optimizer.adam_update


@pytest.mark.parametrize("bug", [without_bias_correction, epsilon_beside_the_uncorrected_root,
                                 twice_the_epsilon])
def test_a_wrong_update_is_seen(monkeypatch, bug):
    trainer = new_trainer()
    theirs = peer("TorchTraining", trainer.glow)
    expected = np.array([theirs.step(images) for images in batches(trainer, 20)])
    monkeypatch.setattr(optimizer, "adam_update", bug)
    found = losses(trainer, 20)
    assert errors(found, expected)[0] <= 1e-13  # before the first update
    assert errors(found, expected).max() > TRAJECTORY_AGAINST_PEERS, growth(found, expected)


@pytest.mark.tfp
def test_a_learning_rate_one_millionth_off_is_seen_by_tfp(tf):
    trainer = new_trainer()
    theirs = peer("TfpTraining", trainer.glow)
    rate = SETTINGS.learning_rate * (1 + 1e-6)
    expected = np.array([theirs.step(images, rate) for images in batches(trainer, 20)])
    assert errors(losses(trainer, 20), expected).max() > TRAJECTORY_AGAINST_PEERS
