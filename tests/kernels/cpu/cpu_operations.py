"""The accelerated operations of the flow and the optimizers, with their specifications and inputs.

`OPERATIONS[name]` makes random arguments of a given number type; `sizes` are, for each kind of
operation, small ones, and those at the edges of the tiles and chunks that the kernels work in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from refglow.kernels.cpu.channel_products import PIXELS
from refglow.kernels.cpu.operands import CHUNK, TILE

SMALL = 0  # the place in `sizes` of a size that is one chunk
LARGE = 1  # and of one that is several


@dataclass(frozen=True)
class Operation:
    """An operation: where its two functions are, and `make(rng, dtype, size)` of its arguments.

    Its log-det is float64; `sums_data` if what is summed there was computed in the data's type.
    """

    name: str
    kernel_module: str
    specification_module: str
    make: Callable
    sizes: tuple
    sums_data: bool = False

    @property
    def kernel(self):
        return getattr(import_module(f"refglow.kernels.cpu.{self.kernel_module}"), self.name)

    @property
    def specification(self):
        return getattr(import_module(f"refglow.{self.specification_module}"), self.name)

    def arguments(self, dtype, size, seed=0):
        return self.make(np.random.default_rng(seed), np.dtype(dtype), size)


def normal(rng, dtype, *shape):
    return rng.normal(size=shape).astype(dtype)


# ---- expand: (shape, block size) -----------------------------------------------------------------

EXPAND_SIZES = (((2, 3, 5, 12), 2), ((3, 64, 38, 20), 2), ((1, 2, 7, 18), 3), ((2, 5, 3, 4), 2),
                ((4, 3, 1, 8), 2), ((3, 5, 7, 24), 2), ((2, 3, 5, 6), 1), ((2, 3, 400, 32), 4),
                ((2, 1, 3, TILE // 2), 2), ((1, 2, TILE // 8 + 1, 16), 2), ((5, 2, 4), 2),
                ((2, 3, 19, 4), 2), ((2, 2, 9, 8), 2), ((2, 2, 3, 48), 2))


def expand(direction, vjp):
    def make(rng, dtype, size):
        closed, n = size
        *batch, h, w, c = closed
        opened = *batch, h * n, w * n, c // n**2
        if not vjp:
            return normal(rng, dtype, *(closed if direction == "forward" else opened)), n
        # x is the input of the forward direction, and the result of the inverse.
        bar = opened if direction == "forward" else closed
        return normal(rng, dtype, *closed), n, normal(rng, dtype, *bar), dtype.type(1.5)
    return make


# ---- couplings: (N, P, C, K) ------------------------------------------------------------------

COUPLING_SIZES = ((3, 5, 7, 3), (3, 3000, 12, 6), (2, 3, 4, 0), (2, 3, 4, 4), (5, 2, 2, 1),
                  (2, 11, 48, 24), (1, CHUNK // 12 - 1, 12, 6), (2, CHUNK // 12, 12, 6),
                  (1, CHUNK // 12 + 1, 12, 5), (2, TILE // 8 - 1, 8, 4), (2, TILE // 8, 8, 3),
                  (2, TILE // 8 + 1, 8, 5), (2, 3, 2 * TILE + 1, TILE - 300), (400, 6, 24, 12))


def coupling(kind, vjp):
    def make(rng, dtype, size):
        *pixels, c, k = size
        mapped = c - k
        arguments = (normal(rng, dtype, *pixels, c),
                     normal(rng, dtype, *pixels, mapped if kind == "shift" else 2 * mapped), k)
        if vjp:
            arguments += normal(rng, dtype, *pixels, c), normal(rng, np.float64, size[0])
        return arguments
    return make


# ---- maps of channels: shapes -------------------------------------------------------------------

CHANNEL_SIZES = ((2, 3, 5, 12), (7, 40, 31, 12), (3, 2, 7, 48), (5, 24), (9,), (3, 4, 1), (2, 3),
                 (PIXELS - 1, 13), (PIXELS, 5), (PIXELS + 1, 6),
                 (CHUNK // 24 // PIXELS * PIXELS - 1, 24), (CHUNK // 24 // PIXELS * PIXELS, 24),
                 (CHUNK // 24 // PIXELS * PIXELS + 1, 24), (TILE // 8 - 1, 8), (TILE // 8, 8),
                 (TILE // 8 + 1, 8), (CHUNK - 1, 4), (CHUNK, 4), (CHUNK + 1, 4),
                 (2, TILE + 3))
MATRIX_SIZES = tuple(size for size in CHANNEL_SIZES if size[-1] < 100)


def factors(rng, dtype, c):
    """A well-conditioned L and U, with diagonal entries of both signs, and a permutation."""
    packed = rng.normal(size=(c, c)) / (2 * np.sqrt(c))
    diagonal = np.exp(rng.normal(size=c) / 4) * rng.choice([-1, 1], c)
    return (packed - np.diag(np.diag(packed)) + np.diag(diagonal)).astype(dtype), rng.permutation(c)


def channels(with_shift, with_matrix, vjp):
    def make(rng, dtype, shape):
        c = shape[-1]
        arguments = (normal(rng, dtype, *shape),)
        if with_shift:
            arguments += normal(rng, dtype, c), (rng.normal(size=c) / 4).astype(dtype)
        if with_matrix:
            arguments += factors(rng, dtype, c)
        if vjp:
            arguments += normal(rng, dtype, *shape), np.float64(rng.normal())
        return arguments
    return make


def statistics(rng, dtype, shape):
    return (normal(rng, dtype, *shape) * dtype.type(3) + dtype.type(100)), 1e-5


# ---- optimizers: shapes -------------------------------------------------------------------------

OPTIMIZER_SIZES = ((3, 5, 7), (3 * CHUNK + 5,), (), (1,), (TILE - 1,), (TILE,), (TILE + 1,),
                   (CHUNK - 1,), (CHUNK,), (CHUNK + 1,))


def optimizer(*settings):
    def make(rng, dtype, shape):
        return (normal(rng, dtype, *shape), normal(rng, dtype, *shape), normal(rng, dtype, *shape),
                np.abs(normal(rng, dtype, *shape)), 3, *settings)
    return make


def average(rng, dtype, shape):
    return normal(rng, dtype, *shape), normal(rng, dtype, *shape), 0.99


def _operations():
    for direction in ("forward", "inverse"):
        for vjp in (False, True):
            name = direction + ("_vjp" if vjp else "")
            yield Operation(f"expand_{name}", "expand", "bijectors.expand",
                            expand(direction, vjp), EXPAND_SIZES)
            for kind in ("sigmoid", "exp", "shift"):
                yield Operation(f"{kind}_coupling_{name}", "coupling", "bijectors.coupling",
                                coupling(kind, vjp), COUPLING_SIZES,
                                sums_data=kind == "sigmoid" and not vjp)
            yield Operation(f"normalized_conv_{name}", "normalized_conv",
                            "bijectors.normalized_conv", channels(True, True, vjp), MATRIX_SIZES)
            yield Operation(f"scale_matvec_lu_{name}", "scale_matvec_lu",
                            "bijectors.scale_matvec_lu", channels(False, True, vjp), MATRIX_SIZES)
            yield Operation(f"activation_normalization_{name}", "activation_normalization",
                            "bijectors.activation_normalization", channels(True, False, vjp),
                            CHANNEL_SIZES)
    yield Operation("channel_statistics", "activation_normalization",
                    "bijectors.activation_normalization", statistics, CHANNEL_SIZES)
    yield Operation("adam_update", "optimizer", "training.optimizer",
                    optimizer(1e-3, 0.9, 0.999, 1e-8), OPTIMIZER_SIZES)
    yield Operation("adamw_update", "optimizer", "training.optimizer",
                    optimizer(1e-3, 0.9, 0.999, 1e-8, 0.01), OPTIMIZER_SIZES)
    yield Operation("adamax_update", "optimizer", "training.optimizer",
                    optimizer(2e-3, 0.9, 0.999, 1e-8), OPTIMIZER_SIZES)
    yield Operation("average_update", "optimizer", "training.moving_average", average,
                    OPTIMIZER_SIZES)


OPERATIONS = {operation.name: operation for operation in _operations()}


def results_of(function, arguments):
    """The function's results, always as a tuple."""
    results = function(*arguments)
    return results if isinstance(results, tuple) else (results,)


def with_arrays(arguments, change):
    """The arguments, with every floating array of at least one dimension changed."""
    return tuple(change(a) if isinstance(a, np.ndarray) and a.ndim and a.dtype.kind == "f" else a
                 for a in arguments)
