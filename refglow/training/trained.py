"""A trained model from disk: a run's folder, or a model file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.model_file import load
from refglow.safetensors_file import ArrayKind, naming, require_kinds
from refglow.training.checkpoint import Checkpoint, load_checkpoint
from refglow.training.image_data import ImageData
from refglow.training.model import arrays_of, build_glow
from refglow.training.named_arrays import kinds_of
from refglow.training.run_folder import RunFolder
from refglow.training.settings import Settings


@dataclass(frozen=True)
class Trained:
    """A model, and what it was trained on.

    Attributes:
      glow: the model; that of a run has its averaged weights, if there is an average.
      n_bits: the bits of the levels it was trained on.
      max_level: the level that is shown white.
      settings: the run's; None for a model file, which does not say.
      step: the number of steps it was trained for; None for a model file.
    """

    glow: Glow
    n_bits: int
    max_level: int
    settings: Settings | None = None
    step: int | None = None

    def source(self, data: str | None) -> tuple[str, int | None]:
        """(source, image_size) for `open_data`: of what is asked for, or what it was trained on.

        Args:
          data: what is asked for; None: what it was trained on.

        Raises:
          ValueError: if nothing is asked for and a model file does not say.
        """
        if self.settings is not None and data in (None, self.settings.data):
            return self.settings.data, self.settings.image_size
        if data is None:
            raise ValueError("A model file does not say what it was trained on: give --data.")
        # Photographs are cut into patches of any size: those that the model takes.
        return data, self.glow.parameters["output_shape"][0] if data == "photographs" else None

    def require_fit(self, images: ImageData) -> None:
        """Check that the model takes such images.

        Raises:
          ValueError: if they are of another shape or have fewer bits.
        """
        shape = tuple(self.glow.parameters["output_shape"])
        if tuple(images.image_shape) != shape:
            raise ValueError(f"{images.name} has images of shape {list(images.image_shape)}; the "
                             f"model takes {list(shape)}.")
        if images.n_bits < self.n_bits:
            raise ValueError(f"{images.name} has {images.n_bits} bits; the model was trained on "
                             f"{self.n_bits}.")


def load_trained(path: str | os.PathLike[str], n_bits: int | None = None) -> Trained:
    """The model of a run's folder, as of its last checkpoint, or of a model file.

    Args:
      path: the folder (or the checkpoint in it) or file.
      n_bits: for a model file, the bits of what the model was trained on; by default 8. A run's
        folder says it itself.

    Raises:
      OSError: if there is no readable file.
      ValueError: if it is not a run's folder or a model file, or n_bits is not the run's.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"There is no model {place}. Give the folder of a training run, or "
                                "a model file.")
    if place == RunFolder(place.parent).checkpoint:
        place = place.parent
    if not place.is_dir():
        bits = 8 if n_bits is None else n_bits
        return Trained(load(place), bits, 2**bits - 1)
    folder = RunFolder(place)
    if not folder.checkpoint.exists():
        raise ValueError(f"{place} holds no {folder.checkpoint.name}; it is not the folder of a "
                         "training run. Give the --out of refglow train, or a model file.")
    checkpoint, settings = load_run(folder)
    images = checkpoint.settings["images"]
    if n_bits not in (None, images["n_bits"]):
        raise ValueError(f"{place} was trained on levels of {images['n_bits']} bits; "
                         f"got n_bits = {n_bits}.")
    glow = build_glow(settings, _image_shape(checkpoint))
    with naming(folder.checkpoint):
        glow.load_state_dict({**checkpoint.model, **checkpoint.average})
    return Trained(glow, images["n_bits"], images["max_level"], settings, checkpoint.step)


def load_run(folder: RunFolder) -> tuple[Checkpoint, Settings]:
    """A run's last checkpoint and its settings.

    The file may be a stranger's: before anything is built, the arrays that its settings would take
    are compared with those in it.

    Raises:
      OSError: if there is no readable file.
      ValueError: if it is not a whole checkpoint of a training run.
    """
    checkpoint = load_checkpoint(folder.checkpoint)
    with naming(folder.checkpoint):
        entry = checkpoint.settings
        if not _is_described(entry):
            raise ValueError("it does not describe a training run of refglow train.")
        settings = Settings.from_dict(entry["settings"])
        _check_arrays(settings, _image_shape(checkpoint), checkpoint.model)
    return checkpoint, settings


def _image_shape(checkpoint: Checkpoint) -> tuple[int, int, int]:
    height, width, channels = checkpoint.settings["images"]["image_shape"]
    return height, width, channels


def _is_described(entry: Mapping[str, Any]) -> bool:
    """Whether there are settings, and what must be known of the images is possible."""
    settings, images = entry.get("settings"), entry.get("images")
    if not isinstance(settings, dict) or not isinstance(images, dict):
        return False
    sizes, n_bits, max_level = (images.get(key) for key in ("image_shape", "n_bits", "max_level"))
    return (isinstance(sizes, list) and len(sizes) == 3
            and all(type(size) is int and 1 <= size < 2**15 for size in sizes)
            and type(n_bits) is int and 1 <= n_bits <= 16
            and type(max_level) is int and 1 <= max_level < 2**n_bits)


def _check_arrays(settings: Settings, image_shape: tuple[int, int, int],
                  found: Mapping[str, Array]) -> None:
    """Raise ValueError unless the arrays are those of such a model."""
    expected: dict[str, ArrayKind] = {}
    for name, kind in arrays_of(settings, image_shape):
        expected[name] = kind
        if len(expected) > 2 * len(found) + 1000:  # so many that to name them would help nobody
            raise ValueError(f"its settings declare more than {len(expected) - 1} arrays; it holds "
                             f"{len(found)}.")
    require_kinds(expected, kinds_of(found), "its arrays are not those of its settings")
