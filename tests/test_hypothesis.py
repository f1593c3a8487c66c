"""Random shapes and architectures: what holds for all of them.

Examples are drawn in a fixed order (see conftest.py), so a failure repeats.
"""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import refglow as rg
from refglow.bijectors.glow_shapes import blockwise_splits_of
from refglow.structure import flatten, iterate, map_structure
from refglow.validation.cases import additive_network, small_network
from refglow.validation.compare import difference
from refglow.validation.conditioning import measured_condition
from refglow.validation.random_models import randomize_weights
from refglow.validation.tolerances import agreement

rgb = rg.bijectors


@st.composite
def architectures(draw):
    """Arguments of a small Glow, with fractions that are possible."""
    blocks = draw(st.integers(1, 3))
    height, width = (2**blocks * draw(st.integers(1, 3)) for _ in range(2))
    channels = draw(st.integers(1, 4))
    fractions, passed = [], 0
    for k in range(blocks):
        remaining = 4**(k + 1) * channels - passed
        most = remaining if k == blocks - 1 else remaining - 1
        grab = draw(st.integers(0, most))
        fractions.append((grab + 0.5) / remaining if 0 < grab < remaining else grab / remaining)
        passed = 4 * (passed + grab)
    return dict(output_shape=(height, width, channels), num_glow_blocks=blocks,
                num_steps_per_block=draw(st.integers(0, 2)),
                grab_after_block=draw(st.sampled_from([tuple(fractions), None])),
                use_actnorm=draw(st.booleans()), seed=draw(st.integers(0, 2**16)),
                coupling_bijector_fn=draw(st.sampled_from([small_network, additive_network])),
                exit_bijector_fn=draw(st.sampled_from([None, additive_network])))


