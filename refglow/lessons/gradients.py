"""Lesson 10, the gradients: an exercise in sending a cotangent back through a coupling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import log_sigmoid, sigmoid
from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import Exercise

TASK = """Write `coupling_vjp(x, network, y_bar, fldj_bar)` for the coupling of Glow's steps,

    x = [x0 | x1], two halves of the channels of x [N, C]
    y = [x0 | s x1 + t],    s = sigmoid(r + 2),    [r | t] = network's output for x0
    fldj = the sum of log s over all N pixels and channels, one number

`network(x0)` returns `(output, pullback)`; `pullback(output_bar)` returns what comes back to x0
through the network. Return `(x_bar, output_bar)`, the cotangents of x and of the output [r | t],
for the cotangents y_bar [N, C] and fldj_bar, one number."""

Pullback: TypeAlias = Callable[[Array], Array]
Net: TypeAlias = Callable[[Array], tuple[Array, Pullback]]


def coupling_vjp(x: Array, network: Net, y_bar: Array, fldj_bar: float) -> tuple[Array, Array]:
    """x1 acts through s x1; r through s and log s; x0 as it is, and through the network."""
    half = x.shape[-1] // 2
    x0, x1 = x[..., :half], x[..., half:]
    y0_bar, y1_bar = y_bar[..., :half], y_bar[..., half:]
    output, pullback = network(x0)
    r = output[..., :half] + 2
    s, q = 1 / (1 + np.exp(-r)), 1 / (1 + np.exp(r))  # q = 1 - s = d log s / dr
    output_bar = np.concatenate([(x1 * s * y1_bar + fldj_bar) * q, y1_bar], axis=-1)
    return np.concatenate([y0_bar + pullback(output_bar), s * y1_bar], axis=-1), output_bar


def _judge(answer: Callable[..., Any]) -> str:
    for x, net, y_bar, fldj_bar in _cases():
        got = answer(x.copy(), net.with_pullback, y_bar.copy(), fldj_bar)
        x_bar, output_bar = require_parts("coupling_vjp", got, ("x_bar", "output_bar"))
        given = f"x of shape {list(x.shape)}, y_bar random and fldj_bar = {fldj_bar:.3g}"
        right_x, right_output = _right(x, net, y_bar, fldj_bar)
        mistakes = dict(_mistakes(x, net, y_bar, fldj_bar))
        require_close("output_bar", output_bar, right_output, given=given,
                      mistakes={words: bars[1] for words, bars in mistakes.items()})
        require_close("x_bar", x_bar, right_x, given=given,
                      mistakes={words: bars[0] for words, bars in mistakes.items()})
    return "Both cotangents are those of the complex step, to rounding."


class _Net:
    """output = A tanh(B a): smooth, so that a complex step differentiates it."""

    def __init__(self, half: int, rng: np.random.Generator) -> None:
        self._b, self._a = rng.normal(size=(half, 3)), rng.normal(size=(3, 2 * half))

    def __call__(self, a: Array) -> Array:
        """The output alone, of real or complex numbers."""
        return np.asarray(np.tanh(a @ self._b) @ self._a)

    def with_pullback(self, a: Array) -> tuple[Array, Pullback]:
        """(output, pullback)."""
        hidden = np.tanh(a @ self._b)
        return hidden @ self._a, lambda bar: (bar @ self._a.T * (1 - hidden**2)) @ self._b.T


def _cases() -> Iterator[tuple[Array, _Net, Array, float]]:
    rng = np.random.default_rng(10)
    for pixels, half in ((1, 1), (3, 2), (5, 3)):
        shape = (pixels, 2 * half)
        yield (rng.normal(size=shape), _Net(half, rng), rng.normal(size=shape),
               float(rng.normal()))


def _right(x: Array, net: _Net, y_bar: Array, fldj_bar: float) -> tuple[Array, Array]:
    """(x_bar, output_bar) by complex steps."""
    half = x.shape[-1] // 2
    x_bar = by_complex_step(
        lambda moved: _objective(moved, net(moved[..., :half]), y_bar, fldj_bar), x)
    output = net(x[..., :half])
    return x_bar, by_complex_step(lambda moved: _objective(x, moved, y_bar, fldj_bar), output)


def _objective(x: Array, output: Array, y_bar: Array, fldj_bar: float) -> Any:
    """<y_bar, y> + fldj_bar fldj, whose gradients are the cotangents."""
    half = x.shape[-1] // 2
    r = output[..., :half] + 2
    y = np.concatenate([x[..., :half], x[..., half:] * sigmoid(r) + output[..., half:]], axis=-1)
    return (y_bar * y).sum() + fldj_bar * log_sigmoid(r).sum()


def by_complex_step(f: Callable[[Array], Any], x: Array) -> Array:
    """df/dx, one number after the other: Im f(x + i h e_k) / h.

    Args:
        f: Makes one number, by operations that let complex numbers through.
        x: Real.
    """
    step = 1e-30
    moves = step * np.eye(x.size).reshape(x.size, *x.shape)
    return np.reshape([f(x + 1j * move).imag / step for move in moves], x.shape)


def _mistakes(x: Array, net: _Net, y_bar: Array,
              fldj_bar: float) -> Iterator[tuple[str, tuple[Array, Array]]]:
    half = x.shape[-1] // 2
    b, a_bar, b_bar = x[..., half:], y_bar[..., :half], y_bar[..., half:]
    output, pullback = net.with_pullback(x[..., :half])
    s, q = sigmoid(output[..., :half] + 2), sigmoid(-output[..., :half] - 2)

    def bars(r_bar: Array, direct: Array = a_bar, through: float = 1.0,
             b_back: Array = s * b_bar, t_bar: Array = b_bar) -> tuple[Array, Array]:
        output_bar = np.concatenate([r_bar, t_bar], axis=-1)
        return (np.concatenate([direct + through * pullback(output_bar), b_back], axis=-1),
                output_bar)
    right = (b * s * b_bar + fldj_bar) * q
    yield ("The path through the log-det is missing: r also moves fldj, by q = 1 - s.",
           bars(b * s * b_bar * q))
    yield ("The path through s is missing: r also moves y, by x1 s q.", bars(fldj_bar * q))
    yield ("d log s / dr is q = 1 - s, not ds/dr = s q.",
           bars((b * b_bar + fldj_bar) * s * q))
    yield ("ds/dr is s q with q = 1 - s; the q is missing.", bars(b * s * b_bar + fldj_bar))
    yield ("The log-det's path has the wrong sign: fldj is plus the sum of log s.",
           bars((b * s * b_bar - fldj_bar) * q))
    yield ("In r_bar stands x1, the coupling's input; this is s x1 + t, its output.",
           bars(((b * s + output[..., half:]) * s * b_bar + fldj_bar) * q))
    yield ("The output is [r | t]; these are the cotangents as [t | r].",
           (bars(right)[0], np.concatenate([b_bar, right], axis=-1)))
    yield ("What comes back through the network is missing: x0 acts on y in two ways.",
           bars(right, through=0.0))
    yield ("x0 also passes as it is: y_bar's low half is missing.",
           bars(right, direct=np.zeros_like(a_bar)))
    yield ("The high half of x_bar lacks the factor s.", bars(right, b_back=b_bar))


exercise = Exercise(TASK, _judge, coupling_vjp)
