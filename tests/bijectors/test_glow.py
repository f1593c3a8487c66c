"""Glow: its documented arguments, defaults and structure; what initialises it; latents by scale."""

import inspect

import numpy as np
import pytest

import refglow as rg
from refglow.validation.random_models import randomize_weights

rgb = rg.bijectors


def tiny_network(input_shape, dtype=np.float32, seed=None):
    return rgb.GlowDefaultNetwork(input_shape, num_hidden=3, dtype=dtype, seed=seed)


def small_glow(**arguments):
    defaults = dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=1,
                    coupling_bijector_fn=tiny_network, seed=0)
    return rgb.Glow(**(defaults | arguments))


def images(shape=(4, 8, 2), batch=5, dtype=np.float32, seed=3):
    return np.random.default_rng(seed).random((batch, *shape)).astype(dtype)


# ---- documented arguments and defaults ----------------------------------------------------------

@pytest.fixture(scope="module")
def default_glow():
    return rgb.Glow()


def test_arguments_are_the_documented_ones():
    parameters = inspect.signature(rgb.Glow).parameters
    assert {name: p.default for name, p in parameters.items()} == dict(
        output_shape=(32, 32, 3), num_glow_blocks=3, num_steps_per_block=32,
        coupling_bijector_fn=None, exit_bijector_fn=None, grab_after_block=None, use_actnorm=True,
        seed=None, validate_args=False, name="glow", dtype=np.float32)


def test_default_structure(default_glow):
    assert default_glow.blockwise_splits == [[48, 0, 144], [12, 12, 24], [6, 6, 0]]
    assert len(default_glow.trainable_variables) == 868
    assert sum(v.size for v in default_glow.trainable_variables) == 30_060_108
    assert default_glow.inverse_event_shape((32, 32, 3)) == (3072,)
    assert default_glow.forward_event_shape((3072,)).as_list() == [32, 32, 3]
    assert default_glow.forward_min_event_ndims == 1
    assert default_glow.inverse_min_event_ndims == 3
    assert default_glow.forward_event_ndims(1) == 3
    assert default_glow.dtype == np.float32 and default_glow.name == "glow"
    flags = [v for v in default_glow.variables if v.name.endswith("initialized")]
    assert len(flags) == 96 and not any(flags)


def test_state_names_are_the_promised_ones():
    names = list(small_glow(use_actnorm=True).state_dict())
    step = [f"step0.{name}" for name in (
        "actnorm.shift", "actnorm.log_scale", "actnorm.initialized", "conv.lower_upper",
        "conv.permutation", *(f"coupling.conv{k}.{part}" for k in (1, 2, 3)
                              for part in ("kernel", "bias")))]
    expected = {f"block{i}.{name}" for i in (0, 1) for name in step}
    expected |= {"block1.exit.conv1.kernel", "block1.exit.conv1.bias"}
    assert set(names) == expected and len(names) == len(expected)
    assert small_glow().state_dict()["block1.step0.coupling.conv1.kernel"].shape == (3, 3, 4, 3)


def test_step_0_is_the_one_that_forward_applies_first():
    glow = small_glow(num_glow_blocks=1, num_steps_per_block=2, use_actnorm=False)
    seen = []
    block = next(m for m in glow.submodules if isinstance(m, rgb.GlowBlock))
    for name, member in block._members.items():
        if name.endswith("coupling"):
            first = member.layers["conv1"]
            member.layers["conv1"] = lambda x, first=first, name=name: seen.append(name) or first(x)
    glow.forward(np.ones((1, 64), np.float32))
    assert seen == ["step0.coupling", "step1.coupling"]


def test_none_means_the_default_networks(default_glow):
    kinds = [type(m).__name__ for m in default_glow.submodules]
    assert kinds.count("GlowDefaultNetwork") == 96 and kinds.count("GlowDefaultExitNetwork") == 2
    kernel = default_glow.state_dict()["block0.step0.coupling.conv1.kernel"]
    assert kernel.shape == (3, 3, 24, 400)


