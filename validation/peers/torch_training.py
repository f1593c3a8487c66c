"""Training a refglow Glow's function in PyTorch: autograd and torch.optim.Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refglow.bijectors import Glow
from refglow.dtypes import Array, as_array
from refglow.validation.torch_oracle import torch_forward, torch_log_prob, torch_parameters

if TYPE_CHECKING:
    import torch


class TorchTraining:
    """Adam on the mean negative log-likelihood of a copy of a Glow."""

    def __init__(self, glow: Glow, learning_rate: float = 0.001, beta_1: float = 0.9,
                 beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
        """Copy the Glow's parameters; it does not change itself.

        Args:
          glow: float32 or float64, its ActNorms initialised.
          learning_rate, beta_1, beta_2, epsilon: Adam's, as in Kingma & Ba 2015, algorithm 1.

        Raises:
          ImportError: if PyTorch is not installed.
          TypeError, ValueError: as for `torch_parameters` and `torch_inverse`.
        """
        import torch
        self._glow = glow
        self._parameters = torch_parameters(glow)
        self._trainable = {variable.name: self._parameters[variable.name]
                           for variable in glow.trainable_variables}
        self._adam = torch.optim.Adam(self._trainable.values(), learning_rate,
                                      (beta_1, beta_2), epsilon)

    @property
    def parameters(self) -> dict[str, Array]:
        """The trained parameters by their state names, as copies."""
        return {name: tensor.detach().numpy().copy() for name, tensor in self._trainable.items()}

    def step(self, images: Any) -> float:
        """Update every parameter once; the loss before the update, in nats per image.

        Args:
          images: [B, H, W, C], of the Glow's dtype.
        """
        loss = self._loss(images)
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        return float(loss.detach())

    def gradients(self, images: Any) -> dict[str, Array]:
        """The gradient of the loss, -mean log p(images), by state names."""
        return self._gradients(self._loss(images))

    def sample_gradients(self, z: Any, x_bar: Any) -> dict[str, Array]:
        """The gradient of sum(forward(z) * x_bar), by state names.

        Args:
          z: latents [B, H*W*C].
          x_bar: [B, H, W, C].
        """
        images, _ = torch_forward(self._glow, self._parameters, self._tensor(z, "z"))
        return self._gradients((images * self._tensor(x_bar, "x_bar")).sum())

    def log_prob(self, images: Any) -> Array:
        """The log p of each of the images [B, H, W, C]: [B], in nats."""
        return torch_log_prob(self._glow, self._parameters,
                              self._tensor(images, "images")).detach().numpy()

    def _loss(self, images: Any) -> torch.Tensor:
        return -torch_log_prob(self._glow, self._parameters,
                               self._tensor(images, "images")).mean()

    def _gradients(self, value: torch.Tensor) -> dict[str, Array]:
        import torch
        bars = torch.autograd.grad(value, list(self._trainable.values()))
        return {name: bar.numpy() for name, bar in zip(self._trainable, bars, strict=True)}

    def _tensor(self, value: Any, what: str) -> torch.Tensor:
        import torch
        return torch.tensor(as_array(value, self._glow.dtype, "TorchTraining", what))
