"""FrEIA's modules as parts of a Glow.

Towards the latent:

    IRevNetDownsampling   [C, 2 h, 2 w] -> [C a b, h, w], or [a b C] with legacy_backend
    ActNorm               exp(scale) x + bias
    Fixed1x1Conv          M^T x, and its attribute M holds M^T
    PermuteRandom         x[perm]
    GLOWCouplingBlock     x1 = e^s x1 + t of subnet2(x2), then x2 = e^s x2 + t of subnet1(x1)
    AffineCouplingOneSided                             x2 = e^s x2 + t of subnet(x1)
    NICECouplingBlock     x1 = x1 + F(x2), then x2 = x2 + G(x1)
    AllInOneBlock         x2 = e^s x2 + t of subnet(x1), then x = Psi(global_scale) x +
                          global_offset, then V R x

with [s, t] = subnet(...), s = clamp f(s); of AllInOneBlock [s, t] = 0.1 subnet(...). f is
0.636 atan, tanh, or 2 sigmoid - 1 = tanh(s / 2). V is a product of reflections
1 - 2 v v^T / v^T v, R is fixed.

Source: FrEIA 0.2, modules/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.adapters.imported import Answers
from refglow.validation.adapters.levels import Part
from refglow.validation.adapters.torch_arrays import array_of, channels_of
from refglow.validation.adapters.torch_networks import read_network, require_initialised
from refglow.validation.dialects.affines import SCALES
from refglow.validation.dialects.conversion import NotRepresentableError

Reader = Callable[[Any, str, Answers], Iterator[Part]]


def squeeze_order(module: Any) -> str:
    """The answer to `squeeze` of an IRevNetDownsampling."""
    return "a b c" if module.legacy_backend else "c a b"


def _actnorm(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    require_initialised(not module.init_on_next_batch, where)
    yield Part("actnorm", {"shift": channels_of(module.bias, where),
                           "log_scale": channels_of(module.scale, where)})


def _fixed(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    answers.add(where, log_det_conv="added")
    yield Part("conv", {"lower_upper": array_of(module.M, where)[:, :, 0, 0]})


def _permute(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    perm = module.perm.detach().cpu().numpy()
    yield Part("conv", {"lower_upper": np.eye(len(perm))[perm]})


def _glow(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    clamp, factor = _clamp(module, where)
    answers.add(where, sides="both", conditioning="high half", scale=clamp)
    yield Part("coupling", _both_sides(module.subnet2, module.subnet1, where, answers,
                                       (factor, 1.0)))


def _nice(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    answers.add(where, sides="both", conditioning="high half")
    yield Part("coupling", _both_sides(module.F, module.G, where, answers, None))


def _one_sided(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    clamp, factor = _clamp(module, where)
    answers.add(where, sides="one", conditioning="low half", scale=clamp)
    yield Part("coupling", _subnet(module.subnet, f"{where}'s subnet", answers, (factor, 1.0)))


def _all_in_one(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    if module.GIN:
        raise NotRepresentableError.at(f"{where} with gin_block", "its log-scales have their mean "
                                       "over the image taken from them, a dialect's scale is a "
                                       "function of one number.")
    if module.reverse_pre_permute:
        raise NotRepresentableError.at(
            f"{where} with reverse_permutation", "its inverse permutation "
            "in front makes two 1x1 convolutions in a step.")
    answers.add(where, sides="one", conditioning="low half", log_det_conv="left out",
                scale=_scale_name(f"{module.clamp:.10g} tanh", where))
    yield Part("coupling", _subnet(module.subnet, f"{where}'s subnet", answers, (0.1, 0.1)))
    psi = module.global_scale_activation(module.global_scale)
    yield Part("actnorm", {"shift": channels_of(module.global_offset, where),
                           "log_scale": np.log(channels_of(psi, where))})
    yield Part("conv", {"lower_upper": _mixing(module, where)})


def _mixing(module: Any, where: str) -> Array:
    """The matrix after the coupling: R, or R times the reflections."""
    if not module.householder:
        return array_of(module.w_perm, where)[:, :, 0, 0]
    w = array_of(module.w_0, where)
    for v in array_of(module.vk_householder, where):
        w = w - 2 * np.outer(w @ v, v) / (v @ v)
    return w


READERS: dict[str, Reader] = {
    "ActNorm": _actnorm, "Fixed1x1Conv": _fixed, "PermuteRandom": _permute,
    "GLOWCouplingBlock": _glow, "NICECouplingBlock": _nice, "AffineCouplingOneSided": _one_sided,
    "AllInOneBlock": _all_in_one}

REFUSED = {
    "HouseholderPerm": "it mixes all numbers of a flat vector, not the channels of a pixel; "
                       "AllInOneBlock's learned_householder_permutation is known.",
    "HaarDownsampling": "it adds and subtracts the pixels of a tile, a squeeze only moves them.",
    "GINCouplingBlock": "its log-scales have their mean taken from them, a dialect's scale is a "
                        "function of one number.",
    "RNVPCouplingBlock": "its scale and shift come from two networks, a dialect's from one.",
}


def parts_of(module: Any, where: str, answers: Answers) -> Iterator[Part]:
    """The parts of one module, towards the latent.

    Raises:
      NotRepresentableError: if it is none of READERS, or is conditional.
    """
    kind = type(module).__name__
    if kind not in READERS:
        raise NotRepresentableError.at(
            f"{where}, a {kind},", REFUSED.get(kind, f"Glow's steps have {', '.join(READERS)}."))
    if getattr(module, "conditional", False):
        raise NotRepresentableError.at(where, "its network sees a condition beside the image.")
    return READERS[kind](module, where, answers)


def _both_sides(first: Any, second: Any, where: str, answers: Answers,
                factors: tuple[float, float] | None) -> dict[str, Array]:
    return {f"{side}.{role}": value
            for side, subnet in (("first", first), ("second", second))
            for role, value in _subnet(subnet, f"{where}'s {side} network", answers,
                                       factors).items()}


def _subnet(module: Any, where: str, answers: Answers,
            factors: tuple[float, float] | None) -> dict[str, Array]:
    """A network's arrays, its outputs [r, t] multiplied by two factors."""
    network = read_network(module, where)
    answers.add(where, padding=network.padding, activation=network.activation,
                hidden_norm=network.hidden_norm)
    if factors in (None, (1.0, 1.0)):
        return network.arrays
    if network.activation == "relu also at the end" and factors is not None and min(factors) < 0:
        raise NotRepresentableError.at(where, "its last activation does not commute with a factor.")
    arrays = dict(network.arrays)
    last = [role for role in arrays if role.endswith(".kernel")][-1].rpartition(".")[0]
    size = arrays[f"{last}.kernel"].shape[-1]
    each = np.repeat(np.asarray(factors), size // 2)
    for role in (f"{last}.kernel", f"{last}.bias"):
        if role in arrays:
            arrays[role] = (arrays[role] * each).astype(arrays[role].dtype)
    return arrays


def _clamp(module: Any, where: str) -> tuple[str, float]:
    """(the answer to `scale`, what the raw scale is to be multiplied by)."""
    import torch
    u = torch.linspace(-3, 3, 31, dtype=torch.float64)
    found = np.asarray(module.f_clamp(u))
    known: dict[str, tuple[Array, str, float]] = {
        "ATAN": (0.636 * np.arctan(u.numpy()), f"{0.636 * module.clamp:.10g} atan", 1.0),
        "TANH": (np.tanh(u.numpy()), f"{module.clamp:.10g} tanh", 1.0),
        "SIGMOID": (np.tanh(u.numpy() / 2), f"{module.clamp:.10g} tanh", 0.5)}
    for values, name, factor in known.values():
        if np.allclose(found, values, rtol=0, atol=1e-12):
            return _scale_name(name, where), factor
    raise NotRepresentableError.at(f"{where} with its own clamp_activation",
                                   f"{', '.join(known)} are known.")


def _scale_name(inside: str, where: str) -> str:
    name = f"exp({inside}(r))".replace("exp(1 tanh", "exp(tanh")
    if name not in SCALES:
        clamps = sorted({round(math.log(abs(float(SCALES[n].value(np.array(1e9))))), 6)
                         for n in SCALES if "tanh" in n})
        raise NotRepresentableError.at(f"{where} with the scale {name}",
                                       f"dialects have the clamps {clamps}.")
    return name
