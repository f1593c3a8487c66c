"""A folder of PNG or JPEG images, decoded when they are asked for."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array
from refglow.extras import from_extra
from refglow.training.decode import UnsupportedImageError, broken_because, decoded
from refglow.training.image_data import ImageData

SUFFIXES = (".png", ".jpg", ".jpeg")
_SHOWN = 5  # names in a message
_PATIENCE = 2.0  # seconds without a progress bar


def open_image_folder(folder: Path) -> tuple[ImageData, ImageData]:
    """The PNG and JPEG files of a folder, split into (training, test).

    If the folder has subfolders "train" and "test", they are the split, and nothing else in it is
    looked at. Otherwise the files directly in it are taken by sorted name in tens, and of each ten
    the first that can be read is for testing. Files are PNG or JPEG by name (.png, .jpg, .jpeg, in
    either case); others, and hidden ones, are left alone.

    All images must have one size. If all are grey there is one channel; otherwise there are three,
    and a grey image has its channel three times. What a file may hold: `decode.decoded`.

    Every file is decoded once when the folder is opened. One that is broken is named in a
    UserWarning and left out.

    Raises:
      ImportError: if Pillow is missing.
      OSError: if the folder cannot be read.
      ValueError: if there is no image to train on or none to test with, the sizes differ, or a
        file holds what cannot be used without changing it; names the files.
    """
    with from_extra("train", "Image folders"):
        import PIL  # noqa: F401
    halves = [folder / "train", folder / "test"]
    present = [half.name for half in halves if half.is_dir()]
    if len(present) == 1:
        raise ValueError(f"{folder} has a subfolder {present[0]!r}, but none called "
                         f"{({'train', 'test'} - set(present)).pop()!r}; make both or neither.")
    parts = [_image_files(place) for place in (halves if present else [folder])]
    found = _examined(folder, [path for part in parts for path in part])
    if present:
        train, test = ([path for path in part if path in found.shapes] for part in parts)
    else:
        tens = [parts[0][i:i + 10] for i in range(0, len(parts[0]), 10)]
        test = [next(path for path in ten if path in found.shapes)
                for ten in tens if not found.shapes.keys().isdisjoint(ten)]
        train = sorted(found.shapes.keys() - set(test))
    if not train or not test:
        raise ValueError(f"{folder} holds {len(train)} image(s) to train on and {len(test)} to "
                         "test with; at least one of each is needed.")
    shape = _common_shape(folder, found.shapes)
    return (_Files(f"{folder.name} (training)", train, shape),
            _Files(f"{folder.name} (test)", test, shape))


class _Files(ImageData):
    """Image files of one size."""

    def __init__(self, name: str, paths: Sequence[Path], shape: tuple[int, int, int]) -> None:
        super().__init__(name, shape, n_bits=8)
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def _read(self, indices: npt.NDArray[np.intp]) -> Array:
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        for image, index in zip(images, indices, strict=True):
            pixels = decoded(self._paths[index])
            if pixels.shape[:2] != image.shape[:2] or pixels.shape[2] > image.shape[2]:
                raise ValueError(f"{self._paths[index]} has changed since the folder was opened: "
                                 f"from {list(self.image_shape)} to {list(pixels.shape)}.")
            image[...] = pixels  # a grey one into each channel
        return images


def _image_files(folder: Path) -> list[Path]:
    """The folder's PNG and JPEG files by sorted name.

    Raises:
      ValueError: if there are none.
    """
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    images = sorted(path for path in entries
                    if path.suffix.lower() in SUFFIXES and path.is_file())
    if not images:
        others = f"; it holds {_some([path.name for path in sorted(entries)])}" if entries else ""
        hint = (f". Is it cifar10:{folder}?" if any("cifar" in path.name or path.suffix == ".bin"
                                                    for path in entries) else "")
        raise ValueError(f"There is no PNG or JPEG file in {folder}{others or ', it is empty'}"
                         f"{hint or '.'}")
    return images


@dataclass
class _Found:
    """What decoding every file showed."""

    shapes: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    unsupported: dict[Path, str] = field(default_factory=dict)
    broken: dict[Path, str] = field(default_factory=dict)


def _examined(folder: Path, paths: Sequence[Path]) -> _Found:
    """Decode every file; warn of broken ones, refuse unsupported ones."""
    found = _Found()
    for path in _tracked(paths, f"Checking the images in {folder.name}"):
        try:
            found.shapes[path] = decoded(path).shape
        except UnsupportedImageError as error:
            found.unsupported[path] = str(error)
        except Exception as error:  # Pillow raises many kinds on a damaged file
            found.broken[path] = broken_because(error)
    if found.unsupported:
        raise ValueError(f"{len(found.unsupported)} of {len(paths)} images in {folder} cannot be "
                         f"used as they are: {_named(folder, found.unsupported)}.")
    if found.broken:
        warnings.warn(f"{len(found.broken)} of {len(paths)} images in {folder} cannot be read and "
                      f"are left out: {_named(folder, found.broken, limit=None)}.", stacklevel=4)
    return found


def _common_shape(folder: Path, shapes: dict[Path, tuple[int, ...]]) -> tuple[int, int, int]:
    """(H, W, C) of images of one size.

    Raises:
      ValueError: if the sizes differ; names those that differ from the most common size.
    """
    sizes = Counter((height, width) for height, width, _ in shapes.values())
    (height, width), count = sizes.most_common(1)[0]
    others = {path: f"{shape[0]}x{shape[1]}" for path, shape in shapes.items()
              if shape[:2] != (height, width)}
    if others:
        raise ValueError(f"The images in {folder} must have one size. {count} are {height}x{width} "
                         f"pixels (height x width), {len(others)} are not: "
                         f"{_named(folder, others)}. Crop or scale them, or take them out.")
    return height, width, max(channels for _, _, channels in shapes.values())


def _named(folder: Path, reasons: dict[Path, str], limit: int | None = _SHOWN) -> str:
    return _some([f"{path.relative_to(folder)} ({reason})" for path, reason in reasons.items()],
                 limit)


def _some(names: list[str], limit: int | None = _SHOWN) -> str:
    more = 0 if limit is None else max(0, len(names) - limit)
    return ", ".join(names[:limit]) + (f" and {more} more" if more else "")


def _tracked(paths: Sequence[Path], description: str) -> Iterator[Path]:
    """The paths; if going through them takes long, with a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import Progress

    progress = Progress(console=Console(stderr=True), transient=True)
    task = progress.add_task(description, total=len(paths))
    began = time.monotonic()
    started = False
    try:
        for path in paths:
            if not started and time.monotonic() - began > _PATIENCE:
                progress.start()
                started = True
            yield path
            progress.advance(task)
    finally:
        if started:  # a bar that never started would still end a line
            progress.stop()
