"""How much layers amplify errors: the largest singular values of Jacobians, in both directions.

A small error e at place k becomes J_k e at the next, and is up to sigma(J_k) times as long, sigma
the largest singular value; on the way to the image the factor is up to sigma(J_k^-1), the inverse
of J_k's smallest. That is the layer's *gain*. Relative to the values' lengths it is its *condition*

    kappa to the latent = sigma(J_k)    |h_k| / |h_(k+1)|
    kappa to the image  = sigma(J_k^-1) |h_(k+1)| / |h_k|          their product is cond(J_k)

From the image to place k the factor is sigma(J_(k-1) ... J_0), from the latent to place k
sigma(J_k^-1 ... J_(L-1)^-1): the *amplification*. It is at most the product of the gains, and
usually far less.

ActNorm's Jacobian is diagonal, a 1x1 convolution's is its matrix, for every pixel; so their gains
are exact. Those of couplings and of products come from Golub-Kahan bidiagonalization: with vectors
v_1, u_1 = J v_1 / a_1, v_2 = (J^T u_1 - a_1 v_1) / b_1, ..., J is bidiagonal in these two bases,
and after m steps the largest singular value of the m x m matrix of the a and b is a lower bound of
J's that converges fast. J v takes one jvp, J^T u one vjp.

Source: Golub & Van Loan 2013, section 10.4; Behrmann et al. 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.audit.channels import conv_matrix
from refglow.validation.audit.walk import active, cotangent_through, tangent_through
from refglow.validation.layers import Layer

STEPS = 12  # of the bidiagonalization
_NEGLIGIBLE = 1e-12  # a remainder that is rounding only, of the vector it remains of

Vectors = list[Array]
LinearMap = Callable[[Vectors], Vectors]
OnStep = Callable[[], object]


def _nothing() -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Gains:
    """What one layer does to errors, the largest over the points where it was measured.

    Attributes:
      to_latent, to_image: largest singular values of the Jacobian and of its inverse.
      kappa_to_latent, kappa_to_image: the same relative to the values' lengths.
    """

    to_latent: float
    to_image: float
    kappa_to_latent: float
    kappa_to_image: float


def layer_gains(layer: Layer, before: Array, after: Array, rng: np.random.Generator,
                steps: int = STEPS) -> Gains:
    """The gains of a layer (float64) at some points.

    Args:
      layer: the layer.
      before, after: [B, ...], the values at its place and, towards the latent, at the next.
      rng: of the vectors that the bidiagonalization starts from.
      steps: of it.
    """
    exact = _exact_gains(layer)
    if exact is None:
        gains = [_gain(layer, h, to_latent, rng, steps)
                 for h, to_latent in ((before, True), (after, False))]
    else:
        gains = [np.full(len(before), gain) for gain in exact]
    lengths = [_lengths(list(active(layer, h))) for h in (before, after)]
    with np.errstate(all="ignore"):
        ratio = lengths[0] / lengths[1]
        kappas = gains[0] * ratio, gains[1] / ratio
    return Gains(*(float(np.max(values)) for values in (*gains, *kappas)))


def _exact_gains(layer: Layer) -> tuple[float, float] | None:
    """(to the latent, to the image) where the Jacobian is known; None where it must be measured."""
    if layer.kind in ("Expand", "Reshape"):
        return 1.0, 1.0
    if layer.kind == "ActivationNormalization":
        log_scale = layer.bijector.log_scale.numpy()
        return float(np.exp(log_scale.max())), float(np.exp(-log_scale.min()))
    if layer.kind == "OneByOneConv":
        matrix = conv_matrix(layer)
        if not np.isfinite(matrix).all():
            return np.nan, np.nan
        values = np.linalg.svd(matrix, compute_uv=False)
        with np.errstate(divide="ignore"):
            return float(values[0]), float(1 / values[-1])
    return None


def _gain(layer: Layer, h: Array, to_latent: bool, rng: np.random.Generator,
          steps: int) -> Array:
    """The largest singular value of a layer's Jacobian at each point, [B]."""
    def apply(vectors: Vectors) -> Vectors:
        return list(tangent_through(layer, h, np.stack(vectors), to_latent))

    def transposed(vectors: Vectors) -> Vectors:
        return list(cotangent_through(layer, h, np.stack(vectors), to_latent))
    return largest_singular_values(apply, transposed, list(rng.standard_normal(h.shape)), steps)


def amplifications(layers: Sequence[Layer], places: Sequence[Array], to_latent: bool,
                   wanted: Sequence[int], rng: np.random.Generator,
                   steps: int = STEPS, on_step: OnStep = _nothing) -> dict[int, float]:
    """The largest growth of an error from one end of the flow to some places.

    Args:
      layers: towards the latent, float64.
      places: [1, ...] each, the values at all places.
      to_latent: from the image to each place; otherwise from the latent.
      wanted: the places.
      rng, steps: as for `layer_gains`.
      on_step: called before each step.

    Returns:
      {place: the largest singular value of the Jacobian of the walk to there}.
    """
    walk = range(len(layers)) if to_latent else range(len(layers))[::-1]
    ends = sorted(set(wanted), reverse=not to_latent)
    start = places[0 if to_latent else -1]

    def at(place: int, count: int) -> Array:
        return np.broadcast_to(places[place], (count, *places[place].shape[1:]))

    def apply(vectors: Vectors) -> Vectors:
        found: Vectors = []
        h_dot = np.stack(vectors)
        for k in walk:
            source = k if to_latent else k + 1
            while len(found) < len(ends) and ends[len(found)] == source:
                found.append(h_dot[0])
                h_dot = h_dot[1:]
            if len(h_dot):
                h_dot = tangent_through(layers[k], at(source, len(h_dot)), h_dot, to_latent)
        return [*found, *h_dot]

    def transposed(vectors: Vectors) -> Vectors:
        waiting, bar = list(vectors), None
        for k in reversed(walk):
            source, target = (k, k + 1) if to_latent else (k + 1, k)
            while waiting and ends[len(waiting) - 1] == target:
                one = waiting.pop()[None]
                bar = one if bar is None else np.concatenate([one, bar])
            if bar is not None:
                bar = cotangent_through(layers[k], at(source, len(bar)), bar, to_latent)
        return [*waiting, *([] if bar is None else bar)]
    starts = list(rng.standard_normal((len(ends), *start.shape[1:])))
    found = largest_singular_values(apply, transposed, starts, steps, on_step)
    return dict(zip(ends, map(float, found), strict=True))


