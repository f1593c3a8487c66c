"""Model files: round trips for many architectures, and what load and save refuse."""

import itertools
import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import refglow as rg
from refglow.bijectors.architecture import architecture_of, networks_of
from refglow.networks import Conv2D, Dense, ReLU, Sequential
from refglow.validation.random_models import randomize_weights

tfb = rg.bijectors


def default(input_shape, dtype=np.float32, seed=None):
    return tfb.GlowDefaultNetwork(input_shape, num_hidden=4, dtype=dtype, seed=seed)


def additive(input_shape, dtype=np.float32):
    c = input_shape[-1]
    return Sequential({"first": Conv2D(c, 3, (3, 1), dtype=dtype), "relu": ReLU(),
                       "last": Conv2D(3, c, 1, "valid", dtype=dtype)})


def dense(input_shape, dtype=np.float32):
    c = input_shape[-1]
    return Sequential([Dense(c, 7, dtype=dtype), ReLU(), Dense(7, 2 * c, dtype=dtype)])


def nested(input_shape, dtype=np.float32):
    c = input_shape[-1]
    return Sequential({"inner": Sequential([default(input_shape, dtype), ReLU()]),
                       "out": Conv2D(2 * c, c, 1, dtype=dtype)})


def single_layer(input_shape, dtype=np.float32):
    return Conv2D(input_shape[-1], 2 * input_shape[-1], 3, dtype=dtype)


def with_numpy_sizes(input_shape):
    return tfb.GlowDefaultNetwork(np.array(input_shape), np.int64(3), (1, np.int64(3)))


def taking_turns():
    """A function whose networks differ from step to step."""
    turn = itertools.count()

    def network_fn(input_shape, dtype=np.float32):
        return (default, additive, dense, nested)[next(turn) % 4](input_shape, dtype)
    return network_fn


def additive_exit(input_shape, output_chan, dtype=np.float32):
    return Sequential([Conv2D(input_shape[-1], output_chan, 3, dtype=dtype)])


