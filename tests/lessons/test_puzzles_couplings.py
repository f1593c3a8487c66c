"""Puzzles 9 and 10, the coupling forwards and backwards: typical wrong answers."""

import math

import pytest
from numba import cuda
from wrong_kernels import accepted, rejected

from refglow.lessons.puzzles import COUPLING, COUPLING_VJP


def mapped_by(kind):
    """The coupling with a mistake, or right."""
    def kernel(x, output, y, deciding):
        i = cuda.grid(1)
        if i < x.size:
            p, c = i // x.shape[1], i % x.shape[1]
            if c < deciding:
                y[p, c] = x[p, c]
            else:
                r, t = output[p, c - deciding], output[p, output.shape[1] // 2 + c - deciding]
                if kind == 1:
                    y[p, c] = (x[p, c] + t) / (1 + math.exp(-r - 2))
                elif kind == 2:
                    y[p, c] = x[p, c] / (1 + math.exp(-r)) + t
                elif kind == 3:
                    y[p, c] = x[p, c] / (1 + math.exp(-t - 2)) + r
                elif kind == 4:
                    y[p, c] = x[p, c] * math.exp(r + 2) + t
                elif kind == 5:
                    y[p, c] = (x[p, c] - t) * (1 + math.exp(-r - 2))
                else:
                    y[p, c] = x[p, c] / (1 + math.exp(-r - 2)) + t
    return kernel


def wrong_half(x, output, y, deciding):
    i = cuda.grid(1)
    if i < x.size:
        p, c = i // x.shape[1], i % x.shape[1]
        mapped = output.shape[1] // 2
        if c < mapped:
            y[p, c] = x[p, c] / (1 + math.exp(-output[p, c] - 2)) + output[p, mapped + c]
        else:
            y[p, c] = x[p, c]


def not_copied(x, output, y, deciding):
    i = cuda.grid(1)
    if i < x.size:
        p, c = i // x.shape[1], i % x.shape[1]
        if c >= deciding:
            j = c - deciding
            y[p, c] = x[p, c] / (1 + math.exp(-output[p, j] - 2)) + output[
                p, output.shape[1] // 2 + j]


@pytest.mark.parametrize(("kernel", "hint"), [
    (mapped_by(1), "(x + t) sigmoid"), (mapped_by(2), "The 2 of r + 2"),
    (mapped_by(3), "r and t are exchanged"), (mapped_by(4), "exp(r + 2) where sigmoid"),
    (mapped_by(5), "the inverse"), (wrong_half, "The wrong half"),
    (not_copied, "never written, the first of them y[0, 0]")])
def test_coupling(kernel, hint):
    rejected(COUPLING, kernel, hint)


def test_coupling_another_way():
    accepted(COUPLING, mapped_by(0))


def vjp_by(kind):
    """The coupling's vjp with a mistake, or right."""
    def kernel(x, output, y_bar, fldj_bar, x_bar, output_bar, deciding):
        i = cuda.grid(1)
        if i < x.size:
            p, c = i // x.shape[1], i % x.shape[1]
            mapped = output.shape[1] // 2
            if c < deciding:
                x_bar[p, c] = 0 if kind == 5 else y_bar[p, c]
            else:
                j, bar = c - deciding, y_bar[p, c]
                s = 1 / (1 + math.exp(-output[p, j] - 2))
                r_bar, t_bar = (x[p, c] * s * bar + fldj_bar[0]) * (1 - s), bar
                if kind == 1:
                    r_bar = x[p, c] * s * bar * (1 - s)
                elif kind == 2:
                    r_bar = x[p, c] * s * bar + fldj_bar[0]
                elif kind == 3:
                    r_bar, t_bar = t_bar, r_bar
                x_bar[p, c] = bar if kind == 4 else s * bar
                output_bar[p, j] = r_bar
                output_bar[p, mapped + j] = t_bar
    return kernel


def t_bar_forgotten(x, output, y_bar, fldj_bar, x_bar, output_bar, deciding):
    i = cuda.grid(1)
    if i < x.size:
        x_bar[i // x.shape[1], i % x.shape[1]] = y_bar[i // x.shape[1], i % x.shape[1]]


@pytest.mark.parametrize(("kernel", "hint"), [
    (vjp_by(1), "The log-det's cotangent is missing"), (vjp_by(2), "1 - s is missing"),
    (vjp_by(3), "r_bar and t_bar are exchanged"), (vjp_by(4), "lacks the factor s"),
    (vjp_by(5), "hands its cotangent on"), (t_bar_forgotten, "output_bar are never written")])
def test_coupling_vjp(kernel, hint):
    rejected(COUPLING_VJP, kernel, hint)


def test_coupling_vjp_another_way():
    accepted(COUPLING_VJP, vjp_by(0))
