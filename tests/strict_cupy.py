"""A strict stand-in for CuPy: NumPy's memory behind CuPy's interface, for machines without a GPU.

    with strict_gpu(InterpretedDevice()) as cupy:      # in sys.modules it is "cupy"
        y = glow.inverse(cupy.asarray(x))              # kernels run on the device given

It takes nothing that CuPy would not. Its arrays are no NumPy arrays and refuse to become any,
except by `get`; a NumPy array among its own is refused, of no dimensions too; every function,
method and keyword argument has to exist in the real CuPy, which is asked (installed it is, only its
GPU is missing); reductions give arrays, not scalars. New memory holds poison. What would move
between host and GPU is counted.

It is not asynchronous, has no streams but the default one, and its number type promotion is
NumPy's, which CuPy follows since version 14.
"""

import contextlib
import importlib
import inspect
import operator
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from refglow.kernels.cuda.filled_numpy import POISONED_NUMPY

REAL = importlib.import_module("cupy")
SCALARS = (bool, int, float, complex, np.generic)


class Transfers:
    """How many arrays, or numbers of them, went each way since the last `clear`."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.to_host, self.to_gpu = [], []  # their shapes


class StrictCupy(ModuleType):
    """The module. Functions are made as they are asked for, of those that CuPy has."""

    def __init__(self, gpus=2):
        super().__init__("cupy", __doc__)
        self.__spec__, self.__version__ = REAL.__spec__, REAL.__version__
        self.ndarray = type("ndarray", (StrictArray,), {"__module__": "cupy", "_cupy": self})
        self.transfers, self.asked = Transfers(), set()
        self.current = [0]
        self.cuda = _cuda(self, gpus)
        self.allocations_left = np.inf

    def __getattr__(self, name):
        real = getattr(REAL, name)
        if isinstance(real, type) and issubclass(real, np.generic):
            return real
        if isinstance(real, REAL.ufunc) or name == "matmul":
            call = _ufunc(self, name)
        elif callable(real):
            call = _function(self, name, real)
        else:
            return real
        setattr(self, name, call)
        return call

    # ---- between host and GPU -----------------------------------------------------------------

    def asarray(self, a, dtype=None, order=None, *, copy=None, blocking=False):
        if isinstance(a, self.ndarray):
            return a if dtype is None else a.astype(dtype, copy=False)
        if hasattr(a, "__cupy_get_ndarray__"):
            return a.__cupy_get_ndarray__()
        self.transfers.to_gpu.append(np.shape(a))
        return self.wrapped(np.array(a, dtype, order=order or "K"))

    def array(self, obj, dtype=None, copy=True, order="K"):
        if isinstance(obj, self.ndarray):
            return obj.astype(dtype or obj.dtype, order=order, copy=copy)
        return self.asarray(obj, dtype)

    def asnumpy(self, a, stream=None, order="C", out=None, *, blocking=True):
        return a.get() if isinstance(a, self.ndarray) else np.asarray(a)

    def get_default_memory_pool(self):
        return SimpleNamespace(free_bytes=lambda: 77)

    # ---- wrapping -----------------------------------------------------------------------------

    def wrapped(self, value):
        """NumPy's result as CuPy would give it."""
        if isinstance(value, (np.ndarray, np.generic)):
            if self.allocations_left <= 0:
                raise REAL.cuda.memory.OutOfMemoryError(value.nbytes, 0, 0)
            self.allocations_left -= 1
            return self.ndarray(np.asarray(value), self.current[-1])
        if isinstance(value, (tuple, list)):
            return type(value)(map(self.wrapped, value))
        return value

    def host(self, value):
        """What NumPy computes with, of an argument that CuPy would take."""
        if isinstance(value, self.ndarray):
            return value._host
        if isinstance(value, (tuple, list)):
            return type(value)(map(self.host, value))
        if hasattr(value, "__cupy_get_ndarray__"):
            return value.__cupy_get_ndarray__()._host
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")
        return value

    def host_options(self, options):
        return {name: self.host(value) for name, value in options.items()}


