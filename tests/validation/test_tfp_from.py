"""from_tfp on Glow and its parts: the same function as TFP's, with random weights everywhere."""

import warnings

import numpy as np
import pytest

from refglow import bijectors as rgb
from refglow.backend import use_backend
from refglow.networks import Network
from refglow.validation.compare import difference
from refglow.validation.tfp import from_tfp

pytestmark = pytest.mark.tfp

FLOAT64 = 1e-12  # relative; the random weights below keep the maps well conditioned
FLOAT32 = 1e-5


def network_fn(keras, kind, dtype="float64"):
    """A function that makes Keras networks: for a coupling or an exit, affine or additive."""
    layers = keras.layers

    def build(input_shape, output_chan=None):
        outputs = (output_chan or input_shape[-1]) * (1 if "additive" in kind else 2)
        if "user" in kind:
            return keras.Sequential([
                layers.InputLayer(input_shape, dtype=dtype),
                layers.Dense(5, dtype=dtype, name=f"enter_{layers.Dense(1).name}"),
                layers.Activation("relu", dtype=dtype),
                keras.Sequential([layers.Conv2D(4, (1, 3), padding="same", use_bias=False,
                                                dtype=dtype), layers.ReLU(dtype=dtype)]),
                layers.Conv2D(outputs, 1, padding="valid", dtype=dtype)])
        return keras.Sequential([
            layers.InputLayer(input_shape, dtype=dtype),
            layers.Conv2D(6, 3, padding="same", activation="relu", dtype=dtype),
            layers.Conv2D(outputs, 3, padding="same", dtype=dtype)])
    return build


def randomized(tf, bijector, seed=0):
    """Random values for every variable, ActNorm flags set; activations keep their size."""
    rng = np.random.default_rng(seed)
    for variable in bijector.variables:
        shape = tuple(variable.shape)
        noise = tf.constant(rng.standard_normal(shape), variable.dtype) if (
            variable.dtype.is_floating) else None
        if noise is None:
            variable.assign(True if variable.dtype == tf.bool else rng.permutation(shape[0]))
        elif "lower_upper" in variable.name:
            variable.assign(0.2 * noise + np.diag(rng.choice([-1.0, 1.0], size=shape[0])))
        elif "kernel" in variable.name:
            variable.assign(noise / np.sqrt(np.prod(shape[:-1])))
        else:
            variable.assign(0.2 * noise)
    return bijector


def tfp_glow(tf, tfb, keras, kind="affine", seed=0, dtype="float64", **arguments):
    build = network_fn(keras, kind, dtype)
    arguments = {"coupling_bijector_fn": build, "exit_bijector_fn": build} | arguments
    return randomized(tf, tfb.Glow(**arguments), seed)


def assert_same_function(tfp_bijector, refglow_bijector, x, event_ndims, bound=FLOAT64):
    """Forward, inverse and both log-dets at x and at its image, by the specification."""
    ndims = refglow_bijector.forward_event_ndims(event_ndims)
    with use_backend("spec"):
        y, fldj = refglow_bijector.forward_and_log_det(x, event_ndims)
        x_back, ildj = refglow_bijector.inverse_and_log_det(y, ndims)
    for actual, expected in [
            (y, tfp_bijector.forward(x)), (x_back, tfp_bijector.inverse(y)),
            (fldj, tfp_bijector.forward_log_det_jacobian(x, event_ndims)),
            (ildj, tfp_bijector.inverse_log_det_jacobian(y, ndims))]:
        assert actual.dtype == x.dtype
        # TFP leaves out the batch dimensions of a log-det that is the same for all.
        expected = np.broadcast_to(np.asarray(expected), actual.shape)
        assert difference(actual, expected).relative < bound


