"""Bad input gets a clear error and loses nothing: one row for each kind in the specification."""

import re
import warnings

import numpy as np
import pytest

import refglow as rg
from refglow.validation.random_models import randomize_weights

rgb = rg.bijectors


def network(input_shape, dtype=np.float32):
    return rgb.GlowDefaultNetwork(input_shape, num_hidden=3, dtype=dtype)


def glow(**arguments):
    defaults = dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=1,
                    coupling_bijector_fn=network, seed=0)
    return rgb.Glow(**(defaults | arguments))


def images(dtype=np.float32):
    return np.random.default_rng(0).random((3, 4, 8, 2)).astype(dtype)


# ---- sizes, fractions, counts -------------------------------------------------------------------

@pytest.mark.parametrize(("arguments", "message"), [
    (dict(output_shape=(6, 8, 2)), "height 6 must be divisible by 2^num_glow_blocks = 2^2 = 4, "
                                   "because each block halves it; 6 allows at most 1 block."),
    (dict(output_shape=(8, 10, 2)), "width 10 must be divisible by 2^num_glow_blocks = 2^2 = 4"),
    (dict(output_shape=(5, 8, 2)), "5 allows at most 0 blocks"),
    (dict(output_shape=(8, 8, 2), num_glow_blocks=4), "8 allows at most 3 blocks"),
    (dict(output_shape=(8, 8)), "three known positive sizes (H, W, C); got (8, 8)"),
    (dict(output_shape=(2, 8, 8, 1)), "three known positive sizes"),
    (dict(output_shape=(None, 8, 1)), "three known positive sizes"),
    (dict(output_shape=(8, 8, 0)), "three known positive sizes"),
    (dict(output_shape=(-8, 8, 1)), "three known positive sizes"),
    (dict(output_shape=(8.5, 8, 1)), "three known positive sizes"),
    (dict(output_shape=(8, np.inf, 1)), "three known positive sizes (H, W, C); got (8, inf, 1)"),
    (dict(num_glow_blocks=np.inf), "num_glow_blocks must be a whole number, at least 1; got inf"),
    (dict(output_shape=8), "three known positive sizes (H, W, C); got 8"),
    (dict(output_shape="abc"), "three known positive sizes (H, W, C); got abc"),
    (dict(num_glow_blocks=0), "num_glow_blocks must be a whole number, at least 1; got 0"),
    (dict(num_glow_blocks=-1), "got -1"), (dict(num_glow_blocks=1.5), "got 1.5"),
    (dict(num_glow_blocks=None), "got None"), (dict(num_glow_blocks="two"), "got 'two'"),
    (dict(num_steps_per_block=-1), "num_steps must be a whole number, at least 0; got -1"),
    (dict(num_steps_per_block=1.5), "got 1.5"), (dict(num_steps_per_block=None), "got None"),
    (dict(grab_after_block=(1.0, 0.0)), "grab_after_block[0] = 1.0 (after block 1 from the image, "
                                        "where 8 channels remain) takes all channels out"),
    (dict(grab_after_block=(0.5, 0.01)), "grab_after_block[1] = 0.01 (after block 2"),
])
def test_an_architecture_that_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        glow(**arguments)


def test_whole_numbers_of_other_types_are_taken():
    built = glow(output_shape=np.array([4, 8, 2]), num_glow_blocks=np.int64(2),
                 num_steps_per_block=np.int32(1), grab_after_block=np.array([0.5, 0.0]))
    assert built.blockwise_splits == glow().blockwise_splits
    assert glow(num_glow_blocks=2.0).blockwise_splits == glow().blockwise_splits


# ---- wrong shapes -------------------------------------------------------------------------------

@pytest.mark.parametrize("shape", [(4, 8), (8,), (), (3, 4, 8, 3), (3, 8, 4, 2), (3, 4, 8, 2, 1),
                                   (3, 4, 8, 0)])
