"""ActNorm and the 1x1 convolution of one pixel, worked through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from refglow.bijectors.scale_matvec_lu import lu_reconstruct
from refglow.dtypes import Array
from refglow.explain.equations import equation, listed, n, products, rest_note, result, sum_of
from refglow.explain.worked_moves import Sections

if TYPE_CHECKING:
    from refglow.explain.pixel import Place

_NUMBERS_OF_P = 48  # that are listed
_ROWS_OF_LARGE = 4  # of a matrix that has more channels than are written out


def actnorm_sections(place: Place) -> Sections:
    """The shift and scale of each channel, with its numbers."""
    state = {name.rpartition(".")[2]: array.astype(np.float64)
             for name, array in place.layer.bijector.state_dict().items()}
    m, v = state["shift"].tolist(), state["log_scale"].tolist()
    x, y = place.numbers(place.stage.input), place.numbers(place.stage.output)
    shown = range(min(place.most, len(x)))
    if place.to_latent:
        lines = [equation(f"y[{c}]", f"({result(x[c])} + {n(m[c])}) * exp({result(v[c])})", y[c])
                 for c in shown]
    else:
        lines = [equation(f"y[{c}]", f"{n(x[c])} * exp(-{n(v[c])}) - {n(m[c])}", y[c])
                 for c in shown]
    title = "(x + m) * exp(v)" if place.to_latent else "x * exp(-v) - m"
    return [(f"y = {title}, for each channel{_of(len(x), place.most)}", lines),
            ("Log-det, with v alone: the same at every pixel", _pixels_times(place, v, "v"))]


def conv_sections(place: Place) -> Sections:
    """The matrix times the pixel's vector, row by row, and the same by P, L and U."""
    state = {name.rpartition(".")[2]: array
             for name, array in place.layer.bijector.state_dict().items()}
    packed, p = state["lower_upper"].astype(np.float64), state["permutation"].tolist()
    x, y = place.numbers(place.stage.input), place.numbers(place.stage.output)
    few = len(x) if len(x) <= place.most else _ROWS_OF_LARGE
    matrix = lu_reconstruct(packed, state["permutation"])
    going_in, coming_out = (x, y) if place.to_latent else (y, x)
    names = ("y", "x") if place.to_latent else ("x", "y")
    rows = [equation(f"{names[0]}[{k}]", products(list(zip(matrix[k], going_in, strict=True)),
                                                  place.most), coming_out[k]) for k in range(few)]
    note = [text for text in [rest_note(len(x), place.most)] if text]
    title = f"{names[0]} = W {names[1]}, row by row" + (
        "" if place.to_latent else ": the y that is found below")
    factors = (_by_factors if place.to_latent else _by_substitution)(place, packed, p, x, y, few)
    terms = np.log(np.abs(np.diag(packed))).tolist()
    determinant = [equation(f"log|U[{k},{k}]|", f"log(abs({result(packed[k, k])}))", terms[k])
                   for k in range(min(place.most, len(x)))]
    both = [(title + _of(len(x), few, "rows"), rows + note), *factors]
    return [*(both if place.to_latent else [*both[1:], both[0]]),
            ("Log-det, with the diagonal of U alone: the same at every pixel",
             [*determinant, *_pixels_times(place, terms, "log|U_kk|")])]


def _by_factors(place: Place, packed: Array, p: list[int], x: list[float], y: list[float],
                few: int) -> Sections:
    """u = U x, l = L u, y = P l."""
    u = (np.triu(packed) @ x).tolist()
    low = np.tril(packed, -1) + np.eye(len(x))
    by_l = (low @ u).tolist()
    upper = [equation(f"u[{k}]", products(list(zip(packed[k, k:], x[k:], strict=True)),
                                          place.most), u[k]) for k in range(few)]
    lower = [equation(f"l[{k}]", products(list(zip(low[k, :k + 1], u[:k + 1], strict=True)),
                                          place.most), by_l[k]) for k in range(few)]
    moved = [f"y[{p[k]}] = l[{k}] = {result(y[p[k]])}" for k in range(few)]
    return [("The same by the factors W = P L U: u = U x", upper),
            ("l = L u, with ones on L's diagonal", lower),
            ("y = P l: y[p[k]] = l[k]", [listed("p", p, _NUMBERS_OF_P), *moved])]


def _by_substitution(place: Place, packed: Array, p: list[int], x: list[float], y: list[float],
                     few: int) -> Sections:
    """b = P^T x, L v = b from the first channel on, U y = v from the last one back."""
    count = len(x)
    b = [x[k] for k in p]
    v = list(b)
    for k in range(count):
        v[k] -= float(packed[k, :k] @ v[:k])
    down = [equation(f"v[{k}]", _less(b[k], packed[k, :k], v[:k], place.most), v[k])
            for k in range(few)]
    up = [equation(f"y[{k}]", f"({_less(v[k], packed[k, k + 1:], y[k + 1:], place.most)}) / "
                   f"{n(packed[k, k])}", y[k]) for k in reversed(range(count - few, count))]
    return [("b = P^T x: b[k] = x[p[k]]",
             [listed("p", p, _NUMBERS_OF_P),
              *(f"b[{k}] = x[{p[k]}] = {result(b[k])}" for k in range(few))]),
            ("L v = b, from the first channel on", down),
            ("U y = v, from the last channel back", up)]


def _less(start: float, row: Array, values: list[float], most: int) -> str:
    if not len(row):
        return result(start)
    return f"{result(start)} - ({products(list(zip(row.tolist(), values, strict=True)), most)})"


def _pixels_times(place: Place, terms: list[float], what: str) -> list[str]:
    """The log-det of the whole image from that of one pixel."""
    total, (height, width) = float(np.sum(terms)), place.size
    sign = "" if place.to_latent else "-"
    lines = [equation(f"sum of {what}", sum_of(terms, place.most), total),
             equation(f"{'ildj' if place.to_latent else 'fldj'}",
                      f"{sign}{height} * {width} * {n(total)}",
                      float(place.stage.log_det[place.example]))]
    note = rest_note(len(terms), place.most)
    return [*lines, note] if note else lines


def _of(count: int, shown: int, what: str = "channels") -> str:
    return "" if count <= shown else f" (the first {shown} of {count} {what})"
