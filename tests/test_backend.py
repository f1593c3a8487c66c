"""Which implementation runs: the choice, its scope, and what it refuses."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import refglow as rg
from refglow import bijectors as tfb
from refglow.backend import accelerated, implementation
from refglow.bijectors.activation_normalization import activation_normalization_inverse
from refglow.bijectors.coupling import sigmoid_coupling_forward
from refglow.bijectors.exp import exp_forward
from refglow.validation.random_models import randomize_weights


@pytest.fixture(scope="module")
def glow():
    model = tfb.Glow((8, 12, 3), 2, 2, seed=0, dtype=np.float64)
    randomize_weights(model, np.random.default_rng(1))
    return model


@pytest.fixture
def images():
    return np.random.default_rng(2).uniform(size=(3, 8, 12, 3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_auto_takes_the_kernels(dtype):
    x = np.zeros((2, 3), dtype)
    with rg.use_backend("auto"):
        chosen = implementation(activation_normalization_inverse, x)
        assert chosen.__module__ == "refglow.kernels.cpu.activation_normalization"
        assert accelerated(activation_normalization_inverse, x) is chosen


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex128, object, np.float16, ">f8"])
def test_auto_computes_other_number_types_by_the_specification(dtype):
    x = np.zeros((2, 3), dtype)
    with rg.use_backend("auto"):
        assert accelerated(activation_normalization_inverse, x) is None
        chosen = implementation(activation_normalization_inverse, x)
    assert chosen is activation_normalization_inverse


def test_arrays_of_two_number_types_go_to_the_specification():
    x, output = np.zeros((1, 2, 4), np.float32), np.zeros((1, 2, 4))
    with rg.use_backend("auto"):
        assert accelerated(sigmoid_coupling_forward, x, output) is None


def test_an_operation_without_kernel_is_its_specification():
    x = np.zeros(3)
    for name in ("auto", "cpu", "spec"):
        with rg.use_backend(name):
            assert implementation(exp_forward, x) is exp_forward


def test_the_choice_is_scoped():
    x = np.zeros((2, 3))
    assert rg.current_backend() == "auto"
    with rg.use_backend("spec"):
        assert rg.current_backend() == "spec"
        with rg.use_backend("auto"):
            assert accelerated(activation_normalization_inverse, x) is not None
        assert accelerated(activation_normalization_inverse, x) is None
        assert rg.current_backend() == "spec"
    with pytest.raises(KeyError), rg.use_backend("cpu"):
        raise KeyError
    assert rg.current_backend() == "auto"


def test_the_choice_is_of_one_thread():
    seen = []
    with rg.use_backend("spec"):
        thread = threading.Thread(target=lambda: seen.append(rg.current_backend()))
        thread.start()
        thread.join()
    assert seen == ["auto"]


def test_an_unknown_backend_is_refused():
    choice = rg.use_backend("gpu")
    with pytest.raises(ValueError, match="'gpu' is not a backend; choose one of spec, cpu, cuda"):
        choice.__enter__()


def test_cpu_refuses_what_it_cannot_compute():
    actnorm = tfb.ActivationNormalization(3, dtype=np.longdouble)
    actnorm.mark_initialized()
    message = "backend 'cpu' computes with NumPy arrays of float32"
    with rg.use_backend("cpu"), pytest.raises(TypeError, match=message):
        actnorm.inverse(np.ones((2, 3), np.longdouble))


def test_values_and_gradients_agree(glow, images):
    with rg.use_backend("spec"):
        expected = results(glow, images)
    for name in ("cpu", "auto"):
        with rg.use_backend(name):
            for found, like in zip(results(glow, images), expected, strict=True):
                scale = np.abs(like).max(initial=0)
                np.testing.assert_allclose(found, like, rtol=1e-12, atol=1e-13 * scale)


def results(glow, images):
    (z, ildj), pullback = glow.inverse_vjp(images)
    reversible, undo = glow.inverse_vjp(images, memory="reversible")
    arrays = [z, ildj, *reversible, *glow.inverse_and_log_det(images),
              *glow.forward_and_log_det(z), glow.forward(z), glow.inverse(images)]
    for pull in (pullback, undo):
        x_bar, bars = pull(z, np.ones_like(ildj))
        arrays += [x_bar, *bars.values()]
    (x, fldj), pullback = glow.forward_vjp(z)
    x_bar, bars = pullback(x, np.ones_like(fldj))
    return [*arrays, x, fldj, x_bar, *bars.values()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_by_default_equal_images_have_equal_bits(dtype):
    """Twice the same; and the same for an image alone and in any place of a batch."""
    model = tfb.Glow((8, 12, 3), 2, 2, seed=0, dtype=dtype)
    rng = np.random.default_rng(3)
    randomize_weights(model, rng)
    batch = rng.uniform(size=(5, 8, 12, 3)).astype(dtype)
    z, ildj = model.inverse_and_log_det(batch, event_ndims=3)
    again = model.inverse_and_log_det(batch, event_ndims=3)
    assert z.tobytes() == again[0].tobytes() and ildj.tobytes() == again[1].tobytes()
    for i in range(len(batch)):
        alone = model.inverse_and_log_det(batch[i], event_ndims=3)
        assert alone[0].tobytes() == z[i].tobytes() and alone[1].tobytes() == ildj[i].tobytes()


def test_a_pullback_computes_as_its_values_were(glow, images):
    """The parts that a walk visits depend on the backend; back it must visit the same ones."""
    with rg.use_backend("spec"):
        (z, ildj), pullback = glow.inverse_vjp(images)
        inside, _ = pullback(z, ildj)
    with rg.use_backend("auto"):
        outside, _ = pullback(z, ildj)
    np.testing.assert_array_equal(inside, outside)
    with rg.use_backend("auto"):
        (z, ildj), pullback = glow.inverse_vjp(images)
        inside, _ = pullback(z, ildj)
    outside, _ = pullback(z, ildj)
    np.testing.assert_array_equal(inside, outside)


def test_kernels_really_run(glow, images, monkeypatch):
    """A planted error in a kernel shows in the whole model, and not in its specification."""
    from refglow.kernels.cpu import normalized_conv
    with rg.use_backend("auto"):
        right = glow.inverse(images)
    kernel = normalized_conv.normalized_conv_forward

    def wrong(x, *parameters):
        y, fldj = kernel(x, *parameters)
        return y + 1e-3, fldj
    monkeypatch.setattr(normalized_conv, "normalized_conv_forward", wrong)
    with rg.use_backend("auto"):
        assert np.abs(glow.inverse(images) - right).max() > 1e-4
    with rg.use_backend("spec"):
        np.testing.assert_allclose(glow.inverse(images), right, rtol=1e-11, atol=1e-11)


def test_importing_refglow_imports_no_numba():
    code = "import sys, refglow; print({'numba', 'llvmlite', 'cupy', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.slow
def test_without_any_folder_for_compiled_code_kernels_still_work(tmp_path):
    """A cache folder that cannot be made: kernels are compiled anew, and no file is written."""
    (tmp_path / "file").write_text("")
    code = """