@pytest.mark.parametrize("method", ["inverse", "inverse_log_det_jacobian", "inverse_and_log_det",
                                    "initialize"])
def test_images_of_another_shape_are_refused_naming_both(shape, method):
    built = glow()
    before = built.state_dict()
    with pytest.raises(ValueError, match=re.escape(
            f"glow: expected images of shape [..., 4, 8, 2]; got {list(shape)}")):
        getattr(built, method)(np.zeros(shape, np.float32))
    assert all(np.array_equal(before[name], value) for name, value in built.state_dict().items())


@pytest.mark.parametrize("shape", [(63,), (65,), (), (3, 1), (64, 3), (3, 4, 8, 2)])
@pytest.mark.parametrize("method", ["forward", "forward_log_det_jacobian", "split_latents"])
def test_latents_of_another_length_are_refused_naming_both(shape, method):
    with pytest.raises(ValueError, match=re.escape(
            f"glow: expected latents of shape [..., 64] (4 * 8 * 2); got {list(shape)}")):
        getattr(glow(), method)(np.zeros(shape, np.float32))


@pytest.mark.parametrize(("event_ndims", "error", "message"), [
    (0, ValueError, "event_ndims must be at least 1; got 0"), (-1, ValueError, "at least 1"),
    (3, ValueError, "at least 3 dimensions for one event; got shape (2, 64)"),
    (1.5, TypeError, "event_ndims must be integers like 1; got 1.5"),
    ("1", TypeError, "got '1'"), ([1], TypeError, "got [1]")])
def test_event_ndims_that_do_not_fit_are_refused(event_ndims, error, message):
    with pytest.raises(error, match=re.escape(message)):
        glow().forward_log_det_jacobian(np.zeros((2, 64), np.float32), event_ndims)


def test_further_dimensions_may_belong_to_the_event():
    built = glow(use_actnorm=False)
    z = np.random.default_rng(0).standard_normal((5, 2, 64)).astype(np.float32)
    each = built.forward_log_det_jacobian(z, 1)
    np.testing.assert_allclose(built.forward_log_det_jacobian(z, 2), each.sum(axis=1), rtol=1e-5)
    assert built.forward_log_det_jacobian(z, 3).shape == ()


# ---- networks -----------------------------------------------------------------------------------

def my_network(result):
    def net(x):
        return result(x) if callable(result) else result
    return net


@pytest.mark.parametrize(("result", "error", "message"), [
    (lambda x: x[..., :1], ValueError, "network net returned an array of shape [3, 2, 4, 1]; "
     "expected [3, 2, 4, 4] (additive coupling), [3, 2, 4, 8] (affine coupling) or a bijector"),
    (lambda x: np.concatenate([x] * 3, -1), ValueError, "returned an array of shape [3, 2, 4, 12]"),
    (lambda x: x[:, :1], ValueError, "shape [3, 1, 4, 4]"),
    (lambda x: x[0], ValueError, "shape [2, 4, 4]"), (lambda x: (x, x), ValueError, "[2, 3, 2, 4"),
    (lambda x: 0.0, ValueError, "shape []"), (None, TypeError, "net(x) must hold numbers; got a N"),
    ("text", TypeError, "net(x) must hold numbers"),
    (lambda x: x.astype(np.float64), TypeError, "computes in float32, but net(x) is float64. Cast "
     "it with net(x).astype('float32')"),
    (lambda x: rgb.Split(2), ValueError, "'split'"),
    (lambda x: rgb.Shift(np.zeros(4)), TypeError, "computes in float64")])
def test_a_network_output_of_no_known_form_is_refused_naming_it(result, error, message):
    built = glow(coupling_bijector_fn=lambda s: my_network(result), use_actnorm=False)
    with pytest.raises(error, match=re.escape(message)) as caught:
        built.inverse(images())
    if "net" in message:
        assert "glow_block step 0" in str(caught.value)


