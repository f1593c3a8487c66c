"""Raw scales r: what r gives a certain scale s, and what becomes of r where the function changes.

    base(a r + c) = base(a' r' + c')    with  r' = (a r + c - c') / a'
    exp(a r + c) = 1 / exp(a r' + c)    with  r' = -r - 2 c / a

and the other odd exponents, tanh and atan, with r' = -r.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.affines import SCALES
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.tolerances import summed_again

# scale -> (base, a, c)
_BASES = {
    "sigmoid(r + 2)": ("sigmoid", 1.0, 2.0), "sigmoid(r)": ("sigmoid", 1.0, 0.0),
    "sigmoid(r + 1)": ("sigmoid", 1.0, 1.0), "sigmoid(r - 2)": ("sigmoid", 1.0, -2.0),
    "sigmoid(2 r)": ("sigmoid", 2.0, 0.0),
    "exp(r + 2)": ("exp", 1.0, 2.0), "exp(r)": ("exp", 1.0, 0.0),
}
# scale -> (k, f, w): exp(k f(w r)), odd in its exponent
_ODD = {
    "exp(tanh(r))": (1.0, "tanh", 1.0), "exp(2 tanh(r / 10))": (2.0, "tanh", 0.1),
    "exp(2 tanh(r))": (2.0, "tanh", 1.0), "exp(1.2 tanh(r))": (1.2, "tanh", 1.0),
    "exp(1.5 tanh(r))": (1.5, "tanh", 1.0), "exp(3 tanh(r))": (3.0, "tanh", 1.0),
    "exp(0.636 atan(r))": (0.636, "atan", 1.0), "exp(0.7632 atan(r))": (0.7632, "atan", 1.0),
    "exp(0.954 atan(r))": (0.954, "atan", 1.0), "exp(1.272 atan(r))": (1.272, "atan", 1.0),
    "exp(1.908 atan(r))": (1.908, "atan", 1.0),
}


def same_scale(there: str, here: str) -> tuple[float, float]:
    """(k, d) with scale `here` of k r + d equal to scale `there` of r.

    Raises:
      NotRepresentableError: if the two are different functions.
    """
    if there == here:
        return 1.0, 0.0
    base, a, c = _BASES.get(there, (there, 1.0, 0.0))
    other, a_here, c_here = _BASES.get(here, (here, 1.0, 0.0))
    if base != other:
        raise NotRepresentableError(
            f"{there} of the networks' output is not {here} of the output of other convolutions")
    return a / a_here, (c - c_here) / a_here


def reciprocal_scale(name: str) -> tuple[float, float]:
    """(k, d) with the scale of k r + d equal to 1 / the scale of r.

    Raises:
      NotRepresentableError: if there is none.
    """
    base, a, c = _BASES.get(name, (name, 1.0, 0.0))
    if base != "exp" and name not in _ODD:
        raise NotRepresentableError(f"1 / {name} is not {name} of the output of other convolutions")
    return -1.0, -2 * c / a


def raw_of(name: str, s: Array) -> Array:
    """r with the scale s, to rounding.

    Args:
      name: a name in SCALES.
      s: floating.

    Raises:
      NotRepresentableError: if a scale is out of the function's range.
    """
    base, a, c = _BASES.get(name, (name, 1.0, 0.0))
    with np.errstate(all="ignore"):
        r = np.asarray((_INVERSES[base](s) - c) / a, s.dtype)
        again = SCALES[name].value(r)
        met = np.abs(again - s) <= summed_again(s.dtype) * np.abs(s)
    if not met.all():
        raise NotRepresentableError(f"{name} is never {s[~met][0]:.6g}")
    return r


def _logit(s: Array) -> Array:
    """log(s / (1 - s)); for 1 it is 40, whose sigmoid, 1 - 4e-18, is 1 in float64 and float32."""
    return np.where(s == 1, 40.0, np.log(s) - np.log1p(-s))


def _inverse_of_odd(k: float, function: str, w: float) -> Callable[[Array], Array]:
    """s = exp(k f(w r)) solved for r."""
    inverse = np.arctanh if function == "tanh" else np.tan
    return lambda s: np.asarray(inverse(np.log(s) / k) / w)


_INVERSES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": _logit,
    "exp": np.log,
    "sigmoid(r + 2) + 0.001": lambda s: _logit(s - 1e-3) - 2,
    "2 sigmoid(r)": lambda s: _logit(s / 2),
    "sigmoid(r) + 2": lambda s: _logit(s - 2),
    **{name: _inverse_of_odd(*form) for name, form in _ODD.items()},
    "softplus(r)": lambda s: np.log(np.expm1(s)),
    "1 + r": lambda s: s - 1,
}
