"""Time log_prob of a default Glow against TFP's, in one run: `python -m refglow.validation.speed`.

Both hold the same random weights in every layer, and their results are compared first. The two are
timed in turn, A B A B ..., so that a machine whose speed drifts treats them alike; the figure to
quote is the median of the ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.validation.compare import difference
from refglow.validation.random_models import random_images, randomize_weights
from refglow.validation.tfp import tfp_twin

BATCH, ROUNDS = 8, 7


def main() -> None:
    """Print the build time and the times of log_prob, refglow's and TFP's."""
    started = time.perf_counter()
    glow = tfb.Glow(seed=0)
    print(f"refglow builds the default Glow in {time.perf_counter() - started:.2f} s")
    randomize_weights(glow, np.random.default_rng(0), gain=0.2)
    images = random_images(np.random.default_rng(1), BATCH, (32, 32, 3)).astype(np.float32)

    ours = glow(tfd.Sample(tfd.Normal(0.0, 1.0), [3072])).log_prob
    theirs = _tfp_log_prob(glow)
    error = difference(ours(images), theirs(images)).relative
    print(f"log_prob of {BATCH} images agrees to {error:.1e} (relative)")

    times = [(_seconds(ours, images), _seconds(theirs, images)) for _ in range(ROUNDS)]
    print(f"refglow, specification    {median(a for a, _ in times):.3f} s (median of {ROUNDS})")
    print(f"TFP, tf.function          {median(b for _, b in times):.3f} s")
    print(f"ratio TFP / refglow       {median(b / a for a, b in times):.2f} (median of ratios; "
          f"{min(b / a for a, b in times):.2f} to {max(b / a for a, b in times):.2f})")


def _tfp_log_prob(glow: tfb.Glow) -> Callable[[Any], Any]:
    import tensorflow as tf
    import tensorflow_probability as tfp
    base = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), [3072])
    px = tfp.distributions.TransformedDistribution(base, tfp_twin(glow))
    compiled = tf.function(px.log_prob)
    return lambda images: compiled(tf.constant(images)).numpy()


def _seconds(function: Callable[[Any], Any], images: Any) -> float:
    started = time.perf_counter()
    function(images)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
