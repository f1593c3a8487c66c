"""A whole Glow on a GPU, where there is one: densities, samples, gradients by the public API.

What one kernel computes is checked there by the tests that take `on_device`; `refglow bench cuda`
checks every variant at sizes that fill a GPU.
"""

import numpy as np
import pytest
from test_cuda_whole_glow import (
    DRAWS,
    MODES,
    SEED,
    SMALL,
    TINY,
    arrays_for,
    assert_close,
    exact,
    model,
    results,
)

import refglow as rg
from refglow.kernels.cuda.availability import cuda_unavailable_reason

REASON = cuda_unavailable_reason()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=str(REASON))]
LARGER = (32, 16, 3), 3, 3, 64, 9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [TINY, SMALL, LARGER], ids=str)
def test_a_whole_glow(size, dtype):
    import cupy

    glow, px = model(size, dtype)
    arrays = arrays_for(size, dtype)
    expected, expected_draws = exact(glow, arrays, MODES)
    with rg.use_backend("cuda"):
        found = results(glow, px, [cupy.asarray(array) for array in arrays], MODES)
        draws = px.sample(DRAWS, SEED)
    assert {type(value) for value in (*found.values(), draws)} == {cupy.ndarray}
    assert_close(dtype, "draws", draws.get(), expected_draws)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_close(dtype, name, found[name].get(), value)


def test_the_same_bits_in_every_run():
    import cupy

    _, px = model(SMALL, np.float32)
    images = cupy.asarray(arrays_for(SMALL, np.float32)[0])
    with rg.use_backend("cuda"):
        first, second = (px.log_prob_and_grad(images) for _ in range(2))
    np.testing.assert_array_equal(first[0].get(), second[0].get())
    for name, bar in first[1].items():
        np.testing.assert_array_equal(bar.get(), second[1][name].get(), err_msg=name)


def test_a_tensor_on_the_gpu_is_taken_as_it_is():
    """DLPack: an array of another library on the same GPU is taken without a copy to the host."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    import cupy

    _, px = model(TINY, np.float32)
    images = arrays_for(TINY, np.float32)[0]
    with rg.use_backend("spec"):
        expected = px.log_prob(images)
    with rg.use_backend("cuda"):
        here = px.log_prob(cupy.from_dlpack(torch.from_numpy(images).cuda()))
    assert_close(np.float32, "log_prob", here.get(), expected)
