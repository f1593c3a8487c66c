"""A matrix as the arrays of a dialect's 1x1 convolution: FACTORS and MATRICES the other way round.

All start from Gaussian elimination with row exchanges, (L U)[i] = W[p[i]], of W, of W turned by
180 degrees, or of its transpose:

    U L   turn W, factor, turn back: a unit upper and a lower triangle. With D the latter's
          diagonal, (U D) (D^-1 L) has the ones in L
    L U with columns exchanged   factor W^T = P L' U'; with D the diagonal of U',
          W = U'^T L'^T P^T = (U'^T D^-1) (D L'^T) P^T
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.bijectors.one_by_one_conv import lu_factorization
from refglow.dtypes import Array
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.matrices import MATRICES

Packed = tuple[Array, Array | None]


def conv_arrays(used: Array, factors: str, matrix: str) -> dict[str, Array]:
    """The arrays lower_upper (and permutation) of a 1x1 convolution that multiplies by `used`.

    Args:
      used: [C, C], floating, not singular.
      factors, matrix: names in FACTORS and MATRICES.

    Raises:
      NotRepresentableError: if such arrays cannot make this matrix.
    """
    if matrix == "left out" and not np.array_equal(used, np.eye(len(used))):
        raise NotRepresentableError("1x1 convolutions are left out, and channels are to be mixed")
    stored = MATRICES[matrix](used)  # each is its own inverse (and without it, 1)
    packed, permutation = _FACTORED[factors](np.ascontiguousarray(stored))
    arrays = {"lower_upper": packed}
    return arrays if permutation is None else arrays | {"permutation": permutation}


def _plu(w: Array) -> tuple[Array, Array]:
    return lu_factorization(w)


def _inverse_plu(w: Array) -> Packed:
    packed, p = _plu(w)
    return packed, np.argsort(p).astype(p.dtype)


def _lu(w: Array) -> Packed:
    packed, p = _plu(w)
    if (p != np.arange(len(p))).any():
        raise NotRepresentableError("a general matrix is L U only after an exchange of rows")
    return packed, p


def _pul(w: Array) -> Packed:
    packed, p = _plu(w[::-1, ::-1])
    upper, lower = np.tril(packed, -1)[::-1, ::-1], np.triu(packed)[::-1, ::-1]
    d = lower.diagonal().copy()
    return (upper * d + np.tril(lower, -1) / d[:, None] + np.diag(d),
            (len(p) - 1 - p[::-1]).astype(p.dtype))


def _lup_inverse(w: Array) -> tuple[Array, Array]:
    packed, p = _plu(np.ascontiguousarray(w.T))
    d = packed.diagonal().copy()
    return (np.triu(packed, 1).T / d + np.tril(packed, -1).T * d[:, None] + np.diag(d), p)


def _lup(w: Array) -> Packed:
    packed, p = _lup_inverse(w)
    return packed, np.argsort(p).astype(np.int32)


def _unit_diagonal_in_u(w: Array) -> Packed:
    packed, p = _plu(w)
    d = packed.diagonal().copy()
    return np.tril(packed, -1) * d + np.triu(packed, 1) / d[:, None] + np.diag(d), p


def _transposed(w: Array) -> Packed:
    packed, p = _plu(w)
    return np.ascontiguousarray(packed.T), p


def _permutation(w: Array) -> Packed:
    p = np.argmax(w, axis=1)
    if not np.array_equal(w, np.eye(len(w))[p]):
        raise NotRepresentableError("the matrix does more than exchange channels")
    return np.eye(len(w), dtype=w.dtype), np.argsort(p)


def _absolute_diagonal(w: Array) -> Packed:
    packed, p = _plu(w)
    if (packed.diagonal() < 0).any():
        raise NotRepresentableError("U's diagonal has negative entries, whose signs are dropped")
    return packed, p


def _diagonal_of_ones(w: Array) -> Packed:
    packed, p = _plu(w)
    if (packed.diagonal() != 1).any():
        raise NotRepresentableError("U's diagonal is not 1")
    return packed, p


def _diagonal_from(inverse: Callable[[Array], Array]) -> Callable[[Array], Packed]:
    """Factors whose stored diagonal is `inverse` of U's."""
    def factored(w: Array) -> Packed:
        packed, p = _plu(w)
        with np.errstate(all="ignore"):
            stored = inverse(packed.diagonal())
        if not np.isfinite(stored).all():
            raise NotRepresentableError("U's diagonal has entries that the function never gives")
        np.fill_diagonal(packed, stored)
        return packed, p
    return factored


_FACTORED: dict[str, Callable[[Array], Packed]] = {
    "P L U": _plu,
    "full matrix": lambda w: (w, None),
    "P^-1 L U": _inverse_plu,
    "L U": _lu,
    "P U L": _pul,
    "L U P": _lup,
    "L U P^-1": _lup_inverse,
    "unit diagonal in U": _unit_diagonal_in_u,
    "packed array transposed": _transposed,
    "P": _permutation,
    "absolute diagonal": _absolute_diagonal,
    "U's diagonal exp(u)": _diagonal_from(np.log),
    "U's diagonal softplus(u) + 0.001": _diagonal_from(lambda d: np.log(np.expm1(d - 1e-3))),
    "U's diagonal 1": _diagonal_of_ones,
}
