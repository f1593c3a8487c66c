"""What a training run is asked to do: everything that decides its numbers.

Two runs with the same settings, on one machine with the same libraries, make the same steps bit for
bit. How many steps to make, and how often to look, is not among them: a run can go on for longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

_CHOICES = {"optimizer": ("adam", "adamw", "adamax"), "coupling": ("affine", "additive"),
            "memory": ("store", "checkpoint", "reversible"), "dtype": ("float32", "float64")}
_OPTIONAL = ("image_size", "n_bits", "num_glow_blocks", "clip_norm", "average_decay")
# The smallest and the largest. Settings may come with a stranger's checkpoint, whose arrays bound
# the model's sizes (trained.py) but not how many images a step takes.
_ANY = 2**63 - 1
_COUNTS = {"image_size": (2, 2**15), "n_bits": (1, 16), "num_glow_blocks": (1, 31),
           "num_steps_per_block": (1, _ANY), "num_hidden": (1, _ANY), "batch_size": (1, 2**16),
           "initial_batch_size": (1, 2**16), "warm_up_steps": (0, _ANY), "seed": (0, _ANY)}
_NUMBERS: Mapping[str, tuple[Callable[[float], bool], str]] = {
    "learning_rate": (lambda value: 0 < value < math.inf, "a positive number"),
    "clip_norm": (lambda value: 0 < value < math.inf, "a positive number"),
    "weight_decay": (lambda value: 0 <= value < math.inf, "a number of 0 or more"),
    "beta_1": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "beta_2": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "average_decay": (lambda value: 0 <= value < 1, "at least 0 and below 1")}


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Attributes:
      data: what to train on; see `refglow.training.data.open_data`.
      image_size: side in pixels of the photographs' patches; None for all other data.
      n_bits: bits that are kept of each level; None: all that the data has.
      num_glow_blocks, num_steps_per_block, num_hidden, coupling, dtype: the Glow; num_glow_blocks
        None means as many as the image's sides can be halved, at most 3.
      optimizer, learning_rate, beta_1, beta_2, weight_decay: weight_decay is AdamW's.
      warm_up_steps: over how many steps the learning rate rises linearly to its value.
      clip_norm: the largest global norm of a gradient; larger ones are scaled down; None: any.
      average_decay: decay of the moving average of the weights, which samples and likelihoods are
        then taken from; None: no average.
      batch_size: images in a step.
      initial_batch_size: images that set the ActNorms' start.
      memory: how the gradient is taken (`Bijector.forward_vjp`); it changes roundings only.
      seed: of the weights, the order of the images and the noise.
    """

    data: str = "digits"
    image_size: int | None = None
    n_bits: int | None = None
    num_glow_blocks: int | None = None
    num_steps_per_block: int = 8
    num_hidden: int = 64
    coupling: str = "affine"
    dtype: str = "float32"
    optimizer: str = "adam"
    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    weight_decay: float = 0.01
    warm_up_steps: int = 50
    clip_norm: float | None = None
    average_decay: float | None = None
    batch_size: int = 32
    initial_batch_size: int = 256
    memory: str = "store"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check each value by itself.

        Raises:
          ValueError: naming the setting, its value and what is possible.
        """
        if type(self.data) is not str or not self.data:
            raise ValueError(f"data must be a text that says where images are; got {self.data!r}.")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; "
                                 f"got {getattr(self, name)!r}.")
        for name, (least, most) in _COUNTS.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if type(value) is not int or not least <= value <= most:
                upper = f" and at most {most}" if most < _ANY else ""
                raise ValueError(f"{name} must be a whole number, at least {least}{upper}; "
                                 f"got {value!r}.")
        for name, (is_possible, possible) in _NUMBERS.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if type(value) not in (int, float) or not is_possible(value):
                raise ValueError(f"{name} must be {possible}; got {value!r}.")

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """The settings that `as_dict` gave.

        Raises:
          ValueError: if a name is unknown, or a value is not possible.
        """
        unknown = sorted(values.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"There are no settings called {', '.join(map(repr, unknown))}.")
        return cls(**values)
