"""Which images, and which noise, each step of a run sees.

Both are functions of the run's seed and the step's number alone: nothing is carried from step to
step, so a run that goes on from a checkpoint sees what it would have seen.

    epoch e visits the images in a random order of its own; step t takes the places
    t B, ..., t B + B - 1 of the endless row of epochs.

Noise for training, for the ActNorms' start and for the test images comes from separate streams.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from refglow.dtypes import Array
from refglow.training.dequantize import dequantize
from refglow.training.image_data import ImageData
from refglow.training.settings import Settings

_ORDER, _NOISE, _START, _TEST = range(4)  # streams of random numbers


class Batches:
    """The batches of a run.

    Attributes:
      n_bits: of the levels that are modelled.
      checksum: CRC-32 of the levels of the images that set the ActNorms' start, by which other
        images of the same shape and number are told apart.
    """

    def __init__(self, settings: Settings, train: ImageData, test: ImageData) -> None:
        """Take the images.

        Raises:
          ValueError: if there are none, or n_bits is more than they have.
        """
        if not len(train):
            raise ValueError(f"{train.name} holds no images to train on.")
        if settings.n_bits is not None and settings.n_bits > train.n_bits:
            raise ValueError(f"n_bits = {settings.n_bits}, but the images of {train.name} have "
                             f"{train.n_bits} bits.")
        self._settings, self._train, self._test = settings, train, test
        self.n_bits = settings.n_bits or train.n_bits
        self._order: tuple[int, Array] = (-1, np.empty(0, np.intp))
        self.checksum = zlib.crc32(self._first().tobytes())

    def training(self, step: int) -> Array:
        """The images of step `step` (0 is the first), dequantized: [B, H, W, C]."""
        size, total = self._settings.batch_size, len(self._train)
        places = range(step * size, (step + 1) * size)
        indices = [int(self._epoch(place // total)[place % total]) for place in places]
        return self._dequantized(self._train.batch(indices), _NOISE, step)

    def initial(self) -> Array:
        """The images that set the ActNorms' start: the first of the first epoch."""
        return self._dequantized(self._first(), _START, 0)

    def testing(self, most: int | None = None) -> Iterator[Array]:
        """The test images (the first `most`), batch by batch, always with the same noise."""
        count = len(self._test) if most is None else min(most, len(self._test))
        images = self._test.subset(np.arange(count))
        for k, levels in enumerate(images.batches(self._settings.batch_size)):
            yield self._dequantized(levels, _TEST, k)

    def _first(self) -> Array:
        return self._train.batch(self._epoch(0)[:self._settings.initial_batch_size])

    def _epoch(self, epoch: int) -> Array:
        if self._order[0] != epoch:
            rng = np.random.default_rng([self._settings.seed, _ORDER, epoch])
            self._order = epoch, rng.permutation(len(self._train))
        return self._order[1]

    def _dequantized(self, levels: Array, stream: int, number: int) -> Array:
        rng = np.random.default_rng([self._settings.seed, stream, number])
        return dequantize(levels, self._train.n_bits, self.n_bits, rng, self._settings.dtype)