def test_network_functions_are_asked_as_documented():
    couplings, exits = [], []

    def coupling(input_shape):
        couplings.append(tuple(input_shape))
        return tiny_network(input_shape)

    def exit_fn(input_shape, output_chan):
        exits.append((tuple(input_shape), output_chan))
        return rgb.GlowDefaultExitNetwork(input_shape, output_chan)

    small_glow(coupling_bijector_fn=coupling, exit_bijector_fn=exit_fn, num_steps_per_block=2,
               grab_after_block=(0.25, 0.5))
    assert exits == [((1, 2, 12), 12), ((2, 4, 6), 2)]
    assert couplings == [(1, 2, 12)] * 2 + [(2, 4, 4)] * 2


def test_network_functions_are_given_dtype_and_seed_only_if_they_know_them():
    given = []

    def knows_both(input_shape, dtype, seed):
        given.append((dtype, type(seed).__name__))
        return tiny_network(input_shape, dtype, seed)

    small_glow(coupling_bijector_fn=knows_both, dtype=np.float64)
    assert given == [(np.float64, "Generator")] * 2
    small_glow(coupling_bijector_fn=lambda input_shape: tiny_network(input_shape))


def test_seeds():
    def state(seed):
        return small_glow(seed=seed).state_dict()

    def same(a, b):
        return all(np.array_equal(a[name], b[name]) for name in a)
    assert same(state(1), state(1)) and not same(state(1), state(2))
    assert not same(state(None), state(None))
    assert same(state(np.random.default_rng(4)), state(np.random.default_rng(4)))
    stream = np.random.default_rng(4)
    assert not same(state(stream), state(stream))
    steps = small_glow(num_steps_per_block=2).state_dict()
    assert not np.array_equal(steps["block0.step0.conv.lower_upper"],
                              steps["block0.step1.conv.lower_upper"])


def test_default_glow_starts_almost_at_the_identity_in_volume():
    """1x1 convolutions start as rotations and networks at zero: the log-det is known."""
    glow = small_glow(use_actnorm=False)
    z = np.zeros((1, 64), np.float32)
    # per step: -log sigmoid(2) for half the channels; at the exit: -2 for each exiting channel.
    couplings = (2 * 4 * 4 + 1 * 2 * 8) * np.log1p(np.exp(-2.0))
    np.testing.assert_allclose(glow.forward_log_det_jacobian(z, 1)[0],
                               couplings - 2.0 * 2 * 4 * 4, rtol=1e-5)


def test_no_steps_leave_the_exits():
    glow = small_glow(num_steps_per_block=0, dtype=np.float64)
    x = images(dtype=np.float64)
    squeezed = rgb.Squeeze((4, 8, 2)).forward(x)
    finest = glow.split_latents(glow.inverse(x))[-1]
    np.testing.assert_allclose(finest, squeezed[..., 4:] * np.exp(2.0), rtol=1e-14)
    np.testing.assert_allclose(glow.forward(glow.inverse(x)), x, rtol=1e-13)


# ---- networks in their three forms --------------------------------------------------------------

def equivalent_networks(kind):
    """The same coupling as raw arrays and as a bijector."""
    def raw(x):
        return np.concatenate([np.sin(x), np.cos(2 * x)], axis=-1)

    def bijector(x):
        scale = 1 / (1 + np.exp(-np.sin(x) - 2)) if kind == "sigmoid" else np.exp(np.sin(x) + 2)
        return rgb.Shift(np.cos(2 * x))(rgb.Scale(scale))
    return raw, bijector


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_a_network_may_return_an_array_or_a_bijector(direction):
    results = []
    for form in (0, 1):
        glow = small_glow(
            use_actnorm=False, dtype=np.float64,
            coupling_bijector_fn=lambda s, form=form: equivalent_networks("sigmoid")[form],
            exit_bijector_fn=lambda s, output_chan, form=form: equivalent_networks("exp")[form])
        x = images(dtype=np.float64) if direction == "inverse" else np.random.default_rng(
            0).standard_normal((3, 64))
        results.append(getattr(glow, f"{direction}_and_log_det")(x))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)


def test_a_network_may_return_just_a_shift():
    glow = small_glow(use_actnorm=False, coupling_bijector_fn=lambda s: np.sin,
                      exit_bijector_fn=lambda s, output_chan: np.cos, dtype=np.float64)
    x = images(dtype=np.float64)
    z, ildj = glow.inverse_and_log_det(x)
    np.testing.assert_allclose(ildj, 0, atol=1e-12)
    np.testing.assert_allclose(glow.forward(z), x, rtol=1e-12)


