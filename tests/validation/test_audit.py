"""The audit: amplification against dense Jacobians, digits against balls, planted faults named."""

import re

import numpy as np
import pytest

from refglow.backend import use_backend
from refglow.bijectors import Glow
from refglow.validation.audit import audit, number_types
from refglow.validation.audit import truth as truth_module
from refglow.validation.audit.amplification import (
    amplifications,
    largest_singular_values,
    layer_gains,
)
from refglow.validation.audit.channels import coupling_of
from refglow.validation.audit.linearized import Linearized
from refglow.validation.audit.number_types import BFLOAT16, FLOAT16, FLOAT32, evaluated
from refglow.validation.audit.truth import true_values
from refglow.validation.audit.walk import tangent_through, through, trajectory
from refglow.validation.cases import additive_network, small_network
from refglow.validation.compare import difference
from refglow.validation.layers import layers_towards_latent
from refglow.validation.random_models import random_images, randomize_weights

SHAPE = (4, 4, 2)


def model(seed=0, dtype=np.float32, shape=SHAPE, network=small_network, **arguments):
    glow = Glow(shape, 2, 2, network, seed=seed, dtype=dtype, **arguments)
    randomize_weights(glow, np.random.default_rng(seed), gain=0.5)
    return glow


def images(count=4, dtype=np.float32, shape=SHAPE, seed=1):
    return random_images(np.random.default_rng(seed), count, shape).astype(dtype)


def change(glow, name, change_array):
    variable = dict(glow.named_variables())[name]
    array = variable.numpy().copy()
    change_array(array)
    variable.assign(array)


# ---- planted faults -----------------------------------------------------------------------------

def tiny_actnorm_scale(glow):
    change(glow, "block1.step0.actnorm.log_scale", lambda v: v.__setitem__(3, np.log(1e-8)))


def singular_matrix(glow):
    change(glow, "block0.step1.conv.lower_upper", lambda lu: lu.__setitem__((2, 2), 1e-8))


def closed_sigmoid(glow):
    def close(bias):
        bias[1] = np.log(1e-8) - 2
    change(glow, "block1.step1.coupling.conv3.bias", close)
    change(glow, "block1.step1.coupling.conv3.kernel", lambda kernel: kernel.__imul__(0.05))


def raw_scale_of_exit(value):
    def plant(glow):
        change(glow, "block1.exit.conv1.bias", lambda bias: bias.__setitem__(1, value))
        change(glow, "block1.exit.conv1.kernel", lambda kernel: kernel.__imul__(0.05))
    return plant


@pytest.mark.parametrize(("plant", "layer", "channel", "says"), [
    (tiny_actnorm_scale, "block1.step0.actnorm", 3, r"channel 3 by exp\(v\) as small as 1\.0e-08"),
    (singular_matrix, "block0.step1.conv", 2, "nearly singular: singular values from .*e-0[89]"),
    (closed_sigmoid, "block1.step1.coupling", 5,
     r"channel 5 by sigmoid\(r \+ 2\) as small as (9\.\de-09|1\.\de-08)"),
    (raw_scale_of_exit(90), "block1.exit", 5,
     r"data become infinite or NaN on the way to the latent; .* float32 ends at 3\.4e\+38"),
    (raw_scale_of_exit(-92), "block1.exit", 5,
     r"samples \(temperature 0\.7 and 1\) become infinite or NaN on the way to the image"),
], ids=["actnorm", "matrix", "sigmoid", "exit latent", "exit image"])
def test_planted_faults_are_named(plant, layer, channel, says):
    glow = model()
    plant(glow)
    found = audit(glow, images(), ball_seconds=0)
    assert not found.passed
    assert [finding.layer for finding in found.findings] == [layer]
    assert found.findings[0].channels[0] == channel
    assert re.search(says, found.findings[0].text)


@pytest.mark.parametrize("seed", range(4))
def test_healthy_models_have_no_finding(seed):
    network = additive_network if seed == 3 else small_network
    found = audit(model(seed, network=network), images(seed=seed), ball_seconds=0)
    assert found.passed
    assert not found.findings
    assert all(np.isfinite(layer.condition) for layer in found.layers)


