"""nflows' multi-scale Glow, as its images experiment builds it, in nflows' dialect.

nflows' `forward` goes towards the latent:

    SqueezeTransform                 [C, 2 h, 2 w] -> [C a b, h, w]
    ActNorm                          exp(log_scale) x + shift
    OneByOneConvolution              L U x[permutation] + bias, diag U = softplus(...) + eps
    AffineCouplingTransform          (sigmoid(r + 2) + 0.001) x + t, [t, r] = out
    AdditiveCouplingTransform        x + out
    Permutation (of channels)        x[permutation]
    MultiscaleCompositeTransform     after each level but the last the low half exits
    PointwiseAffineTransform         scale x + shift in front, an ActNorm after the first squeeze

The experiment ends each level with one more 1x1 convolution: a step of its own.

Source: nflows 0.14, transforms/; experiments/images.py of bayesiains/nsf.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from refglow.dtypes import Array, DType
from refglow.elementary import softplus
from refglow.validation.adapters.imported import Answers, Imported, re_indexed, reparametrised
from refglow.validation.adapters.levels import ImageShape, Level, Part, assembled
from refglow.validation.adapters.sequence import Sequence
from refglow.validation.adapters.torch_arrays import array_of, channels_of, packed
from refglow.validation.adapters.torch_networks import read_network, require_initialised
from refglow.validation.dialects.conversion import Conversion, NotRepresentableError
from refglow.validation.dialects.halves import HALVES
from refglow.validation.dialects.known import NFLOWS

_COUPLINGS = ("AffineCouplingTransform", "AdditiveCouplingTransform")


def from_nflows(transform: Any, image_shape: ImageShape | None = None) -> Imported:
    """The Glow that an nflows transform is.

    Args:
      transform: a MultiscaleCompositeTransform, or CompositeTransforms, of the transforms above;
        its ActNorms have seen data, or it is in eval mode.
      image_shape: (H, W, C), where no MultiscaleCompositeTransform says it.

    Raises:
      NotRepresentableError: if it has anything else; says what and why.
    """
    answers, sequence = Answers(), Sequence()
    walk = list(_walk(transform, type(transform).__name__))
    shape = image_shape or _shape_of(walk)
    number_type = array_of(next(transform.parameters()), type(transform).__name__).dtype
    in_front: list[Part] = []
    for layer, where in walk:
        kind = type(layer).__name__
        if kind == "SqueezeTransform":
            if layer.factor != 2:
                raise NotRepresentableError.at(
                    where, f"it has the factor {layer.factor}, Glow's 2.")
            sequence.squeeze(where)
            while in_front:
                sequence.add(in_front.pop(0), where)
        elif kind == "_Exit":
            sequence.leave(layer.channels, where)
        elif kind in ("PointwiseAffineTransform", "AffineTransform") and shape is not None:
            in_front.append(_typed(_in_front(layer, 4 * shape[2], where), number_type))
        elif kind in _READERS:
            sequence.add(_typed(_READERS[kind](layer, where, answers), number_type), where)
        elif kind != "IdentityTransform":
            raise NotRepresentableError.at(f"{where}, a {kind},",
                                           f"Glow's steps have {', '.join(_READERS)}.")
    return _imported(sequence.levels(), shape, answers)


def _imported(levels: list[Level], shape: ImageShape | None, answers: Answers) -> Imported:
    if shape is None:
        raise ValueError("The transform does not say the image's shape; give "
                         "image_shape=(H, W, C).")
    glow, added = assembled(shape, levels, answers.dialect(NFLOWS))
    return Imported(glow, (*_CONVERSIONS, *_added(added)))


_CONVERSIONS = (
    re_indexed("squeeze", "[C, 2 h, 2 w] -> [C a b, h, w]", "c a b", "NCHW to NHWC"),
    re_indexed("kernel", "[out, in, kh, kw]", "as given", "to [kh, kw, in, out]"),
    reparametrised("factors", "x[permutation], U, L, bias", "L U P",
                   "U's diagonal is softplus(unconstrained_upper_diag) + eps; the permutation's "
                   "inverse is P's array"),
    re_indexed("actnorm", "exp(log_scale) x + shift", "x exp(v) + m", "m = shift, v = log_scale"))


def _added(count: int) -> Iterator[Conversion]:
    if count:
        yield re_indexed("step_order", f"{count} steps without a coupling", "each has one",
                         "these steps' couplings add zeros, which is the identity")


def _typed(part: Part, number_type: DType) -> Part:
    """The part with its floating arrays in the model's number type."""
    return Part(part.kind, {role: value.astype(number_type) if value.dtype.kind == "f" else value
                            for role, value in part.arrays.items()})