ARCHITECTURES = {
    "one block": dict(output_shape=(2, 6, 1), num_glow_blocks=1, num_steps_per_block=2),
    "two blocks, not square": dict(output_shape=(4, 8, 3), num_glow_blocks=2,
                                   num_steps_per_block=2),
    "three blocks": dict(output_shape=(8, 8, 1), num_glow_blocks=3, num_steps_per_block=1),
    "no actnorm": dict(output_shape=(8, 4, 2), num_glow_blocks=2, num_steps_per_block=1,
                       use_actnorm=False),
    "exits mixed": dict(output_shape=(8, 8, 1), num_glow_blocks=3, num_steps_per_block=1,
                        grab_after_block=(0.5, 0.0, 0.5)),
    "nothing exits": dict(output_shape=(4, 4, 2), num_glow_blocks=2, num_steps_per_block=1,
                          grab_after_block=[0.0, 0.0]),
    "too small a fraction": dict(output_shape=(4, 4, 2), num_glow_blocks=2,
                                 num_steps_per_block=1, grab_after_block=(0.01, 0.0)),
}


@pytest.mark.parametrize(("architecture", "kind"), [
    ("one block", "additive"), ("one block", "user"), ("two blocks, not square", "affine"),
    ("two blocks, not square", "user additive"), ("three blocks", "affine"),
    ("no actnorm", "user"), ("exits mixed", "affine"), ("nothing exits", "additive"),
    ("too small a fraction", "affine")])
def test_glow(tf, tfb, keras, architecture, kind):
    original = tfp_glow(tf, tfb, keras, kind, **ARCHITECTURES[architecture])
    glow = from_tfp(original)
    assert isinstance(glow, rgb.Glow) and glow.dtype == np.float64 and glow.name == original.name
    assert glow.blockwise_splits == [list(split) for split in original.blockwise_splits]
    z = np.random.default_rng(1).standard_normal((3, int(np.prod(
        ARCHITECTURES[architecture]["output_shape"]))))
    assert_same_function(original, glow, z, 1)


def test_default_networks_in_float32(tf, tfb):
    def small(input_shape):
        return tfb.GlowDefaultNetwork(input_shape, num_hidden=5, kernel_shape=1)
    original = randomized(tf, tfb.Glow((4, 8, 2), 2, 1, small, tfb.GlowDefaultExitNetwork))
    glow = from_tfp(original)
    assert glow.dtype == np.float32
    names = [name for name, _ in glow.named_variables()]
    assert "block1.step0.coupling.conv3.kernel" in names
    assert "block1.exit.conv1.bias" in names
    assert not any(name.endswith("bias") and variable.numpy().all() == 0
                   for name, variable in glow.named_variables())
    z = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    assert_same_function(original, glow, z, 1, bound=FLOAT32)


def test_additive_exit_that_takes_less_than_it_leaves(tf, tfb, keras):
    original = tfp_glow(tf, tfb, keras, "additive", output_shape=(4, 4, 2), num_glow_blocks=2,
                        num_steps_per_block=1, grab_after_block=(0.25, 0.25))
    z = np.random.default_rng(1).standard_normal((2, 32))
    assert_same_function(original, from_tfp(original), z, 1)


def test_copies_do_not_follow_the_original(tf, tfb, keras):
    original = tfp_glow(tf, tfb, keras, output_shape=(2, 4, 1), num_glow_blocks=1,
                        num_steps_per_block=1)
    glow = from_tfp(original)
    before = glow.state_dict()
    randomized(tf, original, seed=7)
    assert all(np.array_equal(before[name], value) for name, value in glow.state_dict().items())


def test_the_initialised_flag_travels(tf, tfb, keras):
    build = network_fn(keras, "affine")
    original = tfb.Glow((4, 4, 1), 2, 1, build, build)
    assert not any(flag for name, flag in from_tfp(original).state_dict().items()
                   if name.endswith("initialized"))
    actnorm = original.bijectors[1].bijectors[0]
    actnorm._initialized.assign(True)
    flags = {name: bool(flag) for name, flag in from_tfp(original).state_dict().items()
             if name.endswith("initialized")}
    assert flags == {"block0.step0.actnorm.initialized": False,
                     "block1.step0.actnorm.initialized": True}


