"""The port's layers on images [B, C, H, W], one method for each decision that a porter makes.

Towards the latent, with s a scale, r and t what a network makes of the channels it sees:

    squeeze      [C, (h a), (w b)] -> [(C a b), h, w]
    ActNorm      z = (x + m) exp(v)                       log-det h w sum(v)
    1x1          z = W x,  W[p[i]] = (L U)[i]             log-det h w sum(log|diag U|)
    coupling     z = s x + t of the high half,  s = sigmoid(r + 2)     log-det sum(log s)
    exit         z = s x + t of what exits,     s = exp(r + 2)         log-det sum(log s)

A mistake is one of these methods replaced. Methods come in pairs (`affine`, `unaffine`), because a
wrong convention is kept in both directions, and is then as invertible as the right one.
"""

from __future__ import annotations

import numpy as np

from refglow.validation.mutants.networks import PortedNetworks
from refglow.validation.mutants.operations import (
    channel_product,
    channel_solution,
    concatenated,
    exp,
    log_absolute,
    log_sigmoid,
    matrix_product,
    sigmoid,
)
from refglow.validation.mutants.tape import Array, Tensor


class PortedLayers(PortedNetworks):
    """What each layer computes, and undoes."""

    # ---- squeeze ----

    def squeeze(self, x: Tensor) -> Tensor:
        """Tiles of 2 x 2 pixels into channels."""
        batch, c, h, w = x.shape
        tiles = x.reshape(batch, c, h // 2, 2, w // 2, 2)
        moved = tiles.transpose(*self.squeeze_axes())
        return moved.reshape(batch, 4 * c, h // 2, w // 2)

    def unsqueeze(self, x: Tensor) -> Tensor:
        """Channels into tiles of 2 x 2 pixels."""
        batch, c, h, w = x.shape
        axes = self.squeeze_axes()
        sizes = (batch, c // 4, h, 2, w, 2)
        tiles = x.reshape(*(sizes[axis] for axis in axes))
        return tiles.transpose(*np.argsort(axes).tolist()).reshape(batch, c // 4, 2 * h, 2 * w)

    def squeeze_axes(self) -> tuple[int, ...]:
        """The axes of (batch, c, h, a, w, b) in their order after the squeeze."""
        return (0, 1, 3, 5, 2, 4)

    # ---- ActNorm ----

    def actnorm_do(self, x: Tensor, m: Tensor, v: Tensor) -> Tensor:
        """Towards the latent; m and v are [C, 1, 1]."""
        return (x + m) * exp(v)

    def actnorm_undo(self, z: Tensor, m: Tensor, v: Tensor) -> Tensor:
        """Towards the image."""
        return z / exp(v) - m

    def actnorm_elements(self, v: Tensor) -> Tensor:
        """log|dz/dx| of each channel."""
        return v

    def actnorm_pixels(self, h: int, w: int) -> int:
        """How many pixels have that."""
        return h * w

    def actnorm_start(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        """(m, v) that normalise data of these statistics."""
        return -mean, -np.log(deviation)

    def statistics(self, x: Array) -> tuple[Array, Array]:
        """(mean, deviation) of each channel of [B, C, H, W], in float64."""
        wide = x.astype(np.float64)
        mean = wide.mean(axis=(0, 2, 3))
        return mean, self.deviation(wide - mean[:, None, None], self.epsilon(x))

    def deviation(self, centred: Array, epsilon: float) -> Array:
        """Of each channel, whose mean is taken away."""
        return np.sqrt(self.variance(centred)) + epsilon

    def variance(self, centred: Array) -> Array:
        """Of each channel, whose mean is taken away."""
        return np.asarray((centred**2).mean(axis=(0, 2, 3)))

    def epsilon(self, x: Array) -> float:
        """What is added to the deviation."""
        return 10 * float(np.finfo(x.dtype).eps)

    # ---- 1x1 convolution ----

    def conv_do(self, matrix: Tensor, x: Tensor) -> Tensor:
        """Towards the latent."""
        return channel_product(matrix, x)

    def conv_undo(self, matrix: Tensor, z: Tensor) -> Tensor:
        """Towards the image."""
        return channel_solution(matrix, z)

    def matrix(self, lower_upper: Tensor, permutation: Array) -> Tensor:
        """W of the packed factors: row i of L U is row p[i] of W."""
        lower, upper = self.factors(lower_upper)
        return self.permuted(matrix_product(lower, upper), permutation)

    def factors(self, lower_upper: Tensor) -> tuple[Tensor, Tensor]:
        """(L, U): below the diagonal with ones on it, and the diagonal with what is above."""
        ones = np.ones_like(lower_upper.value)
        return (lower_upper * np.tril(ones, -1) + np.eye(len(ones), dtype=ones.dtype),
                lower_upper * np.triu(ones))

    def permuted(self, product: Tensor, permutation: Array) -> Tensor:
        """Row i goes to row p[i]."""
        return product.taken(np.argsort(permutation), 0)

    def conv_pixel_log_det(self, lower_upper: Tensor, permutation: Array) -> Tensor:
        """log|det W|, the log-det of one pixel."""
        return log_absolute(diagonal(lower_upper)).sum()

    def conv_pixels(self, h: int, w: int) -> int:
        """How many pixels have that."""
        return h * w

    # ---- coupling ----

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(what the network sees, what is transformed)."""
        half = x.shape[1] // 2
        return x[:, :half], x[:, half:]

    def joined(self, seen: Tensor, transformed: Tensor) -> Tensor:
        """The inverse of `halves`."""
        return concatenated([seen, transformed])

    def parts_of(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """(r, t) from the channels of a network's output."""
        half = output.shape[1] // 2
        return output[:, :half], output[:, half:]

    def scale(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """(s, log s)."""
        return sigmoid(r + 2.0), log_sigmoid(r + 2.0)

    def affine(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Towards the latent."""
        return s * x + t

    def unaffine(self, z: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Towards the image."""
        return (z - t) / s

    def affine_elements(self, log_s: Tensor) -> Tensor:
        """log|dz/dx| of each number."""
        return log_s

    def coupling_log_det(self, elements: Tensor, s: Tensor, r: Tensor) -> Tensor:
        """The log-det [B] of the coupling, from that of each number."""
        return elements.sum(1, 2, 3)

    # ---- exit ----

    def exit_halves(self, x: Tensor, leave: int, grab: int) -> tuple[Tensor, Tensor]:
        """(what goes on, what exits)."""
        return x[:, :leave], x[:, leave:]

    def exit_joined(self, going_on: Tensor, exiting: Tensor) -> Tensor:
        """The inverse of `exit_halves`."""
        return concatenated([going_on, exiting])

    def exit_parts_of(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """(r, t) from the channels of an exit network's output."""
        half = output.shape[1] // 2
        return output[:, :half], output[:, half:]

    def exit_scale(self, r: Tensor) -> tuple[Tensor, Tensor]:
        """(s, log s)."""
        return exp(r + 2.0), r + 2.0

    def exit_affine(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Towards the latent."""
        return s * x + t

    def exit_unaffine(self, z: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Towards the image."""
        return (z - t) / s

    def exit_elements(self, log_s: Tensor) -> Tensor:
        """log|dz/dx| of each number."""
        return log_s

    def exit_log_det(self, elements: Tensor, s: Tensor, r: Tensor) -> Tensor:
        """The log-det [B] of the exit, from that of each number."""
        return elements.sum(1, 2, 3)


def diagonal(matrix: Tensor) -> Tensor:
    """The diagonal of a square matrix."""
    size = matrix.shape[0]
    return matrix.reshape(size * size).taken(np.arange(size) * (size + 1), 0)
