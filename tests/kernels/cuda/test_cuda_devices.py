"""Devices: what they run, what they refuse, and how arrays find theirs."""

import contextlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from gpu import GpuBehindNumpy
from numba import cuda
from numba.cuda.args import wrap_arg
from strict_cupy import strict_gpu

from refglow.kernels import ptx
from refglow.kernels.cuda import availability
from refglow.kernels.cuda import device as device_module
from refglow.kernels.cuda.availability import CudaUnavailableError, cuda_unavailable_reason
from refglow.kernels.cuda.device import CudaDevice, device_of, stand_in, stand_in_is_active
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.stand_ins import InterpretedDevice, RecordingDevice, SimulatorDevice


def doubled(x, y, n):
    i = cuda.grid(1)
    while i < n:
        y[i] = x[i] + x[i]
        i += cuda.gridsize(1)


def reversed_in_blocks(x, y):
    shared = cuda.shared.array(0, x.dtype)
    i = cuda.grid(1)
    shared[cuda.threadIdx.x] = x[i]
    cuda.syncthreads()
    y[i] = shared[cuda.blockDim.x - 1 - cuda.threadIdx.x]


def copied(x, y):
    y[cuda.grid(1)] = x[cuda.grid(1)]


DOUBLED = Kernel(doubled)
COPIED = Kernel(copied)
REVERSED = Kernel(reversed_in_blocks)


def check_doubled(dtype, n):
    x = np.random.default_rng(0).normal(size=n).astype(dtype)
    device = device_of(x)
    y = device.xp.empty_like(x)
    device.launch(DOUBLED, 3, 32, x, y, n)
    np.testing.assert_array_equal(y, 2 * x)


def check_dynamic_shared_memory():
    x = np.random.default_rng(0).normal(size=96).astype(np.float32)
    device = device_of(x)
    y = device.xp.empty_like(x)
    device.launch(REVERSED, 3, 32, x, y, shared_bytes=32 * x.itemsize)
    np.testing.assert_array_equal(y.reshape(3, 32), x.reshape(3, 32)[:, ::-1])


def check_in_place_and_strided():
    x = np.arange(80, dtype=np.float64).reshape(40, 2)[:, 1]
    device_of(x).launch(DOUBLED, (2, 1), (8, 1), x, x, x.size)
    np.testing.assert_array_equal(x, np.arange(1, 80, 2) * 2)


def check_fails():
    np.testing.assert_array_equal([1, 2], [1, 3])


@pytest.fixture
def interpreted():
    with stand_in(InterpretedDevice()) as device:
        yield device


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 95, 96, 97, 300])
def test_interpreted_launches_compute(interpreted, dtype, n):
    check_doubled(dtype, n)
    [report] = interpreted.reports
    assert report.kernel == "doubled" and report.grid == (3, 1, 1) and not report.findings
    assert report.counts.stores["y"].unique_bytes == n * np.dtype(dtype).itemsize


def test_interpreted_launches_take_shared_memory_and_any_strides(interpreted):
    check_dynamic_shared_memory()
    check_in_place_and_strided()


@pytest.mark.simulator
def test_launches_on_a_device_compute(on_device):
    for n in (1, 95, 96, 97, 300):
        on_device(check_doubled, "float32", n)
    on_device(check_dynamic_shared_memory)
    on_device(check_in_place_and_strided)


def test_arrays_go_to_the_gpu_and_come_back():
    """With the interpreter in the GPU's place: how `on_device` runs a check where there is one."""
    interpreter = InterpretedDevice()
    with strict_gpu(interpreter), stand_in(GpuBehindNumpy()):
        check_doubled("float32", 95)
        check_dynamic_shared_memory()
        check_in_place_and_strided()
    assert [report.kernel for report in interpreter.reports] == [
        "doubled", "reversed_in_blocks", "doubled"]