def test_channels_that_are_constant_in_the_data():
    glow = model()
    data = images(8)
    data[..., 1] = 0.25 + 3e-5 * data[..., 1]
    glow.initialize(data)
    found = audit(glow, data, ball_seconds=0)
    [finding] = [one for one in found.findings if one.layer == "block1.step1.actnorm"]
    assert set(finding.channels) == {4, 5, 6, 7}  # both rows and columns of the image's channel 1
    assert "it is nearly constant" in finding.text


def test_weights_that_are_nan_are_named():
    glow = model()
    change(glow, "block1.exit.conv1.bias", lambda bias: bias.__setitem__(0, np.nan))
    found = audit(glow, images())
    assert not found.passed
    assert [finding.layer for finding in found.findings] == ["block1.exit"]
    assert "block1.exit.conv1.bias" in found.findings[0].text


def test_samples_far_from_data_are_explained_by_the_scales_they_meet():
    """With large random weights sampling leaves the data's range, and a network answers by 1e-5."""
    glow = Glow((8, 8, 2), 2, 2, small_network, seed=0)
    randomize_weights(glow, np.random.default_rng(0), gain=1.0)
    found = audit(glow, images(shape=(8, 8, 2)), ball_seconds=0)
    assert [trip.passed for trip in found.trips] == [True, True, False]
    assert found.findings[0].layer == "block1.step1.coupling"
    assert "sigmoid(r + 2) as small as" in found.findings[0].text
    assert "samples (temperature 1) leave all that data reach" in found.findings[0].text


# ---- amplification ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def walk():
    glow = model(dtype=np.float64, grab_after_block=(0.5, 0.5))
    layers = layers_towards_latent(glow)
    with use_backend("spec"):
        return layers, trajectory(layers, images(1, np.float64), True)


def dense(layers, places, first, last, to_latent):
    """The Jacobian of the walk between two places, by one jvp for each number."""
    size = places[0].size
    source = first if to_latent else last
    found = np.eye(size).reshape(size, *places[source].shape[1:])
    order = range(first, last) if to_latent else range(first, last)[::-1]
    for k in order:
        h = places[k if to_latent else k + 1]
        found = tangent_through(layers[k], np.broadcast_to(h, (size, *h.shape[1:])), found,
                                to_latent)
    return found.reshape(size, size).T


@pytest.mark.usefixtures("by_the_specification")
def test_jacobians_are_those_of_the_maps(walk):
    layers, places = walk
    for k, layer in enumerate(layers):
        h, step = places[k], 1e-6
        direction = np.random.default_rng(k).standard_normal(h.shape)
        moved = (through(layer, h + step * direction, True)
                 - through(layer, h - step * direction, True)) / (2 * step)
        jacobian = dense(layers, places, k, k + 1, True)
        np.testing.assert_allclose(jacobian @ direction.ravel(), moved.ravel(), rtol=0, atol=1e-7)


@pytest.mark.usefixtures("by_the_specification")
def test_gains_and_conditions_are_those_of_dense_jacobians(walk):
    layers, places = walk
    rng = np.random.default_rng(0)
    for k, layer in enumerate(layers):
        gains = layer_gains(layer, places[k], places[k + 1], rng)
        values = np.linalg.svd(dense(layers, places, k, k + 1, True), compute_uv=False)
        active = np.s_[...] if layer.channels is None else np.s_[..., :layer.channels]
        ratio = np.linalg.norm(places[k][active]) / np.linalg.norm(places[k + 1][active])
        if layer.channels is None:  # otherwise the others contribute singular values 1
            assert gains.to_latent == pytest.approx(values[0], rel=2e-3)
            assert gains.to_image == pytest.approx(1 / values[-1], rel=2e-3)
        assert gains.kappa_to_latent == pytest.approx(gains.to_latent * ratio)
        assert gains.kappa_to_image == pytest.approx(gains.to_image / ratio)


