"""A whole Glow on a GPU's stand-ins: latents, log-dets, samples and gradients end to end."""

import numpy as np
import pytest
from device_glow import DeviceGlow, random_glow
from linear_checks import NOT_ON_THE_HOST, on_device

import refglow as rg
from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.stand_ins import InterpretedDevice, RecordingDevice
from refglow.validation import tolerances

# (shape, blocks, steps, hidden filters, batch)
SMALL = (8, 12, 3), 2, 2, 16, 3
TINY = (4, 8, 1), 2, 1, 4, 2


def case(size, dtype):
    """(Glow, the same by host functions, images, latents, z_bar, ildj_bar)."""
    shape, blocks, steps, hidden, batch = size
    glow = random_glow(shape, blocks, steps, hidden, dtype)
    rng = np.random.default_rng(2)
    images = rng.standard_normal((batch, *shape)).astype(dtype)
    latents, z_bar = rng.standard_normal((2, batch, int(np.prod(shape)))).astype(dtype)
    ildj_bar = rng.standard_normal(batch).astype(dtype)
    return glow, DeviceGlow(glow, shape, blocks, steps), images, latents, z_bar, ildj_bar


def exact(glow, images, latents, z_bar, ildj_bar):
    """The specification in float64: (z, ildj), (x, fldj), x_bar, {name: bar}."""
    wide = glow.astype(np.float64)
    images, latents, z_bar, ildj_bar = (array.astype(np.float64) for array in (
        images, latents, z_bar, ildj_bar))
    with rg.use_backend("spec"):
        values, pullback = wide.inverse_vjp(images)
        return values, wide.forward_and_log_det(latents), *pullback(z_bar, ildj_bar)


def check(size, dtype):
    """All that a Glow computes, on the device in force, against the specification."""
    glow, device_glow, images, latents, z_bar, ildj_bar = case(size, dtype)
    (z, ildj), (x, fldj), x_bar, bars = exact(glow, images, latents, z_bar, ildj_bar)
    (z_here, ildj_here), pullback = device_glow.inverse_vjp(images)
    x_here, fldj_here = device_glow.forward_and_log_det(latents)
    x_bar_here, bars_here = pullback(z_bar, ildj_bar)
    assert_close(dtype, z_here, z)
    assert_close(dtype, ildj_here, ildj)
    assert_close(dtype, x_here, x)
    assert_close(dtype, fldj_here, fldj)
    assert_close(dtype, x_bar_here, x_bar)
    assert bars_here.keys() == bars.keys()
    for name, bar in bars.items():
        assert_close(dtype, bars_here[name], bar)


def assert_close(dtype, here, expected):
    """Relative to the largest number, as the same derivative in another type has to agree."""
    assert here.shape == expected.shape
    limit = tolerances.DERIVATIVE_IN_ANOTHER_TYPE * np.finfo(dtype).eps * np.abs(expected).max()
    worst = np.abs(here - expected).max()
    assert worst <= limit, f"off by {worst:.3g}, more than {limit:.3g}"


@pytest.mark.parametrize(("size", "dtype"), [(SMALL, np.float32), (TINY, np.float64)],
                         ids=["float32", "float64"])
def test_interpreted(size, dtype):
    device = InterpretedDevice()
    with stand_in(device):
        check(size, dtype)
    names = {report.kernel for report in device.reports}
    assert {"product_fused", "outer_products_tiled"} <= names


def test_the_model_itself_runs_on_the_device():
    glow, _, images, latents, z_bar, ildj_bar = case(TINY, np.float32)
    expected_values, expected_sample, expected_x_bar, expected_bars = exact(
        glow, images, latents, z_bar, ildj_bar)
    device = InterpretedDevice()
    with stand_in(device), rg.use_backend("auto"):
        values, pullback = glow.inverse_vjp(images)
        sample = glow.forward_and_log_det(latents)
        x_bar, bars = pullback(z_bar, ildj_bar)
    for here, expected in zip((*values, *sample, x_bar),
                              (*expected_values, *expected_sample, expected_x_bar), strict=True):
        assert_close(np.float32, here, expected)
    assert bars.keys() == expected_bars.keys()
    for name, bar in expected_bars.items():
        assert_close(np.float32, bars[name], bar)
    names = {report.kernel for report in device.reports}
    assert {"product_fused", "outer_products_tiled", "mask_vectorized"} <= names


@pytest.mark.simulator
def test_in_the_simulator(simulated):
    simulated(check, TINY, np.float32)


def test_nothing_is_brought_to_the_host():
    class Device(RecordingDevice):
        xp = NOT_ON_THE_HOST

    shape, blocks, steps, *_ = SMALL
    glow, _, *arrays = case(SMALL, np.float32)
    images, latents, z_bar, ildj_bar = (on_device(array) for array in arrays)
    device_glow = DeviceGlow(glow, shape, blocks, steps, on_device)
    with stand_in(Device()), np.errstate(all="ignore"):
        _, pullback = device_glow.inverse_vjp(images)
        pullback(z_bar, ildj_bar)
        device_glow.forward_and_log_det(latents)


def test_a_step_left_out_is_rejected():
    glow, _, images, latents, z_bar, ildj_bar = case(TINY, np.float32)
    (z, ildj), *_ = exact(glow, images, latents, z_bar, ildj_bar)
    shape, blocks, *_ = TINY
    with stand_in(InterpretedDevice()):
        z_here, ildj_here = DeviceGlow(glow, shape, blocks, 0).inverse_and_log_det(images)
    for here, expected in ((z_here, z), (ildj_here, ildj)):
        with pytest.raises(AssertionError, match="off by"):
            assert_close(np.float32, here, expected)