def test_conditioning_reaches_the_networks():
    def network(input_shape):
        return lambda x, label=0.0: np.sin(x + label)

    glow = small_glow(use_actnorm=False, coupling_bijector_fn=network, dtype=np.float64,
                      exit_bijector_fn=lambda s, output_chan: lambda x, label=0.0: x * label)
    x = images(dtype=np.float64)
    label = np.arange(5.0)[:, None, None, None]
    given = {"invert_real_nvp": {"label": label}}
    kwargs = {"glow_block": given, "blockwise_of_glow_block_and_identity": {"glow_block": given},
              "invert_exit_bijector": {}}
    z = glow.inverse(x, **kwargs)
    np.testing.assert_allclose(z[0], glow.inverse(x[0]), rtol=1e-12)
    assert np.abs(z[1:] - glow.inverse(x)[1:]).max() > 0.1
    np.testing.assert_allclose(glow.forward(z, **kwargs), x, rtol=1e-12)
    assert np.abs(glow.forward(z) - x).max() > 0.1
    only_fine = glow.inverse(x, glow_block=given)
    assert np.abs(only_fine - z).max() > 0.1
    with_exit = small_glow(
        use_actnorm=False, num_glow_blocks=1, coupling_bijector_fn=network, dtype=np.float64,
        grab_after_block=(0.5,), exit_bijector_fn=lambda s, output_chan: lambda x, by=0.0: x * by)
    told = {"invert_exit_bijector": {"real_nvp": {"by": 2.0}}}
    moved = with_exit.inverse(x, **told)
    assert np.abs(moved - with_exit.inverse(x)).max() > 0.1
    np.testing.assert_allclose(with_exit.forward(moved, **told), x, rtol=1e-12)


def test_misspelt_conditioning_is_an_error_that_lists_the_names():
    with pytest.raises(TypeError, match=r"'glow_blok'.*Expand, .*glow_block"):
        small_glow().inverse(images(), glow_blok={"invert_real_nvp": {}})
    with pytest.raises(TypeError, match=r"'real_nvp'.*invert_real_nvp"):
        small_glow().inverse(images(), glow_block={"real_nvp": {}})


# ---- initialisation -----------------------------------------------------------------------------

def actnorms(glow):
    return [m for m in glow.submodules if isinstance(m, rgb.ActivationNormalization)]


def states_equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[n], b[n]) for n in a)


def test_initialize_is_the_first_inverse():
    explicit, implicit = small_glow(num_steps_per_block=2), small_glow(num_steps_per_block=2)
    x = images()
    explicit.initialize(x)
    implicit.inverse(x)
    assert states_equal(explicit.state_dict(), implicit.state_dict())
    assert all(a.initialized for a in actnorms(explicit))
    before = explicit.state_dict()
    explicit.inverse(images(seed=9))
    explicit.forward(np.zeros((2, 64), np.float32))
    assert states_equal(before, explicit.state_dict())


def test_initialize_again_starts_anew():
    once, twice = small_glow(), small_glow()
    twice.initialize(images(seed=1) * 7 + 3)
    twice.initialize(images(seed=2))
    once.initialize(images(seed=2))
    assert states_equal(once.state_dict(), twice.state_dict())


def test_initialized_latents_are_normalised():
    """With networks at zero, the first ActNorm sees the images alone."""
    glow = small_glow(num_glow_blocks=1, dtype=np.float64)
    glow.initialize(images(batch=50, dtype=np.float64))
    (actnorm,) = actnorms(glow)
    z = actnorm.inverse(rgb.Squeeze((4, 8, 2)).forward(images(batch=50, dtype=np.float64)))
    np.testing.assert_allclose(z.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=(0, 1, 2)), 1, rtol=1e-12)


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("initialised", [False, True])
def test_initialize_changes_all_or_nothing(problem, initialised):
    calls = []

    def failing(input_shape):
        network = tiny_network(input_shape)

        def call(x):
            calls.append(1)
            if len(calls) == 3:
                raise problem("in the third network")
            return network(x)
        return call

    glow = small_glow(num_steps_per_block=2, coupling_bijector_fn=failing)
    if initialised:
        for actnorm in actnorms(glow):
            actnorm.mark_initialized()
        randomize_weights(glow, np.random.default_rng(0))
    before = glow.state_dict()
    with pytest.raises(problem, match="third network"):
        glow.initialize(images())
    assert states_equal(before, glow.state_dict())
    assert [a.initialized for a in actnorms(glow)] == [initialised] * 4
    calls[:] = [0] * 10
    glow.initialize(images())
    assert not states_equal(before, glow.state_dict())


