"""Lesson 10's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.bijectors.coupling import sigmoid_coupling_forward_vjp
from refglow.lessons.gradients import exercise


def by_refglow(x, network, y_bar, fldj_bar):
    half = x.shape[-1] // 2
    output, pullback = network(x[:, :half])
    x_bar, output_bar = sigmoid_coupling_forward_vjp(x[None], output[None], half, y_bar[None],
                                                     np.array([fldj_bar]))
    x_bar[0, :, :half] += pullback(output_bar[0])
    return x_bar[0], output_bar[0]


def coupling(r_bar=lambda x1, y1, s, bar, fldj_bar: (x1 * s * bar + fldj_bar) * (1 - s),
             passes=1, through=1, scaled=True, order=1):
    """An answer with these choices; the defaults are right."""
    def coupling_vjp(x, network, y_bar, fldj_bar):
        (x0, x1), (y0_bar, y1_bar) = np.split(x, 2, axis=1), np.split(y_bar, 2, axis=1)
        output, pullback = network(x0)
        r, t = np.split(output, 2, axis=1)
        s = 1 / (1 + np.exp(-2 - r))
        parts = [r_bar(x1, s * x1 + t, s, y1_bar, fldj_bar), y1_bar]
        output_bar = np.concatenate(parts, axis=1)
        x0_bar = passes * y0_bar + through * pullback(output_bar)
        return (np.concatenate([x0_bar, s * y1_bar if scaled else y1_bar], axis=1),
                np.concatenate(parts[::order], axis=1))
    return coupling_vjp


RIGHT_ANSWERS = [exercise.solution, by_refglow, coupling()]
WRONG_ANSWERS = {
    "path through the log-det is missing": coupling(
        lambda x1, y1, s, bar, _: x1 * s * bar * (1 - s)),
    "path through s is missing": coupling(lambda x1, y1, s, bar, fldj: fldj * (1 - s)),
    "The log-det's path has the wrong sign": coupling(
        lambda x1, y1, s, bar, fldj: (x1 * s * bar - fldj) * (1 - s)),
    "q = 1 - s, not ds/dr = s q": coupling(
        lambda x1, y1, s, bar, fldj: (x1 * bar + fldj) * s * (1 - s)),
    "the q is missing": coupling(lambda x1, y1, s, bar, fldj: x1 * s * bar + fldj),
    "this is s x1 + t, its output": coupling(
        lambda x1, y1, s, bar, fldj: (y1 * s * bar + fldj) * (1 - s)),
    "as [t | r]": coupling(order=-1),
    "What comes back through the network is missing": coupling(through=0),
    "x0 also passes as it is": coupling(passes=0),
    "lacks the factor s": coupling(scaled=False),
    "x_bar has the shape": lambda x, network, y_bar, _: (x[..., :1], coupling()(
        x, network, y_bar, _)[1]),
    "is to return (x_bar, output_bar)": lambda x, *_: x,
}
