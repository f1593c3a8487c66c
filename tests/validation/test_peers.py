"""The peers for training: TFP and PyTorch agree on loss, gradients and Adam; normflows trains."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from refglow import bijectors as rgb  # noqa: E402
from refglow.networks.coupling_network import coupling_network  # noqa: E402
from refglow.training.optimizer import adam_update  # noqa: E402
from refglow.validation import torch_oracle  # noqa: E402
from refglow.validation.cases import small_network  # noqa: E402
from refglow.validation.compare import difference  # noqa: E402
from refglow.validation.live import random_glow  # noqa: E402
from refglow.validation.peers import (  # noqa: E402
    NormflowsTraining,
    TfpTraining,
    TorchNetworks,
    TorchTraining,
)
from refglow.validation.random_models import (  # noqa: E402
    random_architecture,
    random_images,
    randomize_weights,
)

BATCH = 3
FLOAT64 = 1e-10  # gradients of log p: sums over images and pixels, some of which cancel
ADAM = dict(learning_rate=0.003, beta_1=0.8, beta_2=0.95, epsilon=1e-3)


def small_glow(seed=0, dtype=np.float64, **arguments):
    """A Glow with random weights that every peer can compute, and a function that makes images."""
    defaults = dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=2,
                    coupling_bijector_fn=small_network)
    rng = np.random.default_rng(seed)
    glow = rgb.Glow(**(defaults | arguments), seed=rng, dtype=dtype)
    randomize_weights(glow, rng, gain=0.5)
    return glow, lambda: random_images(rng, BATCH, glow.parameters["output_shape"]).astype(dtype)


def apart(found, expected):
    """The largest relative error over all names."""
    assert list(found) == list(expected)
    return max(difference(found[name], expected[name]).relative for name in expected)


def in_order(bars, glow):
    return {variable.name: bars[variable.name] for variable in glow.trainable_variables}


def compared_gradients(glow, images, other_images):
    """How far PyTorch's gradients are from TFP's: of the loss, and of a sum over samples."""
    ours, theirs = TorchTraining(glow), TfpTraining(glow)
    z, x_bar = glow.inverse(other_images), np.random.default_rng(5).standard_normal(images.shape)
    assert set(theirs.parameters) == {variable.name for variable in glow.trainable_variables}
    return [apart(ours.gradients(images), in_order(theirs.gradients(images), glow)),
            apart(ours.sample_gradients(z, x_bar),
                  in_order(theirs.sample_gradients(z, x_bar), glow))]


@pytest.mark.tfp
@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_tfp_and_pytorch_agree_on_random_architectures(tf, seed):
    rng = np.random.default_rng([7, seed])
    glow = random_glow(random_architecture(rng), rng, np.float64)
    shape = glow.parameters["output_shape"]
    assert max(compared_gradients(glow, *(random_images(rng, BATCH, shape)
                                          for _ in range(2)))) < FLOAT64


@pytest.mark.tfp
def test_the_cache_of_tfp_s_bijectors_costs_no_gradient(tf):
    """Values were computed for equal inputs before, outside the tape."""
    glow, draw = small_glow()
    images, theirs = draw(), TfpTraining(glow)
    theirs.log_prob(images)
    first = theirs.gradients(images)
    theirs.sample_gradients(glow.inverse(images), images)
    assert apart(theirs.gradients(images), first) == 0


@pytest.mark.tfp
def test_log_prob_of_both_is_refglow_s(tf):
    from refglow import distributions as tfd
    glow, draw = small_glow()
    images = draw()
    expected = glow(tfd.Sample(tfd.Normal(np.float64(0), np.float64(1)), [64])).log_prob(images)
    for kind in (TfpTraining, TorchTraining):
        assert difference(kind(glow).log_prob(images), expected).relative < 1e-12


@pytest.mark.tfp
def test_training_in_tfp_and_pytorch_gives_the_same_parameters(tf):
    glow, draw = small_glow()
    before = glow.state_dict()
    ours, theirs = TorchTraining(glow, **ADAM), TfpTraining(glow, **ADAM)
    for _ in range(6):
        images = draw()
        expected = -ours.log_prob(images).mean()
        losses = ours.step(images), theirs.step(images)
        assert losses == pytest.approx((expected, expected), rel=1e-11)
    assert apart(ours.parameters, in_order(theirs.parameters, glow)) < FLOAT64
    moved = [np.abs(value - before[name]).max() for name, value in ours.parameters.items()]
    assert min(moved) > ADAM["learning_rate"]
    assert all(np.array_equal(value, before[name]) for name, value in glow.state_dict().items())


def test_steps_are_kingma_and_ba_s_algorithm_1():
    glow, draw = small_glow(num_steps_per_block=1)
    training = TorchTraining(glow, **ADAM)
    expected = training.parameters
    moments = {name: (np.zeros_like(value), np.zeros_like(value))
               for name, value in expected.items()}
    for count in range(1, 5):
        images = draw()
        for name, bar in training.gradients(images).items():
            expected[name], *moments[name] = adam_update(
                expected[name], bar, *moments[name], count, *ADAM.values())
        training.step(images)
        assert apart(training.parameters, expected) < 1e-12


@pytest.mark.tfp
def test_float32_stays_float32(tf):
    glow, draw = small_glow(dtype=np.float32)
    images = draw()
    ours, theirs = TorchTraining(glow), TfpTraining(glow)
    assert apart(ours.gradients(images), in_order(theirs.gradients(images), glow)) < 1e-4
    for training in (ours, theirs):
        training.step(images)
        assert {value.dtype.name for value in training.parameters.values()} == {"float32"}
        with pytest.raises(TypeError, match="float64"):
            training.step(images.astype(np.float64))


@pytest.mark.tfp
def test_tfp_s_samples_are_made_as_refglow_makes_them(tf):
    glow, draw = small_glow()
    z, theirs = glow.inverse(draw()), TfpTraining(glow)
    assert difference(theirs.forward(z), glow.forward(z)).relative < 1e-12
    one, other = theirs.sample(2), theirs.sample(2)
    assert one.shape == (2, 4, 8, 2) and np.isfinite(one).all() and not np.array_equal(one, other)


@pytest.mark.parametrize("layout", ["nchw", "channels_last"])
def test_pytorch_s_networks_are_refglow_s(layout):
    glow, _ = small_glow(dtype=np.float32, coupling_bijector_fn=rgb.GlowDefaultNetwork,
                         output_shape=(8, 16, 2))
    networks = TorchNetworks(glow, BATCH, layout)
    outputs = networks.evaluate()
    assert [x.shape for x in networks.inputs] == 2 * [(3, 2, 4, 8)] + 2 * [(3, 4, 8, 4)]
    expected = [coupling_network(x, *weights)
                for x, weights in zip(networks.inputs, networks.weights, strict=True)]
    assert max(difference(a, b).relative for a, b in zip(outputs, expected, strict=True)) < 1e-5


def test_pytorch_s_networks_know_two_layouts():
    glow, _ = small_glow(dtype=np.float32, coupling_bijector_fn=rgb.GlowDefaultNetwork)
    with pytest.raises(ValueError, match="nchw or channels_last; got 'nhcw'"):
        TorchNetworks(glow, 1, "nhcw")


# ---- planted bugs -------------------------------------------------------------------------------

@pytest.mark.tfp
def test_a_wrong_gradient_with_right_values_is_seen(tf, monkeypatch):
    glow, draw = small_glow()
    images, others = draw(), draw()
    assert max(compared_gradients(glow, images, others)) < FLOAT64
    original = torch_oracle._factors

    def without_gradient_of_lower(parameters, step):
        lower, upper, permutation = original(parameters, step)
        return lower.detach(), upper, permutation
    monkeypatch.setattr(torch_oracle, "_factors", without_gradient_of_lower)
    assert min(compared_gradients(glow, images, others)) > 1e-3


@pytest.mark.tfp
def test_epsilon_in_the_wrong_place_is_seen(tf):
    """As Keras has it: epsilon added to the uncorrected moment's square root."""
    glow, draw = small_glow(num_steps_per_block=1)
    images = draw()
    ours, theirs = TorchTraining(glow, **ADAM), TfpTraining(glow, **ADAM)
    learning_rate, beta_1, beta_2, epsilon = theirs._adam
    theirs._adam = (learning_rate, beta_1, beta_2, epsilon / np.sqrt(1 - beta_2))
    ours.step(images), theirs.step(images)
    assert apart(ours.parameters, in_order(theirs.parameters, glow)) > 1e-6