def exits_by_size(input_shape, output_chan, dtype=np.float32):
    """The default network for the finest exit, an additive one elsewhere, in disguise: the default
    network for half the channels returns as many as exit."""
    if input_shape[0] == 4:
        return tfb.GlowDefaultExitNetwork(input_shape, output_chan, dtype=dtype)
    return tfb.GlowDefaultExitNetwork(input_shape, output_chan // 2, kernel_shape=1, dtype=dtype)


ONE_NETWORK = Conv2D(4, 8, 1)

ARCHITECTURES = {
    "small": dict(),
    "float64": dict(dtype=np.float64),
    "default functions": dict(coupling_bijector_fn=None, num_glow_blocks=1, num_steps_per_block=1),
    "no actnorm": dict(use_actnorm=False),
    "additive": dict(coupling_bijector_fn=additive, exit_bijector_fn=additive_exit),
    "dense, named, checked": dict(coupling_bijector_fn=dense, name="Glühwein", validate_args=True),
    "nested": dict(coupling_bijector_fn=nested, dtype=np.float64),
    "single layers": dict(coupling_bijector_fn=single_layer),
    "networks take turns": dict(coupling_bijector_fn=taking_turns, num_steps_per_block=3),
    "exits differ": dict(exit_bijector_fn=exits_by_size),
    "NumPy sizes": dict(output_shape=np.array([8, 4, 3]), num_steps_per_block=np.int64(1),
                        coupling_bijector_fn=with_numpy_sizes),
    "odd fractions": dict(grab_after_block=(0.3, 0.0), num_steps_per_block=1),
    "an exit in one place": dict(grab_after_block=(0.25, 1.0)),
    "no steps": dict(num_steps_per_block=0),
    "neither steps nor exits": dict(num_steps_per_block=0, grab_after_block=(0, 0)),
    "one network everywhere": dict(output_shape=(8, 4, 2), num_glow_blocks=1,
                                   num_steps_per_block=3,
                                   coupling_bijector_fn=lambda shape: ONE_NETWORK),
}


def build(case="small", seed=0):
    arguments = dict(output_shape=(8, 4, 3), num_glow_blocks=2, num_steps_per_block=2,
                     coupling_bijector_fn=default, seed=seed) | ARCHITECTURES[case]
    if arguments["coupling_bijector_fn"] is taking_turns:
        arguments["coupling_bijector_fn"] = taking_turns()
    glow = tfb.Glow(**arguments)
    randomize_weights(glow, np.random.default_rng(seed), gain=0.5)
    return glow


def assert_same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes()


def shapes_of_classes(network):
    """The classes of a network and of all its layers."""
    return type(network), [shapes_of_classes(part) for part in getattr(network, "submodules", ())]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_round_trip(case, path):
    glow = build(case)
    rg.save(path, glow)
    loaded = rg.load(path)
    assert_same_state(glow, loaded)
    assert architecture_of(loaded) == architecture_of(glow)
    assert loaded.blockwise_splits == glow.blockwise_splits
    assert (loaded.name, loaded.dtype, loaded.validate_args) == (
        glow.name, glow.dtype, glow.validate_args)
    for before, after in zip(networks_of(glow), networks_of(loaded), strict=True):
        assert list(map(shapes_of_classes, before)) == list(map(shapes_of_classes, after))
    x = np.random.default_rng(1).random((2, *loaded.parameters["output_shape"])).astype(glow.dtype)
    (z, ildj), (loaded_z, loaded_ildj) = glow.inverse_and_log_det(x), loaded.inverse_and_log_det(x)
    assert np.array_equal(z, loaded_z) and np.array_equal(ildj, loaded_ildj)
    assert np.array_equal(glow.forward(z), loaded.forward(z))
    second = path.with_name("second")
    rg.save(second, loaded)
    assert second.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("case", ARCHITECTURES)
def test_the_architecture_knows_the_state(case):
    glow = build(case)
    assert list(architecture_of(glow).state()) == [
        (variable.name, variable.shape, variable.dtype) for variable in glow.variables]


def test_a_loaded_models_arguments_build_it_again(path):
    rg.save(path, build("networks take turns"))
    loaded = rg.load(path)
    again = tfb.Glow(**loaded.parameters)
    again.load_state_dict(loaded.state_dict())
    assert_same_state(again, loaded)


def test_flags_travel(path):
    glow = build()
    flags = [v for v in glow.variables if v.name.endswith("initialized")]
    flags[1].assign(False)
    rg.save(path, glow)
    assert [bool(v) for v in rg.load(path).variables if v.name.endswith("initialized")] == [
        True, False, True, True]


def test_weights_that_are_not_finite_travel(path):
    glow = build()
    glow.trainable_variables[0].assign(np.full(glow.trainable_variables[0].shape, np.nan))
    glow.trainable_variables[1].assign(np.full(glow.trainable_variables[1].shape, -np.inf))
    rg.save(path, glow)
    assert_same_state(rg.load(path), glow)


def test_what_is_in_the_file(path):
    glow = build("additive")
    rg.save(path, glow)
    arrays = load_file(path)
    assert arrays.keys() == glow.state_dict().keys()
    assert {array.dtype.name for array in arrays.values()} == {"float32", "int32", "bool"}
    with safe_open(path, framework="numpy") as file:
        assert file.metadata().keys() == {"refglow.glow"}
        declared = json.loads(file.metadata()["refglow.glow"])
    assert declared["format_version"] == 1 and declared["output_shape"] == [8, 4, 3]
    assert len(declared["coupling"]) == 4  # the blocks have different channels
    assert declared["coupling"][0]["layers"]["first"] == {
        "class": "Conv2D", "in_channels": 12, "filters": 3, "kernel_size": [3, 1],
        "padding": "same", "kernel_initializer": "zeros"}


def test_networks_alike_are_described_once(path):
    rg.save(path, build("odd fractions"))
    with safe_open(path, framework="numpy") as file:
        declared = json.loads(file.metadata()["refglow.glow"])
    assert declared["coupling"] == {"class": "GlowDefaultNetwork", "num_hidden": 4,
                                    "kernel_shape": 3}
    assert declared["exit"] == {"class": "GlowDefaultExitNetwork", "kernel_shape": 3}


def test_paths_are_strings_or_path_likes(tmp_path, monkeypatch):
    glow = build()
    rg.save(str(tmp_path / "a"), glow)
    assert_same_state(rg.load(tmp_path / "a"), glow)
    monkeypatch.chdir(tmp_path)
    rg.save("b", glow)
    assert_same_state(rg.load("b"), glow)


# ---- networks that are not refglow's -----------------------------------------------------------

class OwnNetwork:
    """What users write: knows nothing of refglow's base class."""

    def __init__(self, input_shape, dtype=np.float32):
        self.inner = default(input_shape, dtype)

    def __call__(self, x):
        return self.inner(x)

    def named_variables(self):
        return self.inner.named_variables()


class ReLUInDisguise(ReLU):
    """A subclass: another function under a similar name."""

    def __call__(self, x):
        return x * x


ReLUInDisguise.__name__ = "ReLU"


@pytest.mark.parametrize(("network_fn", "named"), [
    (OwnNetwork, "OwnNetwork"), (lambda shape: np.tanh, "tanh"),
    (lambda shape: Sequential([Conv2D(shape[-1], shape[-1], 1), ReLUInDisguise()]), "Sequential")])
def test_other_networks_cannot_be_saved(network_fn, named, path):
    glow = tfb.Glow((4, 4, 2), 1, 1, network_fn)
    with pytest.raises(TypeError, match=f"block0.step0.coupling is '{named}'.*load_state_dict"):
        rg.save(path, glow)
    assert not path.exists()


def test_layers_changed_by_hand_cannot_be_saved(path):
    glow = build()
    networks_of(glow)[0][0].layers["conv2"] = Conv2D(4, 4, 3)
    with pytest.raises(ValueError, match="not those it was built with"):
        rg.save(path, glow)


def test_two_arrays_of_one_name_cannot_be_saved(path):
    def network_fn(shape):
        c = shape[-1]
        return Sequential({"a.b": Conv2D(c, c, 1), "a": Sequential({"b": Conv2D(c, c, 1)})})
    with pytest.raises(ValueError, match="more than one array is called"):
        rg.save(path, tfb.Glow((4, 4, 2), 1, 1, network_fn))


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex128, object, np.float16])
def test_other_number_types_cannot_be_saved(dtype, path):
    glow = build().astype(dtype)
    with pytest.raises(TypeError, match=r"float32 and float64.*astype\('float64'\)"):
        rg.save(path, glow)


