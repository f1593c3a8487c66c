"""tfp_twin and from_tfp on every kind of bijector, both ways; what has no counterpart."""

import subprocess
import sys

import numpy as np
import pytest

from refglow import bijectors as rgb
from refglow.networks import Conv2D, Network, ReLU, Sequential
from refglow.structure import flatten
from refglow.validation.cases import CASES, small_network
from refglow.validation.compare import difference
from refglow.validation.random_models import randomize_weights
from refglow.validation.tfp import from_tfp, param_names, tfp_twin
from refglow.variable import Variable

tfp_test = pytest.mark.tfp
FLOAT64 = 1e-12


def assert_close(template, actual, expected):
    for a, e in zip(flatten(template, actual), flatten(template, expected), strict=True):
        assert a.dtype == np.float64
        assert difference(a, np.broadcast_to(np.asarray(e), a.shape)).relative < FLOAT64


def assert_twins(bijector, twin, x, event_ndims):
    y, fldj = bijector.forward_and_log_det(x, event_ndims)
    ndims = bijector.forward_event_ndims(event_ndims)
    x_back, ildj = bijector.inverse_and_log_det(y, ndims)
    assert_close(bijector.inverse_min_event_ndims, y, twin.forward(x))
    assert_close(bijector.forward_min_event_ndims, x_back, twin.inverse(y))
    assert_close(0, fldj, twin.forward_log_det_jacobian(x, event_ndims))
    assert_close(0, ildj, twin.inverse_log_det_jacobian(y, ndims))


@tfp_test
@pytest.mark.parametrize("case", [case for case in CASES if case.tfp and (
    "Glow" not in case.name)], ids=lambda case: case.name)
def test_every_kind_there_and_back(tf, case):
    bijector, x, event_ndims = case.make(3, np.float64)
    twin = tfp_twin(bijector, np.float64)
    assert twin.name == bijector.name
    assert_twins(bijector, twin, x, event_ndims)
    back = from_tfp(twin)
    assert back.name == bijector.name
    assert_twins(back, twin, x, event_ndims)
    trainable = {v.name for v in bijector.trainable_variables}
    if type(back) is type(bijector) and type(back) is not rgb.RealNVP:  # its function stays live
        assert {v.name for v in back.trainable_variables} == trainable
    assert len(twin.trainable_variables) == len(trainable)


@tfp_test
@pytest.mark.parametrize("name", ["GlowBlock", "GlowBlock additive", "Glow"])
def test_glow_there_and_back(tf, name):
    case = next(case for case in CASES if case.name == name)
    bijector, x, event_ndims = case.make(3, np.float64)
    twin = tfp_twin(bijector)
    assert_twins(bijector, twin, x, event_ndims)
    back = from_tfp(twin)
    assert type(back) is type(bijector) and back.state_dict().keys() == bijector.state_dict().keys()
    assert np.array_equal(back.forward(x), bijector.forward(x))
    if name == "Glow":
        assert set(param_names(twin)) == {v.name for v in bijector.trainable_variables}


@tfp_test
@pytest.mark.parametrize("build", [
    lambda b: b.AbsoluteValue(), lambda b: b.Chain([]),
    lambda b: b.Transpose(rightmost_transposed_ndims=2), lambda b: b.Split(2),
    lambda b: b.Reshape([-1], [2, 4]), lambda b: b.Permute([1, 0], axis=-2),
    lambda b: b.JointMap({"a": b.Exp(), "b": (b.Tanh(), [b.Identity()])}, name="joint"),
    lambda b: b.Blockwise([b.Exp(), b.Identity()], name="blocks"),
    lambda b: b.Chain([b.Exp(), b.Invert(b.Exp(), name="in")], validate_args=True, name="out")])
def test_structure_and_names_both_ways(tf, tfb, build):
    ours, theirs = build(rgb), build(tfb)
    for converted in (from_tfp(theirs), from_tfp(tfp_twin(ours))):
        assert type(converted) is type(ours)
        assert converted.name == ours.name == theirs.name
        assert converted.validate_args == ours.validate_args
        assert converted.forward_min_event_ndims == ours.forward_min_event_ndims
    x = np.random.default_rng(0).random((3, 2, 4))
    if not isinstance(ours, rgb.JointMap):
        x = x[..., :2] if isinstance(ours, rgb.Blockwise) else x
        template = ours.inverse_min_event_ndims
        for a, e in zip(flatten(template, from_tfp(theirs).forward(x)),
                        flatten(template, theirs.forward(x)), strict=True):
            assert difference(a, np.asarray(e)).relative < FLOAT64


@tfp_test
def test_preimages_of_a_bijector_that_is_not_injective(tf, tfb):
    y = np.array([0.5, 2.0])
    for ours, theirs in [(from_tfp(tfb.AbsoluteValue()), tfb.AbsoluteValue()),
                         (rgb.AbsoluteValue(), tfp_twin(rgb.AbsoluteValue()))]:
        for a, e in zip(ours.inverse(y), theirs.inverse(y), strict=True):
            assert np.array_equal(a, e)
        for a, e in zip(ours.inverse_log_det_jacobian(y, 0),
                        theirs.inverse_log_det_jacobian(y, 0), strict=True):
            assert np.array_equal(a, np.broadcast_to(e, a.shape))


