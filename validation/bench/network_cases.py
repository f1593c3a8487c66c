"""The convolutions, the coupling network and the optimizer as cases."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import relu
from refglow.kernels.bench.records import Arrays, Case
from refglow.networks.conv2d import conv2d
from refglow.networks.conv2d_gradient import conv2d_vjp
from refglow.networks.coupling_network import (
    coupling_network,
    coupling_network_activations,
    coupling_network_vjp,
)
from refglow.networks.relu import relu_vjp
from refglow.training.optimizer import adam_update
from refglow.validation import tolerances
from refglow.validation.bench.flow_cases import case, normal
from refglow.validation.bench.size import Size

_SIDE = 3  # of the first and the last kernel
_ADAM = (3, 1e-3, 0.9, 0.999, 1e-8)  # step, learning_rate, beta_1, beta_2, epsilon
_ADAM_OPERATIONS = 14  # for each parameter: two moments, their corrections, the update


def _weights(rng: np.random.Generator, dtype: str, *shape: int) -> Array:
    """Normal numbers that keep the size of what they multiply."""
    return np.asarray(rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1])), dtype)


def conv2d_cases(size: Size, dtype: str) -> Iterator[Case]:
    """The network's first, middle and last convolution, each with its vjp."""
    half, hidden = size.channels // 2, size.hidden
    for side, inputs, outputs in ((_SIDE, half, hidden), (1, hidden, hidden),
                                  (_SIDE, hidden, size.channels)):
        yield from _conv2d_cases(size, dtype, side, inputs, outputs)


def _conv2d_cases(size: Size, dtype: str, side: int, inputs: int, outputs: int) -> Iterator[Case]:
    shape = (size.batch, size.height, size.width)

    def make_inputs(rng: np.random.Generator) -> Arrays:
        return (normal(rng, dtype, *shape, inputs),
                _weights(rng, dtype, side, side, inputs, outputs),
                normal(rng, dtype, outputs), "same")

    def with_bar(rng: np.random.Generator) -> Arrays:
        x, kernel, _, padding = make_inputs(rng)
        return x, kernel, normal(rng, dtype, *shape, outputs), padding

    taps = side * side * inputs * outputs
    product = 2 * size.vectors * taps
    numbers = size.vectors * (inputs + outputs) + taps
    terms = side * side * max(inputs, outputs)
    text = f"x {list(shape)} x {inputs}, kernel [{side}, {side}, {inputs}, {outputs}]"
    yield case("conv2d", conv2d, text, dtype, make_inputs, numbers + outputs,
               product + size.vectors * outputs, tolerances.agreement(dtype, terms, 1.0))
    yield case("conv2d", conv2d_vjp, text, dtype, with_bar, numbers + size.vectors * inputs + taps,
               2 * product, tolerances.agreement(dtype, max(terms, size.vectors), 1.0))


def coupling_network_cases(size: Size, dtype: str) -> Iterator[Case]:
    """The whole network, from half of the channels to [r | t]; with its activations; its vjp."""
    shape, i, f, o = ((size.batch, size.height, size.width), size.channels // 2, size.hidden,
                      size.channels)

    def make_inputs(rng: np.random.Generator) -> Arrays:
        return (normal(rng, dtype, *shape, i),
                _weights(rng, dtype, _SIDE, _SIDE, i, f), 0.2 * normal(rng, dtype, f),
                _weights(rng, dtype, 1, 1, f, f), 0.2 * normal(rng, dtype, f),
                _weights(rng, dtype, _SIDE, _SIDE, f, o), 0.2 * normal(rng, dtype, o))

    def for_vjp(rng: np.random.Generator) -> Arrays:
        x, *weights = make_inputs(rng)
        _, h1, h2 = coupling_network_activations(x, *weights)
        return x, h1, h2, *weights[::2], normal(rng, dtype, *shape, o)

    taps = _SIDE**2 * i * f + f * f + _SIDE**2 * f * o
    product, relu_and_biases = 2 * size.vectors * taps, size.vectors * (4 * f + o)
    terms = _SIDE**2 * f
    text = f"x {list(shape)} x {i}, {f} hidden, {o} out"
    yield case("coupling_network", coupling_network, text, dtype, make_inputs,
               size.vectors * (i + o) + taps + 2 * f + o, product + relu_and_biases,
               tolerances.agreement(dtype, terms, 1.0))
    yield case("coupling_network", coupling_network_activations, text, dtype, make_inputs,
               size.vectors * (i + 2 * f + o) + taps + 2 * f + o, product + relu_and_biases,
               tolerances.agreement(dtype, terms, 1.0))
    yield case("coupling_network", coupling_network_vjp, text, dtype, for_vjp,
               size.vectors * (2 * i + 2 * f + o) + 2 * taps + 2 * f + o,
               2 * product + relu_and_biases,
               tolerances.agreement(dtype, max(terms, size.vectors), 1.0))


def relu_cases(size: Size, dtype: str) -> Iterator[Case]:
    """ReLU of a network's hidden channels, and its vjp."""
    shape = size.batch, size.height, size.width, size.hidden
    elements = size.vectors * size.hidden
    exact = tolerances.Tolerance(0.0, "numbers are kept or replaced by 0")
    yield case("relu", relu, f"x {list(shape)}", dtype, lambda rng: (normal(rng, dtype, *shape),),
               2 * elements, elements, exact)
    yield case("relu", relu_vjp, f"x {list(shape)}", dtype,
               lambda rng: (normal(rng, dtype, *shape), normal(rng, dtype, *shape)),
               3 * elements, elements, exact)


def adam_cases(size: Size, dtype: str) -> Iterator[Case]:
    """Adam's update of as many parameters as the size has elements."""
    def make_inputs(rng: np.random.Generator) -> Arrays:
        w, gradient, first = (normal(rng, dtype, size.elements) for _ in range(3))
        return w, gradient, first, np.square(normal(rng, dtype, size.elements)), *_ADAM

    yield case("adam", adam_update, f"w [{size.elements}]", dtype, make_inputs, 7 * size.elements,
               _ADAM_OPERATIONS * size.elements, tolerances.agreement(dtype, 1, 1.0))
