"""NumPy in CuPy's place: enough of CuPy's interface to run what measures a GPU, without one.

Time on this "GPU" passes when work is put into its stream: `took` seconds for each event between
which something ran. Nothing here says anything about a real GPU.
"""

from types import ModuleType, SimpleNamespace

import numpy as np


class Event:
    """Notes the stream's time when it is recorded."""

    def __init__(self, stream):
        self._stream, self.at = stream, None

    def record(self):
        self.at = self._stream.now

    def synchronize(self):
        assert self.at is not None


class NotAnArray:
    """Stands for cupy.ndarray: NumPy's arrays are none."""


def fake_cupy(**stated):
    """A module; `stream.now` is its time in seconds, which the user of the fake lets pass.

    Args:
      stated: device attributes to replace.
    """
    module = ModuleType("cupy")
    for name in dir(np):
        if not name.startswith("_"):
            setattr(module, name, getattr(np, name))
    stream = SimpleNamespace(now=0.0, held=0)

    def matmul(a, b, out=None):
        """The product; with `out`, which only the clock gives, 2 ms in which the stream is held."""
        if out is None:
            return np.matmul(a, b)
        stream.held += 1
        stream.now += 0.002
        return out
    attributes = {"L2CacheSize": 1000, "MultiProcessorCount": 3} | stated
    device = SimpleNamespace(id=0, compute_capability="90", attributes=attributes)
    runtime = SimpleNamespace(
        getDeviceProperties=lambda ordinal: {"name": b"Fake GPU (1 GiB)", "totalGlobalMem": 2**30},
        driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13000)
    module.__version__ = "0.0"
    module.ndarray = NotAnArray
    module.asnumpy = np.asarray
    module.matmul = matmul
    module.stream = stream
    module.fuse = lambda kernel_name: lambda function: function
    module.cuda = SimpleNamespace(
        Event=lambda: Event(stream), Device=lambda: device, runtime=runtime,
        get_elapsed_time=lambda before, after: 1e3 * (after.at - before.at))
    return module
