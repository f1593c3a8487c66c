"""1x1 convolutions: how the matrix W comes from the arrays, and what is done with it.

TFP packs L (unit diagonal) and U into one array and has a permutation p beside it; W = P L U with
P[p[i], i] = 1. "full matrix" takes the array as W itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.bijectors.scale_matvec_lu import lu_log_det, lu_reconstruct
from refglow.dtypes import Array
from refglow.elementary import exp, softplus

FromArrays = Callable[[Array, Array], Array]


def _identity(packed: Array) -> Array:
    return np.arange(packed.shape[-1])


def _lower(packed: Array) -> Array:
    return np.asarray(np.tril(packed, -1) + np.eye(len(packed), dtype=packed.dtype))


def _with_diagonal(packed: Array, function: Callable[[Array], Array]) -> Array:
    other = packed.copy()
    np.fill_diagonal(other, function(packed.diagonal()))
    return other


def _unit_upper(packed: Array) -> Array:
    """L keeps the diagonal of the packed array, U's is ones."""
    unit = np.triu(packed, 1) + np.eye(len(packed), dtype=packed.dtype)
    return np.asarray(np.tril(packed) @ unit)


# What U's diagonal is of the numbers u that are stored.
DIAGONALS: dict[str, Callable[[Array], Array]] = {
    "absolute diagonal": np.abs,
    "U's diagonal exp(u)": exp,
    "U's diagonal softplus(u) + 0.001": lambda u: softplus(u) + 1e-3,
}


def _of_diagonal(name: str) -> FromArrays:
    return lambda packed, p: lu_reconstruct(_with_diagonal(packed, DIAGONALS[name]), p)


# (packed [C, C], permutation [C]) -> W [C, C]
FACTORS: dict[str, FromArrays] = {
    "P L U": lu_reconstruct,
    "full matrix": lambda packed, p: packed,
    "P^-1 L U": lambda packed, p: lu_reconstruct(packed, np.argsort(p)),
    "L U": lambda packed, p: lu_reconstruct(packed, _identity(packed)),
    "P U L": lambda packed, p: (np.triu(packed) @ _lower(packed))[np.argsort(p)],
    "L U P": lambda packed, p: lu_reconstruct(packed, _identity(packed))[:, p],
    "L U P^-1": lambda packed, p: lu_reconstruct(packed, _identity(packed))[:, np.argsort(p)],
    "unit diagonal in U": lambda packed, p: _unit_upper(packed)[np.argsort(p)],
    "packed array transposed": lambda packed, p: lu_reconstruct(packed.T, p),
    "P": lambda packed, p: lu_reconstruct(np.eye(len(packed), dtype=packed.dtype), p),
    **{name: _of_diagonal(name) for name in DIAGONALS},
    "U's diagonal 1": lambda packed, p: lu_reconstruct(
        packed - np.diag(packed.diagonal()) + np.eye(len(packed), dtype=packed.dtype), p),
}

# W as it is used, towards the latent.
MATRICES: dict[str, Callable[[Array], Array]] = {
    "W": lambda w: w,
    "W^T": lambda w: w.T,
    "W^-1": np.linalg.inv,
    "W^-T": lambda w: np.linalg.inv(w).T,
    "left out": lambda w: np.eye(len(w), dtype=w.dtype),
}

# (packed, W as used) -> the log-det of one pixel
CONV_LOG_DETS: dict[str, Callable[[Array, Array], Array]] = {
    "log|det W|": lambda packed, w: np.linalg.slogdet(w)[1],
    "sum u": lambda packed, w: packed.diagonal().sum(),
    "sum |u|": lambda packed, w: np.abs(packed.diagonal()).sum(),
    "half of U's diagonal": lambda packed, w: np.log(
        np.abs(packed.diagonal()[:len(packed) // 2])).sum(),
    "sum of log|diag W|": lambda packed, w: np.log(np.abs(w.diagonal())).sum(),
    "log|det| of the packed array": lambda packed, w: np.linalg.slogdet(packed)[1],
    "det W": lambda packed, w: np.linalg.det(w),
}


def log_det_of(factors: str, matrix: str, packed: Array, used: Array) -> Array:
    """log|det| of one pixel: from U's diagonal where that is it, else by factoring W again."""
    if matrix == "left out":
        return np.zeros(())
    if factors in ("P L U", "P^-1 L U", "L U", "P U L", "L U P", "L U P^-1",
                   "unit diagonal in U", "packed array transposed", *DIAGONALS):
        if factors in DIAGONALS:
            packed = _with_diagonal(packed, DIAGONALS[factors])
        return lu_log_det(packed) * (-1 if "^-" in matrix else 1)
    return CONV_LOG_DETS["log|det W|"](packed, used)
