"""A trace is the model: its stages compose to it, and every number in it is held against others."""

import numpy as np
import pytest
from glows import OPTIONS, glow_of, images_of, start_of

import refglow as rg
from refglow.backend import use_backend
from refglow.bijectors import Glow, Scale
from refglow.distributions import Normal
from refglow.explain import trace
from refglow.explain.conditions import EXACT, NO_DERIVATIVES, WHERE_FINITE
from refglow.training.dequantize import bits_per_dim
from refglow.training.model import distribution_of
from refglow.validation.cases import small_network

DIRECTIONS = ("inverse", "forward")
DTYPES = (np.float64, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_the_stages_compose_to_the_glow(option, direction, dtype):
    glow = glow_of(option, dtype)
    start = start_of(glow, direction)
    found = trace(glow, start, direction, conditions=False)
    with use_backend("spec"):
        whole = glow.inverse_and_log_det if direction == "inverse" else glow.forward_and_log_det
        result, log_det = whole(start)
    assert found.result.dtype == dtype
    assert np.array_equal(found.result, result)
    for before, after in zip([None, *found.stages], found.stages, strict=False):
        assert np.array_equal(after.input, start if before is None else before.output)
    np.testing.assert_allclose(found.log_det, log_det, rtol=4 * np.finfo(dtype).eps, atol=1e-12)
    np.testing.assert_allclose(sum(stage.log_det for stage in found), found.log_det, rtol=1e-13)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("option", ["default", "uneven exits", "one channel", "additive"])
def test_each_stage_inverts_by_its_namesake_and_so_does_its_log_det(option, direction):
    glow = glow_of(option)
    found = trace(glow, start_of(glow, direction), direction, conditions=False)
    back = trace(glow, found.result, DIRECTIONS[direction == "inverse"], conditions=False)
    for stage, other in zip(found.stages, back.stages[::-1], strict=True):
        assert stage.name == other.name and stage.kind == other.kind
        np.testing.assert_allclose(other.output, stage.input, rtol=0, atol=1e-12)
        np.testing.assert_allclose(other.log_det, -stage.log_det, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(other.condition, stage.condition)


@pytest.mark.parametrize("option", OPTIONS)
def test_stages_are_named_as_parameters_are(option):
    glow = glow_of(option)
    names = trace(glow, images_of(glow), conditions=False).names
    assert len(set(names)) == len(names)
    for parameter in glow.state_dict():
        place = ".".join(parameter.split(".")[:2 if ".exit." in parameter else 3])
        assert place in names
    blocks = len(glow.blockwise_splits)
    assert [name for name in names if name.endswith("squeeze")] == [
        f"block{i}.squeeze" for i in reversed(range(blocks))]
    assert names[-1] == "latents"


# ---- bits per dimension ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("n_bits", [5, 8])
def test_bits_per_dim_end_at_those_of_training(direction, dtype, n_bits):
    glow = glow_of("default", dtype)
    found = trace(glow, start_of(glow, direction), direction, n_bits=n_bits, conditions=False)
    images = found.start if direction == "inverse" else found.result
    with use_backend("spec"):
        log_prob = distribution_of(glow).log_prob(images)
    expected = bits_per_dim(log_prob, images[0].size, n_bits)
    np.testing.assert_allclose(found.bits_per_dim, expected,
                               rtol=1e-13 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_running_bits_per_dim_are_what_the_text_says(direction):
    glow = glow_of("uneven exits")
    found = trace(glow, start_of(glow, direction), direction, conditions=False)
    size = found.start[0].size
    places = [found.start, *(stage.output for stage in found.stages)]
    runnings = [found.started, *(stage.running for stage in found.stages)]
    sums = np.zeros(len(found.start))
    for k, (h, running) in enumerate(zip(places, runnings, strict=True)):
        if k:
            sums = sums + found.stages[k - 1].log_det
        scored = (h if direction == "inverse" else found.start).reshape(len(h), -1)
        log_normal = -(scored**2).sum(axis=1) / 2 - size * np.log(2 * np.pi) / 2
        sign = 1 if direction == "inverse" else -1
        np.testing.assert_allclose(running.total, 8 - (log_normal + sign * sums)
                                   / (size * np.log(2)), rtol=1e-12)
        np.testing.assert_allclose(running.total, 8 + running.prior + running.log_dets, rtol=1e-13)
    assert np.ptp([running.total[0] for running in runnings]) > 0.1


# ---- conditions ------------------------------------------------------------------------------


def dense_condition(found, k, example):
    """cond(dy/dx) on the active channels, from a Jacobian of central differences."""
    stage, layer, step = found.stages[k], found.layers[k], 1e-6
    carried = stage.shape_out[-1] - stage.active if len(stage.shape_out) == 3 else 0
    expands = stage.shape_in[:1] < stage.shape_out[:1] and len(stage.shape_in) == 3
    if expands:
        carried *= 4
    elif stage.kind == "squeeze":
        carried //= 4
    kept = stage.shape_in[-1] - carried
    h = stage.input[example]
    moves = step * np.eye(h[..., :kept].size).reshape(-1, *h.shape[:-1], kept)
    moves = np.concatenate([moves, np.zeros((len(moves), *h.shape[:-1], carried))], axis=-1)
    ends = [through(layer, h + move, found.to_latent) for move in (moves, -moves)]
    active = slice(stage.active if len(stage.shape_out) == 3 else None)
    columns = ((ends[0] - ends[1]) / (2 * step))[..., active].reshape(len(moves), -1)
    values = np.linalg.svd(columns, compute_uv=False)
    return values[0] / values[-1]


def through(layer, h, to_latent):
    """As the Glow goes through a layer: on its channels, the others as they are."""
    channels = h.shape[-1] if layer.channels is None else layer.channels
    with use_backend("spec"):
        part = (layer.bijector.inverse if to_latent else layer.bijector.forward)(h[..., :channels])
    return np.concatenate([part, h[..., channels:]], axis=-1) if h.shape[-1] > channels else part


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("option", ["default", "uneven exits", "all exit", "one channel",
                                    "no actnorm", "additive"])
def test_conditions_are_those_of_dense_jacobians(option, direction):
    glow = glow_of(option, seed=3)
    found = trace(glow, start_of(glow, direction, 2), direction)
    kinds = {}
    for k, stage in enumerate(found.stages):
        if stage.kind in kinds and stage.kind in ("actnorm", "conv", "squeeze"):
            continue
        kinds[stage.kind] = stage
        expected = [dense_condition(found, k, example) for example in range(2)]
        assert stage.condition == pytest.approx(expected, rel=1e-2), stage.name
        assert stage.condition_how == EXACT or stage.kind in ("coupling", "exit")
    couplings = [stage for stage in found if stage.kind == "coupling"]
    assert any(stage.condition[0] != stage.condition[1] for stage in couplings)


def test_a_condition_that_is_not_a_number_says_why():
    glow = glow_of("default")
    images = images_of(glow)
    images[1, 2, 3, 0] = np.inf
    stage = trace(glow, images).at("block1.step1.coupling")
    assert np.isnan(stage.condition[1]) and np.isfinite(stage.condition[[0, 2]]).all()
    assert stage.condition_how == WHERE_FINITE


def test_a_network_without_derivatives_has_no_measured_condition():
    glow = glow_of("no derivatives")
    found = trace(glow, images_of(glow))
    for stage in found:
        if stage.kind == "coupling":
            assert np.isnan(stage.condition).all()
            assert stage.condition_how == NO_DERIVATIVES
        elif stage.kind != "exit":
            assert np.isfinite(stage.condition).all()
    assert "-" in repr(found)


# ---- statistics and words --------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_statistics_are_of_the_channels_that_have_not_exited(direction):
    glow = glow_of("uneven exits")
    found = trace(glow, start_of(glow, direction), direction, conditions=False)
    for stage in found:
        if stage.name == "latents":
            continue
        leave, grab, passed = glow.blockwise_splits[int(stage.name[5])]
        active = (stage.shape_out[-1] - passed // 4
                  if stage.kind == "squeeze" and direction == "forward" else leave + grab)
        numbers = stage.output[..., :active]
        assert stage.active == active
        one = stage.statistics
        assert (one.least, one.largest) == (numbers.min(), numbers.max())
        assert one.mean == pytest.approx(numbers.mean())
        assert one.deviation == pytest.approx(numbers.std())
        assert one.channel_least == tuple(numbers.min(axis=(0, 1, 2)))
        assert one.channel_largest == tuple(numbers.max(axis=(0, 1, 2)))
        assert (numbers[..., one.largest_channel].max(), numbers[..., one.least_channel].min()) == (
            one.largest, one.least)


def test_numbers_that_are_not_finite_are_counted():
    glow = glow_of("default")
    x = images_of(glow)
    x[0, 3, 2, 1], x[0, 0, 0, 0], x[1, 0, 0, 0] = np.inf, -np.inf, np.nan
    found = trace(glow, x)
    first = found.stages[0].statistics
    assert first.not_finite == 3
    assert np.isfinite([first.least, first.largest, first.mean, *first.channel_least]).all()
    assert found.stages[-1].statistics.not_finite > 1
    assert np.isfinite(found.bits_per_dim).tolist() == [False, False, True]
    assert "not finite" in repr(found)


def test_words_say_which_form_a_coupling_has():
    for option, maths in (("default", "s = sigmoid(r + 2)"), ("additive", "[a | b + t]"),
                          ("bijectors", "h = network(a)")):
        glow = glow_of(option)
        assert maths in trace(glow, images_of(glow), conditions=False).at(
            "block1.step0.coupling").maths
    glow = glow_of("uneven exits")
    found = trace(glow, images_of(glow), conditions=False)
    assert found.at("block1.exit").words.startswith("The last 2 channels, b, exit")
    assert "the 6 that stay" in found.at("block1.exit").words
    assert "No channel exits" in trace(*case("no exits"), conditions=False).at("block1.exit").words
    assert "All 16 channels exit" in trace(*case("all exit"), conditions=False).at(
        "block0.exit").words


def case(option):
    glow = glow_of(option)
    return glow, images_of(glow)


# ---- the public name ---------------------------------------------------------------------------


def test_it_is_public_and_prints_as_a_table():
    glow, x = case("default")
    found = rg.trace(glow, x[0])
    assert rg.trace is trace and "trace" in rg.__all__
    assert found.start.shape == (1, 8, 4, 2)
    lines = repr(found).splitlines()
    assert lines[0] == "Trace, inverse (image to latent), 1 example"
    assert [line.split()[0] for line in lines[3:-1]] == list(found.names)
    assert f"{found.bits_per_dim[0]:.4f} bits/dim" in lines[-1]
    assert str(round(found.stages[2].running.total[0], 4)) in lines[5]


def test_a_long_trace_prints_short():
    glow = Glow((4, 4, 2), 1, 12, small_network, seed=0, use_actnorm=False)
    lines = repr(trace(glow, images_of(glow), conditions=False)).splitlines()
    assert len(lines) < 30 and "... 3 more" in lines


def test_a_trace_changes_nothing():
    glow, x = case("default")
    before, copy = glow.state_dict(), x.copy()
    trace(glow, x)
    assert np.array_equal(x, copy)
    assert all(np.array_equal(before[name], array) for name, array in glow.state_dict().items())


@pytest.mark.parametrize(("name", "message"), [
    ("block1.step3.couplin", "no stage 'block1.step3.couplin'. Nearest are block1.step"),
    ("zzz", "Stages are called block1.squeeze, ")])
def test_an_unknown_stage_is_answered_by_those_that_are_near(name, message):
    found = trace(*case("default"), conditions=False)
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        found.at(name)


def test_names_of_the_audit_are_understood():
    found = trace(*case("default"), conditions=False)
    assert found.at("block1.expand") is found.at("block1.squeeze")
    assert found.at("reshape") is found.at("latents")


@pytest.mark.parametrize(("x", "direction", "kind", "message"), [
    (np.zeros((8, 4, 3)), "inverse", ValueError, "8, 4, 2"),
    (np.zeros((2, 2, 8, 4, 2)), "inverse", ValueError, r"\[B, H, W, C\]"),
    (np.zeros((0, 8, 4, 2)), "inverse", ValueError, "B at least 1"),
    (np.zeros(63), "forward", ValueError, "64"),
    (np.zeros((8, 4, 2)), "backward", ValueError, "'backward'"),
    (np.zeros((8, 4, 2), np.float32), "inverse", TypeError, "float32"),
    (np.zeros((8, 4, 2), complex), "inverse", TypeError, "real floating")])
def test_what_cannot_be_traced_is_refused(x, direction, kind, message):
    with pytest.raises(kind, match=message):
        trace(glow_of("default"), x, direction)


@pytest.mark.parametrize("other", ["model.safetensors", Scale(2.0), Normal(0.0, 1.0)])
def test_only_a_glow_can_be_traced(other):
    with pytest.raises(TypeError, match=f"a Glow of refglow; got {type(other).__name__}"):
        trace(other, np.zeros((8, 4, 2)))


def test_actnorms_must_have_been_initialised():
    glow = Glow((4, 4, 2), 1, 1, small_network, seed=0)
    with pytest.raises(ValueError, match="a trace was asked for before"):
        trace(glow, np.zeros((4, 4, 2), np.float32))
