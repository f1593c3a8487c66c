"""State: what a model's arrays are called, and that loading them is all or nothing."""

import re

import numpy as np
import pytest

import refglow as rg
from refglow.validation.random_models import randomize_weights

tfb = rg.bijectors


def small_coupling(input_shape, dtype=np.float32, seed=None):
    return tfb.GlowDefaultNetwork(input_shape, num_hidden=5, dtype=dtype, seed=seed)


def small_glow(seed=0, **kwargs):
    arguments = dict(output_shape=(4, 8, 3), num_glow_blocks=2, num_steps_per_block=2,
                     coupling_bijector_fn=small_coupling, seed=seed)
    glow = tfb.Glow(**arguments | kwargs)
    randomize_weights(glow, np.random.default_rng(seed))
    return glow


def assert_same_state(a, b):
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and np.array_equal(a[name], b[name])


def test_names():
    steps = [f"block{i}.step{j}.{part}" for i in range(2) for j in range(2) for part in [
        "actnorm.shift", "actnorm.log_scale", "actnorm.initialized", "conv.lower_upper",
        "conv.permutation", "coupling.conv1.kernel", "coupling.conv1.bias", "coupling.conv2.kernel",
        "coupling.conv2.bias", "coupling.conv3.kernel", "coupling.conv3.bias"]]
    exits = ["block1.exit.conv1.kernel", "block1.exit.conv1.bias"]
    assert sorted(small_glow().state_dict()) == sorted(steps + exits)


def test_variables_and_state_name_the_same_arrays():
    glow = small_glow()
    state = glow.state_dict()
    assert [v.name for v in glow.variables] == list(state)
    for variable in glow.variables:
        assert variable.numpy() is state[variable.name]
    untrained = {v.name.rsplit(".", 1)[1] for v in glow.variables if not v.trainable}
    assert untrained == {"initialized", "permutation"}
    assert [v.name for v in glow.variables if v.trainable] == [
        v.name for v in glow.trainable_variables]


def test_assigning_through_a_handle_changes_the_model():
    glow, x = small_glow(), np.random.default_rng(3).random((2, 4, 8, 3), dtype=np.float32)
    before = glow.inverse(x)
    handle = next(v for v in glow.variables if v.name == "block0.step1.actnorm.shift")
    handle.assign(handle + 1)
    assert np.array_equal(glow.state_dict()[handle.name], handle.numpy())
    assert not np.allclose(glow.inverse(x), before)


def test_loading_a_state_makes_the_same_function():
    glow, other = small_glow(0), small_glow(1)
    x = np.random.default_rng(3).random((2, 4, 8, 3), dtype=np.float32)
    assert not np.allclose(glow.inverse(x), other.inverse(x))
    other.load_state_dict(glow.state_dict())
    assert_same_state(glow.state_dict(), other.state_dict())
    assert np.array_equal(glow.inverse(x), other.inverse(x))


def test_a_state_is_a_snapshot():
    glow = small_glow()
    state = glow.state_dict()
    kept = {name: array.copy() for name, array in state.items()}
    writable = {name: array.copy() for name, array in state.items()}
    randomize_weights(glow, np.random.default_rng(9))
    assert_same_state(state, kept)
    glow.load_state_dict(writable)
    for array in writable.values():
        array[...] = 0
    assert_same_state(glow.state_dict(), kept)


def test_nan_is_a_value():
    glow = small_glow()
    state = glow.state_dict() | {"block0.step0.actnorm.shift": np.full(24, np.nan)}
    glow.load_state_dict(state)
    assert np.isnan(glow.state_dict()["block0.step0.actnorm.shift"]).all()


def test_everything_wrong_is_listed_and_nothing_changed():
    glow = small_glow(0)
    before = glow.state_dict()
    state = dict(small_glow(1).state_dict())
    del state["block0.step0.actnorm.shift"], state["block1.exit.conv1.bias"]
    state["stranger"] = np.zeros(2)
    state["block0.step1.conv.lower_upper"] = np.zeros((2, 2), np.float32)
    state["block1.step0.coupling.conv1.bias"] = np.zeros(5, np.complex64)
    state["block1.step1.conv.permutation"] = np.zeros(12, np.int32)
    state["block1.step0.conv.permutation"] = np.arange(12) + 0.0
    with pytest.raises(ValueError, match="nothing was changed") as caught:
        glow.load_state_dict(state)
    for line in ["missing: block0.step0.actnorm.shift", "missing: block1.exit.conv1.bias",
                 "unknown: stranger", r"block0.step1.conv.lower_upper.*\(2, 2\)",
                 "block1.step0.coupling.conv1.bias.*complex64",
                 r"permutation must hold each of 0\.\.n-1 once",
                 "block1.step0.conv.permutation.*float64"]:
        assert re.search(line, str(caught.value))
    assert_same_state(glow.state_dict(), before)


@pytest.mark.parametrize("bad", [
    lambda p: np.zeros_like(p), lambda p: p + 1, lambda p: p - 1, lambda p: p.astype(float),
    lambda p: p + np.int64(2)**32])
def test_a_permutation_is_replaced_by_permutations_only(bad):
    glow = small_glow()
    before, name = glow.state_dict(), "block0.step0.conv.permutation"
    with pytest.raises(ValueError, match="permutation"):
        glow.load_state_dict(before | {name: bad(before[name])})
    assert_same_state(glow.state_dict(), before)
    turned = before[name][::-1]
    glow.load_state_dict(before | {name: turned})
    assert np.array_equal(glow.state_dict()[name], turned)


def test_states_of_other_bijectors():
    chain = tfb.Chain([tfb.Shift(rg.Variable([1.0, 2.0])), tfb.Scale(rg.Variable([3.0, 4.0]))])
    state = chain.state_dict()
    chain.load_state_dict({name: array + 1 for name, array in state.items()})
    assert chain.forward(np.ones(2)).tolist() == [4 + 2, 5 + 3]
    tfb.Identity().load_state_dict({})
    with pytest.raises(ValueError, match="unknown: a"):
        tfb.Identity().load_state_dict({"a": 1.0})
