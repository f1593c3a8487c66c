"""Lesson 4's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.lessons.squeeze import exercise


def by_loops(x, n):
    h, w, k = x.shape
    y = np.empty((h * n, w * n, k // n**2))
    for (i, j, c), _ in np.ndenumerate(y):
        y[i, j, c] = x[i // n, j // n, (c * n + i % n) * n + j % n]
    return y


def split_and_moved(split, axes):
    """An answer that splits the indices of x into these, and moves them so."""
    def unsqueeze(x, n):
        h, w, k = x.shape
        named = {"h": h, "w": w, "c": k // n**2, "a": n, "b": n}
        return x.reshape([named[s] for s in split]).transpose(axes).reshape(
            h * n, w * n, k // n**2)
    return unsqueeze


RIGHT_ANSWERS = [exercise.solution, by_loops, lambda x, n: by_loops(x, n).tolist()]
WRONG_ANSWERS = {
    "a reshape alone": split_and_moved("hwcab", (0, 1, 2, 3, 4)),
    "Rows and columns of each tile are swapped": split_and_moved("hwcab", (0, 4, 1, 3, 2)),
    "order of space_to_depth": split_and_moved("hwabc", (0, 2, 1, 3, 4)),
    "the inverse permutation": split_and_moved("hwcab", (0, 2, 4, 1, 3)),
    "y[0, 0, 0] is 2; it should be 0 (16 of 16 numbers differ)": lambda x, n: by_loops(x, n)[::-1],
    "and n = 3, y has the shape": lambda x, n: by_loops(x, 2),
    "has the shape (8, 1, 2); it should be (2, 4, 2)": lambda x, n: x.transpose(2, 0, 1),
    "is a `return` missing?": lambda x, n: None,
    "ValueError": lambda x, n: x.reshape(7, 7),
}
