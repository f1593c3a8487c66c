"""A GPU behind NumPy arrays, for the checks that are written for any device.

Each launch takes its arrays to the GPU, runs there, and brings them back. An array that is given
twice is one array there too.
"""

import numpy as np

from refglow.kernels.cuda.device import CudaDevice
from refglow.kernels.cuda.filled_numpy import POISONED_NUMPY


class GpuBehindNumpy:
    """CudaDevice's kernels for NumPy arrays: a stand-in for nothing but CuPy's arrays."""

    def __init__(self):
        self.gpu = CudaDevice()

    @property
    def xp(self):
        return POISONED_NUMPY

    def launch(self, kernel, grid, block, *arguments, shared_bytes=0):
        cupy = self.gpu.xp
        arrays = {_place(a): a for a in arguments if isinstance(a, np.ndarray)}
        there = {place: cupy.asarray(array) for place, array in arrays.items()}
        self.gpu.launch(kernel, grid, block, *(
            there[_place(a)] if isinstance(a, np.ndarray) else a for a in arguments),
            shared_bytes=shared_bytes)
        for place, array in arrays.items():
            if array.flags.writeable:
                array[...] = there[place].get()


def _place(array):
    return array.ctypes.data, array.shape, array.strides