@settings(max_examples=40)
@given(architectures())
def test_every_glow_is_a_bijection(arguments):
    glow = rgb.Glow(dtype=np.float64, **arguments)
    rng = np.random.default_rng(arguments["seed"])
    randomize_weights(glow, rng, gain=0.5)
    x = rng.random((2, *arguments["output_shape"])) - 0.5

    def round_trip(inputs):
        z, ildj = glow.inverse_and_log_det(inputs[0])
        back, fldj = glow.forward_and_log_det(z)
        return [z, ildj, back, fldj]

    z, ildj, back, fldj = round_trip([x])
    assert z.shape == (2, math.prod(arguments["output_shape"])) and ildj.shape == fldj.shape == (2,)
    kappa_z, kappa_ildj, _, _ = measured_condition(glow, round_trip, [x])
    (kappa_back,) = measured_condition(glow, lambda a: [glow.forward(a[0])], [z])
    layers = 4 * arguments["num_glow_blocks"] * (arguments["num_steps_per_block"] + 1)
    tolerance = agreement(np.float64, layers, kappa_z * kappa_back)
    assert difference(back, x).relative <= tolerance.relative
    limit = agreement(np.float64, layers, kappa_ildj * kappa_back * kappa_z).relative
    assert np.abs(fldj + ildj).max() <= limit * max(1.0, float(np.abs(ildj).max()))
    alone_z, alone_ildj = glow.inverse_and_log_det(x[1])
    np.testing.assert_allclose(alone_z, z[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(alone_ildj, ildj[1], rtol=1e-9, atol=1e-9)


@settings(max_examples=60)
@given(architectures(), hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
def test_latents_are_taken_apart_and_put_together(arguments, batch):
    glow = rgb.Glow(**(arguments | {"num_steps_per_block": 0}), dtype=np.float64)
    size = math.prod(arguments["output_shape"])
    z = np.arange(float(math.prod(batch) * size)).reshape(*batch, size)
    parts = glow.split_latents(z)
    assert np.array_equal(glow.merge_latents(parts), z)
    found = np.concatenate([part.reshape(*batch, math.prod(part.shape[-3:])) for part in parts],
                           axis=-1)
    assert np.array_equal(np.sort(found, axis=-1), z)
    assert all(part.shape[-1] for part in parts)


@settings(max_examples=40)
@given(architectures())
def test_shapes_are_what_the_methods_say(arguments):
    glow = rgb.Glow(**arguments)
    shape, size = arguments["output_shape"], math.prod(arguments["output_shape"])
    assert glow.forward_event_shape((size,)) == shape and glow.inverse_event_shape(shape) == (size,)
    assert glow.forward_event_shape_tensor((size,)).tolist() == list(shape)
    for split, (leave, grab, passed) in enumerate(glow.blockwise_splits):
        assert leave + grab + passed == shape[2] * 4**(len(glow.blockwise_splits) - split)
    for part in glow.bijectors:  # from the image to the latent
        smaller = part.inverse_event_shape(shape)
        assert part.forward_event_shape(smaller) == shape
        shape = smaller
    assert shape == (size,)


def first_impossible(fractions, channels):
    """The first fraction that takes all channels too early, or means some and takes none."""
    remaining = 4 * channels
    for k, fraction in enumerate(fractions):
        left = remaining - math.floor(remaining * fraction)
        if (left == 0 and k < len(fractions) - 1) or (left == remaining and fraction > 0):
            return k
        remaining = 4 * left
    return None


@given(st.integers(1, 5), st.integers(1, 8), st.data())
def test_fractions_become_whole_channels(blocks, channels, data):
    fractions = data.draw(st.lists(st.floats(0, 1), min_size=blocks, max_size=blocks))
    wrong = first_impossible(fractions, channels)
    shape = (2**blocks, 2**blocks, channels)
    if wrong is not None:
        with pytest.raises(ValueError, match=re.escape(
                f"grab_after_block[{wrong}] = {fractions[wrong]} ")):
            blockwise_splits_of(shape, blocks, fractions)
        return
    from_the_image = blockwise_splits_of(shape, blocks, fractions)[::-1]
    passed = 0
    for k, ((leave, grab, passes), fraction) in enumerate(
            zip(from_the_image, fractions, strict=True)):
        remaining = 4**(k + 1) * channels - passed
        assert (passes, leave + grab) == (passed, remaining)
        assert grab == math.floor(remaining * fraction) and (grab > 0) == (fraction > 0)
        assert leave > 0 or k == blocks - 1
        passed = 4 * (passed + grab)


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(0, 6), st.integers(1, 6), st.integers(0, 3), st.data())
def test_any_exit_is_a_bijection_with_its_log_det(side, leave, grab, passed, data):
    assume(leave + grab + passed)
    affine = data.draw(st.booleans())
    exit_ = rgb.ExitBijector((side, 2, leave + grab + passed), (leave, grab, passed),
                             None if affine else additive_network, dtype=np.float64)
    rng = np.random.default_rng(side + 10 * leave + 100 * grab)
    randomize_weights(exit_, rng)
    x = rng.standard_normal((2, side, 2, leave + grab + passed))
    y, fldj = exit_.forward_and_log_det(x, 3)
    back, ildj = exit_.inverse_and_log_det(y, 3)
    np.testing.assert_allclose(back, x, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(fldj, -ildj, rtol=1e-12, atol=1e-12)
    assert np.all(fldj != 0) == (affine and leave > 0)
    assert np.array_equal(y[..., :leave], x[..., :leave])
    assert np.array_equal(y[..., leave + grab:], x[..., leave + grab:])


# ---- rearrangements -----------------------------------------------------------------------------

def factorisations(size, ndims):
    """Shapes of `ndims` dimensions that hold `size` numbers."""
    if ndims == 1:
        return st.just((size,))
    divisors = [d for d in range(1, size + 1) if size % d == 0]
    return st.sampled_from(divisors).flatmap(
        lambda d: factorisations(size // d, ndims - 1).map(lambda rest: (d, *rest)))


@given(st.data(), st.sampled_from([1, 2, 6, 12, 24]), st.integers(1, 4), st.integers(1, 4),
       hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
def test_reshape_is_numpys(data, size, ndims_in, ndims_out, batch):
    shape_in, shape_out = (data.draw(factorisations(size, n)) for n in (ndims_in, ndims_out))
    unknown = data.draw(st.integers(-1, ndims_out - 1))
    asked = [-1 if k == unknown else s for k, s in enumerate(shape_out)]
    bijector = rgb.Reshape(asked, shape_in)
    x = np.arange(float(math.prod(batch) * size)).reshape(*batch, *shape_in)
    y, fldj = bijector.forward_and_log_det(x)
    assert np.array_equal(y, x.reshape(*batch, *shape_out))
    assert np.array_equal(bijector.inverse(y), x)
    assert bijector.forward_event_shape(shape_in) == shape_out
    assert fldj.shape == batch and not fldj.any()


@given(st.permutations(range(4)), st.integers(0, 4), hnp.array_shapes(min_dims=4, max_dims=6))
def test_transpose_is_numpys(order, ndims, shape):
    perm = [p for p in order if p < ndims]
    bijector = rgb.Transpose(perm)
    x = np.arange(float(math.prod(shape))).reshape(shape)
    batch = len(shape) - ndims
    y = bijector.forward(x)
    assert np.array_equal(y, x.transpose(*range(batch), *(batch + p for p in perm)))
    assert np.array_equal(bijector.inverse(y), x)
    assert bijector.forward_event_shape(shape) == y.shape
    assert bijector.inverse_event_shape(y.shape) == x.shape


@given(st.integers(1, 6).flatmap(lambda n: st.permutations(range(n))), st.integers(-3, -1))
def test_permute_gathers(permutation, axis):
    shape = [2, 3, 4]
    shape[axis] = len(permutation)
    x = np.arange(float(math.prod(shape))).reshape(shape)
    bijector = rgb.Permute(permutation, axis=axis)
    y = bijector.forward(x)
    for i, p in enumerate(permutation):
        assert np.array_equal(np.take(y, i, axis), np.take(x, p, axis))
    assert np.array_equal(bijector.inverse(y), x)


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_expand_moves_one_number_at_a_time(h, w, c, n):
    expand = rgb.Expand((h, w, c * n * n), block_size=n)
    x = np.arange(float(h * w * c * n * n)).reshape(h, w, c * n * n)
    y = expand.forward(x)
    assert y.shape == (h * n, w * n, c)
    for i, j, k in np.ndindex(*y.shape):
        assert y[i, j, k] == x[i // n, j // n, (k * n + i % n) * n + j % n]
    assert np.array_equal(rgb.Squeeze((h * n, w * n, c), n).forward(y), x)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.integers(-2, -1))
def test_split_cuts_and_joins(sizes, axis):
    shape = [3, 3]
    shape[axis] = sum(sizes)
    x = np.arange(float(math.prod(shape))).reshape(shape)
    bijector = rgb.Split(sizes, axis=axis)
    pieces = bijector.forward(x)
    assert [piece.shape[axis] for piece in pieces] == sizes
    assert np.array_equal(bijector.inverse(pieces), x)
    assert [tuple(s) for s in bijector.forward_event_shape(shape)] == [p.shape for p in pieces]


# ---- structures ---------------------------------------------------------------------------------

TREES = st.recursive(st.integers(), lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple),
    st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)), max_leaves=12)


@given(TREES)
def test_structures_keep_their_form(tree):
    doubled = map_structure(tree, lambda a, b: a + b, tree, tree)
    assert flatten(tree, doubled) == [2 * leaf for leaf in flatten(tree, tree)]
    assert [leaf for _, leaf in iterate(tree)] == flatten(tree, tree)
    assert map_structure(tree, lambda leaf: leaf, tree) == tree
    paths = [path for path, _ in iterate(tree)]
    assert len(set(paths)) == len(paths)


@given(TREES, st.sampled_from(["more", "less", "leaf"]))
def test_other_structures_are_never_taken(tree, change):
    assume(isinstance(tree, (list, tuple)) and tree)
    other = {"more": [*tree, 0], "less": list(tree)[:-1], "leaf": 0}[change]
    with pytest.raises(ValueError, match="Expected"):
        map_structure(tree, str, other)


# ---- compositions -------------------------------------------------------------------------------

SCALARS = st.sampled_from([
    lambda: rgb.Exp(), lambda: rgb.Tanh(), lambda: rgb.Shift(0.3), lambda: rgb.Scale(-0.7),
    lambda: rgb.Softplus(), lambda: rgb.Sigmoid(), lambda: rgb.Scale(log_scale=-0.2)])
PARTS = st.one_of(SCALARS, st.sampled_from([
    lambda: rgb.Reshape((2, 3), (6,)), lambda: rgb.Reshape((6,), (2, 3)),
    lambda: rgb.Reshape((1, 6), (6,)), lambda: rgb.Permute([4, 2, 0, 1, 3, 5]),
    lambda: rgb.Blockwise([rgb.Tanh(), rgb.Scale(2.0)], [2, 4]),
    lambda: rgb.Chain([rgb.Invert(rgb.Split(3)), rgb.JointMap([rgb.Tanh(), rgb.Exp(),
                                                               rgb.Scale(3.0)]), rgb.Split(3)])]))


@settings(max_examples=150)
@given(st.lists(PARTS, min_size=1, max_size=4))
def test_a_chains_log_det_is_the_sum_along_the_way(makers):
    """Parts applied one by one, by hand, whatever ranks they demand."""
    parts = [make() for make in makers]
    chain = rgb.Chain(parts)
    ndims = chain.forward_min_event_ndims
    for shape in ((6,), (2, 3), (1, 6), (2, 6), (1, 2, 3), (2, 1, 6)):
        try:
            chain.forward_event_shape(shape)
            break
        except ValueError:
            continue
    else:
        return  # no event of six or twelve numbers fits these parts
    rank = max(ndims, len(shape))
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (3, *shape))
    if len(shape) < ndims:
        return
    y, fldj = chain.forward_and_log_det(x, rank)
    value, total, here = x, 0.0, rank
    for part in reversed(parts):
        total = total + part.forward_log_det_jacobian(value, here)
        value, here = part.forward(value), part.forward_event_ndims(here)
    np.testing.assert_allclose(y, value, rtol=1e-14)
    np.testing.assert_allclose(fldj, total, rtol=1e-12, atol=1e-12)
    assert chain.forward_event_ndims(rank) == here
    assert chain.forward_event_shape(x.shape[1:]) == y.shape[1:]
    assert fldj.shape == (3,)
