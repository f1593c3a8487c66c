"""One step of training after the other: loss, gradient, update.

One step, for a batch x_1, ..., x_B of dequantized images:

    loss = -(1/B) sum_b log p(x_b)                 nats per image
    w <- optimizer(w, gradient of the loss)        for every weight w

In bits per dimension the loss is loss / (D ln 2) + n_bits (`dequantize.bits_per_dim`).

Every step is a function of the settings, its number and the state before it (`batches.py`), so a
run that goes on from a checkpoint ends bit for bit where it would have ended.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.training.batches import Batches
from refglow.training.checkpoint import Checkpoint, differences
from refglow.training.clipping import clip_by_global_norm, norm_of
from refglow.training.dequantize import bits_per_dim
from refglow.training.divergence import DivergedError, origin_of, overflow_origin, too_large
from refglow.training.image_data import ImageData
from refglow.training.model import build_glow, build_optimizer, distribution_of
from refglow.training.moving_average import MovingAverage
from refglow.training.schedule import warm_up
from refglow.training.settings import Settings


@dataclass(frozen=True)
class Evaluation:
    """The loss and the gradient of the step to come; all finite.

    Attributes:
      loss: nats per image.
      gradients: by state name, clipped.
      gradient_norm: the global norm before clipping.
      seconds: what it took.
    """

    loss: float
    gradients: dict[str, Array]
    gradient_norm: float
    seconds: float


@dataclass(frozen=True)
class StepReport:
    """What one step showed.

    Attributes:
      step: the number of steps made, this one included.
      loss: nats per image, before the update.
      bits_per_dim: the same in bits per dimension, n_bits included.
      gradient_norm: the global norm of the gradient, before clipping.
      learning_rate: of this step.
      seconds: that it took.
    """

    step: int
    loss: float
    bits_per_dim: float
    gradient_norm: float
    learning_rate: float
    seconds: float


class Trainer:
    """A Glow, its optimizer and its batches, between two steps.

    Attributes:
      settings, train_data, batches: what is asked for, on what.
      glow: the model.
      step_count: the number of steps made.
    """

    def __init__(self, settings: Settings, train: ImageData, test: ImageData) -> None:
        """Build the model and set its ActNorms from the first images.

        Raises:
          ValueError: if the images do not fit the settings.
        """
        self.settings, self.train_data = settings, train
        self.batches = Batches(settings, train, test)
        self.glow = build_glow(settings, train.image_shape)
        self.glow.initialize(self.batches.initial())
        self._distribution = distribution_of(self.glow)
        self._variables = self.glow.trainable_variables
        self._optimizer = build_optimizer(settings)
        self._average = (None if settings.average_decay is None
                         else MovingAverage(self._variables, settings.average_decay))
        self.step_count = 0

    def step(self) -> StepReport:
        """Make one step: evaluate, then update.

        Raises:
          DivergedError: if the loss or the gradient is not finite; nothing is changed then.
        """
        return self.update(self.evaluate())

    def evaluate(self) -> Evaluation:
        """The loss and the gradient of the next step; nothing is changed.

        Raises:
          DivergedError: if one of them is not finite, or the gradient's square would not be.
        """
        started = time.perf_counter()
        images = self.batches.training(self.step_count)
        try:
            with np.errstate(all="ignore"):  # what is not finite is looked for
                loss, gradients = self.loss_and_gradients(images)
                norm = norm_of(gradients)
        except ValueError as error:  # a matrix that has no inverse
            origin = overflow_origin(self.glow, images)
            if origin is None:
                raise
            raise DivergedError(self.step_count, origin) from error
        if not (np.isfinite(loss) and np.isfinite(norm)):
            raise DivergedError(self.step_count, origin_of(self.glow, images, gradients))
        clip_norm = self.settings.clip_norm
        if clip_norm is not None:
            clip_by_global_norm(gradients, clip_norm)
        origin = too_large(self.glow, gradients, min(norm, clip_norm or norm))
        if origin is not None:
            raise DivergedError(self.step_count, origin)
        return Evaluation(loss, gradients, norm, time.perf_counter() - started)

    def update(self, evaluation: Evaluation) -> StepReport:
        """Move the weights by what `evaluate` has just found."""
        started = time.perf_counter()
        rate = warm_up(self.step_count, self.settings.learning_rate, self.settings.warm_up_steps)
        with np.errstate(all="ignore"):  # the next evaluation looks at what comes of it
            self._optimizer.step(self._variables, evaluation.gradients, rate)
            if self._average is not None:
                self._average.update(self._variables)
        self.step_count += 1
        return StepReport(self.step_count, evaluation.loss, self._bits_per_dim(-evaluation.loss),
                          evaluation.gradient_norm, rate,
                          evaluation.seconds + time.perf_counter() - started)

    def loss_and_gradients(self, images: Array) -> tuple[float, dict[str, Array]]:
        """(the mean of -log p in nats, its gradient by state name) at a batch of images.

        If the loss is not finite there are no gradients.
        """
        log_prob, pullback = self._distribution.log_prob_vjp(images, self.settings.memory)
        loss = -float(np.mean(log_prob, dtype=np.float64))
        if not np.isfinite(loss):
            return loss, {}
        _, bars = pullback(np.full_like(log_prob, -1 / len(log_prob)))
        return loss, {name.removeprefix("bijector."): bar for name, bar in bars.items()}

    def test_bits_per_dim(self, most: int | None = None) -> float | None:
        """The mean bits/dim of the test images (the first `most`); None if there are none."""
        distribution, total, count = distribution_of(self.evaluated_glow()), 0.0, 0
        with np.errstate(all="ignore"):  # the caller sees what is not finite
            for images in self.batches.testing(most):
                total += float(np.sum(distribution.log_prob(images), dtype=np.float64))
                count += len(images)
        return self._bits_per_dim(total / count) if count else None

    def evaluated_glow(self) -> Glow:
        """The Glow to evaluate and sample from: with averaged weights, if there is an average."""
        if self._average is None:
            return self.glow
        averaged = build_glow(self.settings, self.train_data.image_shape)
        averaged.load_state_dict(self.glow.state_dict() | self._average.state_dict())
        return averaged

    @property
    def max_level(self) -> int:
        """The level that is shown white, of n_bits bits."""
        return self.train_data.max_level >> (self.train_data.n_bits - self.batches.n_bits)

    def checkpoint(self) -> Checkpoint:
        """The state, to be saved."""
        return Checkpoint(
            step=self.step_count, settings=self._described(),
            # All randomness follows from these two (see batches.py).
            random_state={"seed": self.settings.seed, "step": self.step_count},
            model=self.glow.state_dict(), optimizer=self._optimizer.state_dict(),
            average=self._average.state_dict() if self._average is not None else {})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of a run with these settings, on the same images.

        Raises:
          ValueError: if it is of another run (lists the differences), or its arrays do not fit.
        """
        found = differences(checkpoint.settings, self._described())
        if found:
            raise ValueError("The checkpoint is of another run.\n  " + "\n  ".join(found))
        self.glow.load_state_dict(checkpoint.model)
        self._optimizer.load_state_dict(checkpoint.optimizer)
        if self._average is not None:
            self._average.load_state_dict(checkpoint.average)
        self.step_count = checkpoint.step

    def _described(self) -> dict[str, Any]:
        """The settings, and of the images what must be the same for a run to go on."""
        data = self.train_data
        return {"settings": self.settings.as_dict(), "images": {
            "image_shape": list(data.image_shape), "n_bits": self.batches.n_bits,
            "max_level": self.max_level, "count": len(data), "checksum": self.batches.checksum}}

    def _bits_per_dim(self, log_prob: float) -> float:
        num_dims = int(np.prod(self.train_data.image_shape))
        return float(bits_per_dim(log_prob, num_dims, self.batches.n_bits))
