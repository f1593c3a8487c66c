"""A checkpoint's arrays by name, of which each is read or accounted for.

Names differ by what wrapped the model (DataParallel's "module.", a trainer's "graph."): the part
before a name that must be there is taken off all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.networks import NetworkConventions, network_output
from refglow.validation.strangers.text import shown


class Checkpoint:
    """Arrays by name; remembers which were taken."""

    def __init__(self, arrays: Mapping[str, Any], anchor: str, project: str) -> None:
        """Find the model among the arrays.

        Args:
          arrays: by name.
          anchor: a pattern of a name that a model of the project has; what stands before it in the
            first match is taken off all names, and names without it are left out.
          project: for messages.

        Raises:
          ValueError: if no name matches.
        """
        found = [match for name in arrays if (match := re.fullmatch(f"(.*?){anchor}", name))]
        if not found:
            names = ", ".join(repr(shown(name)) for name in sorted(arrays)[:5])
            raise ValueError(f"These {len(arrays)} arrays are not those of {project}: none is "
                             f"called like {anchor}. Their names begin: {names}.")
        prefix = found[0][1]
        self._project = project
        self._arrays = {name.removeprefix(prefix): array for name, array in arrays.items()
                        if name.startswith(prefix)}
        self._taken: set[str] = set()

    def names(self) -> list[str]:
        """The names, without what stands before."""
        return list(self._arrays)

    def has(self, name: str) -> bool:
        """Whether there is such an array."""
        return name in self._arrays

    def take(self, name: str, *shape: int | None) -> Array:
        """An array.

        Args:
          name: which.
          shape: what its shape must be, None for any size; not looked at if not given.

        Raises:
          ValueError: if there is none, or it has another shape or holds something else than
            float32 or float64.
        """
        if name not in self._arrays:
            raise ValueError(f"The checkpoint of {self._project} has no array {name!r}.")
        array = np.array(self._arrays[name])
        if array.dtype not in (np.float32, np.float64):
            raise ValueError(f"{name!r} holds {array.dtype}, not float32 or float64.")
        if shape and (len(shape) != array.ndim or any(
                want not in (None, have) for want, have in zip(shape, array.shape, strict=True))):
            wanted = [size if size is not None else "any" for size in shape]
            raise ValueError(f"{name!r} has the shape {list(array.shape)}; expected {wanted}.")
        self._taken.add(name)
        return array

    def flag(self, name: str) -> bool:
        """A single number as a truth value."""
        self._taken.add(name)
        return bool(np.asarray(self._arrays[name]).any())

    def integers(self, name: str, count: int) -> Array:
        """A permutation of 0, ..., count - 1.

        Raises:
          ValueError: if it is none.
        """
        array = np.asarray(self._arrays[name])
        if array.dtype.kind != "i" or not np.array_equal(np.sort(array), np.arange(count)):
            raise ValueError(f"{name!r} is not a permutation of 0, ..., {count - 1}.")
        self._taken.add(name)
        return array

    def channels(self, name: str) -> Array:
        """An array of one number for each channel, such as [1, C, 1, 1], as [C]."""
        array = self.take(name)
        if array.size != max(array.shape, default=1):
            raise ValueError(f"{name!r} has the shape {list(array.shape)}; expected one number for "
                             "each channel.")
        return array.ravel()

    def kernel(self, name: str) -> Array:
        """PyTorch's [out, in, kh, kw] as [kh, kw, in, out]."""
        return np.ascontiguousarray(self.take(name, None, None, None, None).transpose(2, 3, 1, 0))

    def require_all_taken(self, but: Sequence[str]) -> None:
        """Refuse arrays that nothing was made of.

        Args:
          but: patterns of names that do not belong to the map.

        Raises:
          NotRepresentableError: names the first few.
        """
        left = [name for name in self._arrays if name not in self._taken
                and not any(re.search(pattern, name) for pattern in but)]
        if left:
            names = ", ".join(repr(shown(name)) for name in left[:5])
            raise NotRepresentableError.at(
                f"{len(left)} arrays, {names},", f"they are no part of {self._project} as it is "
                "known here.")


def require_shape(image_shape: Sequence[int], channels: int) -> tuple[int, int, int]:
    """`image_shape` as (H, W, C).

    Raises:
      ValueError: if it is not three positive sizes with that number of channels.
    """
    sizes = tuple(int(size) for size in image_shape)
    if len(sizes) != 3 or min(sizes) < 1 or sizes[2] != channels:
        raise ValueError(f"image_shape is (H, W, {channels}) for this checkpoint; got {sizes}.")
    return sizes[0], sizes[1], sizes[2]


def top_of(layer: Mapping[str, Array], conventions: NetworkConventions, size: tuple[int, int],
           inputs: int) -> dict[str, Array]:
    """The coarsest latents' mean and log-scale: [mean, log-scale] = a convolution of zeros.

    Args:
      layer: its arrays by role.
      conventions: how they are used; a padding with ones makes borders differ.
      size: (h, w) of the coarsest latents.
      inputs: how many channels of zeros it sees.
    """
    zeros = np.zeros((1, *size, inputs), layer["kernel"].dtype)
    output = network_output(zeros, [layer], conventions)[0]
    half = output.shape[-1] // 2
    return {"mean": output[..., :half].copy(), "log_scale": output[..., half:].copy()}