@pytest.mark.parametrize("batch", [images()[:0], images() * np.nan, images() + np.float32(np.inf),
                                   images((4, 4, 2))], ids=["empty", "nan", "inf", "shape"])
def test_initialize_refuses_bad_batches_and_changes_nothing(batch):
    glow = small_glow()
    before = glow.state_dict()
    with pytest.raises(ValueError, match=r"empty|NaN or infinity|expected images"):
        glow.initialize(batch)
    with pytest.raises(ValueError, match=r"empty|NaN or infinity|expected images"):
        glow.inverse(batch)
    assert states_equal(before, glow.state_dict())


def test_initialize_without_actnorm_says_so():
    with pytest.raises(ValueError, match="use_actnorm=False"):
        small_glow(use_actnorm=False).initialize(images())


def test_sampling_first_warns():
    with pytest.warns(UserWarning, match="initialised from samples rather than data"):
        small_glow().forward(np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32))


def test_loaded_weights_count_as_initialised():
    trained, fresh = small_glow(), small_glow(seed=5)
    trained.initialize(images())
    fresh.load_state_dict(trained.state_dict())
    assert all(a.initialized for a in actnorms(fresh))
    z = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
    assert np.array_equal(fresh.forward(z), trained.forward(z))
    untrained = small_glow(seed=6)
    fresh.load_state_dict(untrained.state_dict())
    assert not any(a.initialized for a in actnorms(fresh))


def test_an_empty_batch_after_initialisation_gives_empty_results():
    glow = small_glow()
    glow.initialize(images())
    z, ildj = glow.inverse_and_log_det(images()[:0])
    assert z.shape == (0, 64) and ildj.shape == (0,)
    assert glow.forward(z).shape == (0, 4, 8, 2)


# ---- latents by scale ---------------------------------------------------------------------------

def place_of(index, shape, splits):
    """Which scale, and where in it, number `index` of the latent vector is: one number at a time.

    Follow the number from the coarsest tensor upwards: it belongs to a block's exit if its channel
    is among those that exited there; otherwise expand: channel (c a b) of pixel (h, w) goes to
    channel c of pixel (2h + a, 2w + b).
    """
    n = len(splits)
    width, channels = shape[1] // 2**n, shape[2] * 4**n
    h, w, c = index // (width * channels), index // channels % width, index % channels
    for i, (leave, grab, _) in enumerate(splits):
        if i == 0 and c < leave:
            return "rest", (h, w, c)
        if c < leave + grab:
            return i, (h, w, c - leave)
        h, w, c = 2 * h + c // 2 % 2, 2 * w + c % 2, c // 4
    raise AssertionError("every number has exited by the finest block")


@pytest.mark.parametrize(("shape", "blocks", "fractions"), [
    ((4, 8, 2), 2, None), ((8, 24, 1), 3, None), ((8, 8, 3), 3, (0.3, 0.8, 0.25)),
    ((4, 4, 1), 2, (0.0, 0.5)), ((4, 4, 1), 2, (0.75, 1.0)), ((6, 2, 2), 1, None),
    ((2, 2, 1), 1, (1.0,)), ((8, 8, 1), 3, (0.0, 0.0, 0.0))])
