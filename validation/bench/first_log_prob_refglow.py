"""A program for `cold_start`: import refglow, build the default Glow, log_prob of 8 images."""

from __future__ import annotations

import json
import time


def main() -> None:
    """Do it, and print the seconds of each part."""
    started = time.perf_counter()
    import numpy as np

    import refglow as rg
    imported = time.perf_counter()
    tfb, tfd = rg.bijectors, rg.distributions
    glow = tfb.Glow(output_shape=(32, 32, 3), num_glow_blocks=3, num_steps_per_block=32)
    px = glow(tfd.Sample(tfd.Normal(0.0, 1.0), [3072]))
    built = time.perf_counter()
    images = np.random.default_rng(0).random((8, 32, 32, 3), dtype=np.float32) - np.float32(0.5)
    log_prob = np.asarray(px.log_prob(images))
    ended = time.perf_counter()
    print(json.dumps({"import": imported - started, "build": built - imported,
                      "first log_prob": ended - built,
                      "finite": bool(np.isfinite(log_prob).all())}), flush=True)


if __name__ == "__main__":
    main()
