"""A program for `cold_start`: import TFP, build the default Glow, log_prob of 8 images, eagerly."""

from __future__ import annotations

import json
import time


def main() -> None:
    """Do it, and print the seconds of each part."""
    started = time.perf_counter()
    import numpy as np
    import tensorflow as tf
    import tensorflow_probability as tfp
    tfb, tfd = tfp.bijectors, tfp.distributions  # this is when TFP imports its parts
    imported = time.perf_counter()
    glow = tfb.Glow(output_shape=(32, 32, 3), num_glow_blocks=3, num_steps_per_block=32,
                    coupling_bijector_fn=tfb.GlowDefaultNetwork,
                    exit_bijector_fn=tfb.GlowDefaultExitNetwork)
    px = tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), [3072]), glow)
    built = time.perf_counter()
    images = np.random.default_rng(0).random((8, 32, 32, 3), dtype=np.float32) - np.float32(0.5)
    log_prob = px.log_prob(tf.constant(images)).numpy()
    ended = time.perf_counter()
    print(json.dumps({"import": imported - started, "build": built - imported,
                      "first log_prob": ended - built,
                      "finite": bool(np.isfinite(log_prob).all())}), flush=True)


if __name__ == "__main__":
    main()
