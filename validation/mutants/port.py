"""Glow as a careful porter writes it: a second, independent implementation.

It takes refglow's parameters, works in [B, C, H, W] like a port to PyTorch, and shares no
arithmetic with refglow. Every decision is a small method (see `layers`, `networks`, `walk` and this
file), so that a mistake is a method replaced, and gradients follow from a tape, so that a mistake's
gradients are those of the wrong function.

    log p(x) = sum log N(z_k; 0, 1) + ildj(x),      N(z; 0, 1) = exp(-z^2/2) / sqrt(2 pi)

Source: Kingma & Dhariwal 2018.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refglow.validation.mutants.operations import concatenated
from refglow.validation.mutants.tape import Array, Tape, Tensor
from refglow.validation.mutants.walk import PortedWalk, Run


class PortedGlow(PortedWalk):
    """What the port offers: arrays in, arrays out, images [B, H, W, C]."""

    def inverse(self, x: Any) -> Array:
        """The latents [B, H*W*C] of images x."""
        return self.inverse_and_log_det(x)[0]

    def forward(self, z: Any) -> Array:
        """The images [B, H, W, C] of latents z."""
        return self.forward_and_log_det(z)[0]

    def inverse_log_det_jacobian(self, x: Any) -> Array:
        """The log-det [B] of `inverse` at images x, in nats."""
        return self.inverse_and_log_det(x)[1]

    def forward_log_det_jacobian(self, z: Any) -> Array:
        """The log-det [B] of `forward` at latents z, in nats."""
        return self.forward_and_log_det(z)[1]

    def inverse_and_log_det(self, x: Any) -> tuple[Array, Array]:
        """(latents [B, H*W*C], log-det [B] in nats) of images x."""
        run = self.run()
        latents = self.encoded(run, self.images_in(run.tape.constant(self.converted(x))))
        z = self.latents_out(latents).value.astype(self.dtype)
        return z, self.log_det_out(self.total(run)).value

    def forward_and_log_det(self, z: Any) -> tuple[Array, Array]:
        """(images [B, H, W, C], log-det [B] in nats) of latents z."""
        run = self.run()
        x = self.decoded(run, self.latents_in(run.tape.constant(self.converted(z))))
        return (self.images_out(x).value.astype(self.dtype),
                self.forward_log_det_out(self.total(run)).value)

    def log_prob(self, x: Any) -> Array:
        """The log-density [B] of images x in nats, latents being standard normal."""
        run = self.run()
        return self.density(run, run.tape.constant(self.converted(x)))[0].value

    def layers(self, x: Any) -> list[tuple[Any, ...]]:
        """(name, output [B, h, w, c]) or (name, output, log-det [B]) from images x on."""
        run = self.run()
        self.encoded(run, self.images_in(run.tape.constant(self.converted(x))))
        found: list[tuple[Any, ...]] = []
        for name, _, output, log_det in run.visits:
            images = output.value.transpose(0, 2, 3, 1).astype(self.dtype)
            found.append((name, images) if log_det is None
                         else (name, images, self.log_det_out(log_det).value))
        return found

    def initialize(self, x: Any) -> dict[str, Array]:
        """ActNorm's parameters after a start from images x, the other weights as they are."""
        run = self.run()
        run.starts = {}
        self.encoded(run, self.images_in(run.tape.constant(self.converted(x))))
        return run.starts

    def bits_per_dim(self, x: Any) -> Array:
        """-log p(x) / (D ln 2) + 8 of images of 8 bits, scaled to [-0.5, 0.5)."""
        return self.bits(self.log_prob(x), math.prod(self.image_shape))

    def gradients(self, x: Any) -> dict[str, Array]:
        """The gradient of the mean log-density by every parameter's name, and by "x"."""
        run = self.run(tracked=True)
        leaves = {name: run.weights[name] for name in run.weights}
        leaves["x"] = run.tape.leaf(self.converted(x))
        objective = self.objective(*self.density(run, leaves["x"]))
        bars = run.tape.backward(objective, list(leaves.values()))
        return {name: self.gradient_out(name, bar.astype(self.dtype))
                for name, bar in zip(leaves, bars, strict=True)}

    # ---- decisions ----

    def tape(self) -> Tape:
        """The arithmetic."""
        return Tape()

    def compute_type(self) -> Any:
        """The number type of the arithmetic."""
        return self.dtype

    def images_in(self, x: Tensor) -> Tensor:
        """The images x, [B, H, W, C], as [B, C, H, W]."""
        h, w, c = self.image_shape
        return x.reshape(-1, h, w, c).transpose(0, 3, 1, 2)

    def images_out(self, x: Tensor) -> Tensor:
        """The images x, [B, C, H, W], as [B, H, W, C]."""
        return x.transpose(0, 2, 3, 1)

    def latents_out(self, latents: list[Tensor]) -> Tensor:
        """The latents as one vector [B, H*W*C]: by coarse pixel, with all scales' share."""
        final, *exited = latents
        passed = exited[-1]
        for out in reversed(exited[:-1]):
            passed = concatenated([out, self.squeeze(passed)])
        whole = concatenated([final, passed])
        return whole.transpose(0, 2, 3, 1).reshape(whole.shape[0], math.prod(whole.shape[1:]))

    def latents_in(self, z: Tensor) -> list[Tensor]:
        """The inverse of `latents_out`, of z [B, H*W*C]."""
        (h, w, c), n = self.image_shape, self.num_blocks
        whole = z.reshape(-1, h >> n, w >> n, c << 2 * n).transpose(0, 3, 1, 2)
        leave = self.splits[0][0]
        latents, rest = [whole[:, :leave]], whole[:, leave:]
        for i, (_, grab, _) in enumerate(self.splits):
            latents.append(rest[:, :grab])
            rest = rest[:, grab:]
            if i + 1 < n:
                rest = self.unsqueeze(rest)
        return latents

    def log_det_out(self, log_det: Tensor) -> Tensor:
        """The inverse's log_det [B] as it is reported, in nats."""
        return log_det

    def forward_log_det_out(self, log_det: Tensor) -> Tensor:
        """The log-det [B] of forward as it is reported, from the inverse's log_det."""
        return self.log_det_out(-log_det)

    def prior(self, latents: list[Tensor]) -> Tensor:
        """sum log N(z; 0, 1) over the latents, [B], in nats."""
        total = self.squares(latents) * -0.5
        return total + -0.5 * math.log(2 * math.pi) * self.count(latents)

    def squares(self, latents: list[Tensor]) -> Tensor:
        """The sum of z^2 over the latents, [B]."""
        first, *others = [(z * z).sum(1, 2, 3) for z in latents if z.shape[1]]
        return sum(others, first)

    def count(self, latents: list[Tensor]) -> int:
        """How many latents an image has."""
        return sum(math.prod(z.shape[1:]) for z in latents)

    def log_density(self, prior: Tensor, log_det: Tensor) -> Tensor:
        """The sum of the prior's log-density of the latents and the inverse's log_det, [B]."""
        return prior + log_det

    def objective(self, log_prob: Tensor, prior: Tensor) -> Tensor:
        """What `gradients` differentiates: the mean of log_prob [B]; prior is a part of it."""
        return log_prob.sum() * (1 / log_prob.shape[0])

    def gradient_out(self, name: str, bar: Array) -> Array:
        """The gradient by the parameter `name`, bar of its shape, as it is reported."""
        return bar

    def bits(self, log_prob: Array, count: int) -> Array:
        """The bits per dimension of images of `count` numbers, from log_prob [B] in nats."""
        return -log_prob / (count * math.log(2)) + 8

    # ---- evaluation ----

    def run(self, tracked: bool = False) -> Run:
        """A new evaluation; `tracked` if it is to be differentiated."""
        tape = self.tape()
        hold = tape.leaf if tracked else tape.constant
        return Run(tape, {name: hold(value.astype(self.compute_type()))
                          for name, value in self.parameters.items() if value.dtype.kind == "f"})

    def converted(self, array: Any) -> Array:
        """An array-like in the number type of the arithmetic."""
        return np.asarray(array).astype(self.compute_type())

    def density(self, run: Run, x: Tensor) -> tuple[Tensor, Tensor]:
        """(log p(x), the prior's part of it), [B], in the evaluation `run`."""
        latents = self.encoded(run, self.images_in(x))
        prior = self.prior(latents)
        return self.log_density(prior, self.log_det_out(self.total(run))), prior

    def total(self, run: Run) -> Tensor:
        """The sum of the layers' log-dets in the evaluation `run`, [B]."""
        first, *others = [log_det for _, _, _, log_det in run.visits if log_det is not None]
        return sum(others, first)
