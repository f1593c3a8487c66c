"""What stands between two couplings, as one affine map of a pixel's channels.

    y = W (exp(v) (x + m)) + b

ActNorm in any form has an m, a v and signs, which go into W; a 1x1 convolution has a W and perhaps
a bias b. One after another they are again such a map, and so is one between permutations of the
channels: those move columns of W with m and v, or rows of W with b.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from refglow.dtypes import Array, DType, widened
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.factoring import conv_arrays
from refglow.validation.dialects.matrices import FACTORS, MATRICES

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class _Conv:
    """A 1x1 convolution: its matrix, and the arrays that make it in a dialect."""

    matrix: Array
    arrays: Arrays
    factors: tuple[str, str]


@dataclass(frozen=True)
class Mixing:
    """The map above.

    Attributes:
      shift, log_scale: m and v, [C].
      matrix: W, [C, C].
      bias: b, [C].
      conv: a 1x1 convolution that is in it. Its arrays are kept while W is still its matrix.
    """

    shift: Array
    log_scale: Array
    matrix: Array
    bias: Array
    conv: _Conv | None = None

    @classmethod
    def identity(cls, channels: int, dtype: DType) -> Mixing:
        """y = x."""
        zeros = np.zeros(channels, dtype)
        return cls(zeros, zeros, np.eye(channels, dtype=dtype), zeros)

    def then(self, after: Mapping[str, Arrays], dialect: Dialect) -> Mixing:
        """This map and, after it, a layer {"actnorm": its arrays} or {"conv": its arrays}."""
        if "actnorm" in after:
            return self._then(_read_actnorm(after["actnorm"], dialect.actnorm))
        return self._then(_read_conv(after["conv"], dialect)) if "conv" in after else self

    def _then(self, after: Mixing) -> Mixing:
        if self.is_identity:
            return after
        columns = after.matrix * np.exp(after.log_scale)
        return Mixing(self.shift, self.log_scale, columns @ self.matrix,
                      columns @ (self.bias + after.shift) + after.bias, after.conv or self.conv)

    def on(self, places: Array) -> Mixing:
        """The map of x that is this one of x[places]."""
        back = np.argsort(places)
        return replace(self, shift=self.shift[back], log_scale=self.log_scale[back],
                       matrix=self.matrix[:, back])

    def taken(self, places: Array) -> Mixing:
        """The map that gives y[places] where this one gives y."""
        return replace(self, matrix=self.matrix[places], bias=self.bias[places])

    @property
    def _mixes(self) -> bool:
        return not np.array_equal(self.matrix, np.eye(len(self.matrix)))

    @property
    def is_identity(self) -> bool:
        """Whether it gives what it gets."""
        return self.fits(())

    def fits(self, layers: tuple[str, ...]) -> bool:
        """Whether these layers, ("actnorm", "conv") in some order or fewer, can be this map."""
        return (("conv" in layers or not (self._mixes))
                and ("actnorm" in layers or not (self.shift.any() or self.bias.any()))
                and (bool(layers) or not self.log_scale.any()))

    def written(self, layers: tuple[str, ...], dialect: Dialect) -> dict[str, Arrays]:
        """The arrays of these layers.

        Args:
          layers: as for `fits`, which must hold.
          dialect: in whose forms.

        Raises:
          NotRepresentableError: if its ActNorm or its factors are too narrow for this map.
        """
        if layers and layers[0] == "actnorm":
            return self._actnorm_first(layers, dialect)
        columns = self.matrix * np.exp(self.log_scale)
        arrays: dict[str, Arrays] = {}
        if "conv" in layers:
            arrays["conv"] = self._conv(columns, dialect)
        if "actnorm" in layers:
            arrays["actnorm"] = _actnorm_arrays(columns @ self.shift + self.bias,
                                                np.zeros_like(self.bias), dialect.actnorm)
        return arrays

    def _actnorm_first(self, layers: tuple[str, ...], dialect: Dialect) -> dict[str, Arrays]:
        # W (exp(v) (x + m)) + b = W (exp(v) (x + m + exp(-v) W^-1 b))
        shift, log_scale, matrix = self.shift, self.log_scale, self.matrix
        if self.bias.any():
            shift = shift + np.exp(-log_scale) * np.linalg.solve(matrix, self.bias)
        if dialect.actnorm in _WITHOUT_SCALE and "conv" in layers:
            matrix, log_scale = matrix * np.exp(log_scale), np.zeros_like(log_scale)
        arrays: dict[str, Arrays] = {
            "actnorm": _actnorm_arrays(shift, log_scale, dialect.actnorm)}
        if "conv" in layers:
            arrays["conv"] = self._conv(matrix, dialect)
        return arrays

    def _conv(self, matrix: Array, dialect: Dialect) -> Arrays:
        kept = self.conv
        if (kept is not None and kept.factors == (dialect.factors, dialect.matrix)
                and np.array_equal(matrix, kept.matrix)):
            return kept.arrays
        return conv_arrays(matrix, dialect.factors, dialect.matrix)


@dataclass(frozen=True)
class _Form:
    """ActNorm: is the shift added before scaling, with which sign; log-scale = power * v.

    With power None, v is the scale itself.
    """

    before: bool
    sign: int
    power: int | None


_FORMS: dict[str, _Form] = {
    "(x + m) exp(v)": _Form(True, 1, 1), "x exp(v) + m": _Form(False, 1, 1),
    "(x - m) exp(v)": _Form(True, -1, 1), "(x - m) exp(-v)": _Form(True, -1, -1),
    "(x + m) exp(-v)": _Form(True, 1, -1), "x exp(-v) - m": _Form(False, -1, -1),
    "x exp(-v) + m": _Form(False, 1, -1), "(x + m) exp(3 v)": _Form(True, 1, 3),
    "(x + m) v": _Form(True, 1, None), "x v + m": _Form(False, 1, None),
    "x + m": _Form(True, 1, 0), "x exp(v)": _Form(True, 0, 1), "left out": _Form(True, 0, 0),
}
# (A dialect that sets ActNorm from every batch makes no use of its arrays.)
_WITHOUT_SCALE = ("x + m", "left out")


def _form(name: str) -> _Form:
    return _FORMS.get(name, _FORMS["left out"])


def _read_actnorm(arrays: Arrays, name: str) -> Mixing:
    m, v, form = widened(arrays["shift"]), widened(arrays["log_scale"]), _form(name)
    scale = v if form.power is None else np.exp(form.power * v)
    log_scale = np.log(np.abs(v)) if form.power is None else form.power * v
    shift = form.sign * (m if form.before else m / scale)
    return Mixing(shift, log_scale, np.diag(np.sign(scale)), np.zeros_like(m))


def _actnorm_arrays(shift: Array, log_scale: Array, name: str) -> Arrays:
    form = _form(name)
    if form.sign == 0 and shift.any():
        raise NotRepresentableError(f"ActNorm {name!r} has no shift")
    if form.power == 0 and log_scale.any():
        raise NotRepresentableError(f"ActNorm {name!r} has no scale")
    m = form.sign * (shift if form.before else shift * np.exp(log_scale))
    if form.power is None:
        return {"shift": m, "log_scale": np.exp(log_scale)}
    return {"shift": m, "log_scale": log_scale / (form.power or 1)}


def _read_conv(arrays: Arrays, dialect: Dialect) -> Mixing:
    packed = widened(arrays["lower_upper"])
    permutation = arrays.get("permutation", np.arange(len(packed)))
    used = MATRICES[dialect.matrix](FACTORS[dialect.factors](packed, permutation))
    zeros = np.zeros(len(packed), packed.dtype)
    bias = widened(arrays["bias"]) if "bias" in arrays else zeros
    kept = {role: value for role, value in arrays.items() if role != "bias"}
    return Mixing(zeros, zeros, used, bias,
                  _Conv(used, kept, (dialect.factors, dialect.matrix)))
