"""PyTorch's float32 results for golden vectors.

Its own `torch.distributions` for maps of numbers and densities, `torch.nn.functional` for networks,
and for Glow and its parts the oracle (`torch_oracle.py`). Gradients are autograd's, of the input
and of every parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.dtypes import Array
from refglow.extras import from_extra
from refglow.validation import torch_oracle as oracle
from refglow.validation.vectors.libraries.lacking_error import LackingError
from refglow.validation.vectors.operations import is_function
from refglow.validation.vectors.results import Arrays, params_of
from refglow.validation.vectors.vector import Vector

if TYPE_CHECKING:
    import torch

Found = tuple[Any, Any]  # a value, and its log-det, or None where there is none
Map = Callable[[Vector, Any, dict[str, Any], Any, bool], Found]  # (.., parameters, x, forward?)


def results_of(vector: Vector, inputs: Mapping[str, Array]) -> Arrays:
    """Values, log-dets and gradients, by their names in `results.py`; float32.

    Args:
      vector: which.
      inputs: all that it has, cotangents included.

    Raises:
      ImportError: if PyTorch is not installed.
      LackingError: if it has no such map.
    """
    with from_extra("torch", "PyTorch's errors"):
        import torch
    if vector.operation not in _MAPS:
        raise LackingError("not in torch.distributions nor in the oracle of Glow")
    subject = vector.build(np.float32)
    given = {} if is_function(subject) else params_of(subject, inputs)
    results: Arrays = {}
    for direction in vector.directions:
        leaves = {name: torch.tensor(array).requires_grad_(array.dtype.kind == "f")
                  for name, array in given.items() if array.dtype != bool}
        x = torch.tensor(inputs[f"{direction}/input"]).requires_grad_()
        results |= _of_direction(vector, subject, leaves, x, direction, inputs)
    return results


def _of_direction(vector: Vector, subject: Any, leaves: dict[str, Any], x: Any, direction: str,
                  inputs: Mapping[str, Array]) -> Arrays:
    import torch
    value, log_det = _MAPS[vector.operation](vector, subject, leaves, x, direction == "forward")
    if isinstance(value, dict):  # statistics: no derivatives
        return {f"{direction}/{name}": tensor.detach().numpy() for name, tensor in value.items()}
    results = {f"{direction}/value": value}
    if log_det is not None:
        results[f"{direction}/log_det"] = torch.as_tensor(log_det).expand(vector.batch_shape)
    found = {name: tensor.detach().numpy() for name, tensor in results.items()}
    terms = [(tensor * torch.tensor(inputs[f"{name}_bar"])).sum()
             for name, tensor in results.items() if f"{name}_bar" in inputs]
    if not terms:
        return found
    torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]
    bars = {f"{direction}/vjp/params/{name}": leaf.grad for name, leaf in leaves.items()}
    bars[f"{direction}/vjp/input_bar"] = x.grad
    return found | {name: bar.numpy() for name, bar in bars.items() if bar is not None}


# ---- torch.distributions ------------------------------------------------------------------------


def _transform(make: Callable[[Any, dict[str, Any]], Any]) -> Map:
    """A map by a Transform: (torch.distributions.transforms, parameters) -> it."""
    def compute(vector: Vector, subject: Any, params: dict[str, Any], x: Any,
                forward: bool) -> Found:
        from torch.distributions import transforms
        made = make(transforms, params)
        transform = made if forward else made.inv
        value = transform(x)
        if not made.bijective:
            return value, None
        axes = tuple(range(-len(vector.event_shape), 0))
        log_det = transform.log_abs_det_jacobian(x, value)
        return value, log_det.expand(x.shape).sum(dim=axes)
    return compute


def _density(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    from torch import distributions
    prefix = "" if vector.operation == "Normal" else "distribution."
    loc, scale = params[f"{prefix}loc"], params[f"{prefix}scale"]
    if vector.operation == "Normal":
        return distributions.Normal(loc, scale).log_prob(x), None  # type: ignore[no-untyped-call]
    shape = vector.event_shape
    normal: Any = distributions.Normal(loc.expand(shape), scale.expand(shape))
    return distributions.Independent(normal, len(shape)).log_prob(x), None  # type: ignore[no-untyped-call]


# ---- torch.nn.functional ------------------------------------------------------------------------


def _network(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    named = {f".{name}": tensor for name, tensor in params.items()}
    return _last(oracle.torch_network(subject, "", named, _first(x))), None


def _relu(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    import torch
    return torch.relu(x), None


def _dense(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    import torch
    return torch.nn.functional.linear(x, params["kernel"].T, params["bias"]), None


def _statistics(vector: Vector, subject: Any, params: dict[str, Any], x: Any,
                forward: bool) -> Found:
    axes = tuple(range(x.ndim - 1))
    deviation = x.std(dim=axes, unbiased=False) + 2.0 ** vector.arguments["epsilon_log2"]
    mean = x.mean(dim=axes)
    return {"mean": mean, "deviation": deviation, "shift": -mean,
            "log_scale": -deviation.log()}, None


# ---- the oracle of Glow -------------------------------------------------------------------------


def _first(x: torch.Tensor) -> torch.Tensor:
    """Channels first: [B, C, H, W]."""
    return x.permute(0, 3, 1, 2)


def _last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def _in_every_pixel(vector: Vector, x: Any, compute: Callable[[Any], Found]) -> Found:
    """A map of images [B, C, H, W] on arrays of any batch, whose events are images or vectors."""
    image = (1, 1, *vector.event_shape)[-3:]
    value, log_det = compute(_first(x.reshape(-1, *image)))
    return _last(value).reshape(x.shape), log_det.reshape(vector.batch_shape)


def _mixing(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    named = {f"conv.{name}": tensor for name, tensor in params.items()}
    named["conv.permutation"] = named["conv.permutation"].long()
    return _in_every_pixel(vector, x, lambda image: oracle.torch_mixing(
        named, "conv", image, to_latent=forward))


def _actnorm(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    named = {f"actnorm.{name}": tensor for name, tensor in params.items()}
    return _in_every_pixel(vector, x, lambda image: oracle.torch_actnorm(
        named, "actnorm", image, to_latent=not forward))


def _as_glow(subject: Any, name: str, splits: Any) -> Any:
    """What the oracle asks of a Glow that has only this part."""
    return SimpleNamespace(_members={name: subject}, blockwise_splits=splits)


def _block(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    glow = _as_glow(subject, "block0", None)
    named = _long_permutations({f"block0.{name}": tensor for name, tensor in params.items()})
    steps = range(vector.arguments["num_steps"])
    step = oracle.torch_step_forward if forward else oracle.torch_step_inverse
    image = _first(x)
    log_det = image.new_zeros(len(image))
    for j in steps if forward else reversed(steps):
        image, more = step(glow, named, 0, j, image)
        log_det = log_det + more
    return _last(image), log_det


def _exit(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    leave, grab, passed = vector.arguments["split"]
    glow = _as_glow(subject, "block0.exit", [(leave, grab, passed)])
    named = {f"block0.exit.{name}": tensor for name, tensor in params.items()}
    image = _first(x)
    value, log_det = oracle.torch_exit(glow, named, 0, image[:, :leave + grab], to_latent=forward)
    import torch
    return _last(torch.cat([value, image[:, leave + grab:]], dim=1)), log_det


def _glow(vector: Vector, subject: Any, params: dict[str, Any], x: Any, forward: bool) -> Found:
    compute = oracle.torch_forward if forward else oracle.torch_inverse
    return compute(subject, _long_permutations(params), x)


def _glow_density(vector: Vector, subject: Any, params: dict[str, Any], x: Any,
                  forward: bool) -> Found:
    named = {name.removeprefix("bijector."): tensor for name, tensor in params.items()}
    return oracle.torch_log_prob(subject.bijector, _long_permutations(named), x), None


def _long_permutations(params: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor.long() if name.endswith("permutation") else tensor
            for name, tensor in params.items()}


_MAPS: dict[str, Map] = {
    "Identity": _transform(lambda t, p: t.ComposeTransform([])),
    "Shift": _transform(lambda t, p: t.AffineTransform(p["shift"], 1.0)),
    "Scale": _transform(lambda t, p: t.AffineTransform(0.0, p["scale"])),
    "Exp": _transform(lambda t, p: t.ExpTransform()),
    "Log": _transform(lambda t, p: t.ExpTransform().inv),
    "Reciprocal": _transform(lambda t, p: t.PowerTransform(-1.0)),
    "Sigmoid": _transform(lambda t, p: t.SigmoidTransform()),
    "SigmoidBetween": _transform(lambda t, p: t.ComposeTransform([
        t.SigmoidTransform(), t.AffineTransform(p["low"], p["high"] - p["low"])])),
    "Softplus": _transform(lambda t, p: t.SoftplusTransform()),
    "SoftplusSoft": _transform(lambda t, p: t.ComposeTransform([
        t.AffineTransform(0.0, 1 / p["hinge_softness"]), t.SoftplusTransform(),
        t.AffineTransform(p["low"], p["hinge_softness"])])),
    "Tanh": _transform(lambda t, p: t.TanhTransform()),
    "Normal": _density, "Independent": _density, "Sample": _density,
    "ReLU": _relu, "Conv2D": _network, "CouplingNetwork": _network, "ExitNetwork": _network,
    "Dense": _dense, "InitialActNorm": _statistics,
    "ScaleMatvecLU": _mixing, "OneByOneConv": _mixing, "ActivationNormalization": _actnorm,
    "GlowBlock": _block, "ExitBijector": _exit, "Glow": _glow, "GlowDensity": _glow_density,
}