@pytest.mark.simulator
def test_a_check_that_fails_in_the_simulator_fails_here(simulated):
    with pytest.raises(AssertionError, match=r"check_fails.*\n(.*\n)*.*Arrays are not equal"):
        simulated(check_fails)
    simulated(check_doubled, "float64", 5)


def test_the_interpreter_sees_a_read_of_memory_that_nobody_wrote(interpreted):
    z = np.zeros(32, np.float32)
    fresh = interpreted.xp.empty(32, np.float32)
    assert np.isnan(fresh).all()
    with pytest.raises(ptx.FindingsError, match="nobody wrote"):
        interpreted.launch(COPIED, 1, 32, fresh, z)
    interpreted.launch(COPIED, 1, 32, np.zeros_like(z), fresh)
    assert not fresh.any()
    assert len(interpreted.reports) == 1


def test_poison_is_seen_in_every_type(interpreted):
    xp = interpreted.xp
    for dtype in (np.float16, np.float32, np.float64):
        assert np.isnan(xp.empty((2, 3), dtype, order="F")).all()
        assert np.isnan(xp.empty_like(np.ones((2, 3), dtype).T)).all()
    assert (xp.empty(3, np.int32) == -1).all() and xp.empty((), np.float32).shape == ()
    assert xp.zeros(2).tolist() == [0, 0] and xp.float32 is np.float32
    xp.empty(3, np.bool_), xp.empty(0, np.float32)


def test_the_recorder_runs_nothing():
    x, y = np.ones(8, np.float32), np.zeros(8, np.float32)
    with stand_in(RecordingDevice()) as device:
        device_of(x, y).launch(DOUBLED, 2, (4, 2), x, y, 8, shared_bytes=16)
        device_of(x, y).launch(DOUBLED, 0, 4, x, y, 8)
    [launch] = device.launches
    assert not y.any()
    assert launch.kernel is DOUBLED and launch.grid == (2, 1, 1) and launch.block == (4, 2, 1)
    assert launch.arguments[0] is x and launch.shared_bytes == 16 and DOUBLED.name == "doubled"


@pytest.mark.parametrize(("grid", "block", "shared", "message"), [
    (1, 1025, 0, r"at most \(1024, 1024, 64\)"), (1, (32, 33), 0, "1 to 1024 threads; got 1056"),
    (1, 0, 0, "got 0"), (1, (1, 1, 65), 0, r"at most \(1024, 1024, 64\)"),
    ((1, 65536), 32, 0, r"at most \(2147483647, 65535, 65535\)"), (-1, 32, 0, "none below 0"),
    ((1, 1, 1, 1), 32, 0, "up to three"), (1, 32, 49153, "49,152 bytes of shared memory")])
def test_launches_that_no_gpu_makes_are_refused(grid, block, shared, message):
    with pytest.raises(ValueError, match=message):
        RecordingDevice().launch(DOUBLED, grid, block, shared_bytes=shared)


def test_launch_bounds_bind():
    with pytest.raises(ValueError, match="1 to 128 threads; got 256"):
        RecordingDevice().launch(Kernel(doubled, launch_bounds=128), 1, 256)


def test_a_grid_of_no_blocks_does_nothing(interpreted):
    x = np.empty(0, np.float32)
    interpreted.launch(DOUBLED, 0, 32, x, x, 0)
    assert not interpreted.reports


def test_numpy_arrays_need_a_stand_in():
    x = np.ones(3)
    with pytest.raises(TypeError, match=r"cupy\.asarray.*stand_in\(InterpretedDevice\(\)\)"):
        device_of(x)
    assert not stand_in_is_active()
    with stand_in(RecordingDevice()) as outer:
        assert stand_in_is_active()
        with stand_in(RecordingDevice()) as inner:
            assert device_of(x, x) is inner
        assert device_of(x) is outer
    with pytest.raises(TypeError, match="NumPy arrays"):
        device_of(x)
    with pytest.raises(TypeError, match=r"got builtins\.list"):
        device_of([1.0])
    with pytest.raises(TypeError, match="needs an array"):
        device_of()