def test_only_a_glow_can_be_saved(path):
    class Mine(tfb.Glow):
        """Who knows what it does."""
    for other in [tfb.Identity(), Mine((4, 4, 2), 1, 0), {}]:
        with pytest.raises(TypeError, match="takes a Glow"):
            rg.save(path, other)


def test_a_function_at_load_replaces_the_description(path):
    glow = build("float64")
    rg.save(path, glow)
    loaded = rg.load(path, coupling_bijector_fn=OwnNetwork)
    assert_same_state(loaded, glow)
    assert {type(network) for network in networks_of(loaded)[0]} == {OwnNetwork}
    assert_same_state(rg.load(path, exit_bijector_fn=lambda shape, output_chan, dtype:
                              tfb.GlowDefaultExitNetwork(shape, output_chan, 3, dtype)), glow)


def test_a_function_at_load_must_fit_the_arrays(path):
    rg.save(path, build("float64"))
    with pytest.raises(ValueError, match="(?s)misfit: 'block0.step0.coupling.conv1.bias' is "
                                         r"float64\[4\], needs float64\[400\].*block1.step1"):
        rg.load(path, coupling_bijector_fn=tfb.GlowDefaultNetwork)
    with pytest.raises(ValueError, match=r"(?s)missing: 'block0\.step0\.coupling\.first\.bias'.*"
                                         r"unknown: 'block1.step1.coupling.conv3.kernel'"):
        rg.load(path, coupling_bijector_fn=additive)
    with pytest.raises(TypeError, match="computes in float64"):
        rg.load(path, coupling_bijector_fn=lambda shape: default(shape))


def test_a_file_without_descriptions_needs_the_functions(path):
    glow = build()
    rg.save(path, glow)
    with safe_open(path, framework="numpy") as file:
        declared = json.loads(file.metadata()["refglow.glow"])
    declared |= {"coupling": None, "exit": None}
    save_file(load_file(path), path, {"refglow.glow": json.dumps(declared)})
    with pytest.raises(ValueError, match="coupling_bijector_fn"):
        rg.load(path)
    with pytest.raises(ValueError, match="exit_bijector_fn"):
        rg.load(path, coupling_bijector_fn=default)
    assert_same_state(rg.load(path, default, tfb.GlowDefaultExitNetwork), glow)