def test_split_latents_against_one_number_at_a_time(shape, blocks, fractions):
    glow = rgb.Glow(shape, blocks, 0, grab_after_block=fractions, dtype=np.float64)
    size = int(np.prod(shape))
    z = np.arange(2.0 * size).reshape(2, size)
    parts = glow.split_latents(z)
    splits = glow.blockwise_splits
    keys = (["rest"] if splits[0][0] else []) + [i for i, s in enumerate(splits) if s[1]]
    assert len(parts) == len(keys)
    for index in range(size):
        key, place = place_of(index, shape, splits)
        assert parts[keys.index(key)][(1, *place)] == z[1, index]
    assert sum(part[0].size for part in parts) == size
    assert np.array_equal(glow.merge_latents(parts), z)


def test_parts_are_what_exited_there():
    """What exits at the finest block is a function of that scale alone: change it, and only it."""
    glow = small_glow(dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(0))
    z = np.random.default_rng(1).standard_normal((1, 64))
    coarse, fine = glow.split_latents(z)
    assert coarse.shape == (1, 1, 2, 16) and fine.shape == (1, 2, 4, 4)
    back = glow.split_latents(glow.inverse(glow.forward(glow.merge_latents([coarse, fine + 1]))))
    np.testing.assert_allclose(back[0], coarse, rtol=1e-9)
    np.testing.assert_allclose(back[1], fine + 1, rtol=1e-9)


def test_the_documented_recipe_for_scales_is_wrong():
    """Contiguous ranges of z are not scales (an erratum): the sizes agree, the numbers do not."""
    glow = rgb.Glow((16, 16, 3), 2, 0, dtype=np.float64)  # 16 / 2^2 = 4, where its sizes hold
    z = np.arange(768.0)
    taken = [bs[1] * 4**(i + 2) for i, bs in enumerate(glow.blockwise_splits)]
    sizes = [768 - sum(taken), *taken]
    documented = [p for p in np.split(z, np.cumsum(sizes)[:-1]) if p.size]
    ours = glow.split_latents(z)
    assert [p.size for p in documented] == [p.size for p in ours]
    assert not any(set(a.tolist()) == set(b.reshape(-1).tolist())
                   for a, b in zip(documented, ours, strict=True))
    other = rgb.Glow((8, 8, 3), 2, 0)
    taken = [bs[1] * 4**(i + 2) for i, bs in enumerate(other.blockwise_splits)]
    assert sum(taken) > 8 * 8 * 3 - taken[0] or [taken[1]] != [
        p.size for p in other.split_latents(np.zeros(192, np.float32))][1:]


@pytest.mark.parametrize(("parts", "error", "message"), [
    ([], ValueError, r"Expected latents of shapes .*got \[\]"),
    ([np.zeros((1, 2, 16))], ValueError, r"Expected latents of shapes \[\(1, 2, 16\), \(2, 4, 4\)"),
    ([np.zeros((2, 4, 4)), np.zeros((1, 2, 16))], ValueError, "coarsest first"),
    ([np.zeros((3, 1, 2, 16)), np.zeros((2, 2, 4, 4))], ValueError, "different batch shapes"),
    ([np.zeros((1, 2, 16)), np.zeros((2, 4, 4), np.float32)], TypeError, r"parts\[1\] is float32"),
])
def test_merge_latents_refuses_what_does_not_fit(parts, error, message):
    with pytest.raises(error, match=message):
        small_glow(dtype=np.float64).merge_latents(parts)


def test_split_latents_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"shape \[..., 64\] \(4 \* 8 \* 2\).*\[2, 63\]"):
        small_glow().split_latents(np.zeros((2, 63), np.float32))
    with pytest.raises(TypeError, match="float64"):
        small_glow().split_latents(np.zeros((2, 64)))


# ---- event shapes -------------------------------------------------------------------------------

def test_event_shapes_partly_unknown():
    glow = small_glow()
    assert glow.inverse_event_shape((None, 8, None)) == (64,)
    assert glow.forward_event_shape((None,)) == (4, 8, 2)
    assert glow.inverse_event_shape((7, 4, 8, 2)) == (7, 64)
    for call, shape in [(glow.forward_event_shape, (63,)), (glow.forward_event_shape, ()),
                        (glow.inverse_event_shape, (4, 8, 3)), (glow.inverse_event_shape, (8, 2)),
                        (glow.inverse_event_shape, (None, 8, 3))]:
        with pytest.raises(ValueError, match=r"expected events of shape|fewer than"):
            call(shape)
