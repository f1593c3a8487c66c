"""What the tests of CUDA kernels share."""

import pytest
from simulator import Simulator


@pytest.fixture(scope="session")
def simulated():
    """simulated(check, *arguments) runs a check of this module in Numba's CUDA simulator."""
    simulator = Simulator()
    yield simulator
    simulator.close()
