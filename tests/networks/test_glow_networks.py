"""Glow's default networks: TFP's signatures, layers, shapes and zero start."""

import inspect

import numpy as np
import pytest

import refglow as rg
from refglow.networks import GlowDefaultExitNetwork, GlowDefaultNetwork


def test_signatures_are_tfps_with_a_dtype():
    def defaults(kind):
        return [(name, p.default) for name, p in inspect.signature(kind).parameters.items()]
    assert defaults(GlowDefaultNetwork)[:4] == [
        ("input_shape", inspect.Parameter.empty), ("num_hidden", 400), ("kernel_shape", 3),
        ("dtype", np.float32)]
    assert defaults(GlowDefaultExitNetwork)[:4] == [
        ("input_shape", inspect.Parameter.empty), ("output_chan", inspect.Parameter.empty),
        ("kernel_shape", 3), ("dtype", np.float32)]
    assert rg.bijectors.GlowDefaultNetwork is GlowDefaultNetwork
    assert rg.bijectors.GlowDefaultExitNetwork is GlowDefaultExitNetwork


@pytest.mark.tfp
@pytest.mark.parametrize("kernel_shape", [1, 3, 5])
def test_layers_are_tfps(kernel_shape):
    tfb = pytest.importorskip("tensorflow_probability").bijectors
    for ours, theirs in [
            (GlowDefaultNetwork((4, 6, 3), 5, kernel_shape),
             tfb.GlowDefaultNetwork((4, 6, 3), 5, kernel_shape)),
            (GlowDefaultExitNetwork((4, 6, 3), 2, kernel_shape),
             tfb.GlowDefaultExitNetwork((4, 6, 3), 2, kernel_shape))]:
        assert [v.shape for v in ours.trainable_variables] == [
            tuple(v.shape) for v in theirs.trainable_variables]
        rng = np.random.default_rng(0)
        for mine, its in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
            mine.assign(rng.standard_normal(mine.shape) / 3)
            its.assign(mine.numpy())
        x = rng.standard_normal((2, 4, 6, 3)).astype(np.float32)
        np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_the_last_layer_starts_at_zero_and_the_others_do_not():
    network = GlowDefaultNetwork((4, 6, 3), 5, seed=0)
    kernels = {v.name: v.numpy() for v in network.variables if v.name.endswith("kernel")}
    assert [name for name, kernel in kernels.items() if not kernel.any()] == ["conv3.kernel"]
    assert [kernel.shape for kernel in kernels.values()] == [(3, 3, 3, 5), (1, 1, 5, 5),
                                                             (3, 3, 5, 6)]
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 3)).astype(np.float32)
    assert network(x).shape == (2, 4, 6, 6) and not network(x).any()
    exit_ = GlowDefaultExitNetwork((4, 6, 3), 2)
    assert exit_(x).shape == (2, 4, 6, 4) and not exit_(x).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128, object])
def test_they_are_built_in_any_number_type(dtype):
    for network in (GlowDefaultNetwork((2, 3, 2), 3, dtype=dtype),
                    GlowDefaultExitNetwork((2, 3, 2), 1, dtype=dtype)):
        assert {v.dtype for v in network.variables} == {np.dtype(dtype)}
        assert network(np.ones((2, 3, 2), dtype)).dtype == dtype


def test_input_shape_may_have_more_dimensions_and_only_channels_matter():
    a, b = GlowDefaultNetwork((7, 2, 3, 4), 5, seed=1), GlowDefaultNetwork((9, 9, 4), 5, seed=1)
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    assert np.array_equal(a(x), b(x))


def test_seeds_repeat():
    def kernel(seed):
        return GlowDefaultNetwork((2, 2, 2), 4, seed=seed).variables[0].numpy()
    assert np.array_equal(kernel(3), kernel(3))
    assert not np.array_equal(kernel(3), kernel(4))
