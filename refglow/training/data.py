"""Image data sets by name or place: the one way in."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from refglow.training.bundled import open_digits, open_photographs
from refglow.training.cifar10 import open_cifar10
from refglow.training.image_data import ArrayImages, ImageData
from refglow.training.image_folder import open_image_folder
from refglow.training.npy_file import open_npy

__all__ = ["ArrayImages", "ImageData", "absolute_source", "open_data"]

_POSSIBLE = ("digits, photographs, cifar10:FOLDER (its official binary version), a folder of PNG "
             "or JPEG images, or a .npy file")
_CIFAR10 = "cifar10:"


def open_data(source: str | os.PathLike[str], *,
              image_size: int | None = None) -> tuple[ImageData, ImageData]:
    """The images that `source` means, split into (training, test).

    Args:
      source: "digits" (`bundled.open_digits`), "photographs" (`bundled.open_photographs`),
        "cifar10:FOLDER" (`cifar10.open_cifar10`), a folder (`image_folder.open_image_folder`) or a
        .npy file (`npy_file.open_npy`), where each says what it takes and how it is split. A
        folder that is itself called digits is "./digits".
      image_size: side in pixels of the photographs' patches (None: 32); no other source takes it.

    Raises:
      FileNotFoundError: if a file or folder is missing.
      ImportError: if a package is missing; says how to install it.
      OSError: if a file cannot be read.
      ValueError: if the source is unknown (lists what is possible), or holds what cannot be used
        (says what).
    """
    text = os.path.expanduser(os.fspath(source))
    if text == "photographs":
        return open_photographs(32 if image_size is None else image_size)
    if image_size is not None:
        raise ValueError(f"image_size = {image_size} is for \"photographs\" only; {text!r} has "
                         "images of its own size. Leave it out.")
    if text == "digits":
        return open_digits()
    if text.startswith(_CIFAR10):
        return open_cifar10(Path(text.removeprefix(_CIFAR10)).expanduser())
    path = Path(text)
    if text and path.is_dir():
        return open_image_folder(path)
    if path.suffix.lower() == ".npy" and path.exists():
        return open_npy(path)
    if text and path.exists():
        raise ValueError(f"{text!r} is a file, but not a .npy file. Data can be {_POSSIBLE}.")
    if path.suffix or path.name != text:  # it was meant as a path
        raise FileNotFoundError(errno.ENOENT, "There is no such file or folder of images", text)
    raise ValueError(f"There is no data set or folder called {text!r}. Data can be {_POSSIBLE}.")


def absolute_source(source: str) -> str:
    """The source with its path made absolute, for another working folder or another process."""
    prefix, path = (_CIFAR10, source.removeprefix(_CIFAR10)) if source.startswith(_CIFAR10) else (
        "", source)
    if not path or path in ("digits", "photographs"):
        return source
    absolute = os.path.abspath(os.path.expanduser(path))
    return f"{prefix}{absolute}" if os.path.exists(absolute) else source
