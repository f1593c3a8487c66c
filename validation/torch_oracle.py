"""Glow written once more, in PyTorch, from the formulas: the autograd oracle.

It computes the function of a refglow Glow and shares none of its arithmetic: images are NCHW
inside, the squeeze is `pixel_unshuffle`, convolutions are PyTorch's, derivatives are autograd's.
From the image to the latent, for block i = n-1..0 on the leave_i + grab_i channels that have not
yet exited:

    squeeze                 [c, 2h + a, 2w + b] -> [(2c + a) 2 + b, h, w]
    steps j = S-1..0        x <- (x + m) exp(v);   x <- P L U x;   b <- s b + t,  s = sigmoid(r + 2)
    exit                    x_grab <- exp(r + 2) x_grab + t,       [r | t] = network(x_leave)

From refglow come the architecture (`blockwise_splits`, the networks' layers) and the parameters by
their state names, nothing else. Networks may be made of Conv2D ("same" or "valid"), ReLU and
Sequential.

Source: Kingma & Dhariwal 2018, section 3, table 1 and figure 2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from refglow.bijectors import Glow
from refglow.networks import Conv2D, ReLU, Sequential

if TYPE_CHECKING:
    import torch

Parameters: TypeAlias = "dict[str, torch.Tensor]"
TensorAndLogDet: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"


def torch_parameters(glow: Glow, dtype: npt.DTypeLike | None = None,
                     requires_grad: bool = True) -> Parameters:
    """Copies of a Glow's parameters as leaf tensors, by their state names.

    Args:
      glow: its ActNorms must be initialised.
      dtype: float32 or float64; by default the Glow's.
      requires_grad: whether autograd follows the trainable ones. Permutations are constants.

    Returns:
      {state name: tensor}; ActNorms' flags are left out. A parameter that stands at two places is
      one tensor under both names.

    Raises:
      ValueError: if an ActNorm is not initialised.
    """
    import torch
    number_type = np.dtype(glow.dtype if dtype is None else dtype)
    by_storage: dict[int, torch.Tensor] = {}
    tensors: Parameters = {}
    for variable in glow.variables:
        if variable.name.endswith(".initialized"):
            if not variable:
                raise ValueError(f"{variable.name} is false: the ActNorm has no parameters yet. "
                                 "Call glow.initialize(images) first.")
            continue
        if variable.storage not in by_storage:
            floating = variable.dtype.kind == "f"
            tensor = torch.tensor(variable.numpy().astype(number_type if floating else np.int64))
            by_storage[variable.storage] = tensor.requires_grad_(
                floating and variable.trainable and requires_grad)
        tensors[variable.name] = by_storage[variable.storage]
    return tensors


def torch_inverse(glow: Glow, parameters: Parameters, images: Any) -> TensorAndLogDet:
    """(z, ildj): latents of images, and the log-det-Jacobian of that map.

    Args:
      glow: the architecture; its own parameters are not used.
      parameters: as `torch_parameters` gives them.
      images: [B, H, W, C], tensor or array of the parameters' dtype.

    Returns:
      z: [B, H*W*C]; ildj: [B], in nats.

    Raises:
      TypeError: if a network is not made of the layers above.
    """
    import torch
    x = _tensor(images).permute(0, 3, 1, 2)
    ildj = x.new_zeros(len(x))
    for i, (leave, grab, passed) in reversed(list(enumerate(glow.blockwise_splits))):
        x = torch.nn.functional.pixel_unshuffle(x, 2)
        x, exited = torch.split(x, [leave + grab, passed], dim=1)
        for j in reversed(range(_num_steps(glow))):
            x, log_det = torch_step_inverse(glow, parameters, i, j, x)
            ildj = ildj + log_det
        x, log_det = torch_exit(glow, parameters, i, x, to_latent=True)
        x, ildj = torch.cat([x, exited], dim=1), ildj + log_det
    return x.permute(0, 2, 3, 1).reshape(len(x), -1), ildj


def torch_forward(glow: Glow, parameters: Parameters, z: Any) -> TensorAndLogDet:
    """(images, fldj): images of latents, and the log-det-Jacobian of that map.

    Args:
      glow, parameters: as for `torch_inverse`.
      z: [B, H*W*C], tensor or array of the parameters' dtype.

    Returns:
      images: [B, H, W, C]; fldj: [B], in nats.

    Raises:
      TypeError: as for `torch_inverse`.
    """
    import torch
    latents = _tensor(z)
    h, w, c = (int(size) for size in glow.parameters["output_shape"])
    n = len(glow.blockwise_splits)
    x = latents.reshape(-1, h // 2**n, w // 2**n, c * 4**n).permute(0, 3, 1, 2)
    fldj = x.new_zeros(len(x))
    for i, (leave, grab, passed) in enumerate(glow.blockwise_splits):
        x, exited = torch.split(x, [leave + grab, passed], dim=1)
        x, log_det = torch_exit(glow, parameters, i, x, to_latent=False)
        fldj = fldj + log_det
        for j in range(_num_steps(glow)):
            x, log_det = torch_step_forward(glow, parameters, i, j, x)
            fldj = fldj + log_det
        x = torch.nn.functional.pixel_shuffle(torch.cat([x, exited], dim=1), 2)
    return x.permute(0, 2, 3, 1), fldj


def torch_log_prob(glow: Glow, parameters: Parameters, images: Any) -> torch.Tensor:
    """log p(x) = -|z|^2 / 2 - D log(2 pi) / 2 + ildj, the latents being standard normal.

    Args:
      glow, parameters, images: as for `torch_inverse`.

    Returns:
      [B], in nats.

    Raises:
      TypeError: as for `torch_inverse`.
    """
    z, ildj = torch_inverse(glow, parameters, images)
    return -0.5 * (z**2).sum(dim=1) - 0.5 * z.shape[1] * math.log(2 * math.pi) + ildj


def torch_step_inverse(glow: Glow, parameters: Parameters, i: int, j: int,
                       x: torch.Tensor) -> TensorAndLogDet:
    """One step towards the latent: ActNorm, 1x1 convolution, coupling."""
    import torch
    name = f"block{i}.step{j}"
    log_det = x.new_zeros(len(x))
    if f"{name}.actnorm.shift" in parameters:
        x, log_det = torch_actnorm(parameters, f"{name}.actnorm", x, to_latent=True)
    x, more = torch_mixing(parameters, f"{name}.conv", x, to_latent=True)
    log_det = log_det + more
    half = x.shape[1] // 2
    a, b = x[:, :half], x[:, half:]
    scale, log_scale, shift = _coupling(glow, parameters, i, j, a)
    return (torch.cat([a, b * scale + shift], dim=1),
            log_det + log_scale.expand_as(b).sum(dim=(1, 2, 3)))


def torch_step_forward(glow: Glow, parameters: Parameters, i: int, j: int,
                       x: torch.Tensor) -> TensorAndLogDet:
    """One step towards the image: the inverses, in the opposite order."""
    import torch
    name = f"block{i}.step{j}"
    half = x.shape[1] // 2
    a, b = x[:, :half], x[:, half:]
    scale, log_scale, shift = _coupling(glow, parameters, i, j, a)
    x = torch.cat([a, (b - shift) / scale], dim=1)
    log_det = -log_scale.expand_as(b).sum(dim=(1, 2, 3))
    x, more = torch_mixing(parameters, f"{name}.conv", x, to_latent=False)
    log_det = log_det + more
    if f"{name}.actnorm.shift" in parameters:
        x, more = torch_actnorm(parameters, f"{name}.actnorm", x, to_latent=False)
        log_det = log_det + more
    return x, log_det


def torch_actnorm(parameters: Parameters, name: str, x: torch.Tensor, *,
                  to_latent: bool) -> TensorAndLogDet:
    """An ActNorm and its log-det, in the direction wanted.

    Args:
      parameters: with `name`.shift and `name`.log_scale, [C].
      name: the ActNorm's.
      x: [B, C, H, W].
      to_latent: whether (x + shift) exp(log_scale) is computed, or its inverse.
    """
    import torch
    shift, log_scale = (parameters[f"{name}.{kind}"][:, None, None]
                        for kind in ("shift", "log_scale"))
    log_det = (x.shape[2] * x.shape[3] * log_scale.sum()).expand(len(x))
    if to_latent:
        return (x + shift) * torch.exp(log_scale), log_det
    return x * torch.exp(-log_scale) - shift, -log_det


def torch_mixing(parameters: Parameters, name: str, x: torch.Tensor, *,
                 to_latent: bool) -> TensorAndLogDet:
    """A 1x1 convolution with W = P L U and its log-det, in the direction wanted.

    Args:
      parameters: with `name`.lower_upper, [C, C], and `name`.permutation, [C].
      name: the convolution's.
      x: [B, C, H, W].
      to_latent: whether W x is computed, or W^-1 x.
    """
    import torch
    lower, upper, permutation = _factors(parameters, name)
    log_det = (x.shape[2] * x.shape[3] * upper.diagonal().abs().log().sum()).expand(len(x))
    if to_latent:
        matrix = torch.zeros_like(lower).index_copy(0, permutation, lower @ upper)
        return torch.nn.functional.conv2d(x, matrix[:, :, None, None]), log_det
    columns = x[:, permutation].flatten(2)  # P^T x, one column for each pixel
    columns = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
    columns = torch.linalg.solve_triangular(upper, columns, upper=True)
    return columns.reshape(x.shape), -log_det


def _factors(parameters: Parameters, name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(L, U, p) of a 1x1 convolution: row p[i] of W is row i of L U."""
    import torch
    packed = parameters[f"{name}.lower_upper"]
    lower = packed.tril(-1) + torch.eye(len(packed), dtype=packed.dtype)
    return lower, packed.triu(), parameters[f"{name}.permutation"]


