"""OneByOneConv: the invertible 1x1 convolution, with a random start.

Each pixel's channel vector is multiplied by the same C x C matrix W = P L U:

    forward   y[h, w, :] = W x[h, w, :]            fldj = H W log|det W| for an H x W image
    inverse   x[h, w, :] = W^-1 y[h, w, :]         ildj = -fldj

(The factor H W arises where the log-det of one pixel is summed over the event.) Glow uses it
inverted: in the direction from image to latent it multiplies by W.

W starts as a random orthonormal matrix (so the log-det starts at 0): Q of the QR decomposition of
a matrix of uniform [0, 1) numbers, factored once; L and U are trained, P stays.

Source: Kingma & Dhariwal 2018, sections 3.2; tfp.bijectors.glow.OneByOneConv.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.bijectors.bijector import Bijector, Pull
from refglow.bijectors.scale_matvec_lu import ScaleMatvecLU
from refglow.cotangents import Tangents
from refglow.dtypes import DEFAULT_FLOAT, Array, canonical_dtype
from refglow.variable import Variable


def random_orthonormal_lu(channels: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """The packed LU factors and the permutation of a random orthonormal matrix.

    Args:
      channels: C.
      rng: the source of the C x C uniform numbers.

    Returns:
      lower_upper: float64, [C, C]; permutation: int32, [C].

    Source: as the module.
    """
    orthonormal, _ = np.linalg.qr(rng.random((channels, channels)))
    return lu_factorization(orthonormal)


def lu_factorization(matrix: Array) -> tuple[Array, Array]:
    """(lower_upper, p) with (L U)[i] = matrix[p[i]]: Gaussian elimination with partial pivoting.

    Column after column, the row with the largest entry on or below the diagonal is brought up, and
    multiples of it are subtracted from the rows below, so that they become zero there. What is left
    is U; the multiples, all at most 1 in size, are L's, and take the places of the zeros.

    Args:
      matrix: [C, C], floating, not singular.

    Returns:
      lower_upper: [C, C], packed as `ScaleMatvecLU` takes it; p: int32, [C].

    Source: Golub & Van Loan 2013, algorithm 3.4.1; scipy.linalg.lu_factor.
    """
    work = np.array(matrix)
    permutation = np.arange(len(work), dtype=np.int32)
    for k in range(len(work)):
        pivot = k + int(np.argmax(np.abs(work[k:, k])))
        for rows in (work, permutation):
            rows[[k, pivot]] = rows[[pivot, k]]
        work[k + 1:, k] /= work[k, k]
        work[k + 1:, k + 1:] -= np.outer(work[k + 1:, k], work[k, k + 1:])
    return work, permutation


class OneByOneConv(Bijector):
    """A ScaleMatvecLU that makes its own random orthonormal matrix."""

    def __init__(self, event_size: int, seed: int | np.random.Generator | None = None,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT, name: str = "OneByOneConv",
                 **kwargs: Any) -> None:
        """Build it.

        Args:
          event_size: the number of channels C.
          seed: int or NumPy Generator; None for a different matrix every time.
          dtype: the number type of the factors.
          name: its name.
          **kwargs: passed to ScaleMatvecLU (`validate_args`, `name` of the inner bijector).
        """
        number_type = canonical_dtype(dtype) or DEFAULT_FLOAT
        lower_upper, permutation = self.trainable_lu_factorization(event_size, seed, number_type)
        self._bijector = ScaleMatvecLU(lower_upper, permutation, **kwargs)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=number_type,
                         validate_args=self._bijector.validate_args,
                         members={"": self._bijector}, name=name,
                         parameters=dict(event_size=event_size, seed=seed, dtype=dtype, name=name,
                                         **kwargs))

    @property
    def bijector(self) -> ScaleMatvecLU:
        """The ScaleMatvecLU that does the work."""
        return self._bijector

    @staticmethod
    def trainable_lu_factorization(
            event_size: int, seed: int | np.random.Generator | None = None,
            dtype: npt.DTypeLike = DEFAULT_FLOAT) -> tuple[Variable, Variable]:
        """(lower_upper, permutation) of a random orthonormal matrix, as Variables.

        Args:
          event_size: the number of channels C.
          seed: int, NumPy Generator or None.
          dtype: the number type of lower_upper; the permutation is int32 and not trainable.
        """
        lower_upper, permutation = random_orthonormal_lu(event_size, np.random.default_rng(seed))
        return (Variable(lower_upper, "lower_upper", dtype=canonical_dtype(dtype)),
                Variable(permutation, "permutation", trainable=False))

    def _forward_and_log_det(self, x: Array, **kwargs: Any) -> tuple[Array, Array]:
        return self._bijector._forward_and_log_det(x, **kwargs)

    def _inverse_and_log_det(self, y: Array, **kwargs: Any) -> tuple[Array, Array]:
        return self._bijector._inverse_and_log_det(y, **kwargs)

    def _vjp(self, forward: bool, x: Array, **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        return self._bijector._vjp(forward, x, **kwargs)

    def _jvp(self, forward: bool, x: Array, x_dot: Array, tangents: Tangents,
             **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        return self._bijector._jvp(forward, x, x_dot, tangents, **kwargs)

    def _forward_event_shape(self, shape: Any) -> Any:
        return self._bijector.forward_event_shape(shape)

    _inverse_event_shape = _forward_event_shape
