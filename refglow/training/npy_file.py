"""Images in one .npy file, memory-mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from refglow.dtypes import Array
from refglow.regular_file import require_regular
from refglow.training.image_data import ArrayImages, ImageData


def open_npy(path: Path) -> tuple[ImageData, ImageData]:
    """Images in a .npy file, split into (training, test): the last tenth is for testing.

    Args:
      path: a file with uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3], N at least 2. Of N images
        the last max(1, floor(N / 10)) are for testing.

    Raises:
      OSError: if the file cannot be read.
      ValueError: if it is not a whole .npy file or holds something else; says what.
    """
    array = _mapped(path)
    images = array[..., np.newaxis] if array.ndim == 3 else array
    if (array.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3)
            or 0 in images.shape[1:]):
        raise ValueError(f"{path} must hold uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]; it "
                         f"holds {array.dtype} {list(array.shape)}.")
    if len(images) < 2:
        raise ValueError(f"{path} holds {len(images)} image(s); at least 2 are needed, one to "
                         "train on and one to test with.")
    num_train = len(images) - max(1, len(images) // 10)
    return (ArrayImages(f"{path.name} (training)", images[:num_train], n_bits=8),
            ArrayImages(f"{path.name} (test)", images[num_train:], n_bits=8))


def _mapped(path: Path) -> Array:
    """The file's array, of which nothing is read yet; pickled objects are refused unread."""
    require_regular(path)
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # a header from a stranger: whatever NumPy makes of it
        raise ValueError(f"{path} is not a whole .npy file of plain numbers: {error}") from error