@tfp_test
def test_parameters_of_every_form(tf, tfb):
    """A variable stays one, trainable or not; a transformed one becomes its value."""
    shift = from_tfp(tfb.Shift(tf.Variable([1.0, 2.0], trainable=False)))
    assert isinstance(shift.shift, Variable) and not shift.trainable_variables
    transformed = tf.Variable([0.5], dtype=tf.float64)
    util = pytest.importorskip("tensorflow_probability").util
    scale = from_tfp(tfb.Scale(util.DeferredTensor(transformed, tf.exp)))
    assert scale.dtype == np.float64 and np.array_equal(scale.scale, np.exp([0.5]))
    assert from_tfp(tfb.Shift(1.5)).dtype == np.float32  # as TFP reads a number
    assert tfp_twin(rgb.Shift(1.5)).dtype == tf.float32
    assert tfp_twin(rgb.Shift(1.5), np.float64).dtype == tf.float64
    assert tfp_twin(rgb.Shift(np.ones(2))).dtype == tf.float64
    twin = tfp_twin(rgb.Shift(Variable(np.ones(2), trainable=False)))
    assert len(twin.variables) == 1 and not twin.trainable_variables
    assert from_tfp(tfb.ScaleMatvecLU(tf.eye(3), [2, 0, 1])).dtype == np.float32


@tfp_test
def test_a_composition_in_disguise(tf, tfb):
    class Ours(rgb.Composition):
        def __init__(self):
            super().__init__(rgb.Chain([rgb.Exp(), rgb.Scale(2.0)]), name="mine", parameters={})

    class Theirs(tfb.Composition):
        def __init__(self):
            parameters = dict(locals())
            super().__init__(tfb.Chain([tfb.Exp(), tfb.Scale(2.0)]), name="mine",
                             parameters=parameters)
    x = np.float32([0.1, 0.2])
    assert difference(from_tfp(Theirs()).forward(x), Ours().forward(x)).relative < 1e-6
    assert difference(tfp_twin(Ours()).forward(x).numpy(), Ours().forward(x)).relative < 1e-6
    assert from_tfp(Theirs()).name == tfp_twin(Ours()).name == "mine"


# ---- networks written by the user in NumPy ------------------------------------------------------

class Sine(Network):
    """A layer that Keras does not have, with a parameter."""

    def __init__(self, dtype):
        self.gain = Variable(np.asarray(0.7), dtype=dtype)

    def __call__(self, x):
        return np.sin(self.gain.numpy() * x)

    def named_variables(self):
        yield "gain", self.gain


NUMPY_NETWORKS = {
    "function": lambda shape, output_chan=None, dtype=None: lambda x: np.tanh(
        x[..., :output_chan or shape[-1]]),
    "layer": lambda shape, output_chan=None, dtype=None: Sequential([Sine(dtype), ReLU()]),
    "bijector": lambda shape, output_chan=None, dtype=None: lambda x: rgb.SigmoidAffine(x, x**2),
    "one layer": lambda shape, output_chan=None, dtype=None: Conv2D(
        shape[-1], output_chan or shape[-1], 3, dtype=dtype),
    "named like Keras": lambda shape, output_chan=None, dtype=None: Sequential(
        {"conv2d_7": Conv2D(shape[-1], 3, 1, dtype=dtype), "more": Sequential(
            {"conv2d": Conv2D(3, output_chan or shape[-1], 1, "valid", dtype=dtype)})}),
}