def _coupling(glow: Glow, parameters: Parameters, i: int, j: int,
              a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(s, log s, t) of a step's coupling; s = 1 if the network gives a shift alone."""
    import torch
    network = glow._members[f"block{i}"]._members[f"step{j}.coupling"]
    output = torch_network(network, f"block{i}.step{j}.coupling", parameters, a)
    if output.shape[1] == a.shape[1]:
        return torch.ones_like(output), torch.zeros_like(output), output
    raw, shift = output.chunk(2, dim=1)
    return torch.sigmoid(raw + 2), torch.nn.functional.logsigmoid(raw + 2), shift


def torch_exit(glow: Glow, parameters: Parameters, i: int, x: torch.Tensor, *,
               to_latent: bool) -> TensorAndLogDet:
    """The exit's affine map of the exiting channels, in the direction wanted."""
    import torch
    leave, grab, _ = glow.blockwise_splits[i]
    if not (leave and grab):
        return x, x.new_zeros(len(x))
    going_on, exiting = torch.split(x, [leave, grab], dim=1)
    output = torch_network(glow._members[f"block{i}.exit"].exit_layer, f"block{i}.exit",
                           parameters, going_on)
    log_scale, shift = torch.zeros_like(exiting), output
    if output.shape[1] != grab:
        raw, shift = output.chunk(2, dim=1)
        log_scale = raw + 2
    exiting = (exiting * torch.exp(log_scale) + shift if to_latent
               else (exiting - shift) * torch.exp(-log_scale))
    log_det = log_scale.sum(dim=(1, 2, 3))
    return torch.cat([going_on, exiting], dim=1), log_det if to_latent else -log_det


def torch_network(network: Any, name: str, parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
    """A network's output for x [B, C, H, W]."""
    import torch
    if isinstance(network, Sequential) and type(network).__call__ is Sequential.__call__:
        for layer_name, layer in network.layers.items():
            x = torch_network(layer, f"{name}.{layer_name}", parameters, x)
        return x
    if type(network) is Conv2D:
        kernel = parameters[f"{name}.kernel"]  # [KH, KW, I, O]; PyTorch's is [O, I, KH, KW]
        return torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1),
                                          parameters[f"{name}.bias"], padding=network.padding)
    if type(network) is ReLU:
        return torch.relu(x)
    raise TypeError(f"{name}: the PyTorch oracle knows networks made of Conv2D, ReLU and "
                    f"Sequential; it has no {type(network).__name__}.")


def _tensor(value: Any) -> torch.Tensor:
    import torch
    return value if isinstance(value, torch.Tensor) else torch.tensor(np.asarray(value))


def _num_steps(glow: Glow) -> int:
    return int(glow.parameters["num_steps_per_block"])