def test_an_uninitialised_glow_initialises_as_tfp_does(tf, tfb, keras):
    build = network_fn(keras, "affine")
    original = tfb.Glow((4, 4, 1), 1, 2, build, None, (0.0,))
    rng = np.random.default_rng(0)
    for variable in original.trainable_variables:
        if "kernel" in variable.name:
            variable.assign(0.3 * rng.standard_normal(variable.shape))
    glow = from_tfp(original)
    images = rng.standard_normal((5, 4, 4, 1)) * 3 + 1
    z = glow.inverse(images)
    assert difference(z, original.inverse(images).numpy()).relative < FLOAT64
    assert all(flag for name, flag in glow.state_dict().items() if name.endswith("initialized"))


def test_frozen_and_shared_networks(tf, tfb, keras):
    shared = network_fn(keras, "affine")((2, 2, 2))
    shared.layers[0].kernel._trainable = False
    original = randomized(tf, tfb.Glow((4, 4, 1), 1, 2, lambda shape: shared, None, (0.0,)))
    glow = from_tfp(original)
    trainable = {v.name for v in glow.trainable_variables}
    assert "block0.step0.coupling.conv1.kernel" not in trainable
    assert "block0.step0.coupling.conv1.bias" in trainable
    assert_same_function(original, glow, np.random.default_rng(1).standard_normal((2, 16)), 1)


def test_a_network_not_built_yet_is_built(tf, tfb, keras):
    def build(input_shape, output_chan=None):
        return keras.Sequential([keras.layers.Conv2D(2 * input_shape[-1], 3, padding="same",
                                                     activation="linear")])
    original = tfb.Glow((4, 4, 1), 2, 1, build, build)
    glow = from_tfp(original)
    assert "block0.step0.coupling.conv1.kernel" in glow.state_dict()
    glow.initialize(np.random.default_rng(0).random((4, 4, 4, 1), dtype=np.float32))


# ---- networks that stay in TensorFlow ------------------------------------------------------------

def tanh_network(keras, dtype="float64"):
    """Layers that refglow does not have: the network is called live."""
    def build(input_shape, output_chan=None):
        return keras.Sequential([
            keras.layers.InputLayer(input_shape, dtype=dtype),
            keras.layers.Conv2D(3, 3, padding="same", activation="tanh", dtype=dtype),
            keras.layers.Conv2D(2 * (output_chan or input_shape[-1]), 2, padding="same",
                                dtype=dtype)])
    return build


def test_live_keras_network(tf, tfb, keras):
    build = tanh_network(keras)
    original = randomized(tf, tfb.Glow((4, 8, 1), 2, 1, build, build))
    glow = from_tfp(original)
    z = np.random.default_rng(1).standard_normal((3, 32))
    assert_same_function(original, glow, z, 1)
    for batch in [(), (2, 3)]:
        zs = np.random.default_rng(2).standard_normal((*batch, 32))
        flat = original.forward(zs.reshape(-1, 32)).numpy()
        assert difference(glow.forward(zs), flat.reshape(*batch, 4, 8, 1)).relative < FLOAT64


def test_live_function(tf, tfb):
    weights = {}

    def build(input_shape, output_chan=None):
        c = input_shape[-1]
        key = (c, output_chan)
        weights[key] = tf.Variable(np.random.default_rng(c).standard_normal((c, 2 * c)).astype("f"))
        return lambda x: tf.tanh(tf.einsum("nhwi,io->nhwo", x, weights[key]))
    original = randomized(tf, tfb.Glow((4, 8, 1), 2, 1, build, build))
    glow = from_tfp(original)
    assert glow.dtype == np.float32
    z = np.random.default_rng(1).standard_normal((3, 32)).astype(np.float32)
    assert_same_function(original, glow, z, 1, bound=FLOAT32)


