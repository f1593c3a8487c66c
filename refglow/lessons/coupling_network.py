"""Lesson 7, the coupling network: an exercise in writing a test that can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.coupling import sigmoid_coupling_forward, sigmoid_coupling_inverse
from refglow.dtypes import Array
from refglow.lessons.exercise import Exercise, WrongAnswerError
from refglow.networks.coupling_network import coupling_network

TASK = """Write `passes(coupling, rng)`, a test of a coupling that somebody else wrote. It is given

    coupling.shapes                 {name: shape} of its network's weights, kernel1 to bias3
    coupling.forward(x, weights)    y, for an image x [H, W, 4] and weights {name: array}
    coupling.inverse(y, weights)    the way back

and a random generator. Choose an image and weights, and return True if inverse undoes forward on
them, False if not. It will be tried on a right coupling and on wrong ones."""

HALF = 2
_ROUNDING = 1e-6  # a right coupling's error is smaller, and that of a wrong one larger
SHAPES: Mapping[str, tuple[int, ...]] = {
    "kernel1": (3, 3, HALF, 5), "bias1": (5,), "kernel2": (1, 1, 5, 5), "bias2": (5,),
    "kernel3": (3, 3, 5, 2 * HALF), "bias3": (2 * HALF,)}
Weights = Mapping[str, Array]
Direction = Callable[[Array, Weights], Array]


@dataclass(frozen=True)
class Coupling:
    """The two directions of a coupling, and the shapes of its network's weights.

    Attributes:
        forward: y from (x, weights).
        inverse: x from (y, weights).
        shapes: {name: shape} of the weights.
    """

    forward: Direction
    inverse: Direction
    shapes: Mapping[str, tuple[int, ...]]


def passes(coupling: Coupling, rng: np.random.Generator) -> bool:
    """Random numbers in every weight, sized so that activations neither grow nor vanish."""
    weights = {name: rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))
               for name, shape in coupling.shapes.items()}
    x = rng.normal(size=(4, 6, 4))
    back = coupling.inverse(coupling.forward(x, weights), weights)
    return bool(np.abs(back - x).max() < 1e-9)


def _judge(answer: Callable[..., Any]) -> str:
    for seed in range(3):
        seen: list[tuple[Array, Weights]] = []
        found = _verdict(answer, _noting(_right(), seen), seed)
        if not found:
            raise WrongAnswerError("It rejects a coupling that is right." + _by_how_much(seen))
        for mistake, wrong in _wrong():
            seen = []
            if _verdict(answer, _noting(wrong, seen), seed):
                raise WrongAnswerError(f"It lets a coupling pass {mistake}. {_why(wrong, seen)}")
    return ("It passes what is right and catches seven mistakes. A zero start hides six of them, "
            "the network that sees the wrong half among them.")


def _verdict(answer: Callable[..., Any], coupling: Coupling, seed: int) -> bool:
    found = answer(coupling, np.random.default_rng(seed))
    if not isinstance(found, bool | np.bool_):
        raise WrongAnswerError(f"passes is to return True or False; got {type(found).__name__}.")
    return bool(found)


def _output(seen: Array, weights: Weights) -> Array:
    """The network's [r | t] for what it sees, as one example of H W pixels."""
    output = coupling_network(seen, *(np.asarray(weights[name]) for name in SHAPES))
    return output.reshape(1, -1, 2 * HALF)


def _shift(y: Array, weights: Weights) -> Array:
    return _output(y[..., :HALF], weights)[0, :, HALF:].reshape(*y.shape[:-1], HALF)


def _mapped(op: Callable[..., tuple[Array, Array]], x: Array, output: Array) -> Array:
    return op(x.reshape(1, -1, 2 * HALF), output, HALF)[0].reshape(x.shape)


def _right() -> Coupling:
    return Coupling(
        lambda x, w: _mapped(sigmoid_coupling_forward, x, _output(x[..., :HALF], w)),
        lambda y, w: _mapped(sigmoid_coupling_inverse, y, _output(y[..., :HALF], w)), SHAPES)


