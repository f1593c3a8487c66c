"""The records of the networks' ops: ReLU, convolution, coupling network.

Their kernels, the gathers, scatters, ReLUs and masks, exist in two variants, and the host functions
choose by the shapes; an example with odd channels shows the one, an even one the other.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from refglow.kernels.cuda.conv2d import conv2d, conv2d_vjp
from refglow.kernels.cuda.coupling_network import (
    coupling_network,
    coupling_network_activations,
    coupling_network_vjp,
)
from refglow.kernels.cuda.kernel import Size, Variant
from refglow.kernels.cuda.layout import example_numbers
from refglow.kernels.cuda.relu import relu, relu_vjp

_IDEAS = {"coalesced": "a thread for each number", "vectorized": "a thread for each 16 bytes"}


def _bytes_of(*arrays: Any) -> int:
    return sum(int(array.nbytes) for array in arrays)


# ---- ReLU -------------------------------------------------------------------------------------


def _relu_example(count: int, name: str, size: Size, dtype: str) -> tuple[Any, ...]:
    rows = 13 if size == "small" else 401
    columns = (20 if size == "small" else 256) + (name == "coalesced")
    return tuple(example_numbers((rows, columns), dtype, seed) for seed in range(count))


def _relu_variant(name: str) -> Variant:
    return Variant(op="relu", name=name, idea=_IDEAS[name], run=relu,
                   example=partial(_relu_example, 1, name),
                   bytes_moved=lambda x: 2 * int(x.nbytes), operations=lambda x: int(x.size),
                   elements=lambda x: int(x.size))


def _relu_vjp_variant(name: str) -> Variant:
    return Variant(op="relu_vjp", name=name, idea=_IDEAS[name], run=relu_vjp,
                   example=partial(_relu_example, 2, name),
                   bytes_moved=lambda x, y_bar: 3 * int(x.nbytes),
                   operations=lambda x, y_bar: int(x.size),
                   elements=lambda x, y_bar: int(x.size))


# ---- convolution ------------------------------------------------------------------------------


def _conv_example(inputs: int, outputs: int, size: Size, dtype: str) -> tuple[Any, ...]:
    batch, height, width = (2, 3, 5) if size == "small" else (8, 12, 16)
    return (example_numbers((batch, height, width, inputs), dtype, 0),
            example_numbers((3, 3, inputs, outputs), dtype, 1),
            example_numbers((outputs,), dtype, 2), "same")


def _conv_vjp_example(inputs: int, outputs: int, size: Size, dtype: str) -> tuple[Any, ...]:
    x, kernel, _, padding = _conv_example(inputs, outputs, size, dtype)
    return x, kernel, example_numbers((*x.shape[:-1], outputs), dtype, 3), padding


def _multiply_adds(x: Any, kernel: Any) -> int:
    return int(x.size // x.shape[-1]) * int(kernel.size)


def _conv_variant(name: str, idea: str, inputs: int, outputs: int) -> Variant:
    return Variant(
        op="conv2d", name=name, idea=idea, run=conv2d,
        example=partial(_conv_example, inputs, outputs),
        bytes_moved=lambda x, kernel, bias, padding: _bytes_of(x, kernel, bias) + int(
            x.nbytes // x.shape[-1] * len(bias)),
        operations=lambda x, kernel, bias, padding: 2 * _multiply_adds(x, kernel),
        elements=lambda x, kernel, bias, padding: int(x.size // x.shape[-1] * len(bias)))


def _conv_vjp_variant(name: str, idea: str, inputs: int, outputs: int) -> Variant:
    return Variant(
        op="conv2d_vjp", name=name, idea=idea, run=conv2d_vjp,
        example=partial(_conv_vjp_example, inputs, outputs),
        bytes_moved=lambda x, kernel, y_bar, padding: 2 * _bytes_of(x, kernel) + _bytes_of(y_bar),
        operations=lambda x, kernel, y_bar, padding: 4 * _multiply_adds(x, kernel),
        elements=lambda x, kernel, y_bar, padding: int(y_bar.size))


# (name, idea, I, O)
_CONVOLUTIONS = (
    ("gathered", "patches gathered by 16 bytes, then one product", 8, 16),
    ("gathered_coalesced", "patches gathered number by number, then one product", 3, 10),
    ("scattered", "one product, then terms scattered by 16 bytes", 16, 8),
    ("scattered_coalesced", "one product, then terms scattered number by number", 10, 3))


# ---- coupling network -------------------------------------------------------------------------


def _network_example(size: Size, dtype: str) -> tuple[Any, ...]:
    (batch, height, width), filters = ((2, 3, 5), 8) if size == "small" else ((4, 12, 16), 64)
    inputs, outputs = (4, 8) if size == "small" else (12, 24)
    shapes = ((batch, height, width, inputs), (3, 3, inputs, filters), (filters,),
              (1, 1, filters, filters), (filters,), (3, 3, filters, outputs), (outputs,))
    return tuple(example_numbers(shape, dtype, seed) for seed, shape in enumerate(shapes))


def _network_vjp_example(size: Size, dtype: str) -> tuple[Any, ...]:
    x, kernel1, bias1, kernel2, _, kernel3, bias3 = _network_example(size, dtype)
    h1, h2 = (example_numbers((*x.shape[:-1], len(bias1)), dtype, seed).clip(0) for seed in (7, 8))
    output_bar = example_numbers((*x.shape[:-1], len(bias3)), dtype, 9)
    return x, h1, h2, kernel1, kernel2, kernel3, output_bar


def _network_variant(op: str, run: Any) -> Variant:
    def bytes_moved(x: Any, *parameters: Any) -> int:
        return _bytes_of(x, *parameters) + int(x.nbytes // x.shape[-1] * len(parameters[-1]))

    def operations(x: Any, *parameters: Any) -> int:
        return sum(2 * _multiply_adds(x, kernel) for kernel in parameters[::2])

    return Variant(op=op, name="only", idea="cuBLAS between a gather and a scatter", run=run,
                   example=_network_example, bytes_moved=bytes_moved, operations=operations,
                   elements=lambda x, *parameters: int(
                       x.size // x.shape[-1] * len(parameters[-1])))


def _network_vjp_variant() -> Variant:
    def bytes_moved(x: Any, h1: Any, h2: Any, *rest: Any) -> int:
        return 2 * _bytes_of(x, *rest[:3]) + _bytes_of(h1, h2, rest[3])

    def operations(x: Any, h1: Any, h2: Any, *rest: Any) -> int:
        return sum(4 * _multiply_adds(x, kernel) for kernel in rest[:3])

    return Variant(op="coupling_network_vjp", name="only", run=coupling_network_vjp,
                   idea="cuBLAS between gathers, masks and a scatter",
                   example=_network_vjp_example, bytes_moved=bytes_moved, operations=operations,
                   elements=lambda x, h1, h2, *rest: int(rest[3].size))


VARIANTS = (
    *(_relu_variant(name) for name in _IDEAS),
    *(_relu_vjp_variant(name) for name in _IDEAS),
    *(_conv_variant(*convolution) for convolution in _CONVOLUTIONS),
    *(_conv_vjp_variant(*convolution) for convolution in _CONVOLUTIONS),
    _network_variant("coupling_network", coupling_network),
    _network_variant("coupling_network_activations", coupling_network_activations),
    _network_vjp_variant())