@tfp_test
@pytest.mark.parametrize("network", NUMPY_NETWORKS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_glow_with_networks_of_every_form(tf, network, dtype):
    glow = rgb.Glow((4, 4, 1), 2, 1, NUMPY_NETWORKS[network], NUMPY_NETWORKS[network], seed=0,
                    dtype=dtype)
    randomize_weights(glow, np.random.default_rng(0))
    twin = tfp_twin(glow)
    z = np.random.default_rng(1).standard_normal((2, 16)).astype(dtype)
    bound = FLOAT64 if dtype == np.float64 else 1e-5
    assert difference(twin.forward(z).numpy(), glow.forward(z)).relative < bound
    assert not [v for v in twin.variables if "dtype_marker" in v.name]
    if network in ("one layer", "named like Keras"):
        assert set(param_names(twin)) == {v.name for v in glow.trainable_variables}


@tfp_test
def test_a_numpy_network_is_never_differentiated(tf):
    glow = rgb.Glow((4, 4, 1), 1, 1, lambda shape: np.tanh, None, (0.0,), False)
    twin, z = tfp_twin(glow), tf.ones((1, 16))
    with tf.GradientTape() as tape:
        tape.watch(z)
        with pytest.raises(NotImplementedError, match="neither trace nor differentiate"):
            twin.forward(z)
    with pytest.raises(NotImplementedError, match="neither trace nor differentiate"):
        tf.function(twin.forward)(z)


@tfp_test
def test_gradients_flow_through_rebuilt_networks(tf):
    glow = rgb.Glow((4, 4, 1), 2, 1, small_network, seed=0, dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(0))
    twin, z = tfp_twin(glow), tf.ones((2, 16), tf.float64)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(twin.forward(z) ** 2)
    gradients = tape.gradient(loss, twin.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    network = rgb.real_nvp_default_template([4], seed=0)
    network(np.ones((1, 2)), 3)
    real_nvp = tfp_twin(rgb.RealNVP(2, shift_and_log_scale_fn=network))
    x = tf.constant(np.random.default_rng(0).standard_normal(5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(real_nvp.forward(x) ** 2)
    gradients = tape.gradient(loss, real_nvp.trainable_variables)
    assert len(gradients) == 4 and all(np.any(gradient.numpy()) for gradient in gradients)


@tfp_test
@pytest.mark.parametrize("function", [
    dict(bijector_fn=lambda x0, n, gain=1.0: rgb.Scale(log_scale=gain * x0[..., :1])),
    dict(shift_and_log_scale_fn=lambda x0, n, gain=1.0: (gain * np.sin(x0[..., :1]), None)),
    dict(shift_and_log_scale_fn=lambda x0, n, gain=1.0: (x0[..., :n], np.tanh(x0[..., :1])))])
def test_real_nvp_with_a_numpy_function(tf, function):
    real_nvp = rgb.RealNVP(-2, **function)
    twin = tfp_twin(real_nvp)
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    assert_twins(real_nvp, twin, x, 1)
    assert difference(tfp_twin(real_nvp).forward(x, gain=0.5).numpy(),
                      real_nvp.forward(x, gain=0.5)).relative < FLOAT64


# ---- what has no counterpart --------------------------------------------------------------------

@tfp_test
def test_unknown_types_are_named(tf, tfb):
    class Special(rgb.Exp):
        pass

    class SpecialTFP(tfb.Exp):
        pass
    with pytest.raises(TypeError, match=r"no counterpart for tensorflow_probability.*Cumsum"):
        from_tfp(tfb.Chain([tfb.Exp(), tfb.Cumsum()]))
    with pytest.raises(TypeError, match=r"no counterpart for .*SpecialTFP"):
        from_tfp(SpecialTFP())
    with pytest.raises(TypeError, match=r"no counterpart for .*Special"):
        tfp_twin(rgb.Invert(Special()))
    with pytest.raises(TypeError, match=r"no counterpart for builtins.int"):
        from_tfp(3)
    with pytest.raises(TypeError, match=r"longdouble|float128"):
        tfp_twin(rgb.Shift(np.ones(2, np.longdouble)))


@tfp_test
def test_templates_that_cannot_be_rebuilt_say_why(tf):
    unbuilt = rgb.RealNVP(1, shift_and_log_scale_fn=rgb.real_nvp_default_template([3]))
    with pytest.raises(ValueError, match="no layers yet"):
        tfp_twin(unbuilt)
    other = rgb.RealNVP(1, shift_and_log_scale_fn=rgb.real_nvp_default_template(
        [3], activation=np.tanh))
    other.forward(np.ones((1, 2)))
    with pytest.raises(TypeError, match="activations relu and None"):
        tfp_twin(other)


@tfp_test
def test_a_converted_glow_cannot_build_more_networks(tf, tfb):
    glow = from_tfp(tfb.Glow((4, 4, 1), 1, 1, lambda shape: lambda x: x, None, (0.0,), False))
    with pytest.raises(TypeError, match="cannot build others"):
        glow.astype(np.float64)


@tfp_test
def test_astype_and_files_take_a_converted_glow(tf, tfb, tmp_path):
    import refglow as rg
    def small(input_shape):
        return tfb.GlowDefaultNetwork(input_shape, num_hidden=3)
    original = tfb.Glow((4, 4, 1), 2, 1, small, tfb.GlowDefaultExitNetwork)
    glow = from_tfp(original)
    randomize_weights(glow, np.random.default_rng(0))
    assert glow.astype(np.float64).dtype == np.float64
    rg.save(tmp_path / "glow.safetensors", glow)
    loaded = rg.load(tmp_path / "glow.safetensors")
    assert all(np.array_equal(loaded.state_dict()[name], value)
               for name, value in glow.state_dict().items())


def test_importing_needs_no_tensorflow():
    code = """
import sys
sys.modules["tensorflow"] = sys.modules["tensorflow_probability"] = None
import refglow.validation.tfp as tfp
from refglow.bijectors import Exp
for call in (tfp.from_tfp, tfp.tfp_twin, tfp.param_names, lambda x: tfp.to_tfp(x, x)):
    try:
        call(Exp())
    except ImportError as error:
        assert 'pip install "refglow[tfp]"' in str(error), error
    else:
        raise AssertionError("no ImportError")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