def _wrong() -> Iterator[tuple[str, Coupling]]:
    """(what is wrong, the coupling), each but the last right for an output of zeros.

    The last two are for tests that look at some numbers only, or at their sum.
    """
    right = _right()
    yield ("whose network sees the half that it transforms", Coupling(
        lambda x, w: _mapped(sigmoid_coupling_forward, x, _output(x[..., HALF:], w)),
        lambda y, w: _mapped(sigmoid_coupling_inverse, y, _output(y[..., HALF:], w)), SHAPES))
    yield ("whose network sees the transformed half on the way back", Coupling(
        right.forward,
        lambda y, w: _mapped(sigmoid_coupling_inverse, y, _output(y[..., HALF:], w)), SHAPES))
    yield ("that takes [r | t] for [t | r] on the way back", Coupling(
        right.forward, lambda y, w: _mapped(sigmoid_coupling_inverse, y, np.roll(
            _output(y[..., :HALF], w), HALF, axis=-1)), SHAPES))
    yield ("that forgets the shift on the way back", Coupling(
        right.forward, lambda y, w: _mapped(sigmoid_coupling_inverse, y, _output(
            y[..., :HALF], w) * np.repeat([1.0, 0.0], HALF)), SHAPES))
    yield ("that takes the shift off both halves on the way back", Coupling(
        right.forward, lambda y, w: right.inverse(y, w) - np.concatenate(
            [_shift(y, w), np.zeros_like(_shift(y, w))], axis=-1), SHAPES))
    yield ("that forgets the shift of the last pixel on the way back", Coupling(
        right.forward, lambda y, w: _mapped(sigmoid_coupling_inverse, y, _last_unshifted(
            _output(y[..., :HALF], w))), SHAPES))
    yield ("that gives the transformed half back in another order", Coupling(
        right.forward, lambda y, w: _reordered(right.inverse(y, w)), SHAPES))


def _last_unshifted(output: Array) -> Array:
    output[:, -1, HALF:] = 0
    return output


def _reordered(x: Array) -> Array:
    """The numbers of the transformed half from the last to the first."""
    half = x[..., HALF:]
    return np.concatenate([x[..., :HALF], half.ravel()[::-1].reshape(half.shape)], axis=-1)


def _noting(coupling: Coupling, seen: list[tuple[Array, Weights]]) -> Coupling:
    """The coupling, which notes what its forward function is given."""
    def forward(x: Array, weights: Weights) -> Array:
        seen.append((np.array(x), {name: np.array(value) for name, value in weights.items()}))
        return coupling.forward(x, weights)
    return Coupling(forward, coupling.inverse, coupling.shapes)


def _by_how_much(seen: list[tuple[Array, Weights]]) -> str:
    if not seen:
        return " It never called coupling.forward."
    error = _error(_right(), *seen[-1])
    if not error < _ROUNDING:
        return (f" Your weights are too large for it: it comes back with an error of {error:.1g}, "
                "because scales become 0 or numbers overflow. Draw smaller ones.")
    return (f" On your image and weights inverse(forward(x)) is x but for {error:.1g}, which is "
            "rounding: allow for that.")


def _error(coupling: Coupling, x: Array, weights: Weights) -> float:
    back = coupling.inverse(coupling.forward(x, weights), weights)
    return float(np.abs(back - x).max())


def _why(wrong: Coupling, seen: list[tuple[Array, Weights]]) -> str:
    """What about the weights lets the mistake pass, as far as it can be told."""
    if not seen:
        return "It never called coupling.forward."
    x, weights = seen[-1]
    output = _output(x[..., :HALF], weights)
    if not weights["kernel3"].any():
        return ("Your kernel3 is zero, so the network gives the same numbers whatever it sees"
                + (": this is the zero start." if not output.any() else "."))
    if np.ptp(output, axis=1).max() == 0:
        return ("Your network gives the same numbers at every pixel: nothing depends on what it "
                "sees.")
    error = _error(wrong, x, weights)
    if error < _ROUNDING:
        return (f"On your image and weights its error is only {error:.1g}: draw all their numbers "
                "at random, and so large that the network's output matters.")
    return (f"On your image and weights inverse(forward(x)) is off by {error:.1g}. Compare all of "
            "it with x: every pixel, both halves, and to rounding.")


exercise = Exercise(TASK, _judge, passes)
