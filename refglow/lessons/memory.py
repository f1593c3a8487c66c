"""Lesson 11, training without storing activations: an exercise in walking back."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from refglow.dtypes import Array
from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import Exercise, WrongAnswerError
from refglow.lessons.gradients import by_complex_step

TASK = """Write `pull_back(layers, y, y_bar, log_det_bar)` for a flow of layers, `layers[0]`
first, of which only the result y [N, C] is there. Each layer has

    layer.inverse(y)                      the layer's input, rebuilt from its output
    layer.vjp(x, y_bar, log_det_bar)      (x_bar, weight_bar) at the layer's input x; the layer's
                                          log-det counts in the flow's, with the factor 1

Return `(x_bar, weight_bars)`: the cotangent of the flow's input, and a list with one cotangent for
each layer, in the order of layers. Keep no more than one rebuilt input at a time."""

_AT_ONCE = 2  # the input in hand, and the one that is being rebuilt


class LayerLike(Protocol):
    """What the exercise gives for a layer."""

    def inverse(self, y: Array) -> Array:
        """The layer's input."""

    def vjp(self, x: Array, y_bar: Array, log_det_bar: float) -> tuple[Array, Array]:
        """(x_bar, weight_bar)."""


def pull_back(layers: Sequence[LayerLike], y: Array, y_bar: Array,
              log_det_bar: float) -> tuple[Array, list[Array]]:
    """From the last layer to the first: rebuild its input, pull back through it, forget it."""
    weight_bars = []
    for layer in reversed(layers):
        y = layer.inverse(y)
        y_bar, weight_bar = layer.vjp(y, y_bar, log_det_bar)
        weight_bars.append(weight_bar)
    return y_bar, weight_bars[::-1]


class _Layer:
    """y = [a | b exp(g) + u a], g = tanh(w a), which exchanges the halves then; weights (w, u)."""

    def __init__(self, weights: Array, alive: _Alive) -> None:
        self._weights, self._alive = weights, alive

    def inverse(self, y: Array) -> Array:
        """The layer's input."""
        changed, a = np.split(y, 2, axis=-1)
        g = np.tanh(self._weights[0] * a)
        return self._alive.counted(np.concatenate(
            [a, (changed - self._weights[1] * a) / np.exp(g)], axis=-1))

    def vjp(self, x: Array, y_bar: Array, log_det_bar: float) -> tuple[Array, Array]:
        """(x_bar, weight_bar)."""
        self._alive.counted(x)
        (a, b), (changed_bar, a_bar) = np.split(x, 2, axis=-1), np.split(y_bar, 2, axis=-1)
        w, u = self._weights
        g = np.tanh(w * a)
        wa_bar = (b * np.exp(g) * changed_bar + log_det_bar) * (1 - g**2)
        x_bar = np.concatenate([a_bar + u * changed_bar + w * wa_bar, changed_bar * np.exp(g)],
                               axis=-1)
        return x_bar, np.array([(a * wa_bar).sum(), (a * changed_bar).sum()])


class _Alive:
    """How many of the arrays that it was shown still exist, at most at once."""

    def __init__(self) -> None:
        self._shown: list[weakref.ref[Array]] = []
        self.most = 0

    def counted(self, array: Array) -> Array:
        """The array, which counts from now on."""
        self._shown = [known for known in self._shown if known() is not None]
        if not any(known() is array for known in self._shown):
            self._shown.append(weakref.ref(array))
        self.most = max(self.most, len(self._shown))
        return array