class _Exit:
    """In a walk: channels leave here."""

    def __init__(self, channels: int, shape: tuple[int, ...]) -> None:
        self.channels, self.shape = channels, shape


def _walk(transform: Any, where: str) -> Iterator[tuple[Any, str]]:
    """(layer or _Exit, name) in order."""
    kind = type(transform).__name__
    if kind == "CompositeTransform":
        for k, inner in enumerate(transform._transforms):
            yield from _walk(inner, f"{where}[{k}]")
    elif kind == "MultiscaleCompositeTransform":
        if transform._split_dim != 1:
            raise NotRepresentableError.at(
                where, f"it splits axis {transform._split_dim}, a dialect "
                "channels, axis 1.")
        last = len(transform._transforms) - 1
        for k, inner in enumerate(transform._transforms):
            yield from _walk(inner, f"{where}[{k}]")
            shape = tuple(transform._output_shapes[k])
            yield (_Exit(shape[0], shape) if k < last else _Exit(0, shape)), where
    else:
        yield transform, where


def _shape_of(walk: list[tuple[Any, str]]) -> ImageShape | None:
    """(H, W, C) from the coarsest latents' shape."""
    squeezes = exits = 0
    coarsest: tuple[int, ...] = ()
    for layer, _ in walk:
        kind = type(layer).__name__
        squeezes += kind == "SqueezeTransform"
        if kind == "_Exit":
            exits += bool(layer.channels)
            coarsest = layer.shape
    if len(coarsest) != 3:
        return None
    c, h, w = coarsest
    return h * 2**squeezes, w * 2**squeezes, c * 2**exits // 4**squeezes


def _actnorm(layer: Any, where: str, answers: Answers) -> Part:
    require_initialised(bool(layer.initialized) or not layer.training, where)
    return Part("actnorm", {"shift": channels_of(layer.shift, where),
                            "log_scale": channels_of(layer.log_scale, where)})


def _in_front(layer: Any, channels: int, where: str) -> Part:
    shift, scale = (np.asarray(array.detach().cpu(), np.float64)
                    for array in (layer._shift, layer._scale))
    if shift.size != 1 or scale.size != 1:
        raise NotRepresentableError.at(where, "its scale or shift is not one number.")
    return Part("actnorm", {"shift": np.full(channels, shift.item()),
                            "log_scale": np.full(channels, math.log(scale.item()))})


def _conv(layer: Any, where: str, answers: Answers) -> Part:
    size = layer.features
    lower, upper = (np.zeros((size, size)) for _ in range(2))
    lower[layer.lower_indices] = array_of(layer.lower_entries, where)
    upper[layer.upper_indices] = array_of(layer.upper_entries, where)
    diagonal = softplus(array_of(layer.unconstrained_upper_diag, where)) + layer.eps
    bias = array_of(layer.bias, where)
    return Part("conv", {"lower_upper": packed(lower, upper, diagonal).astype(bias.dtype),
                         "permutation": _p_of(layer.permutation, where), "bias": bias})


def _permutation(layer: Any, where: str, answers: Answers) -> Part:
    p = _p_of(layer, where)
    return Part("conv", {"lower_upper": np.eye(len(p)), "permutation": p})


def _p_of(layer: Any, where: str) -> Array:
    """The p of "L U P", whose matrix has the columns (L U)[:, p], from x[permutation]."""
    if layer._dim != 1:
        raise NotRepresentableError.at(where, f"it permutes axis {layer._dim}, a dialect channels.")
    return np.argsort(layer._permutation.detach().cpu().numpy())


def _coupling(layer: Any, where: str, answers: Answers) -> Part:
    if layer.unconditional_transform is not None:
        raise NotRepresentableError.at(
            where, "its unconditional_transform changes what conditions.")
    network = read_network(layer.transform_net, f"{where}'s transform_net",
                           lambda x: layer.transform_net(x, None))
    answers.add(where, conditioning=_conditioning(layer, where), padding=network.padding,
                activation=network.activation, hidden_norm=network.hidden_norm)
    return Part("coupling", network.arrays)


def _conditioning(layer: Any, where: str) -> str:
    seen = layer.identity_features.cpu().numpy()
    for name, half in HALVES.items():
        try:
            if np.array_equal(half(layer.features, len(seen)), seen):
                return name
        except ValueError:
            continue  # not every second one
    raise NotRepresentableError.at(f"{where} with its mask", f"it conditions on channels "
                                   f"{seen.tolist()}, a dialect on one of {', '.join(HALVES)}.")


_READERS = {"ActNorm": _actnorm, "OneByOneConvolution": _conv, "Permutation": _permutation,
            "RandomPermutation": _permutation, "ReversePermutation": _permutation,
            **dict.fromkeys(_COUPLINGS, _coupling)}
