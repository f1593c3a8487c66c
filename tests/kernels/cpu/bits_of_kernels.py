"""Runs every accelerated operation and one step of training, and prints a digest of each's bits.

    python bits_of_kernels.py       one line, {name: digest} as JSON

test_cpu_compile_history.py starts it twice.
"""

import hashlib
import json

import numpy as np
from cpu_operations import LARGE, OPERATIONS, SMALL, normal, results_of

import refglow as rg
from refglow.kernels.cpu.conv2d import conv2d, conv2d_vjp
from refglow.kernels.cpu.coupling_network import coupling_network, coupling_network_activations
from refglow.kernels.cpu.coupling_network_gradient import coupling_network_vjp
from refglow.kernels.cpu.optimizer import global_norm
from refglow.training.image_data import ArrayImages
from refglow.training.settings import Settings
from refglow.training.trainer import Trainer

SINGLE = np.dtype(np.float32)


def digest(arrays):
    joined = hashlib.sha256()
    for array in arrays:
        joined.update(np.ascontiguousarray(array).tobytes())
    return joined.hexdigest()


def operations():
    """Of one chunk and of several: these take different copies of a chunk's function."""
    for name, operation in OPERATIONS.items():
        yield name, [result for size in (SMALL, LARGE) for result in results_of(
            operation.kernel, operation.arguments(SINGLE, operation.sizes[size]))]


def networks():
    rng = np.random.default_rng(0)
    x, y_bar = normal(rng, SINGLE, 3, 9, 17, 5), normal(rng, SINGLE, 3, 9, 17, 6)
    kernel, bias = normal(rng, SINGLE, 3, 3, 5, 6), normal(rng, SINGLE, 6)
    yield "conv2d", [conv2d(x, kernel, bias, "same")]
    yield "conv2d_vjp", conv2d_vjp(x, kernel, y_bar, "same")
    first, second, vjp = [], [], []
    for side in (1, 3):  # of the last kernel: two ways to compute it
        weights = [normal(rng, SINGLE, *shape) / 4 for shape in (
            (3, 3, 5, 20), (20,), (1, 1, 20, 20), (20,), (side, side, 20, 6), (6,))]
        output, h1, h2 = coupling_network_activations(x, *weights)
        first += [coupling_network(x, *weights)]
        second += [output, h1, h2]
        vjp += coupling_network_vjp(x, h1, h2, *weights[::2], y_bar)
    yield from (("coupling_network", first), ("coupling_network_activations", second),
                ("coupling_network_vjp", vjp))
    yield "global_norm", [global_norm({"x": x, "y": y_bar, "long": normal(rng, SINGLE, 40_000)})]


def training_step():
    """The weights and moments after one step, clipped and averaged, from random weights."""
    images = ArrayImages("noise", np.random.default_rng(0).integers(
        0, 256, (6, 8, 8, 3), dtype=np.uint8), 8)
    with rg.use_backend("auto"):
        trainer = Trainer(Settings(num_glow_blocks=2, num_steps_per_block=2, num_hidden=16,
                                   batch_size=3, learning_rate=0.01, clip_norm=1.0,
                                   average_decay=0.9), images, images)
        trainer.step()
        trainer.step()
    state = trainer.checkpoint()
    return [array for arrays in (state.model, state.optimizer, state.average)
            for _, array in sorted(arrays.items())]


if __name__ == "__main__":
    digests = {name: digest(arrays) for name, arrays in (*operations(), *networks())}
    print(json.dumps(digests | {"training": digest(training_step())}))
