"""param_names and to_tfp: which TFP variable is which entry of refglow's state."""

import numpy as np
import pytest

from refglow import bijectors as rgb
from refglow.networks import Conv2D, ReLU, Sequential
from refglow.validation.cases import small_network
from refglow.validation.random_models import randomize_weights
from refglow.validation.tfp import from_tfp, param_names, tfp_twin, to_tfp

pytestmark = pytest.mark.tfp


def random_glow(seed=0, **arguments):
    defaults = dict(output_shape=(4, 8, 1), num_glow_blocks=2, num_steps_per_block=2,
                    coupling_bijector_fn=small_network, dtype=np.float64)
    glow = rgb.Glow(**(defaults | arguments), seed=seed)
    randomize_weights(glow, np.random.default_rng(seed))
    return glow


def user_tfp_glow(tf, tfb, keras, activation="relu", **arguments):
    """A TFP Glow with networks of a user's own, in float64; those with tanh stay live."""
    def build(input_shape, output_chan=None):
        layers = keras.layers
        return keras.Sequential([
            layers.InputLayer(input_shape, dtype="float64"),
            layers.Conv2D(3, 3, padding="same", activation=activation, use_bias=False,
                          dtype="float64"),
            layers.Dense(2 * (output_chan or input_shape[-1]), dtype="float64")])
    defaults = dict(output_shape=(4, 8, 1), num_glow_blocks=2, num_steps_per_block=2,
                    coupling_bijector_fn=build, exit_bijector_fn=build)
    return tfb.Glow(**(defaults | arguments))


def assert_names_are_right(tf, tfp_glow):
    """Moving one variable moves the entry of its name, by as much, and no other."""
    names = param_names(tfp_glow)
    variables = tfp_glow.trainable_variables
    assert len(names) == len(variables) and len(set(names)) == len(names)
    rng = np.random.default_rng(0)
    for variable in variables:  # so that no two hold the same values
        variable.assign(tf.constant(rng.standard_normal(tuple(variable.shape)), variable.dtype))
    state = from_tfp(tfp_glow).state_dict()
    assert set(names) == {v.name for v in from_tfp(tfp_glow).trainable_variables}
    for name, variable in zip(names, variables, strict=True):
        assert np.array_equal(state[name], variable.numpy())
    for k in rng.choice(len(names), size=4, replace=False):
        before = variables[k].numpy()
        variables[k].assign(before + 1)
        moved = from_tfp(tfp_glow).state_dict()
        assert [name for name in state if not np.array_equal(moved[name], state[name])] == [
            names[k]]
        assert np.array_equal(moved[names[k]], before + 1)
        variables[k].assign(before)


def test_names_with_default_networks(tf, tfb):
    def small(input_shape):
        return tfb.GlowDefaultNetwork(input_shape, num_hidden=3)
    glow = tfb.Glow((4, 8, 1), 2, 2, small, tfb.GlowDefaultExitNetwork)
    assert_names_are_right(tf, glow)
    assert "block0.step1.actnorm.log_scale" in param_names(glow)
    assert "block1.exit.conv1.kernel" in param_names(glow)


def test_names_with_a_user_s_networks(tf, tfb, keras):
    glow = user_tfp_glow(tf, tfb, keras)
    assert_names_are_right(tf, glow)
    assert {"block0.step0.coupling.conv1.kernel", "block0.step0.coupling.dense1.bias",
            "block1.exit.dense1.kernel"} < set(param_names(glow))


def test_names_of_live_networks(tf, tfb, keras):
    glow = user_tfp_glow(tf, tfb, keras, activation="tanh", num_steps_per_block=1)
    assert_names_are_right(tf, glow)
    assert any(name.startswith("block1.step0.coupling.conv2d") for name in param_names(glow))


def test_names_of_parts_are_by_place_in_forward_order(tf, tfb):
    """Step 0 acts first in forward: it alone sees the latent."""
    glow = random_glow(num_glow_blocks=1, num_steps_per_block=3, use_actnorm=True)
    twin = tfp_twin(glow)
    first_in_forward = list(twin.bijectors)[1].bijectors[-4:-1]
    kinds = [type(part).__name__ for part in first_in_forward]
    assert kinds == ["ActivationNormalization", "_Invert", "_Invert"]
    names = dict(zip(map(id, twin.trainable_variables), param_names(twin), strict=True))
    assert names[id(first_in_forward[0]._m)] == "block0.step0.actnorm.shift"


def test_a_variable_of_no_network_is_named_after_itself(tf, tfb):
    class Scaled(tf.Module):
        def __init__(self):
            super().__init__()
            self.gain = tf.Variable(2.0, name="outer/gain")

        def __call__(self, x):
            return x * self.gain
    networks = Scaled()
    glow = tfb.Glow((4, 4, 1), 1, 1, lambda shape: networks, None, (0.0,), use_actnorm=False)
    assert sorted(param_names(glow)) == ["block0.step0.conv.lower_upper",
                                         "block0.step0.coupling.outer.gain"]
    glow.strange = tf.Variable(1.0, name="strange")
    assert "strange" in param_names(glow)