@pytest.mark.tfp
def test_a_missing_gradient_is_an_error(tf):
    glow, draw = small_glow(num_steps_per_block=1)
    training = TfpTraining(glow)
    training._variables.append(tf.Variable(0.0))
    training._names.append("unused")
    with pytest.raises(RuntimeError, match=r"no gradient for \['unused'\]"):
        training.gradients(draw())


# ---- normflows ----------------------------------------------------------------------------------

@pytest.fixture
def normflows_glow():
    pytest.importorskip("normflows", reason="normflows is not installed")
    images = random_images(np.random.default_rng(0), 4, (8, 16, 3))
    return images, NormflowsTraining(images, 2, 2, 5, learning_rate=1e-3)


def test_normflows_weights_are_random_and_actnorm_is_initialised(normflows_glow):
    _, training = normflows_glow
    state = training._model.state_dict()
    assert {float(flag) for name, flag in state.items() if "init_done" in name} == {1.0}
    last = [name for name in state if name.endswith("net.4.weight")]
    assert len(last) == 4
    trained = dict(training._model.named_parameters())
    assert len(trained) == 2 * 2 * (6 + 3 + 2)
    assert all(float(value.detach().abs().max()) > 0 for value in trained.values())


def test_normflows_step_gives_the_loss_and_lowers_it(normflows_glow):
    images, training = normflows_glow
    state = torch.get_rng_state()
    losses = [training.step(images) for _ in range(30)]
    with torch.no_grad():
        latents, log_det = training._model.inverse_and_log_det(
            torch.tensor(np.moveaxis(images, -1, 1), dtype=torch.float32))
    assert [tuple(z.shape[1:]) for z in latents] == [(24, 2, 4), (6, 4, 8)]
    square = sum((z**2).sum(dim=(1, 2, 3)) for z in latents)
    log_p = -0.5 * square - 0.5 * images[0].size * np.log(2 * np.pi) + log_det
    assert training.step(images) == pytest.approx(-float(log_p.mean()), rel=1e-5)
    assert losses[-1] < losses[0] - 1
    assert torch.equal(torch.get_rng_state(), state)