@pytest.mark.parametrize("batch", [(3,), (), (2, 3)])
def test_network_that_returns_a_bijector(tf, tfb, keras, batch):
    inner = network_fn(keras, "user")

    class Returns(tf.Module):
        def __init__(self, input_shape, output_chan=None):
            super().__init__()
            self.network = inner(input_shape, output_chan)

        def __call__(self, x):
            raw, shift = tf.split(self.network(x), 2, axis=-1)
            channels = raw.shape[-1]
            return tfb.Chain([
                tfb.Shift(shift), tfb.Permute(np.arange(channels)[::-1].copy()),
                tfb.Blockwise([tfb.Scale(raw[..., :1] ** 2 + 1.0), tfb.Identity()],
                              [1, channels - 1]),
                tfb.Invert(tfb.Scale(log_scale=0.5 * raw))])
    original = randomized(tf, tfb.Glow((4, 8, 1), 2, 1, Returns, Returns))
    glow = from_tfp(original)
    z = 0.3 * np.random.default_rng(1).standard_normal((*batch, 32))
    flat = z.reshape(-1, 32)
    y, fldj = glow.forward_and_log_det(z)
    expected = original.forward(flat).numpy(), original.forward_log_det_jacobian(flat, 1).numpy()
    assert difference(y.reshape(-1, 4, 8, 1), expected[0]).relative < FLOAT64
    assert difference(fldj.reshape(-1), expected[1]).relative < FLOAT64
    assert difference(glow.inverse(y), z).relative < 1e-7


def test_live_variables_are_tensorflow_s(tf, tfb, keras):
    build = tanh_network(keras)
    original = randomized(tf, tfb.Glow((4, 4, 1), 1, 1, build, None, (0.0,)))
    glow = from_tfp(original)
    layer = original.bijectors[1].bijectors[2].coupling_bijector_layer.layers[0]
    name = next(name for name in glow.state_dict() if name.endswith(f"{layer.name}.kernel"))
    z = np.ones((1, 16))
    before = glow.forward(z)
    layer.kernel.assign_add(tf.ones_like(layer.kernel))
    assert np.array_equal(glow.state_dict()[name], layer.kernel.numpy())
    assert not np.array_equal(glow.forward(z), before)
    glow.load_state_dict(glow.state_dict() | {name: np.zeros(layer.kernel.shape)})
    assert not layer.kernel.numpy().any()
    with pytest.raises(ValueError, match="read-only"):
        glow.state_dict()[name][...] = 1


def test_live_network_says_what_it_cannot_do(tf, tfb, keras):
    original = tfb.Glow((4, 4, 1), 1, 1, lambda shape: lambda x: "text", None, (0.0,), False)
    with pytest.raises(TypeError, match="returned a str; expected a tensor or a TFP bijector"):
        from_tfp(original).forward(np.zeros((1, 16), np.float32))
    live = from_tfp(tfb.Glow((4, 4, 1), 1, 1, lambda shape: lambda x: x, None, (0.0,), False))
    with pytest.raises(TypeError, match="floating point"):
        live.forward(np.zeros((1, 16), np.complex64))


# ---- parts --------------------------------------------------------------------------------------

def test_parts_on_their_own(tf, tfb, keras):
    original = tfp_glow(tf, tfb, keras, "affine", output_shape=(4, 8, 2), num_glow_blocks=2,
                        num_steps_per_block=2)
    _, block, exit_, expand, blockwise = original.bijectors[:5]
    actnorm, conv = block.bijectors[:2]
    rng = np.random.default_rng(0)
    for part, shape in [(expand, (1, 2, 32)), (block, (2, 4, 8)), (exit_, (2, 4, 8)),
                        (blockwise, (1, 2, 32)), (actnorm, (3, 8)), (conv, (3, 8))]:
        converted = from_tfp(part)
        assert converted.name == part.name
        x = rng.standard_normal((2, *shape))
        assert_same_function(part, converted, x, len(shape))
    assert type(from_tfp(block)) is rgb.GlowBlock
    assert type(from_tfp(exit_.bijector)) is rgb.ExitBijector
    assert type(from_tfp(conv.bijector)) is rgb.OneByOneConv


