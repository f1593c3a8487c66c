"""What is said when CUDA kernels cannot run, and when a GPU's memory is not enough."""

import importlib.util
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from refglow.kernels.cuda.availability import (
    CudaUnavailableError,
    cuda_unavailable_reason,
    require_cuda,
)
from refglow.kernels.cuda.memory import DeviceMemoryError, device_memory_errors


class RuntimeApiError(RuntimeError):
    def __init__(self, status, text=""):
        super().__init__(text)
        self.status = status


RuntimeApiError.__module__ = "cupy_backends.cuda.api.runtime"


class OutOfMemoryError(MemoryError):
    pass


def fake_cupy(monkeypatch, driver=13000, toolkit=13020, count=2, error=None,
              capabilities=("90", "90")):
    """A CuPy whose CUDA runtime answers as told."""
    def device_count():
        if error is not None:
            raise error
        return count

    runtime = SimpleNamespace(
        runtimeGetVersion=lambda: toolkit, driverGetVersion=lambda: driver,
        getDeviceCount=device_count, CUDARuntimeError=RuntimeApiError,
        memGetInfo=lambda: (5_000, 16_000_000))
    module = ModuleType("cupy")
    module.__spec__ = importlib.util.spec_from_loader("cupy", None)
    module.cuda = SimpleNamespace(
        runtime=runtime, memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        Device=lambda i: SimpleNamespace(compute_capability=capabilities[i]))
    module.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 777)
    monkeypatch.setitem(sys.modules, "cupy", module)


def test_nothing_is_missing(monkeypatch):
    fake_cupy(monkeypatch, count=1)
    assert cuda_unavailable_reason() is None
    require_cuda()
    fake_cupy(monkeypatch, driver=14000, capabilities=("75", "120"))
    assert cuda_unavailable_reason() is None and cuda_unavailable_reason(1) is None


@pytest.mark.parametrize(("package", "said"), [
    ("numba_cuda", "numba-cuda, which is not installed"), ("cupy", "CuPy is not installed")])
def test_a_missing_package_is_named(monkeypatch, package, said):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *rest: None if name == package else find(name, *rest))
    reason = cuda_unavailable_reason()
    assert said in reason and reason.endswith('pip install "refglow[cuda]"')


def test_a_cupy_that_cannot_be_imported_says_why(monkeypatch):
    def no_import(name, *rest):
        raise ImportError("libnvrtc.so.13: cannot open shared object file")

    fake_cupy(monkeypatch)
    monkeypatch.setattr(importlib, "import_module", no_import)
    assert "cannot be imported (libnvrtc.so.13" in cuda_unavailable_reason()


@pytest.mark.parametrize(("situation", "ordinal", "said"), [
    (dict(driver=0), 0, "There is no NVIDIA driver: the CUDA driver library (libcuda) was not "
                        "found. CUDA 13.2 needs one"),
    (dict(driver=12040), 0, "too old: it supports CUDA 12.4, and CuPy was built for CUDA 13.2. "
                            "Update the driver"),
    (dict(error=RuntimeApiError(35, "insufficient")), 0, "too old for CuPy's CUDA (insufficient)"),
    (dict(error=RuntimeApiError(100)), 0, "sees no GPU"), (dict(count=0), 0, "sees no GPU"),
    (dict(error=RuntimeApiError(999, "cudaErrorUnknown")), 0, "does not work: cudaErrorUnknown"),
    (dict(), 2, "no GPU number 2: 2 are visible"), (dict(count=1), 1, "1 is visible"),
    (dict(), -1, "no GPU number -1"),
    (dict(capabilities=("90", "61")), 1, "GPU 1 has compute capability 6.1; CUDA 13.2 needs at "
                                         "least 7.5")])
def test_what_is_missing_is_said_precisely(monkeypatch, situation, ordinal, said):
    fake_cupy(monkeypatch, **situation)
    assert said in cuda_unavailable_reason(ordinal)
    with pytest.raises(CudaUnavailableError) as raised:
        require_cuda(ordinal)
    assert str(raised.value) == cuda_unavailable_reason(ordinal)


def test_this_machine_gets_an_answer_without_a_traceback():
    code = ("from refglow.kernels.cuda.availability import cuda_unavailable_reason\n"
            "print(cuda_unavailable_reason())")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True,
                          text=True, check=True)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1


class CudaAPIError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


CudaAPIError.__module__ = "numba.cuda.cudadrv.driver"


@pytest.mark.parametrize(("error", "asked", "wording"), [
    (OutOfMemoryError("Out of memory allocating 1,000,000,448 bytes (allocated so far: 512 "
                      "bytes)."), 1_000_000_448, "an allocation of 1,000,000,448 bytes: 5,000 of "
                                                 "16,000,000 bytes are free"),
    (RuntimeApiError(2), None, "an allocation: 5,000 of"),
    (CudaAPIError(2), None, "CuPy holds 777 unused")])
def test_running_out_of_memory_names_the_bytes(monkeypatch, error, asked, wording):
    fake_cupy(monkeypatch)
    with pytest.raises(DeviceMemoryError) as raised, device_memory_errors():
        raise error
    assert isinstance(raised.value, MemoryError) and wording in str(raised.value)
    assert (raised.value.asked, raised.value.free, raised.value.total) == (asked, 5_000, 16_000_000)
    assert raised.value.__cause__ is error


class UnrelatedError(Exception):
    status = 2


@pytest.mark.parametrize("error", [
    RuntimeApiError(700), CudaAPIError(1), UnrelatedError(), MemoryError("of the host")])
def test_other_errors_pass_unchanged(monkeypatch, error):
    fake_cupy(monkeypatch)
    with pytest.raises(type(error)) as raised, device_memory_errors():
        raise error
    assert raised.value is error
