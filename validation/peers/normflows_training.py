"""Training normflows' own Glow, of the size of refglow's, with torch.optim.Adam.

normflows' Glow is built as in its example: at each level GlowBlocks (ActNorm, 1x1 convolution by
LU factors, affine coupling with sigmoid scale, a network of 3x3, 1x1 and 3x3 convolutions), then a
Squeeze, and a Merge where half of the channels exits. It is not refglow's function, and has other
parameters:

    refglow 30,060,108; normflows 30,156,288, for 32x32x3, 3 levels x 32 steps, 400 hidden channels

    no network at the exits (normflows' Merge does not condition what exits)
    L and U are two full C x C matrices, half of each without effect, and log|diag U| a vector of
    its own, so a 1x1 convolution has 2 C^2 + C numbers where refglow has C^2

The base distribution is a fixed standard normal, as for refglow. Every weight starts at a random
value: `init_zeros=False` gives the networks' last convolutions PyTorch's usual random start.

Source: Stimper et al. 2023, "normflows: a PyTorch package for normalizing flows"; its example
"Image generation with Glow".
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.dtypes import Array
from refglow.extras import from_extra

if TYPE_CHECKING:
    import torch


class NormflowsTraining:
    """Adam on the mean negative log-likelihood of a normflows Glow."""

    def __init__(self, images: Any, num_glow_blocks: int = 3, num_steps_per_block: int = 32,
                 num_hidden: int = 400, learning_rate: float = 0.001, beta_1: float = 0.9,
                 beta_2: float = 0.999, epsilon: float = 1e-8, seed: int = 0) -> None:
        """Build it with random weights and initialise its ActNorms; float32.

        Args:
          images: the first batch, [B, H, W, C], from which ActNorms take their start; H and W
            divisible by 2^num_glow_blocks.
          num_glow_blocks: the number of levels.
          num_steps_per_block: the number of steps in each.
          num_hidden: hidden channels of the coupling networks.
          learning_rate, beta_1, beta_2, epsilon: Adam's, as in Kingma & Ba 2015, algorithm 1.
          seed: for the weights. PyTorch's own random state is left as it is.

        Raises:
          ImportError: if normflows is not installed; says how to install it.
        """
        import torch
        batch = _channels_first(images)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # normflows 1.7 factors its matrices by a function that PyTorch has renamed.
            warnings.filterwarnings("ignore", "torch.lu is deprecated", UserWarning)
            torch.manual_seed(seed)
            self._model = _glow((batch.shape[2], batch.shape[3], batch.shape[1]), num_glow_blocks,
                                num_steps_per_block, num_hidden)
        with torch.no_grad():
            self._model.log_prob(batch, None)  # the first use initialises ActNorms
        self._adam = torch.optim.Adam(self._model.parameters(), learning_rate, (beta_1, beta_2),
                                      epsilon)

    @property
    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    def step(self, images: Any) -> float:
        """Update every parameter once; the loss before the update, in nats per image.

        Args:
          images: [B, H, W, C], as at construction.
        """
        loss = self._model.forward_kld(_channels_first(images))
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        return float(loss.detach())


    def log_prob(self, images: Any) -> Array:
        """The log p of each of the images [B, H, W, C]: [B], in nats."""
        import torch
        with torch.inference_mode():
            log_prob: Array = self._model.log_prob(_channels_first(images), None).numpy()
        return log_prob

    def sample(self, count: int) -> Array:
        """Random images, [count, H, W, C]; others with each call."""
        import torch
        with torch.inference_mode():
            images, _ = self._model.sample(count)
        return np.moveaxis(images.numpy(), 1, -1)

    def networks(self) -> Iterator[tuple[list[Array], Callable[[Array], Array]]]:
        """Each coupling network: its weights as refglow keeps them, and it as a function.

        Returns:
          pairs ([kernel, bias, kernel, bias, kernel, bias], function from [B, H, W, I] to
          [B, H, W, O]).
        """
        import normflows as nf
        for module in self._model.modules():
            if isinstance(module, nf.nets.ConvNet2d):
                layers = [layer for layer in module.net if hasattr(layer, "weight")]
                weights = [array for layer in layers for array in
                           (layer.weight.detach().numpy().transpose(2, 3, 1, 0),
                            layer.bias.detach().numpy())]
                yield weights, functools.partial(_evaluated, module)


def _evaluated(module: Any, images: Array) -> Array:
    import torch
    with torch.inference_mode():
        return np.moveaxis(module(_channels_first(images)).numpy(), 1, -1)


def _glow(shape: tuple[int, int, int], levels: int, steps: int, num_hidden: int) -> Any:
    """A MultiscaleFlow; level 0 is the coarsest, next to the latent."""
    with from_extra("torch", "NormflowsTraining"):
        import normflows as nf
    height, width, channels = shape
    bases, merges, flows = [], [], []
    for i in range(levels):
        depth = levels - i  # how many squeezes there are between the image and this level
        acting = channels * 2 ** (depth + 1)
        flows.append([nf.flows.GlowBlock(acting, num_hidden, scale=True, split_mode="channel",
                                         init_zeros=False) for _ in range(steps)]
                     + [nf.flows.Squeeze()])
        if i > 0:
            merges.append(nf.flows.Merge())
        exiting = acting if i == 0 else acting // 2
        bases.append(nf.distributions.DiagGaussian(
            (exiting, height // 2**depth, width // 2**depth), trainable=False))
    return nf.MultiscaleFlow(bases, flows, merges, class_cond=False)


def _channels_first(images: Any) -> torch.Tensor:
    import torch
    return torch.tensor(np.ascontiguousarray(np.moveaxis(np.asarray(images, np.float32), -1, 1)))
