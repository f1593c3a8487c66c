"""What a pixel costs: log_prob of refglow from small to large images and batches, in turn.

The Glow is the default one; its convolutions do not know how large an image is. The cost is flat if
the dearest pixel costs at most 20 % more than the cheapest. Beside it, what one evaluation adds to
the resident memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from refglow.validation.bench.configuration import Configuration
from refglow.validation.bench.model import timed_each

SIDES = (32, 64, 128, 256)
BATCHES = (1, 2, 8, 32, 128)


def scaling(configuration: Configuration, rounds: int,
            progress: Callable[[str], None] = lambda what: None,
            sides: Sequence[int] = SIDES, batches: Sequence[int] = BATCHES) -> dict[str, Any]:
    """The cost of a pixel over image sizes (batch 1) and over batches (the configuration's size).

    Args:
      configuration: of the model.
      rounds: timings of each.
      progress: told what happens next.
      sides: of square images, in pixels.
      batches: numbers of images.

    Returns:
      "sizes" and "batches": for each point the side, batch, seconds, nanoseconds per pixel and the
      bytes that an evaluation adds; and "sizes_dearest_over_cheapest", "batches_...".
    """
    channels = configuration.output_shape[2]
    series = {"sizes": [replace(configuration, output_shape=(side, side, channels), batch=1)
                        for side in sides],
              "batches": [replace(configuration, batch=batch) for batch in batches]}
    found: dict[str, Any] = {}
    for name, points in series.items():
        keys = {f"{point.output_shape[0]}x{point.output_shape[1]}, batch {point.batch}": point
                for point in points}
        timed = timed_each("log_prob", {key: ("refglow", point) for key, point in keys.items()},
                           rounds, progress)
        rows = []
        for key, point in keys.items():
            height, width, _ = point.output_shape
            per_pixel = timed[key].summary.median / (height * width * point.batch)
            process = timed[key].process
            rows.append({"point": key, "nanoseconds_per_pixel": per_pixel * 1e9,
                         "added_bytes": process["peak_bytes"] - process["built_bytes"],
                         **timed[key].as_dict()})
        costs = [row["nanoseconds_per_pixel"] for row in rows]
        found[name] = rows
        found[f"{name}_dearest_over_cheapest"] = max(costs) / min(costs)
    return found
