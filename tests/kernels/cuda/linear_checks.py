"""1x1 convolutions and networks on a device against the specification, whatever device it is."""

import importlib

import numpy as np
from variant_checks import variant_of, widened

from refglow.bijectors import normalized_conv, scale_matvec_lu

# Relative to the largest number of each result, in eps of its type. A dot product of n terms has n
# roundings, which add up at random to about sqrt(n), and the numbers of a result are sums of terms
# that hardly cancel; over all tests here the largest error is 5 eps.
ROUNDINGS = 8.0
NETWORK_VJPS = ("conv2d_vjp", "coupling_network_vjp")

_SPECIFICATIONS = (normalized_conv, scale_matvec_lu, *(
    importlib.import_module(f"refglow.networks.{name}")
    for name in ("conv2d", "conv2d_gradient", "relu", "coupling_network")))


def specification(op):
    found, = {getattr(module, op) for module in _SPECIFICATIONS if hasattr(module, op)}
    return found


def check_variant(module, op, name, size, dtype):
    """The variant's results on its own example are the specification's."""
    variant = variant_of(module, op, name)
    arguments = variant.example(size, dtype)
    check_results(op, variant.run(*arguments), arguments, _roundings(op, arguments[0]))


def _roundings(op, x):
    """A network's gradients are sums over n pixels in a matrix product's order: sqrt(n) more."""
    return max(ROUNDINGS, (x.size / x.shape[-1]) ** 0.5) if op in NETWORK_VJPS else ROUNDINGS


def check_results(op, results, arguments, roundings=ROUNDINGS):
    """Results have the specification's shapes and types, and its values in a wider type."""
    expected = _tuple(specification(op)(*(_widened(argument) for argument in arguments)))
    typed = _tuple(specification(op)(*arguments))
    results = _tuple(results)
    assert len(results) == len(expected)
    for result, exact, like in zip(results, expected, typed, strict=True):
        assert (result.shape, result.dtype) == (like.shape, like.dtype)
        assert_close(result, exact, arguments[0].dtype, roundings)


def _widened(argument):
    """A floating argument in a type in which roundings do not matter; a permutation as it is."""
    return widened(argument) if getattr(argument, "dtype", np.dtype(int)).kind == "f" else argument


def assert_close(result, expected, dtype, roundings=ROUNDINGS):
    if not result.size:
        return
    worst = np.abs(result - expected).max()
    limit = roundings * np.finfo(dtype).eps * np.abs(expected).max()
    assert worst <= limit, f"off by {worst:.3g}, more than {limit:.3g}"  # NaN fails too


def _tuple(results):
    return results if isinstance(results, tuple) else (results,)


def shifted_by(array, count):
    """The same numbers at an address `count` bytes after a multiple of 16."""
    buffer = np.zeros(array.nbytes + 32, np.uint8)
    start = -buffer.ctypes.data % 16 + count
    moved = buffer[start:start + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


LAYOUTS = {
    "misaligned for vectors": lambda array: shifted_by(array, 4),
    "misaligned": lambda array: shifted_by(array, 3),
    "Fortran order": np.asfortranarray,
    "strided": lambda array: np.repeat(array, 2, axis=0)[::2],
    "negative strides": lambda array: array[..., ::-1].copy()[..., ::-1],
}


class _NotOnTheHost:
    """NumPy, whose new arrays refuse to become Python numbers, as a transfer from a GPU would."""

    def __getattr__(self, name):
        function = getattr(np, name)
        if not callable(function) or isinstance(function, type):
            return function

        def wrapped(*arguments, **options):
            result = function(*arguments, **options)
            return on_device(result) if isinstance(result, np.ndarray) else result
        return wrapped


class DeviceArray(np.ndarray):
    """An array that cannot be read on the host."""

    def _refuse(self, *arguments):
        raise AssertionError("a number was brought from the device to the host")

    __bool__ = __int__ = __float__ = __index__ = __complex__ = item = tolist = tobytes = _refuse


def on_device(array):
    return np.asarray(array).view(DeviceArray)


NOT_ON_THE_HOST = _NotOnTheHost()