import numba.core.caching as caching
def refuse(self): raise OSError("read-only")
for locator in (caching.UserProvidedCacheLocator, caching.InTreeCacheLocator,
                caching.UserWideCacheLocator):
    locator.ensure_cache_path = refuse
import numpy as np
from refglow.backend import accelerated
from refglow.bijectors.expand import expand_inverse
import refglow
with refglow.use_backend("auto"):
    kernel = accelerated(expand_inverse, np.zeros(1))
y, _ = kernel(np.arange(8.).reshape(1, 4, 2, 1), 2)
assert y.tolist() == [[[[0, 1, 2, 3]], [[4, 5, 6, 7]]]]
many, _ = kernel(np.arange(2.**18).reshape(1, 512, 512, 1), 2)  # on all threads
assert many[0, 255, 255].tolist() == [2**18 - 514, 2**18 - 513, 2**18 - 2, 2**18 - 1]
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                         text=True, check=False,
                         env={"NUMBA_CACHE_DIR": str(tmp_path / "file" / "inside")})
    assert run.returncode == 0, run.stderr


def test_without_a_compiler_the_kernels_say_so():
    code = """
import numpy as np, refglow as rg
squeeze = rg.bijectors.Expand((2, 1, 4))
x = np.arange(8.).reshape(1, 4, 2, 1)
with rg.use_backend("spec"):
    squeeze.inverse(x)
squeeze.inverse(x)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                         env=dict(os.environ, NUMBA_DISABLE_JIT="1"))
    assert run.stderr.rstrip().endswith("use_backend('spec').")
    assert "ImportError: NUMBA_DISABLE_JIT is set" in run.stderr


@pytest.mark.parametrize("backend", ["spec", "cpu"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "blocks"), [((16, 24, 3), 2), ((8, 8, 3), 3)])
def test_an_image_has_the_same_bits_in_every_batch(shape, blocks, dtype, backend):
    rng = np.random.default_rng(0)
    glow = tfb.Glow(shape, blocks, 2, seed=0, dtype=dtype)
    randomize_weights(glow, rng)
    images = rng.random((7, *shape)).astype(dtype)
    with rg.use_backend(backend):
        z, ildj = glow.inverse_and_log_det(images)
        x, fldj = glow.forward_and_log_det(z)
        _, pullback = glow.inverse_vjp(images)
        x_bar, _ = pullback(z, ildj)
        for part in (slice(0, 1), slice(3, 4), slice(2, 7)):
            _, pullback = glow.inverse_vjp(images[part])
            for found, expected in zip(
                    (*glow.inverse_and_log_det(images[part]), *glow.forward_and_log_det(z[part]),
                     pullback(z[part], ildj[part])[0]),
                    (z, ildj, x, fldj, x_bar), strict=True):
                np.testing.assert_array_equal(found, expected[part])
    assert np.abs(x - images).max() < 1e-3  # nothing overflowed


def test_two_threads_may_compute_at_once(glow, images):
    with rg.use_backend("auto"):
        expected = glow.inverse(images)
    found = []

    def compute():
        with rg.use_backend("auto"):
            for _ in range(5):
                found.append(glow.inverse(images))
    threads = [threading.Thread(target=compute) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    for z in found:
        np.testing.assert_array_equal(z, expected)