def _judge(answer: Callable[..., Any]) -> str:
    rng = np.random.default_rng(11)
    for count in (1, 2, 8):
        alive = _Alive()
        weights = 0.7 * rng.normal(size=(count, 2))
        layers = [_Layer(of_layer, alive) for of_layer in weights]
        x, y_bar = rng.normal(size=(2, 3, 4))
        log_det_bar = float(rng.normal())
        y = _result(weights, x)[0]
        got = answer(layers, y.copy(), y_bar.copy(), log_det_bar)
        at_once = alive.most
        x_bar, bars = require_parts("pull_back", got, ("x_bar", "weight_bars"))
        if not isinstance(bars, list | tuple | np.ndarray) or len(bars) != count:
            raise WrongAnswerError(f"weight_bars is to be a list of one array for each of the "
                                   f"{count} layers; got {_counted(bars)}.")
        _compare(weights, x, (x_bar, np.array(bars)), y_bar, log_det_bar)
        if at_once > _AT_ONCE:
            raise WrongAnswerError(
                f"The cotangents are right, but {at_once} rebuilt inputs of a flow of {count} "
                "layers were there at once: that is as much memory as storing them. Forget each "
                "when its layer is done.")
    return "It needs one layer's input at a time, however many layers there are."


def _counted(bars: Any) -> str:
    return f"{len(bars)}" if isinstance(bars, list | tuple | np.ndarray) else type(bars).__name__


def _result(weights: Array, x: Array) -> tuple[Array, Any]:
    """(y, log-det) of the layers with these weights, of real or complex numbers."""
    total: Any = 0.0
    for w, u in weights:
        a, b = np.split(x, 2, axis=-1)
        g = np.tanh(w * a)
        x, total = np.concatenate([b * np.exp(g) + u * a, a], axis=-1), total + g.sum()
    return x, total


def _compare(weights: Array, x: Array, got: tuple[Any, Array], y_bar: Array,
             log_det_bar: float) -> None:
    """Hold both cotangents against complex steps of <y_bar, y> + log_det_bar log_det."""
    def objective(weights: Array, x: Array) -> Any:
        y, log_det = _result(weights, x)
        return (y_bar * y).sum() + log_det_bar * log_det
    x_bar = by_complex_step(lambda moved: objective(weights, moved), x)
    bars = by_complex_step(lambda moved: objective(moved, x), weights)
    given = f"a flow of {len(weights)} layer{'s' if len(weights) > 1 else ''}"
    mistakes = _mistakes(weights, x, y_bar, log_det_bar)
    require_close("weight_bars", got[1], bars, given=given,
                  mistakes={words: found[1] for words, found in mistakes.items()})
    require_close("x_bar", got[0], x_bar, given=given,
                  mistakes={words: found[0] for words, found in mistakes.items()})


def _mistakes(weights: Array, x: Array, y_bar: Array,
              log_det_bar: float) -> dict[str, tuple[Array, Array]]:
    y, layers = _result(weights, x)[0], [_Layer(of_layer, _Alive()) for of_layer in weights]
    x_bar, bars = pull_back(layers, y, y_bar, log_det_bar)
    turned_x_bar, turned_bars = pull_back(layers[::-1], y, y_bar, log_det_bar)
    return {
        "These are the cotangents from the last layer to the first; the list is to be in the order "
        "of layers.": (x_bar, np.array(bars[::-1])),
        "That pulls back at each layer's output. vjp wants the input: rebuild it first, then pull "
        "back.": _pulled_at_outputs(layers, y, y_bar, log_det_bar),
        "The log-det's cotangent is missing: every layer gets log_det_bar, with the factor 1.":
            _as_arrays(pull_back(layers, y, y_bar, 0.0)),
        "That begins with the first layer. y is the output of the last one.":
            (turned_x_bar, np.array(turned_bars[::-1]))}


def _as_arrays(pulled: tuple[Array, list[Array]]) -> tuple[Array, Array]:
    return pulled[0], np.array(pulled[1])


def _pulled_at_outputs(layers: Sequence[_Layer], y: Array, y_bar: Array,
                       log_det_bar: float) -> tuple[Array, Array]:
    bars = []
    for layer in reversed(layers):
        y_bar, bar = layer.vjp(y, y_bar, log_det_bar)
        y = layer.inverse(y)
        bars.append(bar)
    return y_bar, np.array(bars[::-1])


exercise = Exercise(TASK, _judge, pull_back)
