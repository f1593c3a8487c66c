"""What the explorer page shows: a model, images to encode, and a word about both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.explorer.fitting import require_fits
from refglow.model_file import load
from refglow.training.image_data import ImageData
from refglow.training.trained import Trained

NUM_IMAGES = 12


@dataclass(frozen=True)
class Content:
    """A model and its images.

    Attributes:
      glow: the model.
      levels: whole numbers [N, H, W, C], N at least 1: the images that can be encoded.
      names: what each is called.
      n_bits: the bits of the levels.
      max_level: the level that is shown white.
      about: a sentence or two about the model, for the foot of the page.
    """

    glow: Glow
    levels: Array
    names: tuple[str, ...]
    n_bits: int
    max_level: int
    about: str

    def __post_init__(self) -> None:
        """Check that the page can compute and show it.

        Raises:
          ValueError: as for `require_fits`; or if the images are not levels of the model's shape,
            or are not as many as the names.
        """
        require_fits(self.glow)
        shape = tuple(self.glow.parameters["output_shape"])
        if self.levels.ndim != 4 or self.levels.shape[1:] != shape or not len(self.levels):
            raise ValueError(f"The page's images must be levels of shape [N, "
                             f"{', '.join(map(str, shape))}], at least one; got "
                             f"{list(self.levels.shape)}.")
        if len(self.names) != len(self.levels):
            raise ValueError(f"{len(self.levels)} images need as many names; got "
                             f"{len(self.names)}.")


def content_of(trained: Trained, images: ImageData, count: int = NUM_IMAGES) -> Content:
    """A trained model with the first images of a data set.

    Args:
      trained: from `refglow.training.trained.load_trained`.
      images: of the model's shape; those of a test set, so that they are new to it.
      count: at most so many of them, at least 1.

    Raises:
      ValueError: if the images do not fit the model, there are none, or the page cannot compute the
        model; says why.
    """
    trained.require_fit(images)
    count = min(count, len(images))
    if count < 1:
        raise ValueError(f"{images.name} has no images in this part.")
    levels = images.batch(np.arange(count)) >> (images.n_bits - trained.n_bits)
    step = "" if trained.step is None else f", after {trained.step} steps of training"
    return Content(trained.glow, levels, _names(count), trained.n_bits, trained.max_level,
                   f"The model was given to refglow explorer{step}; its images are the first of "
                   f"{images.name}.")


def shipped_content() -> Content:
    """The small Glow of handwritten digits that comes with refglow; digits.md says how it was made.

    Source: `refglow train --data digits`; UCI machine learning repository, "Optical recognition of
      handwritten digits", as scikit-learn has them.
    """
    folder = resources.files("refglow.explorer")
    card: dict[str, Any] = json.loads((folder / "digits.json").read_text("utf-8"))
    with resources.as_file(folder / "digits.safetensors") as path:
        glow = load(path)
    levels = np.asarray(card["levels"], np.uint8).reshape(-1, *glow.parameters["output_shape"])
    return Content(glow, levels, _names(len(levels)), card["n_bits"], card["max_level"],
                   f"The model learned handwritten digits of 8 x 8 pixels, 17 levels of grey, by "
                   f"{card['command']}; it takes {card['test_bits_per_dim']:.2f} bits/dim for "
                   "digits that it has not seen.")


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"Test image {k}" for k in range(count))