def whole_amplifications(layers: Sequence[Layer], places: Sequence[Array], to_latent: bool,
                         rng: np.random.Generator, steps: int = STEPS,
                         on_step: OnStep = _nothing) -> list[float]:
    """The largest growth of an error on the whole way, at each of several points.

    Args:
      layers, to_latent, rng, steps, on_step: as for `amplifications`.
      places: [B, ...] each, the values at all places, a point for each of B.
    """
    walk = range(len(layers)) if to_latent else range(len(layers))[::-1]
    start = places[0 if to_latent else -1]

    def apply(vectors: Vectors) -> Vectors:
        h_dot = np.stack(vectors)
        for k in walk:
            h_dot = tangent_through(layers[k], places[k if to_latent else k + 1], h_dot, to_latent)
        return list(h_dot)

    def transposed(vectors: Vectors) -> Vectors:
        bar = np.stack(vectors)
        for k in reversed(walk):
            bar = cotangent_through(layers[k], places[k if to_latent else k + 1], bar, to_latent)
        return list(bar)
    return [float(value) for value in largest_singular_values(
        apply, transposed, list(rng.standard_normal(start.shape)), steps, on_step)]


def largest_singular_values(apply: LinearMap, transposed: LinearMap, starts: Vectors,
                            steps: int = STEPS, on_step: OnStep = _nothing) -> Array:
    """Lower bounds of the largest singular value of each of some linear maps, computed together.

    Args:
      apply, transposed: take one vector for each map, and give one for each.
      starts: the vectors that the bidiagonalization starts from, random.
      steps: m.
      on_step: called before each of them.

    Returns:
      [the number of maps]; NaN where numbers are not finite.

    Source: see the module.
    """
    count = len(starts)
    v, u = _scaled(starts, _lengths(starts)), [np.zeros(())] * count
    b = np.zeros(count)
    diagonal, above = [], []
    with np.errstate(all="ignore"):
        for _ in range(steps):
            on_step()
            u = [new - b_k * old for new, b_k, old in zip(apply(v), b, u, strict=True)]
            a = _lengths(u)
            u = _scaled(u, a)
            rest = [new - a_k * old for new, a_k, old in zip(transposed(u), a, v, strict=True)]
            b = _lengths(rest)
            b = np.where(b > _NEGLIGIBLE * a, b, np.where(np.isnan(b), b, 0.0))
            v = _scaled(rest, b)
            diagonal.append(a)
            above.append(b)
    return np.array([_largest(np.array(diagonal)[:, k], np.array(above)[:-1, k])
                     for k in range(count)])


def _largest(diagonal: Array, above: Array) -> float:
    matrix = np.diag(diagonal) + np.diag(above, 1)
    return float(np.linalg.norm(matrix, 2)) if np.isfinite(matrix).all() else float("nan")


def _lengths(vectors: Vectors) -> Array:
    return np.array([np.linalg.norm(vector) for vector in vectors])


def _scaled(vectors: Vectors, lengths: Array) -> Vectors:
    """Each vector over its length; zero where that is zero."""
    return [vector / length if length != 0 else np.zeros_like(vector)
            for vector, length in zip(vectors, lengths, strict=True)]


def roundings_carried(layers: Sequence[Layer], places: Sequence[Array], to_latent: bool,
                      rng: np.random.Generator, draws: int = 4) -> list[float]:
    """How large the roundings of all layers together are at every place, in units of roundoff.

    A layer whose input h and result y are rounded commits an error of about u (|h| + |y|) xi for
    each number, xi uniform in [-1, 1]. To first order these add up on the way:

        e_(k+1) = J_k e_k + u (|h_k| + |h_(k+1)|) xi,    e_0 = u |h_0| xi

    Args:
      layers, places, to_latent, rng: as for `amplifications`.
      draws: of xi.

    Returns:
      by place, max(rms over the draws of e) / max|h|, for u = 1; times u = eps / 2 it is the
      relative error to expect in a number type.
    """
    walk = range(len(layers)) if to_latent else range(len(layers))[::-1]
    start = places[0 if to_latent else -1]
    with np.errstate(all="ignore"):
        error = np.abs(start) * rng.uniform(-1, 1, (draws, *start.shape[1:]))
        found = [_relative(error, start)]
        for k in walk:
            source, target = (k, k + 1) if to_latent else (k + 1, k)
            h, y = places[source], places[target]
            many = np.broadcast_to(h, (draws, *h.shape[1:]))
            error = tangent_through(layers[k], many, error, to_latent)
            if h.shape == y.shape:  # the others only move numbers
                error = error + (np.abs(h) + np.abs(y)) * rng.uniform(-1, 1, error.shape)
            found.append(_relative(error, y))
    return found if to_latent else found[::-1]


def _relative(error: Array, values: Array) -> float:
    size: Any = np.abs(values).max()
    return float(np.sqrt((error**2).mean(axis=0)).max() / size) if size else 0.0
