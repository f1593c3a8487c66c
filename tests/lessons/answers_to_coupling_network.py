"""Lesson 7's exercise: tests of a coupling that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.lessons.coupling_network import exercise


def round_trip(weights_of, close=np.allclose):
    """A test that compares inverse(forward(x)) with x, for weights drawn so."""
    def passes(coupling, rng):
        weights = weights_of(coupling.shapes, rng)
        x = rng.normal(size=(2, 4, 4))
        return close(coupling.inverse(coupling.forward(x, weights), weights), x)
    return passes


def small(shapes, rng):
    return {name: rng.uniform(-0.5, 0.5, shape) for name, shape in shapes.items()}


def zero_start(shapes, rng):
    return {name: rng.normal(size=shape) if name in ("kernel1", "kernel2") else np.zeros(shape)
            for name, shape in shapes.items()}


def random_but_for_the_last_kernel(shapes, rng):
    return small(shapes, rng) | {"kernel3": np.zeros(shapes["kernel3"])}


def dead_units(shapes, rng):
    return small(shapes, rng) | {"bias2": np.full(shapes["bias2"], -100.0)}


def first_half_passes(coupling, rng):
    x = rng.normal(size=(2, 4, 4))
    return np.array_equal(coupling.forward(x, small(coupling.shapes, rng))[..., :2], x[..., :2])


def high_half_comes_back(coupling, rng):
    x, weights = rng.normal(size=(2, 4, 4)), small(coupling.shapes, rng)
    back = coupling.inverse(coupling.forward(x, weights), weights)
    return np.allclose(back[..., 2:], x[..., 2:])


def image_of_ones(coupling, rng):
    x, weights = np.ones((2, 4, 4)), small(coupling.shapes, rng)
    return np.allclose(coupling.inverse(coupling.forward(x, weights), weights), x)


def of_one_pixel(coupling, rng):
    x, weights = rng.normal(size=(1, 1, 4)), small(coupling.shapes, rng)
    return np.allclose(coupling.inverse(coupling.forward(x, weights), weights), x)


def by_hand_written_loop(coupling, rng):
    """Another right one: several images, the largest error of all."""
    worst = 0.0
    for _ in range(3):
        weights, x = small(coupling.shapes, rng), rng.random((4, 2, 4))
        back = coupling.inverse(coupling.forward(x, weights), weights)
        worst = max(worst, float(np.abs(back - x).max()))
    return worst < 1e-6


RIGHT_ANSWERS = [exercise.solution, round_trip(small), by_hand_written_loop, of_one_pixel]
WRONG_ANSWERS = {
    "sees the half that it transforms. Your kernel3 is zero, so the network gives the same numbers "
    "whatever it sees: this is the zero start": round_trip(zero_start),
    "Your kernel3 is zero, so the network gives the same numbers whatever it sees.":
        round_trip(random_but_for_the_last_kernel),
    "nothing depends on what it sees": round_trip(dead_units),
    "Compare all of it with x: every pixel, both halves": first_half_passes,
    "that takes the shift off both halves on the way back. On your image": high_half_comes_back,
    "and to rounding": round_trip(small, lambda back, x: np.abs(back - x).max() < 10),
    "forgets the shift of the last pixel on the way back. On your image and weights inverse":
        round_trip(small, lambda back, x: np.allclose(back[0, 0], x[0, 0])),
    "gives the transformed half back in another order. On your image and weights inverse":
        round_trip(small, lambda back, x: np.isclose(back.sum(), x.sum())),
    "in another order. On your image and weights its error is only": image_of_ones,
    "On your image and weights its error is only 1e-16": round_trip(
        lambda shapes, rng: {name: np.full(shape, 1e-6) for name, shape in shapes.items()}),
    "It rejects a coupling that is right. On your image and weights inverse(forward(x)) is x but "
    "for": round_trip(small, np.array_equal),
    "Your weights are too large for it": round_trip(
        lambda shapes, rng: {name: 100 * rng.normal(size=shape) for name, shape in shapes.items()}),
    "It never called coupling.forward": lambda coupling, rng: True,
    "True or False; got NoneType": lambda coupling, rng: None,
    "KeyError": lambda coupling, rng: coupling.forward(np.zeros((2, 2, 4)), {}),
}
