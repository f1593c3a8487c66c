"""Training the TFP twin of a refglow Glow: tf.function, GradientTape and TensorFlow's Adam.

TensorFlow's kernel for Adam takes the learning rate with the bias corrections in it, and adds
epsilon to the square root of the uncorrected moment v:

    var <- var - alpha m / (sqrt(v) + epsilon_t)

Algorithm 1 of Kingma & Ba 2015, var - lr m_hat / (sqrt(v_hat) + epsilon) with m_hat = m / (1 -
beta_1^t) and v_hat = v / (1 - beta_2^t), is the same with

    alpha     = lr sqrt(1 - beta_2^t) / (1 - beta_1^t)
    epsilon_t = epsilon sqrt(1 - beta_2^t)

Both are computed here, in float64. (In float32 the kernel itself rounds beta_2 = 0.999 before it
takes 1 - beta_2 from it, which changes v by 5e-5 of itself.)
"""

from __future__ import annotations

import math
from typing import Any

from refglow.bijectors import Glow
from refglow.dtypes import Array, as_array
from refglow.validation.tfp import param_names, tfp_twin
from refglow.validation.tfp.framework import tensorflow, tfp_distributions


class TfpTraining:
    """Adam on the mean negative log-likelihood of a Glow's TFP twin."""

    def __init__(self, glow: Glow, learning_rate: float = 0.001, beta_1: float = 0.9,
                 beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
        """Build the twin with copies of the Glow's parameters; the Glow does not change.

        Args:
          glow: float32 or float64, its ActNorms initialised.
          learning_rate, beta_1, beta_2, epsilon: Adam's, as in Kingma & Ba 2015, algorithm 1.

        Raises:
          ImportError: if TFP is not installed.
          TypeError: as for `tfp_twin`.
        """
        tf, tfd = tensorflow(), tfp_distributions()
        self._dtype = glow.dtype
        self._twin = tfp_twin(glow)
        self._names = param_names(self._twin)
        zero, one = (tf.constant(value, self._dtype) for value in (0, 1))
        size = math.prod(int(n) for n in glow.parameters["output_shape"])
        self._px = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(zero, one), [size]),
                                               self._twin)
        self._variables = list(self._twin.trainable_variables)
        self._moments = [[tf.Variable(tf.zeros_like(v), trainable=False) for _ in range(2)]
                         for v in self._variables]
        self._iterations = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._adam = (learning_rate, beta_1, beta_2, epsilon)
        self._compiled_step = tf.function(self._step, autograph=False)
        self._compiled_log_prob = tf.function(self._px.log_prob, autograph=False)
        self._compiled_forward = tf.function(self._twin.forward, autograph=False)
        self._compiled_sample = tf.function(self._px.sample, autograph=False)

    @property
    def parameters(self) -> dict[str, Array]:
        """The trained parameters by refglow's state names, as copies."""
        return {name: variable.numpy() for name, variable
                in zip(self._names, self._variables, strict=True)}

    def step(self, images: Any, learning_rate: float | None = None) -> float:
        """Update every parameter once; the loss before the update, in nats per image.

        The first call compiles; so does another shape of images.

        Args:
          images: [B, H, W, C], of the Glow's dtype.
          learning_rate: of this step; by default the one given at construction.
        """
        rate = tensorflow().constant(
            self._adam[0] if learning_rate is None else learning_rate, "float64")
        return float(self._compiled_step(self._tensor(images, "images"), rate).numpy())

    def gradients(self, images: Any) -> dict[str, Array]:
        """The gradient of the loss, -mean log p(images), by refglow's state names."""
        _, bars = self._loss_and_gradients(self._tensor(images, "images"))
        return self._named(bars)

    def sample_gradients(self, z: Any, x_bar: Any) -> dict[str, Array]:
        """The gradient of sum(forward(z) * x_bar), by refglow's state names.

        Args:
          z: latents [B, H*W*C].
          x_bar: [B, H, W, C].
        """
        tf = tensorflow()
        latents, cotangent = self._tensor(z, "z"), self._tensor(x_bar, "x_bar")
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(self._twin.forward(latents) * cotangent)
        return self._named(tape.gradient(value, self._variables))

    def log_prob(self, images: Any) -> Array:
        """The log p of each of the images [B, H, W, C]: [B], in nats."""
        log_prob: Array = self._compiled_log_prob(self._tensor(images, "images")).numpy()
        return log_prob

    def forward(self, z: Any) -> Array:
        """The images [B, H, W, C] that the Glow makes of latents z [B, H*W*C]."""
        images: Array = self._compiled_forward(self._tensor(z, "z")).numpy()
        return images

    def sample(self, count: int) -> Array:
        """Random images, [count, H, W, C]; others with each call."""
        images: Array = self._compiled_sample(count).numpy()
        return images

    def _step(self, images: Any, learning_rate: Any) -> Any:
        """The loss; updates the variables in place, in TensorFlow's fused kernel."""
        tf = tensorflow()
        loss, bars = self._loss_and_gradients(images)
        beta_1, beta_2, epsilon = (tf.constant(number, tf.float64) for number in self._adam[1:])
        t = self._iterations.assign_add(1.0)
        correction = tf.sqrt(1 - beta_2**t)
        zero = tf.zeros_like(t)  # for the powers: they are in lr already
        numbers = dict(beta1_power=zero, beta2_power=zero, beta1=beta_1, beta2=beta_2,
                       lr=learning_rate * correction / (1 - beta_1**t),
                       epsilon=epsilon * correction)
        for variable, (first, second), bar in zip(self._variables, self._moments, bars,
                                                  strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=first.handle, v=second.handle,
                grad=tf.convert_to_tensor(bar),
                **{name: tf.cast(number, variable.dtype) for name, number in numbers.items()})
        return loss

    def _loss_and_gradients(self, images: Any) -> tuple[Any, list[Any]]:
        """(-mean log p, its gradients in the order of the variables).

        TFP's bijectors remember results for input tensors that they have seen, also ones computed
        outside the tape, through which no gradient flows. The callers make a new tensor each time.
        """
        tf = tensorflow()
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(self._px.log_prob(images))
        return loss, tape.gradient(loss, self._variables)

    def _named(self, bars: list[Any]) -> dict[str, Array]:
        """Gradients by name.

        Raises:
          RuntimeError: if TensorFlow gives none for a variable; a zero in its place would hide it.
        """
        without = [name for name, bar in zip(self._names, bars, strict=True) if bar is None]
        if without:
            raise RuntimeError(f"TensorFlow gave no gradient for {without}.")
        tf = tensorflow()
        return {name: tf.convert_to_tensor(bar).numpy()
                for name, bar in zip(self._names, bars, strict=True)}

    def _tensor(self, value: Any, what: str) -> Any:
        """`value` as a new tensor, which no cache knows."""
        return tensorflow().constant(as_array(value, self._dtype, "TfpTraining", what))
