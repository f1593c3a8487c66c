"""Puzzles 1 to 5, maps and moves: typical wrong answers are told what is wrong."""

import math

import pytest
from numba import cuda
from wrong_kernels import accepted, changed, rejected

from refglow.lessons.puzzles import ACTNORM, CHANNEL_SHIFT, SHIFT, SQUEEZE, UNSQUEEZE

# ---- 1 ----


def no_guard(x, t, y):
    i = cuda.grid(1)
    y[i] = x[i] + t[i]


def off_by_one(x, t, y):
    i = cuda.grid(1)
    if i <= x.size:
        y[i] = x[i] + t[i]


def own_block_only(x, t, y):
    i = cuda.threadIdx.x
    if i < x.size:
        y[i] = x[i] + t[i]


def last_left_out(x, t, y):
    i = cuda.grid(1)
    if i < x.size - 1:
        y[i] = x[i] + t[i]


def subtracted(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] - t[i]


def in_place(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        x[i] += t[i]
        y[i] = x[i]


@pytest.mark.parametrize(("kernel", "hint"), [
    (no_guard, "x[10], outside of its 10 elements"), (off_by_one, "x[10], outside"),
    (own_block_only, "Race in global memory"), (last_left_out, "never written, the first"),
    (subtracted, "x - t, the inverse"), (changed(SHIFT, " + t[i]", ""), "That is x alone"),
    (in_place, "writes x, which is an input")])
def test_shift(kernel, hint):
    rejected(SHIFT, kernel, hint)


def counted_backwards(x, t, y):
    i = cuda.gridDim.x * cuda.blockDim.x - 1 - cuda.grid(1)
    if i < x.size:
        y[i] = t[i] + x[i]


def test_shift_another_way():
    accepted(SHIFT, counted_backwards)
    accepted(SHIFT, cuda.jit(counted_backwards))


# ---- 2 ----


def exchanged(x, m, y):
    p, c = cuda.grid(2)
    if p < x.shape[0] and c < x.shape[1]:
        y[p, c] = x[p, c] + m[c]


def one_guard(x, m, y):
    c, p = cuda.grid(2)
    if p < x.shape[0]:
        y[p, c] = x[p, c] + m[c]


def of_the_pixel(x, m, y):
    c, p = cuda.grid(2)
    if p < x.shape[0] and c < x.shape[1]:
        y[p, c] = x[p, c] + m[p]


def of_the_pixel_again(x, m, y):
    c, p = cuda.grid(2)
    if p < x.shape[0] and c < x.shape[1]:
        y[p, c] = x[p, c] + m[p % m.size]


@pytest.mark.parametrize(("kernel", "hint"), [
    (exchanged, "never written"), (one_guard, "outside of its 5 x 3 elements"),
    (of_the_pixel, "m[3], outside of its 3 elements"),
    (of_the_pixel_again, "the pixel's number of m"),
    (changed(CHANNEL_SHIFT, "+ m[c]\n", "- m[c]\n"), "x - m, the inverse")])
def test_channel_shift(kernel, hint):
    rejected(CHANNEL_SHIFT, kernel, hint)


# ---- 3 ----


def scaled_first(x, m, v, z):
    i = cuda.grid(1)
    if i < x.size:
        c = i % m.size
        z[i] = x[i] * math.exp(v[c]) + m[c]


def channel_by_division(x, m, v, z):
    i = cuda.grid(1)
    if i < x.size:
        c = i // m.size
        z[i] = (x[i] + m[c]) * math.exp(v[c])


def divided(x, m, v, z):
    i = cuda.grid(1)
    if i < x.size:
        z[i] = (x[i] + m[i % m.size]) / math.exp(v[i % m.size])


def forwards(x, m, v, z):
    i = cuda.grid(1)
    if i < x.size:
        z[i] = x[i] / math.exp(v[i % m.size]) - m[i % m.size]


@pytest.mark.parametrize(("kernel", "hint"), [
    (scaled_first, "scales first"), (channel_by_division, "m[2], outside of its 2 elements"),
    (divided, "divides by exp(v)"), (forwards, "the forward direction")])
def test_actnorm(kernel, hint):
    rejected(ACTNORM, kernel, hint)


# ---- 4 and 5: the parts of k in every order, made by the order's name ----


def squeezing(order, *, guard=True):
    def kernel(image, squeezed):
        i = cuda.grid(1)
        if i < squeezed.size or not guard:
            _, columns, depth = squeezed.shape
            channels = depth // 4
            k = i % depth
            w = i // depth % columns
            h = i // (depth * columns)
            if order == 0:  # c a b
                c, a, b = k // 4, k // 2 % 2, k % 2
            elif order == 1:  # a b c
                a, b, c = k // (2 * channels), k // channels % 2, k % channels
            elif order == 2:  # c b a
                c, b, a = k // 4, k // 2 % 2, k % 2
            else:  # b a c
                b, a, c = k // (2 * channels), k // channels % 2, k % channels
            squeezed[h, w, k] = image[2 * h + a, 2 * w + b, c]
    return kernel


def unsqueezing(order, *, guard=True):
    def kernel(squeezed, image):
        i = cuda.grid(1)
        if i < squeezed.size or not guard:
            _, columns, depth = squeezed.shape
            channels = depth // 4
            k = i % depth
            w = i // depth % columns
            h = i // (depth * columns)
            if order == 0:
                c, a, b = k // 4, k // 2 % 2, k % 2
            elif order == 1:
                a, b, c = k // (2 * channels), k // channels % 2, k % channels
            else:
                c, b, a = k // 4, k // 2 % 2, k % 2
            image[2 * h + a, 2 * w + b, c] = squeezed[h, w, k]
    return kernel


def not_moved(image, squeezed):
    i = cuda.grid(1)
    if i < squeezed.size:
        _, columns, depth = squeezed.shape
        half = depth // 4
        squeezed[i // (depth * columns), i // depth % columns, i % depth] = image[
            i // (2 * columns * half), i // half % (2 * columns), i % half]


@pytest.mark.parametrize(("kernel", "hint"), [
    (squeezing(1), "space_to_depth"), (squeezing(2), "a and b are exchanged"),
    (squeezing(3), "the pixel's place comes first"), (not_moved, "where they were"),
    (squeezing(0, guard=False), "Out-of-bounds access")])
def test_squeeze(kernel, hint):
    rejected(SQUEEZE, kernel, hint)


def test_squeeze_another_way():
    accepted(SQUEEZE, squeezing(0))


def overlapping(squeezed, image):
    i = cuda.grid(1)
    if i < squeezed.size:
        _, columns, depth = squeezed.shape
        k = i % depth
        image[2 * (i // (depth * columns)), 2 * (i // depth % columns), k // 4] = squeezed[
            i // (depth * columns), i // depth % columns, k]


@pytest.mark.parametrize(("kernel", "hint"), [
    (unsqueezing(1), "depth_to_space"), (unsqueezing(2), "a and b are exchanged"),
    (changed(UNSQUEEZE, "2 * h + a, 2 * w + b, c] =",
             "i // (columns * depth // 2), i // (depth // 4) % (2 * columns), i % (depth // 4)] ="),
     "where they were"),
    (overlapping, "Race in global memory"),
    (unsqueezing(0, guard=False), "Out-of-bounds access")])
def test_unsqueeze(kernel, hint):
    rejected(UNSQUEEZE, kernel, hint)