@pytest.mark.usefixtures("by_the_specification")
@pytest.mark.parametrize("to_latent", [True, False])
def test_amplification_is_that_of_products_of_jacobians(walk, to_latent):
    layers, places = walk
    count, rng = len(layers), np.random.default_rng(0)
    wanted = range(1, count + 1) if to_latent else range(count)
    found = amplifications(layers, places, to_latent, wanted, rng)
    assert sorted(found) == list(wanted)
    for place, amplification in found.items():
        first, last = (0, place) if to_latent else (place, count)
        exact = np.linalg.norm(dense(layers, places, first, last, to_latent), 2)
        assert amplification == pytest.approx(exact, rel=2e-3)
    some = amplifications(layers, places, to_latent, [wanted[2], wanted[-1]], rng)
    assert some == pytest.approx({place: found[place] for place in some}, rel=2e-3)


@pytest.mark.usefixtures("by_the_specification")
@pytest.mark.parametrize("same", [True, False])
def test_a_kept_jacobian_is_the_networks(same, monkeypatch):
    network = small_network((4, 4, 3), dtype=np.float64)
    randomize_weights_of(network)
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, 4, 4, 3))
    if same:
        x = np.broadcast_to(x[:1], x.shape)
    kept = Linearized(network)
    x_dot, y_bar = rng.standard_normal(x.shape), rng.standard_normal((3, 4, 4, 6))
    for _ in range(2):
        (y, y_dot), (y_too, pullback) = kept.jvp(x, x_dot), kept.vjp(x)
        expected, expected_dot = network.jvp(x, x_dot)
        x_bar, _ = network.vjp(x)[1](y_bar)
        for found, right in ((y, expected), (y_too, expected), (y_dot, expected_dot),
                             (pullback(y_bar)[0], x_bar)):
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-13)
        monkeypatch.setattr(type(network), "__call__", None)  # its values are known now
    assert pullback(y_bar)[1] == {}


def randomize_weights_of(network):
    rng = np.random.default_rng(1)
    for _, variable in network.named_variables():
        variable.assign(rng.standard_normal(variable.shape) / 3)


def test_bidiagonalization_of_known_matrices():
    rng = np.random.default_rng(0)
    matrices = [rng.standard_normal((5, 7)), np.zeros((5, 7)), 1e30 * rng.standard_normal((5, 7)),
                np.full((5, 7), np.nan)]
    found = largest_singular_values(lambda v: [m @ x for m, x in zip(matrices, v, strict=True)],
                                    lambda u: [m.T @ x for m, x in zip(matrices, u, strict=True)],
                                    list(rng.standard_normal((4, 7))))
    exact = [np.linalg.norm(m, 2) for m in matrices[:3]]
    np.testing.assert_allclose(found[:3], exact, rtol=1e-10)
    assert np.isnan(found[3])


# ---- digits -------------------------------------------------------------------------------------

@pytest.mark.parametrize("to_latent", [True, False])
def test_wide_floats_agree_with_balls_and_know_how_far(to_latent):
    pytest.importorskip("flint", reason="python-flint is not installed")
    glow = model()
    start = images(1) if to_latent else np.random.default_rng(0).standard_normal((1, 32))
    start = start.astype(np.float32)
    with use_backend("spec"):
        balls, wide = (true_values(glow, start, to_latent, seconds) for seconds in (60.0, 0.0))
    assert balls.method.startswith("ball arithmetic")
    assert wide.method in ("long double", "float64")
    for exact, other in zip(balls.places, wide.places, strict=True):
        assert difference(other, exact).relative <= 4 * wide.error + 2.0**-53


def test_errors_measured_are_those_against_balls_and_near_the_predicted():
    pytest.importorskip("flint", reason="python-flint is not installed")
    glow, data = model(2), images(1, seed=2)
    found = audit(glow, data)
    assert [truth.method for truth in found.truths] == ["ball arithmetic, 128 bits"] * 2
    with use_backend("spec"):
        exact = glow.astype(np.longdouble).inverse(data.astype(np.longdouble))
        mine = difference(glow.inverse(data), exact).relative
    own = found.surviving[0]
    assert (own.number_type.name, own.to_latent) == ("float32", True)
    assert own.measured[-1] == pytest.approx(mine, rel=1e-6)
    for one in found.surviving:
        predicted, measured = one.final_digits
        assert abs(predicted - measured) < 1


