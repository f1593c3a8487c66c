"""The affine maps and the scales that implementations of Glow use, in both directions.

A map takes x, a scale s and a shift t; its log-det is log s, -log s or 0 for each number. A scale
is computed from a network's output r, with its logarithm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from refglow.validation.mutants.operations import (
    arctan,
    exp,
    log_absolute,
    log_sigmoid,
    sigmoid,
    softplus,
    tanh,
)
from refglow.validation.mutants.tape import Tensor

Form: TypeAlias = tuple[Callable[..., Tensor], Callable[..., Tensor], Callable[..., Tensor]]
Scale: TypeAlias = Callable[[Any, Tensor], tuple[Tensor, Tensor]]


def _same(self: Any, log_s: Tensor) -> Tensor:
    return log_s


def _opposite(self: Any, log_s: Tensor) -> Tensor:
    return -log_s


def _none(self: Any, log_s: Tensor) -> Tensor:
    return log_s * 0.0


# (towards the latent, towards the image, log-det of a number)
FORMS: dict[str, Form] = {
    "s (x + t)": (lambda self, x, s, t: s * (x + t), lambda self, z, s, t: z / s - t, _same),
    "s (x - t)": (lambda self, x, s, t: s * (x - t), lambda self, z, s, t: z / s + t, _same),
    "(x - t) / s": (lambda self, x, s, t: (x - t) / s, lambda self, z, s, t: s * z + t, _opposite),
    "(x + t) / s": (lambda self, x, s, t: (x + t) / s, lambda self, z, s, t: s * z - t, _opposite),
    "x / s + t": (lambda self, x, s, t: x / s + t, lambda self, z, s, t: s * (z - t), _opposite),
    "s x - t": (lambda self, x, s, t: s * x - t, lambda self, z, s, t: (z + t) / s, _same),
    "x + t": (lambda self, x, s, t: x + t, lambda self, z, s, t: z - t, _none),
    "s x": (lambda self, x, s, t: s * x, lambda self, z, s, t: z / s, _same),
    "x / s - t": (lambda self, x, s, t: x / s - t, lambda self, z, s, t: s * (z + t), _opposite)}


def _from_log(log_scale: Callable[[Tensor], Tensor]) -> Scale:
    """The scale exp(log_scale(r))."""
    def scale(self: Any, r: Tensor) -> tuple[Tensor, Tensor]:
        log_s = log_scale(r)
        return exp(log_s), log_s
    return scale


def _from_value(value: Callable[[Tensor], Tensor]) -> Scale:
    """The scale value(r), whose logarithm is taken afterwards."""
    def scale(self: Any, r: Tensor) -> tuple[Tensor, Tensor]:
        s = value(r)
        return s, log_absolute(s)
    return scale


def _sigmoid_of(inside: Callable[[Tensor], Tensor]) -> Scale:
    return lambda self, r: (sigmoid(inside(r)), log_sigmoid(inside(r)))


SCALES: dict[str, Scale] = {
    "sigmoid(r + 2)": _sigmoid_of(lambda r: r + 2.0),
    "sigmoid(r)": _sigmoid_of(lambda r: r),
    "sigmoid(r + 1)": _sigmoid_of(lambda r: r + 1.0),
    "sigmoid(r - 2)": _sigmoid_of(lambda r: r - 2.0),
    "sigmoid(2 r)": _sigmoid_of(lambda r: r * 2.0),
    "exp(r)": _from_log(lambda r: r),
    "exp(r + 2)": _from_log(lambda r: r + 2.0),
    "sigmoid(r + 2) + 0.001": _from_value(lambda r: sigmoid(r + 2.0) + 0.001),
    "softplus(r)": _from_value(softplus),
    "exp(tanh(r))": _from_log(tanh),
    "exp(1.272 atan(r))": _from_log(lambda r: arctan(r) * 1.272),
    "exp(2 tanh(r / 10))": _from_log(lambda r: tanh(r * 0.1) * 2.0),
    "sigmoid(r) + 2": _from_value(lambda r: sigmoid(r) + 2.0),
    "2 sigmoid(r)": _from_value(lambda r: sigmoid(r) * 2.0),
    "1 + r": _from_value(lambda r: r + 1.0)}


def low_high_exchanged(self: Any, output: Tensor) -> tuple[Tensor, Tensor]:
    """(r, t) from the channels [t, r]."""
    half = output.shape[1] // 2
    return output[:, half:], output[:, :half]


def interleaved_scale_first(self: Any, output: Tensor) -> tuple[Tensor, Tensor]:
    """(r, t) from the channels r, t, r, t, ..."""
    return output[:, 0::2], output[:, 1::2]


def interleaved_shift_first(self: Any, output: Tensor) -> tuple[Tensor, Tensor]:
    """(r, t) from the channels t, r, t, r, ..."""
    return output[:, 1::2], output[:, 0::2]


LAYOUTS = {"[t, r]": low_high_exchanged, "interleaved r, t": interleaved_scale_first,
           "interleaved t, r": interleaved_shift_first}
