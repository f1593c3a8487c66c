"""Lesson 11's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.lessons.memory import exercise


def by_recursion(layers, y, y_bar, log_det_bar):
    if not layers:
        return y_bar, []
    x = layers[-1].inverse(y)
    x_bar, bar = layers[-1].vjp(x, y_bar, log_det_bar)
    del y
    first, others = by_recursion(layers[:-1], x, x_bar, log_det_bar)
    return first, [*others, bar]


def walk(order=reversed, listed=-1, at_input=True, counts=1.0, undone_first=True):
    """An answer with these choices; the defaults are right."""
    def pull_back(layers, y, y_bar, log_det_bar):
        bars = []
        for layer in order(layers):
            x = layer.inverse(y)
            y_bar, bar = layer.vjp(x if at_input else y, y_bar, counts * log_det_bar)
            bars.append(bar)
            y = x
        return y_bar, bars[::listed]
    return pull_back


def all_kept(layers, y, y_bar, log_det_bar):
    inputs = []
    for layer in reversed(layers):
        y = layer.inverse(y)
        inputs.append(y)
    bars = []
    for layer, x in zip(reversed(layers), inputs, strict=True):
        y_bar, bar = layer.vjp(x, y_bar, log_det_bar)
        bars.append(bar)
    return y_bar, bars[::-1]


def one_more_kept(layers, y, y_bar, log_det_bar):
    bars, before = [], None
    for layer in reversed(layers):
        x = layer.inverse(y)
        y_bar, bar = layer.vjp(x, y_bar, log_det_bar)
        bars.append(bar)
        before, y = y, x
    del before
    return y_bar, bars[::-1]


def copies_kept(layers, y, y_bar, log_det_bar):
    inputs, bars = [], []
    for layer in reversed(layers):
        y = layer.inverse(y).copy()
        inputs.append(y)
        y_bar, bar = layer.vjp(y, y_bar, log_det_bar)
        bars.append(bar)
    return y_bar, bars[::-1]


def as_one_array(*given):
    x_bar, bars = walk()(*given)
    return x_bar, np.array(bars)


def in_one_loop(layers, y, y_bar, log_det_bar):
    bars = [None] * len(layers)
    for k in range(len(layers) - 1, -1, -1):
        y = layers[k].inverse(y)
        y_bar, bars[k] = layers[k].vjp(y, y_bar, log_det_bar)
    return y_bar, tuple(bars)


RIGHT_ANSWERS = [exercise.solution, walk(), in_one_loop, as_one_array]
WRONG_ANSWERS = {
    "in the order of layers": walk(listed=1),
    "pulls back at each layer's output": walk(at_input=False),
    "The log-det's cotangent is missing": walk(counts=0.0),
    "That begins with the first layer": walk(order=iter, listed=1),
    "8 rebuilt inputs of a flow of 8 layers were there at once": all_kept,
    "rebuilt inputs of a flow of 8 layers": by_recursion,
    "3 rebuilt inputs of a flow of 8 layers": one_more_kept,
    "8 rebuilt inputs of a flow of 8": copies_kept,
    "a list of one array for each of the 1 layers; got dict": lambda layers, y, y_bar, _: (
        y_bar, {}),
    "got 0": lambda layers, y, y_bar, _: (y_bar, []),
    "is to return (x_bar, weight_bars)": lambda layers, y, y_bar, _: y_bar,
}
