"""Lesson 6's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np
from scipy.special import expit, log_expit

from refglow.bijectors import Invert, RealNVP, Scale, Shift
from refglow.lessons.coupling import exercise


def by_a_bijector(y, network, k):
    def towards_the_image(y0, count, **kwargs):
        r, t = np.split(network(y0), 2, axis=-1)
        return Shift(t)(Scale(log_scale=log_expit(r + 2)))
    coupling = Invert(RealNVP(num_masked=k, bijector_fn=towards_the_image))
    return coupling.forward_and_log_det(y, event_ndims=3)


def by_loops(y, network, k):
    x, ildj, output = y.copy(), 0.0, network(y[..., :k])
    for i, j in np.ndindex(y.shape[:2]):
        for c in range(k, y.shape[-1]):
            r, t = output[i, j, c - k], output[i, j, c - k + y.shape[-1] - k]
            x[i, j, c] = (y[i, j, c] - t) * (1 + np.exp(-r - 2))
            ildj += np.log(1 + np.exp(-r - 2))
    return x, ildj


def with_x1(x1):
    """An answer that makes the mapped half of x by x1(y1, r, t), and is right otherwise."""
    def uncouple(y, network, k):
        r, t = np.split(network(y[..., :k]), 2, axis=-1)
        return np.concatenate([y[..., :k], x1(y[..., k:], r, t)], axis=-1), -log_expit(r + 2).sum()
    return uncouple


def with_log_det(log_det):
    def uncouple(y, network, k):
        r = np.split(network(y[..., :k]), 2, axis=-1)[0]
        return exercise.solution(y, network, k)[0], log_det(r)
    return uncouple


def by_the_mapped_half(y, network, k):
    r, t = np.split(network(y[..., k:]), 2, axis=-1)
    return np.concatenate([y[..., :k], (y[..., k:] - t) / expit(r + 2)], axis=-1), 0


def every_second(y, network, k):
    output = network(y[..., :k])
    r, t = output[..., ::2], output[..., 1::2]
    return np.concatenate([y[..., :k], (y[..., k:] - t) / expit(r + 2)], axis=-1), -log_expit(
        r + 2).sum()


RIGHT_ANSWERS = [exercise.solution, by_a_bijector, by_loops]
WRONG_ANSWERS = {
    "That maps forward once more": with_x1(lambda y, r, t: y * expit(r + 2) + t),
    "the order of openai/glow": with_x1(lambda y, r, t: y / expit(r + 2) - t),
    "The + 2 is missing: the scale": with_x1(lambda y, r, t: (y - t) / expit(r)),
    "not exp(r + 2)": with_x1(lambda y, r, t: (y - t) / np.exp(r + 2)),
    "r and t are mixed up": with_x1(lambda y, r, t: (y - r) / expit(t + 2)),
    "from every second channel": every_second,
    "given the mapped half": by_the_mapped_half,
    "The sign is wrong": with_log_det(lambda r: log_expit(r + 2).sum()),
    "That is an average": with_log_det(lambda r: -log_expit(r + 2).mean()),
    "One value for each pixel": with_log_det(lambda r: -log_expit(r + 2).sum(axis=-1)),
    "One value for each number": with_log_det(lambda r: -log_expit(r + 2)),
    "not their logarithms": with_log_det(lambda r: -expit(r + 2).sum()),
    "The + 2 is missing in the log-det": with_log_det(lambda r: -log_expit(r).sum()),
    "r is not the log of the scale": with_log_det(lambda r: -r.sum()),
    "network takes the k = 3 channels that decide; it was given an image of shape (2, 2, 2)":
        lambda y, network, k: exercise.solution(y, network, y.shape[-1] // 2),
    "network takes the k = 1 channels that decide; it was given an image of shape (1, 1, 2)":
        lambda y, network, k: network(y),
}
