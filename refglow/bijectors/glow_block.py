"""GlowBlock: the steps of the flow at one scale.

One step, in the direction from image to latent (`inverse`), with the channels in halves [a | b]:

    ActNorm     x <- (x + m) * exp(v)
    1x1 conv    x <- W x                              the same matrix for every pixel
    coupling    b <- sigmoid(r + 2) * b + t,          [r | t] = network(a)

`forward` undoes the steps, the last first. The log-det is the sum of the steps':

    ildj = sum over steps of  H W sum_c v_c + H W log|det W| + sum_hwc log sigmoid(r + 2)

Steps are counted in the order in which `forward` applies them: step 0 is the one next to the
latent. Parameters are named step{j}.actnorm, step{j}.conv, step{j}.coupling.

Source: Kingma & Dhariwal 2018, section 3 and figure 2a; tfp.bijectors.glow.GlowBlock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.chain import Chain
from refglow.bijectors.composition import Composition
from refglow.bijectors.glow_coupling import SigmoidAffine
from refglow.bijectors.glow_shapes import count_of, sizes_of_image
from refglow.bijectors.identity import Identity
from refglow.bijectors.invert import Invert
from refglow.bijectors.network_builder import build_network
from refglow.bijectors.network_coupling import NetworkCoupling
from refglow.bijectors.one_by_one_conv import OneByOneConv
from refglow.bijectors.real_nvp import RealNVP
from refglow.dtypes import DEFAULT_FLOAT, DType, canonical_dtype
from refglow.networks.glow_networks import GlowDefaultNetwork


class GlowBlock(Composition):
    """A chain of steps, each ActNorm, 1x1 convolution and coupling."""

    def __init__(self, input_shape: Sequence[int], num_steps: int,
                 coupling_bijector_fn: Callable[..., Any] | None = None, use_actnorm: bool = True,
                 seed: int | np.random.Generator | None = None,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT, name: str = "glow_block") -> None:
        """Build it.

        Args:
          input_shape: (H, W, C) of the input; C at least 2.
          num_steps: the number of steps, 0 or more.
          coupling_bijector_fn: called with the shape (H, W, C // 2), returns a network; None means
            the default network. The network returns that many channels (a shift), twice as many
            (raw scale and shift) or a bijector.
          use_actnorm: whether steps have an ActNorm.
          seed: int or NumPy Generator for the 1x1 convolutions (and the networks, if their
            function takes a `seed`).
          dtype: the number type.
          name: its name.

        Raises:
          ValueError: if there are fewer than two channels, or input_shape or num_steps are not
            as above.
        """
        h, w, c = sizes_of_image(input_shape, f"{name}: input_shape")
        num_steps = count_of(num_steps, f"{name}: num_steps", 0)
        if c < 2:
            raise ValueError(f"{name}: a coupling needs at least 2 channels; got {c}.")
        number_type = canonical_dtype(dtype) or DEFAULT_FLOAT
        conv_rng, network_rng = np.random.default_rng(seed).spawn(2)
        chain: list[Bijector] = [Identity()]
        members: dict[str, Any] = {}
        for j in range(num_steps):
            network = build_network(
                coupling_bijector_fn or GlowDefaultNetwork, (h, w, c // 2), dtype=number_type,
                seed=network_rng, owner=f"{name} step {j}")
            conv = OneByOneConv(c, seed=conv_rng, dtype=number_type)
            step = _step(network, conv, c, number_type, f"{name} step {j}")
            if use_actnorm:
                actnorm = ActivationNormalization(c, dtype=number_type)
                step.append(actnorm)
                members[f"step{j}.actnorm"] = actnorm
            members |= {f"step{j}.conv": conv, f"step{j}.coupling": network}
            chain += step
        super().__init__(
            Chain(chain[::-1]), members=members, name=name, dtype=dtype,
            parameters=dict(input_shape=input_shape, num_steps=num_steps,
                            coupling_bijector_fn=coupling_bijector_fn, use_actnorm=use_actnorm,
                            seed=seed, dtype=dtype, name=name))


def _step(network: Callable[..., Any], conv: OneByOneConv, channels: int, dtype: DType,
          owner: str) -> list[Bijector]:
    """The coupling and the 1x1 convolution of one step, in the order that `forward` applies."""
    half = channels // 2
    coupling = RealNVP(num_masked=half, bijector_fn=NetworkCoupling(
        network, half, SigmoidAffine, dtype, owner))
    return [Invert(coupling), Invert(conv)]