def fake_cupy(monkeypatch):
    module = ModuleType("cupy")

    class ndarray:  # noqa: N801
        def __init__(self, ordinal):
            self.device = SimpleNamespace(id=ordinal)

    module.ndarray = ndarray
    monkeypatch.setitem(sys.modules, "cupy", module)
    return ndarray


def test_arrays_on_different_devices_are_told_apart(monkeypatch):
    array = fake_cupy(monkeypatch)
    with pytest.raises(ValueError, match="array 0 on device 0, array 2 on device 1"):
        device_of(array(0), array(0), array(1))
    with pytest.raises(TypeError, match="not on one device"):
        device_of(array(0), np.ones(2))


@pytest.mark.parametrize("pointer", [0, 4096])
def test_a_gpu_is_launched_on_in_cupy_s_device_and_stream(monkeypatch, pointer):
    fake_cupy(monkeypatch)
    entered, launched = [], []
    sys.modules["cupy"].cuda = SimpleNamespace(
        Device=lambda ordinal: contextlib.nullcontext(entered.append(ordinal)),
        get_current_stream=lambda: SimpleNamespace(ptr=pointer))

    class Dispatcher:
        def __getitem__(self, configuration):
            return lambda *arguments: launched.append((configuration, arguments))

    monkeypatch.setattr(availability, "require_cuda", lambda ordinal: None)
    monkeypatch.setattr(device_module, "_compiled_for_gpu", lambda kernel: Dispatcher())
    monkeypatch.setattr(cuda, "external_stream", lambda ptr: f"stream {ptr}")
    gpu = CudaDevice(1)
    assert gpu.xp is sys.modules["cupy"]
    gpu.launch(DOUBLED, (7, 2), 64, "x", "y", 5, shared_bytes=128)
    gpu.launch(DOUBLED, 0, 64, "x", "y", 5)
    stream = f"stream {pointer}" if pointer else 0
    assert launched == [(((7, 2, 1), (64, 1, 1), stream, 128), ("x", "y", 5))] and entered == [1]


class Exporting:
    """Offers itself as CuPy's arrays do, and notes how it was asked; its memory is nobody's."""

    dtype = np.dtype(np.float32)

    def __init__(self):
        self.asked = []

    def __dlpack_device__(self):
        return 2, 0  # kDLCUDA

    def __dlpack__(self, *, stream=None, max_version=None):
        self.asked.append(stream)
        raise BufferError

    @property
    def __cuda_array_interface__(self):
        raise AssertionError("Numba waits on the host for arrays that it takes this way")


@pytest.mark.parametrize(("stream", "asked"), [(0, None), (SimpleNamespace(handle=4096), 4096)])
def test_numba_takes_arrays_in_the_launch_s_stream_and_waits_for_nothing(stream, asked):
    """None is the default stream: CuPy makes a consumer on the stream it works in not wait."""
    array = Exporting()
    with pytest.raises(BufferError):
        wrap_arg(array).to_device([], stream)
    assert array.asked == [asked]


def test_kernels_are_compiled_lazily_with_their_launch_bounds():
    dispatcher = device_module._compiled_for_gpu(Kernel(doubled, launch_bounds=128))
    assert dispatcher.py_func is doubled and not dispatcher.overloads
    assert dispatcher.targetoptions["launch_bounds"] == 128
    assert device_module._compiled_for_gpu(DOUBLED) is device_module._compiled_for_gpu(DOUBLED)


def test_the_simulator_needs_its_own_process():
    with pytest.raises(RuntimeError, match="NUMBA_ENABLE_CUDASIM=1"):
        SimulatorDevice()


@pytest.mark.skipif(cuda_unavailable_reason() is None, reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_so():
    with pytest.raises(CudaUnavailableError) as raised:
        CudaDevice()
    assert str(raised.value) == cuda_unavailable_reason()