@pytest.mark.parametrize("mask", [dict(num_masked=2), dict(num_masked=-3),
                                  dict(fraction_masked=0.4), dict(fraction_masked=-0.6)])
def test_real_nvp_is_called_live(tf, tfb, mask):
    def function(x0, output_units, bias=0.0):
        mean = tf.reduce_mean(x0, axis=-1, keepdims=True)
        steps = tf.range(output_units, dtype=x0.dtype)
        return tf.sin(mean * (steps + 1.0) + bias), tf.cos(mean + steps)
    original = tfb.RealNVP(shift_and_log_scale_fn=function, **mask)
    converted = from_tfp(original)
    x = np.random.default_rng(0).standard_normal((2, 3, 5))
    assert_same_function(original, converted, x, 1)
    expected = tfb.RealNVP(shift_and_log_scale_fn=function, **mask).forward(x, bias=1.5)
    assert difference(converted.forward(x, bias=1.5), expected.numpy()).relative < FLOAT64
    plain = tfb.RealNVP(bijector_fn=lambda x0, n: tfb.Shift(x0[..., :1]), num_masked=2)
    assert_same_function(plain, from_tfp(plain), x, 1)


def test_network_kinds(tf, tfb, keras):
    """What becomes a refglow network, and what stays live."""
    from refglow.validation.tfp.live import LiveNetwork
    from refglow.validation.tfp.networks import network_from_tfp
    layers = keras.layers

    class Doubled(layers.Conv2D):
        def call(self, x):
            return 2 * super().call(x)

    class Named(keras.Sequential):
        pass

    class Overridden(keras.Sequential):
        def call(self, x):
            return -super().call(x)
    rebuilt = [layers.Conv2D(2, (3, 1)), layers.Dense(4, activation="relu"),
               layers.ReLU(), Named([layers.Conv2D(2, 1, activation=tf.nn.relu)])]
    live = [layers.Conv2D(2, 3, strides=2), layers.Conv2D(2, 2, padding="same"),
            layers.Conv2D(2, 3, padding="same", dilation_rate=2),
            layers.Conv2D(2, 1, groups=2),
            layers.ReLU(max_value=6.0), layers.ReLU(negative_slope=0.1), Doubled(2, 1),
            layers.Activation("tanh"), layers.Conv2D(2, 1, activation="gelu"),
            layers.Conv2D(2, 1, dtype="mixed_bfloat16"), Overridden([layers.Conv2D(2, 1)]),
            lambda x: x]
    x = np.random.default_rng(0).standard_normal((2, 5, 4, 2)).astype(np.float32)
    for layer in rebuilt:
        network = network_from_tfp(layer, (5, 4, 2), from_tfp)
        assert isinstance(network, Network) and not isinstance(network, LiveNetwork)
        assert network(x).shape == layer(x).shape
    for layer in live:
        network = network_from_tfp(layer, (5, 4, 2), from_tfp)
        assert isinstance(network, LiveNetwork)
        assert difference(network(x), np.asarray(layer(x), np.float32)).relative < FLOAT32


def test_names_of_layers(tf, tfb, keras):
    from refglow.validation.tfp.networks import network_from_tfp
    layers = keras.layers
    network = network_from_tfp(keras.Sequential([
        layers.Conv2D(2, 1, activation="relu"), layers.Conv2D(2, 1, name="conv3"),
        keras.Sequential([layers.Conv2D(3, 1), layers.ReLU()]), layers.Dense(2),
        layers.Conv2D(1, 1, name="last")]), (2, 3, 4), from_tfp)
    assert list(network.layers) == ["conv1", "relu1", "conv3", "conv3_1", "relu2", "dense1", "last"]


def test_no_warnings_are_needed_to_import_tfp():
    """The test run turns warnings into errors; so may anyone."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from refglow.validation.tfp.framework import tfp_bijectors, tfp_glow_parts
        assert tfp_glow_parts().Glow is tfp_bijectors().Glow