def test_an_exit_network_is_named_too():
    built = glow(exit_bijector_fn=lambda s, output_chan: my_network(lambda x: x[..., :1]))
    with pytest.raises(ValueError, match=r"exit_bijector: its network net returned"):
        built.inverse(images())


@pytest.mark.parametrize(("fn", "message"), [
    (3, "expected a function that builds a network for an input shape; got a int"),
    (network((2, 4, 4)), "expected a function that builds a network.*got a GlowDefaultNetwork"),
    (lambda s: None, "returned a NoneType, which cannot be called"),
    (lambda s: 3.0, "returned a float")])
def test_what_builds_no_network_is_refused(fn, message):
    with pytest.raises(TypeError, match=f"glow_block step 0: .*{message}"):
        glow(coupling_bijector_fn=fn)
    with pytest.raises(TypeError, match=f"exit_bijector: .*{message}"):
        glow(exit_bijector_fn=fn if not callable(fn) or isinstance(fn, rg.networks.Network) else (
            lambda s, output_chan: fn(s)))


def test_a_list_or_a_wider_batch_from_a_network_is_fine():
    built = glow(coupling_bijector_fn=lambda s: lambda x: x.tolist(), use_actnorm=False)
    np.testing.assert_allclose(built.forward(built.inverse(images())), images(), atol=1e-4)


def test_odd_channels_cannot_be_halved():
    block = rgb.GlowBlock((2, 2, 5), 1, lambda s: np.sin, False)
    with pytest.raises(ValueError, match="decides about 2 channels, but 3 are mapped"):
        block.inverse(np.ones((1, 2, 2, 5), np.float32))
    with pytest.raises(ValueError, match="needs at least 2 channels; got 1"):
        rgb.GlowBlock((2, 2, 1), 1, network)
    whole = rgb.GlowBlock((2, 2, 5), 1, lambda s: lambda x: rgb.Shift(x.sum(-1, keepdims=True)),
                          False)
    x = np.random.default_rng(0).random((2, 2, 2, 5)).astype(np.float32)
    np.testing.assert_allclose(whole.forward(whole.inverse(x)), x, atol=1e-5)


# ---- validate_args ------------------------------------------------------------------------------

@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_numbers_are_found_and_placed(bad):
    built = glow(validate_args=True)
    built.initialize(images())
    x, z = images(), np.zeros((2, 64), np.float32)
    x[2, 3, 5, 1] = z[1, 7] = bad
    for call, index in [(lambda: built.inverse(x), "(2, 3, 5, 1)"),
                        (lambda: built.inverse_log_det_jacobian(x, 3), "(2, 3, 5, 1)"),
                        (lambda: built.initialize(x), "(2, 3, 5, 1)"),
                        (lambda: built.forward(z), "(1, 7)"),
                        (lambda: built.forward_and_log_det(z, 1), "(1, 7)")]:
        with pytest.raises(ValueError, match=re.escape(
                f"holds 1 values that are NaN or infinite; the first is {bad} at index {index}")):
            call()


def test_without_validate_args_bad_numbers_pass():
    built = glow()
    built.initialize(images())
    x = images()
    x[1, 0, 0, 0] = np.nan
    z = built.inverse(x)
    assert np.isnan(z[1]).any() and np.isfinite(z[[0, 2]]).all()


