"""Lesson 6, the affine coupling: an exercise on undoing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.bijectors.coupling import sigmoid_coupling_inverse
from refglow.dtypes import Array
from refglow.elementary import log_sigmoid, sigmoid
from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import Exercise, WrongAnswerError

TASK = """Write `uncouple(y, network, k)`, the inverse of Glow's affine coupling. `y` is an image
`[H, W, C]`; its first `k` channels decide. `network` takes an image of `k` channels and returns one
of `2 (C - k)`: first `r` for all mapped channels, then `t` for all of them. The coupling was
`y1 = x1 * sigmoid(r + 2) + t`. Return `(x, ildj)`, with the log-det of the whole image, one
number."""

Network = Callable[[Array], Array]


def uncouple(y: Array, network: Network, k: int) -> tuple[Array, float]:
    """The first channels were not changed, so the network says again what it said then."""
    y0, y1 = y[..., :k], y[..., k:]
    r, t = np.split(network(y0), 2, axis=-1)
    scale = 1 / (1 + np.exp(-(r + 2)))
    x = np.concatenate([y0, (y1 - t) / scale], axis=-1)
    return x, -np.log(scale).sum()


def _judge(answer: Callable[..., Any]) -> str:
    for given, y, network, k in _cases():
        x, ildj = require_parts("uncouple", answer(y.copy(), network, k), ("x", "ildj"))
        pixels = (1, -1, y.shape[-1])
        output = network(y[..., :k])
        right, log_det = sigmoid_coupling_inverse(
            y.reshape(pixels), output.reshape(1, -1, output.shape[-1]), k)
        require_close("x", x, right.reshape(y.shape), given=given,
                      mistakes=dict(_mistakes_of_x(y, network, k)))
        require_close("ildj", ildj, log_det[0], given=given,
                      mistakes=dict(_mistakes_of_log_det(output)))
    return "It undoes the coupling without an inverse of the network."


def _cases() -> Iterator[tuple[str, Array, Network, int]]:
    rng = np.random.default_rng(6)
    for height, width, channels, k in ((1, 1, 2, 1), (2, 3, 4, 2), (3, 2, 6, 3), (2, 2, 5, 3)):
        first, second = rng.normal(size=(k, 8)), rng.normal(size=(8, 2 * (channels - k)))

        def network(x: Array, first: Array = first, second: Array = second) -> Array:
            """Two layers at each pixel."""
            if np.shape(x)[-1] != len(first):
                raise WrongAnswerError(f"network takes the k = {len(first)} channels that decide; "
                                       f"it was given an image of shape {np.shape(x)}.")
            return np.asarray(np.tanh(x @ first) @ second)
        yield (f"a random image of shape ({height}, {width}, {channels}), a random network and "
               f"k = {k}", rng.normal(size=(height, width, channels)), network, k)


def _mistakes_of_x(y: Array, network: Network, k: int) -> Iterator[tuple[str, Array]]:
    y0, y1 = y[..., :k], y[..., k:]
    output = network(y0)
    (r, t), odd = np.split(output, 2, axis=-1), output[..., 1::2]
    s = sigmoid(r + 2)
    mapped = {
        "That maps forward once more. To undo x1 s + t, first subtract t, then divide by s.":
            y1 * s + t,
        "That undoes (x1 + t) s, the order of openai/glow. Here t was added last, so subtract it "
        "first.": y1 / s - t,
        "The + 2 is missing: the scale is sigmoid(r + 2).": (y1 - t) / sigmoid(r),
        "The scale is sigmoid(r + 2), not exp(r + 2).": (y1 - t) / np.exp(r + 2),
        "r and t are mixed up: the network's first half is r, the second t.":
            (y1 - r) / sigmoid(t + 2),
        "r and t were taken from every second channel. The first half of the channels is r, the "
        "second half t.": (y1 - odd) / sigmoid(output[..., ::2] + 2),
    }
    if y.shape[-1] == 2 * k:
        r, t = np.split(network(y1), 2, axis=-1)
        mapped["The network was given the mapped half. It saw the first k channels, and those have "
               "not changed."] = (y1 - t) / sigmoid(r + 2)
    for words, x1 in mapped.items():
        yield words, np.concatenate([y0, x1], axis=-1)


def _mistakes_of_log_det(output: Array) -> Iterator[tuple[str, Array]]:
    r = output[..., :output.shape[-1] // 2]
    logs = log_sigmoid(r + 2)
    yield "The sign is wrong: the inverse divides by s, so it is minus the sum.", logs.sum()
    yield ("That is an average. Every mapped number is stretched: add up their logarithms.",
           -logs.mean())
    yield ("One value for each pixel was returned. One number for the image was asked for: add up "
           "the pixels, too.", -logs.sum(axis=-1))
    yield "One value for each number was returned. Add them all up.", -logs
    yield "The scales were added up, not their logarithms.", -np.exp(logs).sum()
    yield "The + 2 is missing in the log-det.", -log_sigmoid(r).sum()
    yield "r is not the log of the scale; sigmoid(r + 2) is the scale.", -r.sum()


exercise = Exercise(TASK, _judge, uncouple)