def test_half_precision_is_rounded_after_every_operation():
    """Against NumPy's own float16, which rounds inside convolutions too."""
    glow, data = model(3), images(1, seed=3)
    with use_backend("spec"):
        native = glow.astype(np.float16).inverse(data.astype(np.float16))
        emulated = evaluated(glow, FLOAT16, data, True)
        coarse = evaluated(glow, BFLOAT16, data, True)
        exact = trajectory(layers_towards_latent(glow), data, True)
    assert all(np.array_equal(h, FLOAT16.rounded(h)) for h in emulated)
    assert all(np.array_equal(h, BFLOAT16.rounded(h)) for h in coarse)
    errors = [difference(h, exact[-1]).relative for h in (
        native.astype(np.float64), emulated[-1], coarse[-1])]
    assert 0.2 < errors[1] / errors[0] < 5
    assert 2 < errors[2] / errors[1] < 32  # eps is 8 times as large


def test_networks_are_rounded_layer_by_layer():
    glow = model(3)
    layer = next(layer for layer in number_types._layers_in(glow, BFLOAT16)
                 if layer.name == "block1.step0.coupling")
    network = coupling_of(layer)._bijector_fn.network
    x = BFLOAT16.rounded(images(1, shape=(2, 2, 4)))
    expected = x
    with use_backend("spec"):
        for part in network._parts:
            expected = BFLOAT16.rounded(part(expected))
        np.testing.assert_array_equal(network(x), expected)
    assert len(network._parts) == 5


def test_number_types_round_as_their_names_say():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    numbers = np.concatenate([np.random.default_rng(0).standard_normal(999) * 10.0**np.arange(
        -37, 37).repeat(14)[:999], [0.0, -0.0, np.inf, -np.inf, np.nan, 7e4, 3.4e38]])
    numbers = numbers.astype(np.float32)
    with np.errstate(all="ignore"):
        for number_type, theirs in ((FLOAT16, np.float16), (BFLOAT16, ml_dtypes.bfloat16),
                                    (FLOAT32, np.float32)):
            np.testing.assert_array_equal(number_type.rounded(numbers),
                                          numbers.astype(theirs).astype(np.float32))


def test_without_flint_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(truth_module.importlib.util, "find_spec", lambda name: None)
    found = audit(model(), images(1))
    assert found.truths[0].method in ("long double", "float64")
    assert 'pip install "refglow[certify]"' in found.truths[0].why


def test_too_large_a_model_is_not_held_against_balls():
    pytest.importorskip("flint", reason="python-flint is not installed")
    with use_backend("spec"):
        found = true_values(model(), images(1), True, 1e-9)
    assert "ball arithmetic would take about" in found.why


def test_a_float64_model_is_audited_in_its_own_type():
    found = audit(model(dtype=np.float64), images(2, np.float64), ball_seconds=0)
    assert found.passed
    assert [one.number_type.name for one in found.surviving[:4]] == [
        "float64", "float32", "float16", "bfloat16"]
    assert found.surviving[0].final_digits[1] > 13
    assert found.trips[0].error < 1e-13


@pytest.mark.parametrize("bad", [np.zeros((0, 4, 4, 2), np.float32),
                                 np.full((1, 4, 4, 2), np.nan, np.float32),
                                 np.zeros((4, 4, 2), np.float32),
                                 np.zeros((1, 4, 4, 3), np.float32)])
def test_images_that_do_not_fit_are_refused(bad):
    with pytest.raises(ValueError, match="images"):
        audit(model(), bad)


def test_a_model_without_actnorm_statistics_is_refused():
    with pytest.raises(ValueError, match="initialize"):
        audit(Glow(SHAPE, 1, 1, small_network), images(1))
