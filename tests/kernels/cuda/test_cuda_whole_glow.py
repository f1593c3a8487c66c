"""A whole Glow on CuPy arrays through the public API: densities, samples, gradients, end to end.

The package's own code runs as on a GPU. CuPy is a strict stand-in (strict_cupy.py), and in place of
the GPU the compiled PTX is interpreted, or the kernels run in Numba's simulator.
"""

import numpy as np
import pytest
from strict_cupy import strict_gpu

import refglow as rg
from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.kernels.cuda import coupling, memory, normalized_conv
from refglow.kernels.cuda.stand_ins import InterpretedDevice, SimulatorDevice
from refglow.structure import iterate
from refglow.validation import tolerances
from refglow.validation.random_models import randomize_weights

# (shape, blocks, steps, hidden filters, batch)
SMALL = (8, 12, 3), 2, 2, 16, 3
TINY = (4, 8, 1), 2, 1, 4, 2
MODES = ("store", "checkpoint", "reversible")
DRAWS, SEED = 2, 5


def model(size, dtype):
    """(Glow with random weights in every layer, the density that it makes of normal latents)."""
    shape, blocks, steps, hidden, _ = size

    def network(input_shape, dtype):
        return tfb.GlowDefaultNetwork(input_shape, num_hidden=hidden, dtype=dtype)
    glow = tfb.Glow(shape, blocks, steps, network, seed=0, dtype=dtype)
    randomize_weights(glow, np.random.default_rng(1), gain=0.5)
    return glow, density(glow)


def density(glow):
    latent_shape = glow.inverse_event_shape(glow.parameters["output_shape"])
    return glow(tfd.Sample(tfd.Normal(0.0, 1.0), latent_shape))


def arrays_for(size, dtype):
    """(images, latents, a cotangent of log-dets)."""
    shape, *_, batch = size
    rng = np.random.default_rng(2)
    return (rng.standard_normal((batch, *shape)).astype(dtype),
            rng.standard_normal((batch, int(np.prod(shape)))).astype(dtype),
            rng.standard_normal(batch).astype(dtype))


def results(glow, px, arrays, modes):
    """What is demanded of a Glow, by name: the pullbacks in these modes of memory too.

    The cotangents are the arrays of their shapes.
    """
    images, latents, log_det_bar = arrays
    found = {"log_prob": px.log_prob(images), "forward": glow.forward(latents),
             "grad": px.log_prob_and_grad(images)}
    for memory_mode in modes:
        (z, ildj), pullback = glow.inverse_vjp(images, memory=memory_mode)
        (x, fldj), undo = glow.forward_vjp(latents, memory=memory_mode)
        found[memory_mode] = {
            "z": z, "ildj": ildj, "inverse_bars": pullback(latents, log_det_bar),
            "x": x, "fldj": fldj, "forward_bars": undo(images, log_det_bar)}
    return dict(iterate(found))


def exact(glow, arrays, modes):
    """The same by the specification in float64, on the host; and draws."""
    wide = glow.astype(np.float64)
    noise = np.random.default_rng(SEED).standard_normal((DRAWS, arrays[1].shape[1]),
                                                        arrays[1].dtype)
    with rg.use_backend("spec"):
        found = results(wide, density(wide), [array.astype(np.float64) for array in arrays], modes)
        return found, wide.forward(noise.astype(np.float64))


def check(size, dtype, device, modes=MODES):
    """All that a Glow computes, on the device, is the specification's, and stays on the device."""
    glow, px = model(size, dtype)
    arrays = arrays_for(size, dtype)
    expected, expected_draws = exact(glow, arrays, modes)
    with strict_gpu(device) as cupy, rg.use_backend("cuda"):
        on_gpu = [cupy.asarray(array) for array in arrays]
        px.log_prob(on_gpu[0])
        assert not cupy.transfers.to_host
        cupy.transfers.clear()
        found = results(glow, px, on_gpu, modes)
        # Parameters are there by now. Each "reversible" pullback tells the host its drift.
        assert cupy.transfers.to_gpu == []
        assert cupy.transfers.to_host == [(2,)] * 2 * ("reversible" in modes)
        cupy.transfers.clear()
        draws = px.sample(DRAWS, SEED)
        assert cupy.transfers.to_gpu == [(DRAWS, arrays[1].shape[1])]
        assert not cupy.transfers.to_host
        assert found.keys() == expected.keys()
        assert {type(value) for value in (*found.values(), draws)} == {cupy.ndarray}
        assert_close(dtype, "draws", draws.get(), expected_draws)
        for name, value in expected.items():
            assert_close(dtype, name, found[name].get(), value)