def test_number_of_parameters_differs_from_refglow_s_as_documented(normflows_glow):
    _, training = normflows_glow
    glow = rgb.Glow((8, 16, 3), 2, 2,
                    lambda shape, dtype: rgb.GlowDefaultNetwork(shape, 5, dtype=dtype))
    sizes = {variable.name: variable.size for variable in glow.trainable_variables}
    exits = sum(size for name, size in sizes.items() if ".exit." in name)
    factors = sum(2 * (c**2 + c) for c in (12, 24))  # two steps at each level
    assert training.num_parameters == sum(sizes.values()) - exits + factors


def test_normflows_networks_are_refglow_s(normflows_glow):
    _, training = normflows_glow
    rng = np.random.default_rng(3)
    networks = list(training.networks())
    assert len(networks) == 4
    for weights, evaluated in networks:
        x = rng.standard_normal((2, 4, 6, weights[0].shape[2])).astype(np.float32)
        assert difference(evaluated(x), coupling_network(x, *weights)).relative < 1e-5


def test_normflows_log_prob_is_its_loss_and_its_samples_differ(normflows_glow):
    images, training = normflows_glow
    assert -training.log_prob(images).mean() == pytest.approx(training.step(images), rel=1e-5)
    one, other = training.sample(2), training.sample(2)
    assert one.shape == (2, 8, 16, 3) and np.isfinite(one).all() and not np.array_equal(one, other)
