"""An implementation of which only results are there: each call is answered from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refglow.dtypes import Array
from refglow.validation.implementations.calls import NotAnsweredError
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.offerings import OFFERINGS, RESULTS
from refglow.validation.implementations.reference import Reference
from refglow.validation.model_folder.layer_order import computed_order
from refglow.validation.model_folder.manifest import ROUND_TRIP


class FolderCalls:
    """The results of a program in one number type."""

    def __init__(self, arrays: Mapping[str, Array], reference: Reference) -> None:
        """Hold them.

        Args:
          arrays: by name, as in the manifest; of one number type.
          reference: the model, at the images and latents that the program was given.
        """
        self._arrays, self._order = arrays, computed_order(reference, arrays)
        self._inputs = {"x": reference.x, "z": reference.z}

    def offered(self) -> tuple[str, ...]:
        """The names of what there are results of."""
        return tuple(name for name in OFFERINGS
                     if any(_belongs(array, name) for array in self._arrays))

    def call(self, name: str, argument: Array) -> Found:
        """What the program gave for this argument.

        Raises:
          NotAnsweredError: if it is neither what the program was given nor its own latents.
        """
        if _equal(argument, self._inputs[OFFERINGS[name]]):
            return self._found({array: value for array, value in self._arrays.items()
                                if _belongs(array, name)})
        again = f"{ROUND_TRIP}{name}"
        own = self._arrays.get("inverse")
        if own is None or not _equal(argument, own) or again not in self._arrays:
            what = again if OFFERINGS[name] == "z" else f"{name} at other images"
            raise NotAnsweredError(f"{what} is not among the results")
        return self._found({name: self._arrays[again]})

    def _found(self, arrays: dict[str, Array]) -> Found:
        given = {array.split("/")[1] for array in arrays if array.startswith("layers/")}
        return Found(arrays, {name: array.dtype.name for name, array in arrays.items()},
                     tuple(name for name in self._order if name in given), by_name=True)


def _belongs(array: str, offering: str) -> bool:
    """Whether an array is what a function gives, or a part of it."""
    return array == offering if offering in RESULTS else array.startswith(f"{offering}/")


def _equal(one: Array, other: Array) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))
