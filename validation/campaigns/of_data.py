"""A data set's bits/dim in shards: the same number, to the last bit, as on one machine.

An image's log p does not depend on the batch it is in (`refglow.backend`), its noise only on the
seed and its number, and the sums are exact (`refglow.training.bits_per_dim`). What could still
differ is the arithmetic of machines: a processor of another kind may take other instructions. So
each result says what computed it, and the report names all.
"""

from __future__ import annotations

import functools
import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from refglow.json_text import with_finite_numbers
from refglow.training.bits_per_dim import MeanBitsPerDim, measured_bits_per_dim
from refglow.training.data import absolute_source, open_data
from refglow.training.image_data import ImageData
from refglow.training.run_folder import RunFolder
from refglow.training.trained import Trained, load_trained
from refglow.validation.campaigns.campaign import Json
from refglow.validation.strangers.files import sha256_of


@dataclass(frozen=True)
class BitsPerDimCampaign:
    """A model and a data set, which each worker opens itself.

    Attributes:
      model: absolute path of a training run's folder, or of a model file.
      digest: of the model's file, so that all workers evaluate one model.
      n_bits: the bits the model was trained on.
      data: the images, as for `open_data`, with an absolute path.
      image_size: as for `open_data`.
      part: test or train.
      images: how many, from the first.
      image_kind: [H, W, C, bits] of the data.
      seed: of the dequantization noise.
      shard, batch_size: images in an item, and evaluated at a time; the bits/dim do not depend on
        them.
    """

    model: str
    digest: str
    n_bits: int
    data: str
    image_size: int | None
    part: str
    images: int
    image_kind: list[int]
    seed: int
    shard: int
    batch_size: int
    items: ClassVar[str] = "shards"

    def __len__(self) -> int:
        """The number of shards."""
        return -(-self.images // self.shard)

    def require_possible(self) -> None:
        """Open the model and the data.

        Raises:
          OSError, ValueError, ImportError: if that cannot be.
        """
        assert self._opened

    def run(self, index: int) -> Json:
        """The exact sums of one shard."""
        trained, images = self._opened
        first = index * self.shard
        part = images.subset(np.arange(first, min(first + self.shard, self.images)))
        found = measured_bits_per_dim(trained.glow, part.batches(self.batch_size), part.n_bits,
                                      trained.n_bits, self.seed, first)
        return {"images": found.count, "not_finite": found.not_finite, "lost": str(found.lost),
                "total": _plain(found.total), "squares": _plain(found.squares),
                "computed_on": arithmetic()}

    def report(self, results: Mapping[int, Json]) -> Json:
        """The mean and its standard error; of the images that could be read, if not all could."""
        whole = MeanBitsPerDim()
        for result in results.values():
            whole.include(MeanBitsPerDim(result["images"], result["not_finite"],
                                         Fraction(*result["total"]), Fraction(*result["squares"]),
                                         float(result["lost"])))
        complete = whole.count == self.images
        numbers = {"bits_per_dim": whole.mean, "standard_error": whole.standard_error}
        return {**with_finite_numbers(numbers),
                "images": whole.count, "not_finite": whole.not_finite, "complete": complete,
                "computed_on": sorted({result["computed_on"] for result in results.values()}),
                "passed": complete}

    @functools.cached_property
    def _opened(self) -> tuple[Trained, ImageData]:
        """The model and the images, if they are still what they were when the campaign began."""
        if digest_of(self.model) != self.digest:
            raise ValueError(f"{self.model} has changed since the campaign began.")
        trained = load_trained(self.model, self.n_bits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # said when the campaign began
            images = open_data(self.data, image_size=self.image_size)[self.part == "test"]
        if len(images) < self.images or [*images.image_shape, images.n_bits] != self.image_kind:
            raise ValueError(f"{self.data} has changed since the campaign began: {images}.")
        return trained, images


def campaign_over(model: Path, data: str | None, part: str, most: int | None,
                  n_bits: int | None, *, seed: int, shard: int,
                  batch_size: int) -> BitsPerDimCampaign:
    """The campaign over (the first) images of a data set.

    Args:
      model: a training run's folder, or a model file.
      data: as for `open_data`; None: what the run was trained on.
      part: test or train.
      most: at most so many images; None: all.
      n_bits: for a model file; None: 8.
      seed, shard, batch_size: see `BitsPerDimCampaign`.

    Raises:
      OSError, ValueError, ImportError: if the model or the data cannot be opened, or do not fit.
    """
    digest = digest_of(str(model))
    trained = load_trained(model, n_bits)
    source, image_size = trained.source(data)
    images = open_data(source, image_size=image_size)[part == "test"]
    trained.require_fit(images)
    count = len(images) if most is None else min(most, len(images))
    if not count:
        raise ValueError(f"{images.name} has no images in this part.")
    return BitsPerDimCampaign(
        os.path.abspath(model), digest, trained.n_bits, absolute_source(source),
        image_size, part, count, [*images.image_shape, images.n_bits], seed,
        shard, batch_size)


def digest_of(model: str) -> str:
    """SHA-256 of a model's file, or of the checkpoint in a run's folder.

    Raises:
      OSError: if it cannot be read.
    """
    path = Path(model)
    return sha256_of(RunFolder(path).checkpoint if path.is_dir() else path)


def arithmetic() -> str:
    """What decides the last bits of results here: the processor's kind, NumPy and Numba."""
    import numba
    from llvmlite import binding

    return (f"{platform.machine()} {binding.get_host_cpu_name()}, NumPy {np.__version__}, "
            f"Numba {numba.__version__}")


def _plain(number: Fraction) -> list[Any]:
    return [number.numerator, number.denominator]
