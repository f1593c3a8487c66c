"""What the tests of CUDA kernels share: where a check that is written for any device runs."""

import pytest
from gpu import GpuBehindNumpy
from simulator import Simulator

from refglow.kernels.cuda.availability import cuda_unavailable_reason
from refglow.kernels.cuda.device import stand_in

# Without a GPU its half is not made: test_cuda_on_gpu.py is skipped then, and says why.
DEVICES = ["simulator"]
if cuda_unavailable_reason() is None:
    DEVICES.append(pytest.param("gpu", marks=pytest.mark.gpu))


@pytest.fixture(scope="session")
def simulated():
    """simulated(check, *arguments) runs a check of this module in Numba's CUDA simulator."""
    simulator = Simulator()
    yield simulator
    simulator.close()


@pytest.fixture(params=DEVICES)
def on_device(request):
    """on_device(check, *arguments) runs a check in the simulator and, where there is one, a GPU."""
    return request.getfixturevalue("simulated") if request.param == "simulator" else _on_gpu


def _on_gpu(check, *arguments):
    with stand_in(GpuBehindNumpy()):
        check(*arguments)