@pytest.mark.parametrize("arguments", [
    {}, dict(use_actnorm=False, grab_after_block=(0.0, 0.5)),
    dict(dtype=np.float32, num_steps_per_block=1)])
def test_round_trip(tf, arguments):
    glow = random_glow(**arguments)
    twin = tfp_twin(glow)
    other = random_glow(seed=9, **arguments)
    to_tfp(other, twin)
    back = from_tfp(twin)
    assert back.state_dict().keys() == other.state_dict().keys()
    for name, value in back.state_dict().items():
        assert value.dtype == other.state_dict()[name].dtype
        assert np.array_equal(value, other.state_dict()[name]), name
    z = np.random.default_rng(0).standard_normal((2, 32)).astype(glow.dtype)
    assert np.array_equal(back.forward(z), other.forward(z))


def test_flag_and_permutation_are_assigned(tf):
    glow = random_glow()
    twin = tfp_twin(glow)
    changed = glow.state_dict() | {
        "block1.step0.actnorm.initialized": np.asarray(False),
        "block0.step0.conv.permutation": glow.state_dict()["block0.step0.conv.permutation"][::-1]}
    glow.load_state_dict(changed)
    to_tfp(glow, twin)
    back = from_tfp(twin).state_dict()
    assert not back["block1.step0.actnorm.initialized"]
    assert back["block1.step1.actnorm.initialized"]
    assert np.array_equal(back["block0.step0.conv.permutation"],
                          changed["block0.step0.conv.permutation"])


def test_layers_are_matched_by_order_whatever_their_names(tf, tfb, keras):
    """refglow's list of layers (layer0, layer2) against Keras' (conv1, conv2); one has no bias."""
    def build(input_shape, output_chan=None, dtype=np.float64):
        first = Conv2D(input_shape[-1], 3, 3, dtype=dtype)
        first.bias.trainable = False
        return Sequential([first, ReLU(), Conv2D(3, 2 * (output_chan or input_shape[-1]), 1,
                                                 dtype=dtype)])

    def build_keras(input_shape, output_chan=None):
        layers = keras.layers
        return keras.Sequential([
            layers.InputLayer(input_shape, dtype="float64"),
            layers.Conv2D(3, 3, padding="same", activation="relu", use_bias=False,
                          dtype="float64"),
            layers.Conv2D(2 * (output_chan or input_shape[-1]), 1, dtype="float64")])
    glow = random_glow(coupling_bijector_fn=build, exit_bijector_fn=build)
    tfp_glow = tfb.Glow((4, 8, 1), 2, 2, build_keras, build_keras)
    to_tfp(glow, tfp_glow)
    z = np.random.default_rng(0).standard_normal((2, 32))
    assert np.array_equal(from_tfp(tfp_glow).forward(z), glow.forward(z))


@pytest.mark.parametrize(("arguments", "message"), [
    (dict(num_steps_per_block=1), "only in TFP: block0.step1.conv.lower_upper"),
    (dict(use_actnorm=False), "only in TFP: block1.step0.actnorm.initialized"),
    (dict(output_shape=(8, 4, 1)), r"output_shape: \[8, 4, 1\] in refglow, \[4, 8, 1\] in TFP"),
    (dict(grab_after_block=(0.25, 0.0)), r"blockwise_splits: \[\[12, 0, 4\], \[3, 1, 0\]\] in ref"),
    (dict(dtype=np.float32), r"conv.lower_upper: float32 \[4, 4\] in refglow, float64 \[4, 4\]"),
    (dict(coupling_bijector_fn=lambda shape, dtype: small_network(shape, 5, dtype)),
     r"conv1.kernel: float64 \[3, 3, 2, 5\] in refglow, float64 \[3, 3, 2, 7\] in TFP"),
    (dict(coupling_bijector_fn=lambda shape, dtype: Conv2D(shape[-1], shape[-1], 1, dtype=dtype)),
     "only in refglow: block0.step0.coupling.kernel")])
def test_differences_are_listed_and_nothing_is_assigned(tf, arguments, message):
    twin = tfp_twin(random_glow())
    before = [variable.numpy() for variable in twin.variables]
    with pytest.raises(ValueError, match=message) as caught:
        to_tfp(random_glow(seed=1, **arguments), twin)
    assert "nothing was assigned" in str(caught.value)
    assert all(np.array_equal(old, variable.numpy())
               for old, variable in zip(before, twin.variables, strict=True))


def test_only_a_tfp_glow_has_state_names(tf, tfb):
    with pytest.raises(TypeError, match=r"Expected a TFP Glow.*; got tensorflow_probability.*Exp"):
        param_names(tfb.Exp())
    with pytest.raises(TypeError, match=r"Expected a TFP Glow.*; got refglow.*Glow"):
        to_tfp(random_glow(), random_glow())