def _ufunc(cupy, name):
    function = getattr(np, name)

    def call(*arguments, out=None, dtype=None, casting="same_kind"):
        cupy.asked.add(name)
        for argument in arguments:
            assert isinstance(argument, (cupy.ndarray, np.ndarray, *SCALARS)) or hasattr(
                argument, "__cupy_get_ndarray__"), type(argument)
        options = {} if dtype is None else {"dtype": dtype}
        result = cupy.wrapped(function(*map(cupy.host, arguments), casting=casting, **options,
                                       **({} if out is None else {"out": cupy.host(out)})))
        return result if out is None else out
    return call


def _function(cupy, name, real):
    function = getattr(POISONED_NUMPY, name)

    def call(*arguments, **options):
        cupy.asked.add(name)
        with contextlib.suppress(ValueError):  # a few are compiled and have no signature
            signature = inspect.signature(real)
            signature.bind(*arguments, **options)
        if name == "split":  # where to split is known to the host
            array, places, *rest = arguments
            return cupy.wrapped(function(cupy.host(array), places, *rest, **options))
        result = function(*map(cupy.host, arguments), **cupy.host_options(options))
        return result if name in ("shape", "ndim", "size", "result_type") else cupy.wrapped(result)
    return call


class StrictArray:
    """An array on the stand-in's GPU."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, host, ordinal):
        self._host, self._ordinal = host, ordinal

    # ---- what CuPy refuses, and how NumPy's functions find CuPy's -----------------------------

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. "
                        "Please use `.get()` to construct a NumPy array explicitly.")

    def __dlpack__(self, **options):
        raise BufferError("the stand-in's arrays are taken by nobody else")

    def __dlpack_device__(self):
        return 2, self._ordinal

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__":
            return NotImplemented
        if "out" in options:
            options["out"], = options["out"]
        function = getattr(self._cupy, ufunc.__name__, None)
        return NotImplemented if function is None else function(*inputs, **options)

    def __array_function__(self, function, types, arguments, options):
        try:
            module = self._cupy
            for part in function.__module__.split(".")[1:]:
                module = getattr(module, part)
            own = getattr(module, function.__name__)
        except AttributeError:
            return NotImplemented
        known = all(issubclass(one, (StrictArray, np.ndarray)) for one in types)
        if not known or getattr(REAL, function.__name__) is function:
            return NotImplemented
        return own(*arguments, **options)

    @property
    def __cuda_array_interface__(self):
        interface = self._host.__array_interface__
        return {"shape": self.shape, "typestr": interface["typestr"], "version": 3, "stream": 1,
                "strides": None if self._host.flags.c_contiguous else self._host.strides,
                "data": (interface["data"][0] if self.size else 0, False)}

    # ---- to the host --------------------------------------------------------------------------

    def get(self):
        self._cupy.transfers.to_host.append(self.shape)
        return self._host.copy()

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __index__(self):
        return operator.index(self.get())

    def __format__(self, specification):
        return format(self.get(), specification)

    def __repr__(self):
        return f"<on GPU {self._ordinal}: {self._host!r}>"

    # ---- an array -----------------------------------------------------------------------------

    @property
    def device(self):
        return self._cupy.cuda.Device(self._ordinal)

    @property
    def flags(self):
        flags = self._host.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return iter([self[i] for i in range(len(self))])

    def __getitem__(self, index):
        return self._cupy.wrapped(self._host[self._cupy.host(index)])

    def __setitem__(self, index, value):
        self._host[self._cupy.host(index)] = self._cupy.host(value)


def _attribute(name):
    def get(self):
        value = getattr(self._host, name)
        return self._cupy.wrapped(value) if isinstance(value, np.ndarray) else value
    return property(get)


def _method(name):
    # CuPy's methods are compiled; the first line of the text of each says what it takes.
    text = getattr(REAL.ndarray, name).__doc__.splitlines()[0]
    known = set(re.findall(r"(\w+)=", text))

    def call(self, *arguments, **options):
        unknown = options.keys() - known
        assert not unknown, f"cupy.ndarray.{name} takes no {unknown}"
        self._cupy.asked.add(f"ndarray.{name}")
        return self._cupy.wrapped(getattr(self._host, name)(
            *map(self._cupy.host, arguments), **self._cupy.host_options(options)))
    return call


def _operator(name, swapped=False):
    def call(self, other):
        if not isinstance(other, (StrictArray, np.ndarray, *SCALARS)) and not hasattr(
                other, "__cupy_get_ndarray__"):
            return NotImplemented
        function = getattr(self._cupy, name)
        return function(other, self) if swapped else function(self, other)
    return call


def _in_place(name):
    def call(self, other):
        return getattr(self._cupy, name)(self, other, out=self)
    return call


for _name in ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "T", "real",
              "imag"):
    setattr(StrictArray, _name, _attribute(_name))
for _name in ("all", "any", "argsort", "astype", "copy", "max", "mean", "min", "reshape", "sum",
              "swapaxes", "transpose", "ravel"):
    setattr(StrictArray, _name, _method(_name))
StrictArray.view = lambda self, dtype=None: self._cupy.wrapped(self._host.view(dtype))
for _operation, _name in {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
        "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
        "xor": "bitwise_xor"}.items():
    setattr(StrictArray, f"__{_operation}__", _operator(_name))
    setattr(StrictArray, f"__r{_operation}__", _operator(_name, swapped=True))
    setattr(StrictArray, f"__i{_operation}__", _in_place(_name))
for _operation, _name in {"lt": "less", "le": "less_equal", "gt": "greater",
                          "ge": "greater_equal", "eq": "equal", "ne": "not_equal"}.items():
    setattr(StrictArray, f"__{_operation}__", _operator(_name))
StrictArray.__neg__ = lambda self: self._cupy.negative(self)
StrictArray.__invert__ = lambda self: self._cupy.invert(self)


def _cuda(cupy, gpus):
    """What is used of cupy.cuda: a driver that is there, and GPUs that do nothing."""
    class Device:
        compute_capability = "90"

        def __init__(self, ordinal=None):
            self.id = cupy.current[-1] if ordinal is None else int(ordinal)

        def __enter__(self):
            cupy.current.append(self.id)

        def __exit__(self, *error):
            cupy.current.pop()

    runtime = SimpleNamespace(
        runtimeGetVersion=lambda: 13000, driverGetVersion=lambda: 13000,
        getDeviceCount=lambda: gpus, memGetInfo=lambda: (1000, 2000),
        CUDARuntimeError=REAL.cuda.runtime.CUDARuntimeError)
    return SimpleNamespace(Device=Device, runtime=runtime, memory=REAL.cuda.memory,
                           get_current_stream=lambda: SimpleNamespace(ptr=0))


@contextlib.contextmanager
def strict_gpu(device):
    """While it lasts, "cupy" is the stand-in, and CUDA kernels for its arrays run on `device`.

    The package's own code runs as on a GPU, down to Numba's compiled kernel, in whose place
    `device` (InterpretedDevice, SimulatorDevice) launches the same grid on the same memory.
    """
    from refglow.kernels.cuda import device as device_module

    class Compiled:
        def __init__(self, kernel):
            self.kernel = kernel

        def __getitem__(self, configuration):
            grid, block, stream, shared_bytes = configuration
            assert stream == 0

            def launch(*arguments):
                device.launch(self.kernel, grid, block, *map(cupy.host, arguments),
                              shared_bytes=shared_bytes)
            return launch

    cupy = StrictCupy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", cupy)
        patch.setattr(device_module, "_compiled_for_gpu", Compiled)
        device_module._cuda_device.cache_clear()
        try:
            yield cupy
        finally:
            device_module._cuda_device.cache_clear()