def assert_close(dtype, name, here, expected):
    """Relative to the largest number, as the same derivative in another type has to agree."""
    assert (here.shape, here.dtype) == (expected.shape, dtype), name
    limit = tolerances.DERIVATIVE_IN_ANOTHER_TYPE * np.finfo(dtype).eps * np.abs(expected).max()
    worst = np.abs(here - expected).max()
    assert worst <= limit, f"{name} is off by {worst:.3g}, more than {limit:.3g}"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "dtype", "modes"), [
    (SMALL, np.float32, ("store",)), (TINY, np.float32, MODES), (TINY, np.float64, MODES)],
    ids=["small-float32", "tiny-float32", "tiny-float64"])
def test_interpreted(size, dtype, modes):
    device = InterpretedDevice()
    check(size, dtype, device, modes)
    names = {report.kernel for report in device.reports}
    assert {"product_fused", "outer_products_tiled"} <= names
    assert any("coupling" in name for name in names) and any("squeeze" in name for name in names)


def check_simulated(size, dtype):
    check(size, dtype, SimulatorDevice(), ())


@pytest.mark.simulator
def test_in_the_simulator(simulated):
    simulated(check_simulated, TINY, np.float32)


def test_auto_takes_the_kernels_for_cupy_arrays_and_the_specification_computes_them_too():
    _, px = model(TINY, np.float32)
    images, *_ = arrays_for(TINY, np.float32)
    device = InterpretedDevice(checks=False)
    with rg.use_backend("spec"):
        expected = px.log_prob(images)
    with strict_gpu(device) as cupy:
        for backend, kernels_run in (("spec", False), ("auto", True)):
            with rg.use_backend(backend):
                here = px.log_prob(cupy.asarray(images))
            assert_close(np.float32, backend, here.get(), expected)
            assert bool(device.reports) == kernels_run


def test_an_assignment_reaches_the_gpu():
    glow, px = model(TINY, np.float32)
    images, *_ = arrays_for(TINY, np.float32)
    with strict_gpu(InterpretedDevice(checks=False)) as cupy, rg.use_backend("cuda"):
        before = px.log_prob(cupy.asarray(images)).get()
        variable = glow.trainable_variables[0]
        variable.assign(variable.numpy() + 0.5)
        cupy.transfers.clear()
        after = px.log_prob(cupy.asarray(images))
        assert cupy.transfers.to_gpu == [images.shape, variable.shape]
        after = after.get()
    with rg.use_backend("spec"):
        assert_close(np.float32, "after", after, px.log_prob(images))
    assert np.abs(after - before).max() > 1e-3


def test_the_first_batch_sets_actnorm_from_the_gpu():
    glow, _ = model(TINY, np.float32)
    other, _ = model(TINY, np.float32)
    images = np.concatenate([arrays_for(TINY, np.float32)[0]] * 2)
    images[2:] += 0.3
    with strict_gpu(InterpretedDevice(checks=False)) as cupy, rg.use_backend("cuda"):
        glow.initialize(cupy.asarray(images))
    with rg.use_backend("spec"):
        other.initialize(images)
    for name, value in other.state_dict().items():
        np.testing.assert_allclose(glow.state_dict()[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("module", "function"), [
    (normalized_conv, "normalized_conv_forward"), (coupling, "sigmoid_coupling_forward_vjp")])
def test_a_wrong_kernel_is_rejected(monkeypatch, module, function):
    right = getattr(module, function)

    def wrong(*arguments):
        first, *rest = right(*arguments)
        return first * first.dtype.type(1.01), *rest
    monkeypatch.setattr(module, function, wrong)
    with pytest.raises(AssertionError, match="is off by"):
        check(TINY, np.float32, InterpretedDevice(checks=False), ("store",))


def test_a_transfer_is_rejected(monkeypatch):
    right = normalized_conv.normalized_conv_forward

    def wrong(x, *parameters):
        return right(x, *parameters) if bool((x > -np.inf).all()) else None
    monkeypatch.setattr(normalized_conv, "normalized_conv_forward", wrong)
    with pytest.raises(AssertionError):
        check(TINY, np.float32, InterpretedDevice(checks=False), ("store",))


def test_out_of_memory_is_said_and_changes_nothing():
    glow, _ = model(TINY, np.float32)
    images, *_ = arrays_for(TINY, np.float32)
    for actnorm in glow._actnorms:
        actnorm.reset()
    before = glow.state_dict()
    with strict_gpu(InterpretedDevice(checks=False)) as cupy, rg.use_backend("cuda"):
        x = cupy.asarray(images)
        errors = []
        for allocations in (2, 40, 120, 200):
            cupy.allocations_left = allocations
            with pytest.raises(MemoryError) as raised:  # CuPy's own between two kernels
                glow.inverse(x)
            errors.append(raised.value)
            np.testing.assert_array_equal(x._host, images)
            for name, value in glow.state_dict().items():
                np.testing.assert_array_equal(value, before[name])
        ours = [str(error) for error in errors if isinstance(error, memory.DeviceMemoryError)]
        assert ours
        for message in ours:
            assert "not enough for an allocation of" in message
            assert "1,000 of 2,000 bytes are free, and CuPy holds 77 unused ones" in message
        cupy.allocations_left = np.inf
        glow.inverse(x)
