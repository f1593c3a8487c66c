"""Lesson 5's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.bijectors import OneByOneConv
from refglow.lessons.invertible_convolution import exercise


def by_the_bijector(x, lower_upper, p):
    conv = OneByOneConv(x.shape[-1], dtype=np.float64)
    conv.bijector.lower_upper.assign(lower_upper)
    conv.bijector.permutation.assign(p)
    return conv.forward(x), conv.forward_log_det_jacobian(x, event_ndims=3)


def by_loops(x, lower_upper, p):
    y, log_det = np.zeros_like(x), 0.0
    for pixel in np.ndindex(x.shape[:2]):
        u = [sum(lower_upper[i, j] * x[pixel][j] for j in range(i, len(p))) for i in range(len(p))]
        for i in range(len(p)):
            y[pixel][p[i]] = u[i] + sum(lower_upper[i, j] * u[j] for j in range(i))
            log_det += np.log(abs(lower_upper[i, i]))
    return y, log_det


def unpacked(lower_upper):
    return np.tril(lower_upper, -1) + np.eye(len(lower_upper)), np.triu(lower_upper)


def with_y(y):
    return lambda x, lu, p: (y(x, *unpacked(lu), p), exercise.solution(x, lu, p)[1])


def with_log_det(log_det):
    return lambda x, lu, p: (exercise.solution(x, lu, p)[0],
                             log_det(x.shape, np.log(np.abs(np.diagonal(lu))), np.diagonal(lu)))


RIGHT_ANSWERS = [exercise.solution, by_the_bijector, by_loops]
WRONG_ANSWERS = {
    "the wrong way round": with_y(lambda x, lower, upper, p: x @ (lower @ upper)[p].T),
    "P is missing": with_y(lambda x, lower, upper, p: x @ (lower @ upper).T),
    "W is transposed": with_y(lambda x, lower, upper, p: x @ (lower @ upper)[np.argsort(p)]),
    "The ones of L are missing": with_y(
        lambda x, lower, upper, p: x @ ((lower - np.eye(len(p))) @ upper)[np.argsort(p)].T),
    "L has U's diagonal": with_y(lambda x, lower, upper, p: x @ (
        (np.tril(lower, -1) + np.diag(np.diagonal(upper))) @ upper)[np.argsort(p)].T),
    "in the wrong order": with_y(lambda x, lower, upper, p: x @ (upper @ lower)[np.argsort(p)].T),
    "The columns were permuted": with_y(
        lambda x, lower, upper, p: x @ (lower @ upper)[:, np.argsort(p)].T),
    "It holds two matrices": with_y(
        lambda x, lower, upper, p: x @ (np.tril(lower, -1) + upper).T),
    "multiply by H W": with_log_det(lambda shape, logs, diagonal: logs.sum()),
    "counts the batch or the rows only": with_log_det(lambda shape, logs, diagonal:
                                                      shape[0] * logs.sum()),
    "That counts the columns only": with_log_det(lambda shape, logs, diagonal:
                                                 shape[1] * logs.sum()),
    "this is the forward direction": with_log_det(lambda shape, logs, diagonal:
                                                  -shape[0] * shape[1] * logs.sum()),
    "take |U_ii|": with_log_det(lambda shape, logs, diagonal:
                                shape[0] * shape[1] * np.log(diagonal).sum()),
    "not its logarithms": with_log_det(lambda shape, logs, diagonal:
                                       shape[0] * shape[1] * diagonal.sum()),
    "add them up": with_log_det(lambda shape, logs, diagonal: np.full(shape[:2], logs.sum())),
    "to return (y, fldj); got ndarray": lambda x, lu, p: exercise.solution(x, lu, p)[0],
}