OUTSIDE = [
    (rgb.Exp(validate_args=True), "y", [1.0, 0.0], "y must be positive; the least value is 0.0"),
    (rgb.Log(validate_args=True), "x", [1.0, -1.0], "must be positive; the least value is -1.0"),
    (rgb.Reciprocal(validate_args=True), "x", [1.0, 0.0], "elements of x must be non-zero"),
    (rgb.Reciprocal(validate_args=True), "y", [1.0, -0.0], "elements of y must be non-zero"),
    (rgb.Sigmoid(validate_args=True), "y", [0.5, 1.0], "strictly between 0.0 and 1.0"),
    (rgb.Sigmoid(-1.0, 2.0, validate_args=True), "y", [0.5, -1.0], "strictly between -1.0 and 2.0"),
    (rgb.Softplus(validate_args=True), "y", [1.0, 0.0], "y is outside the range"),
    (rgb.Softplus(low=2.0, validate_args=True), "y", [3.0, 2.0], "above 2.0"),
    (rgb.Softplus(-1.0, validate_args=True), "y", [-3.0, 2.0], "outside the range"),
    (rgb.Tanh(validate_args=True), "y", [0.5, -1.0], "strictly between -1 and 1"),
    (rgb.AbsoluteValue(validate_args=True), "y", [0.5, -1.0], "must not be negative.*-1.0"),
    (rgb.Pad(((1, 0),), constant_values=3.0, validate_args=True), "y", [0.5, 1.0],
     "does not hold the padding"),
]


@pytest.mark.parametrize(("bijector", "side", "value", "message"), OUTSIDE,
                         ids=lambda v: getattr(v, "name", None))
