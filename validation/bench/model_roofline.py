"""Whole Glows in the roofline plot: what a pass must move at least, and what limits it.

A pass over a batch of B images reads every weight once, reads the images or latents and writes as
much or less: in float32, 4 (weights + 2 B H W C) bytes. Its operations are the matrix products'
(operations.py). With few images the weights are the larger part, and the pass lies further left.
"""

from __future__ import annotations

from dataclasses import replace

from refglow.kernels.bench.roofline_points import Ceiling, Point
from refglow.validation.bench.configuration import Configuration
from refglow.validation.bench.model import Timed

_BYTES = 4  # of a float32


def weights_of(configuration: Configuration) -> int:
    """How many weights the model has; its batch does not matter."""
    return sum(variable.size for variable in configuration.glow().trainable_variables)


def bytes_of_pass(weights: int, configuration: Configuration) -> int:
    """What a pass over the batch moves at least, in bytes.

    Args:
      weights: of the model.
      configuration: of the model and its batch.
    """
    return int(_BYTES * (weights + 2 * configuration.batch * configuration.event_size))


def model_points(tasks: dict[str, dict[str, Timed]], configuration: Configuration) -> list[Point]:
    """A point for everybody whose operations are counted.

    Args:
      tasks: by "TASK, batch N", what was found by contender.
      configuration: of the model; its batch is replaced by the title's.
    """
    weights, points = weights_of(configuration), []
    for title, found in tasks.items():
        counted = [one for name, one in found.items() if one.operations and name != "gemm"]
        if not counted:
            continue
        task, size = title.split(", ")  # tasks of a batch lie above one another
        moved = bytes_of_pass(weights, replace(configuration, batch=int(size.rpartition(" ")[2])))
        points += [Point(size, f"{task}: {one.label}", one.operations / moved,
                         one.operations / one.summary.median, moved / one.summary.median)
                   for one in counted]
    return points


def model_ceiling(tasks: dict[str, dict[str, Timed]], bandwidth: float) -> Ceiling:
    """The limits of the machine in this run.

    Args:
      tasks: as for `model_points`; "gemm" is there if log_prob was measured.
      bandwidth: of a copy, in bytes per second.
    """
    gemm = [one.operations / one.summary.median
            for found in tasks.values() for name, one in found.items() if name == "gemm"]
    return Ceiling(bandwidth, "copy, measured", max(gemm, default=None),
                   "float32 matrix product, measured")
