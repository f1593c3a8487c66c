"""Glow.astype: the same Glow in another number type."""

import numpy as np
import pytest

import refglow as rg
from refglow.bijectors.architecture import networks_of
from refglow.networks import Conv2D, ReLU, Sequential
from refglow.validation.random_models import randomize_weights

tfb = rg.bijectors


def default(input_shape, dtype=np.float32):
    return tfb.GlowDefaultNetwork(input_shape, num_hidden=3, dtype=dtype)


def additive(input_shape, dtype=np.float32):
    c = input_shape[-1]
    return Sequential({"first": Conv2D(c, 3, 3, dtype=dtype), "relu": ReLU(),
                       "last": Conv2D(3, c, 1, dtype=dtype)})


class OwnNetwork:
    """What users write: knows nothing of refglow's base class."""

    def __init__(self, input_shape, dtype=np.float32):
        self.inner = default(input_shape, dtype)

    def __call__(self, x):
        return self.inner(x)

    def named_variables(self):
        return self.inner.named_variables()


def build(network_fn=default, dtype=np.float64, **kwargs):
    arguments = dict(output_shape=(4, 4, 2), num_glow_blocks=2, num_steps_per_block=1, seed=3)
    glow = tfb.Glow(**arguments | kwargs, coupling_bijector_fn=network_fn, dtype=dtype)
    randomize_weights(glow, np.random.default_rng(0), gain=0.5)
    return glow


X = np.random.default_rng(1).random((2, 4, 4, 2))


@pytest.mark.parametrize("network_fn", [default, additive, OwnNetwork])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128, object])
def test_the_same_function_in_every_type(network_fn, dtype):
    glow = build(network_fn)
    cast = glow.astype(dtype)
    assert cast.dtype == dtype
    assert {v.dtype for v in cast.trainable_variables} == {np.dtype(dtype)}
    for before, after in zip(networks_of(glow), networks_of(cast), strict=True):
        assert list(map(type, before)) == list(map(type, after))
    (z, ildj), (cast_z, cast_ildj) = (
        glow.inverse_and_log_det(X), cast.inverse_and_log_det(X.astype(dtype)))
    eps = np.finfo(np.float32 if dtype == np.float32 else np.float64).eps
    # Sums of about 100 products in each of some 10 layers, of a map whose condition is below 1e2.
    assert np.abs(cast_z - z).max() <= 1e4 * eps * np.abs(z).max()
    assert np.abs(cast_ildj - ildj).max() <= 1e4 * eps * np.abs(ildj).max()


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, np.complex128, object])
def test_widening_is_exact_and_flags_and_permutations_are_copied(dtype):
    glow = build(dtype=np.float32)
    flag = next(v for v in glow.variables if v.name == "block1.step0.actnorm.initialized")
    flag.assign(False)
    cast = glow.astype(dtype)
    assert [v.name for v in cast.variables] == [v.name for v in glow.variables]
    for before, after in zip(glow.variables, cast.variables, strict=True):
        assert np.array_equal(before, after)
        assert before.trainable or before.dtype == after.dtype


def test_the_copy_is_independent():
    glow = build()
    same = glow.astype(np.float64)
    before = glow.inverse(X)
    assert np.array_equal(same.inverse(X), before)
    randomize_weights(same, np.random.default_rng(5))
    assert np.array_equal(glow.inverse(X), before)


def test_other_arguments_are_kept():
    glow = build(name="mine", validate_args=True, grab_after_block=(0.25, 0.0))
    cast = glow.astype("float32")
    assert (cast.name, cast.validate_args, cast.blockwise_splits) == (
        "mine", True, glow.blockwise_splits)
    assert cast.parameters.keys() == glow.parameters.keys()


def test_a_generator_given_as_seed_is_not_drawn_from():
    rng = np.random.default_rng(0)
    glow = build(seed=rng)
    before = rng.bit_generator.state, rng.bit_generator.seed_seq.n_children_spawned
    glow.astype(np.float32)
    assert (rng.bit_generator.state, rng.bit_generator.seed_seq.n_children_spawned) == before


def test_functions_without_variables_are_used_as_they_are():
    turns = iter([np.sin, np.tanh])
    glow = build(lambda shape: next(turns))
    cast = glow.astype(np.float32)
    assert networks_of(cast)[0] == [np.sin, np.tanh]
    assert np.allclose(cast.inverse(X.astype(np.float32)), glow.inverse(X), rtol=1e-3, atol=1e-3)


def test_what_cannot_be_cast():
    with pytest.raises(TypeError, match="cannot hold its imaginary parts"):
        build().astype(np.complex128).astype(np.float64)
    with pytest.raises(TypeError, match="needs a number type"):
        build().astype(None)
    with pytest.raises(TypeError, match="floating"):
        build().astype(np.int32)
    stubborn = build(lambda shape: OwnNetwork(shape, np.float64))
    with pytest.raises(TypeError, match=r"'conv1\.kernel' is float64.*computes in float32"):
        stubborn.astype(np.float32)


def test_there_and_back():
    glow = build(dtype=np.float32)
    for dtype in [np.float64, np.longdouble, object]:
        back = glow.astype(dtype).astype(np.float32)
        for before, after in zip(glow.variables, back.variables, strict=True):
            assert before.dtype == after.dtype and np.array_equal(before, after)