def test_values_outside_the_domain_are_refused_if_asked(bijector, side, value, message):
    one = map_of(bijector, side)
    wrapped = {"itself": bijector, "chain": rgb.Chain([bijector, rgb.Identity()]),
               "joint": rgb.JointMap([bijector])}
    if bijector.is_injective:
        wrapped |= {"inverted": rgb.Invert(bijector), "inverted twice": rgb.Invert(
            rgb.Invert(bijector)), "in a chain, inverted": rgb.Chain([rgb.Invert(bijector)])}
    for how, other in wrapped.items():
        swapped = how in ("inverted", "in a chain, inverted")
        methods = map_of(other, "x" if (side == "y") == swapped else "y")
        if not bijector.is_injective and how != "itself":
            continue
        given = [np.array(value)] if how == "joint" else np.array(value)
        for method in methods:
            with pytest.raises(ValueError, match=message):
                method(given)
    good = np.array(value)[:1] if bijector.name != "pad" else np.array([3.0, 1.0])
    for method in one:
        method(good)
    unchecked = type(bijector)(**(bijector.parameters | {"validate_args": False}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        map_of(unchecked, side)[0](np.array(value))


def map_of(bijector, side):
    """The methods that take x, or y."""
    if side == "x":
        return [bijector.forward, bijector.forward_log_det_jacobian]
    return [bijector.inverse, bijector.inverse_log_det_jacobian]


@pytest.mark.parametrize(("build", "message"), [
    (lambda: rgb.Scale(0.0, validate_args=True), "scale must not be zero"),
    (lambda: rgb.Scale(np.array([1.0, 0.0]), validate_args=True), "scale must not be zero"),
    (lambda: rgb.Sigmoid(2.0, 1.0, validate_args=True), "low must be below high"),
    (lambda: rgb.Sigmoid(low=1.0), "both low and high, or neither"),
    (lambda: rgb.Scale(1.0, log_scale=0.0), "scale or log_scale, not both"),
    (lambda: rgb.Permute([0, 0, 1]), "each of 0..n-1 once"),
    (lambda: rgb.Transpose([0, 2]), "permutation of 0..n-1"),
    (lambda: rgb.Transpose(), "exactly one of perm and rightmost_transposed_ndims"),
    (lambda: rgb.Reshape([2, 3], [7]), "hold different numbers of elements"),
    (lambda: rgb.Reshape([-1, -1], [6]), "at most one -1"),
    (lambda: rgb.Pad(((1, -1),)), "non-negative integers"),
    (lambda: rgb.Pad(((1, 1),), axis=[0]), "distinct negative"),
    (lambda: rgb.Pad(((1, 1),), mode="wrap"), "mode must be one of CONSTANT"),
    (lambda: rgb.Expand((2, 2, 6)), "6 channels cannot be moved into tiles of 2 x 2"),
    (lambda: rgb.Expand((2, 2, 4), block_size=0), "block_size must be a whole number, at least 1"),
    (lambda: rgb.Expand((2, 4)), "input_shape must be three known positive sizes"),
    (lambda: rgb.Squeeze((3, 4, 1)), "3 x 4 pixels cannot be cut into tiles of 2 x 2"),
])
def test_parameters_that_make_no_bijector_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("build", [
    lambda: rgb.Split([1.5, 2.5]), lambda: rgb.Split(2.0), lambda: rgb.Transpose([1.0, 0.0]),
    lambda: rgb.Blockwise([rgb.Exp(), rgb.Exp()], [1.5, 2.5]), lambda: rgb.Reshape([2.0, 3.0]),
    lambda: rgb.Permute([1.0, 0.0])])
def test_fractional_sizes_are_never_cut_off(build):
    with pytest.raises(TypeError, match="integer"):
        build()


@pytest.mark.parametrize(("bijector", "x", "message"), [
    (rgb.Reshape((2, 3), (6,)), np.ones((2, 5)), r"expected events of shape \(6,\), got \(5,\)"),
    (rgb.Reshape((4, -1)), np.ones((2, 6)), r"event of shape \(6,\) \(6 numbers\)"),
    (rgb.Permute([1, 0]), np.ones(3), "dimension -1 has 3 elements; the permutation has 2"),
    (rgb.Expand((2, 2, 4)), np.ones((2, 2, 8)), "expected events of shape"),
    (rgb.Transpose([1, 0]), np.ones(3), "at least 2 dimensions for one event; got shape"),
    (rgb.Shift(np.ones(3)), np.ones(2), "broadcast")])
def test_inputs_of_another_shape_are_refused(bijector, x, message):
    with pytest.raises(ValueError, match=message):
        bijector.forward(x)
    if "broadcast" not in message and "at least" not in message:
        with pytest.raises(ValueError, match=r"event|elements"):
            bijector.forward_event_shape(x.shape)


def test_a_parameter_that_would_enlarge_the_event_has_no_log_det():
    with pytest.raises(ValueError, match=r"changes the event shape from \(1,\) to \(3,\)"):
        rgb.Scale(np.ones(3)).forward_log_det_jacobian(np.ones(1), 1)


# ---- weights ------------------------------------------------------------------------------------

def test_a_zero_on_the_diagonal_of_any_step_is_named():
    built = glow(use_actnorm=False)
    variable = next(v for v in built.variables if v.name == "block0.step0.conv.lower_upper")
    broken = np.array(variable)
    broken[3, 3] = 0
    variable.assign(broken)
    for call in (lambda: built.inverse(images()), lambda: built.forward(np.zeros(64, np.float32))):
        with pytest.raises(ValueError, match=r"zero .* on its diagonal at channel 3"):
            call()


def test_states_that_do_not_fit_change_nothing():
    built = glow()
    randomize_weights(built, np.random.default_rng(0))
    before = built.state_dict()
    wrong = dict(before)
    wrong["block0.step0.actnorm.shift"] = np.zeros(3, np.float32)
    wrong["block9.step0.actnorm.shift"] = np.zeros(3, np.float32)
    del wrong["block1.step0.conv.permutation"]
    wrong["block0.step0.conv.permutation"] = np.zeros(16, np.int32)
    with pytest.raises(ValueError, match="nothing was changed") as error:
        built.load_state_dict(wrong)
    for line in ("missing: block1.step0.conv.permutation", "unknown: block9.step0.actnorm.shift",
                 "block0.step0.actnorm.shift", "permutation must hold each"):
        assert line in str(error.value)
    assert all(np.array_equal(before[name], value) for name, value in built.state_dict().items())


def test_seeds_that_are_none_are_refused():
    for seed, error in [("text", TypeError), (-1, ValueError), (1.5, TypeError)]:
        with pytest.raises(error):
            glow(seed=seed)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="num_blocks"):
        rgb.Glow(num_blocks=3)
