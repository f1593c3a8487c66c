"""A stranger's implementation on random architectures: which agree, and what explains the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.validation.campaigns.campaign import Json
from refglow.validation.campaigns.grouping import groups_of
from refglow.validation.diagnosis.of_conformance import diagnosis_of, to_diagnose
from refglow.validation.diagnosis.words import as_dict
from refglow.validation.implementations.apart import conformance_apart
from refglow.validation.implementations.calls import CallFailedError
from refglow.validation.implementations.conformance import Conformance
from refglow.validation.implementations.model import (
    architecture_of,
    images_for,
    parameters_of,
)
from refglow.validation.implementations.process import ProcessCalls
from refglow.validation.implementations.references import references
from refglow.validation.implementations.source import Source, source_of
from refglow.validation.live import random_glow
from refglow.validation.random_models import random_architecture
from refglow.validation.strangers.files import sha256_of

_MOST_WRONG = 8  # names of results that differ, for each number type


@dataclass(frozen=True)
class ImplementationCampaign:
    """An implementation, each time in a process of its own, held against the specification.

    Attributes:
      implementation: FILE.py:NAME or module:NAME; files by their absolute path.
      digest: of the file, so that a campaign does not go on with another; "" for a module.
      architectures: how many; the k-th depends on `seed` and k alone.
      seed: of architectures, weights and images.
      images: how many for each.
      dtypes: float64, float32 or both.
      time_limit: seconds for importing, building and each call.
      diagnosis_seconds: how long what explains an architecture's differences is looked for; 0: not.
        The one thing that depends on how fast a worker is: where the time is over, the diagnosis
        says so.
    """

    implementation: str
    digest: str
    architectures: int
    seed: int
    images: int
    dtypes: list[str]
    time_limit: float
    diagnosis_seconds: float
    items: ClassVar[str] = "architectures"

    def __len__(self) -> int:
        """The number of architectures."""
        return self.architectures

    def require_possible(self) -> None:
        """Import it once.

        Raises:
          ValueError: if there is no such file or name.
        """
        glow = self.model(0)
        with (ProcessCalls(self._source(), architecture_of(glow), parameters_of(glow),
                           self.time_limit) as calls,
              contextlib.suppress(CallFailedError)):  # which every architecture will show
            calls.offered()

    def model(self, index: int) -> Glow:
        """The random model of one item, float64."""
        return self._drawn(index)[1]

    def rerun(self, model: Path) -> list[str]:
        """The command that compares one architecture alone.

        Args:
          model: the file with its model.
        """
        return ["refglow", "validate", "--implementation", self.implementation, "--model",
                str(model), "--seed", str(self.seed), "--images", str(self.images),
                "--time-limit", f"{self.time_limit:g}", "--dtype",
                self.dtypes[0] if len(self.dtypes) == 1 else "both"]

    def run(self, index: int) -> Json:
        """Compare on one architecture; if something differs, look for what explains it."""
        arguments, glow = self._drawn(index)
        images = images_for(glow, self.images, self.seed)
        found = [conformance_apart(reference, glow, self._source(), self.time_limit)
                 for reference in references(glow, images, self.dtypes)]
        wrong = {one.dtype: [f"{row.bijector}: {row.prop}" for row in one.rows
                             if not row.passed][:_MOST_WRONG] for one in found}
        return {"arguments": {name: list(value) if isinstance(value, tuple) else value
                              for name, value in arguments.items()},
                "parameters": sum(array.size for array in parameters_of(glow).values()),
                "passed": all(one.passed for one in found),
                "compared": sum(len(one.rows) for one in found),
                "wrong": {dtype: names for dtype, names in wrong.items() if names},
                "failed": [call.as_dict() for one in found for call in one.failed],
                "diagnosis": self._diagnosed(found)}

    def report(self, results: Mapping[int, Json]) -> Json:
        """How many agree; the others by what explains them, and the smallest of them."""
        wrong = [index for index, result in results.items() if not result["passed"]]
        smallest = min(wrong, key=lambda index: (results[index]["parameters"], index),
                       default=None)
        return {"agree": len(results) - len(wrong), "differ": wrong,
                "compared": sum(result["compared"] for result in results.values()),
                "groups": groups_of(results), "smallest": smallest,
                "smallest_arguments": None if smallest is None else results[smallest]["arguments"],
                "passed": not wrong}

    def _source(self) -> Source:
        """Where it is.

        Raises:
          ValueError: if it is no longer what it was when the campaign began.
        """
        source = source_of(self.implementation)
        if digest_of(source) != self.digest:
            raise ValueError(f"{source.place} has changed since the campaign began.")
        return source

    def _drawn(self, index: int) -> tuple[dict[str, Any], Glow]:
        rng = np.random.default_rng([self.seed, index])
        arguments = random_architecture(rng)
        return arguments, random_glow(arguments, rng, np.float64)

    def _diagnosed(self, found: list[Conformance]) -> Json | None:
        differing = to_diagnose(found)
        if differing is None or not self.diagnosis_seconds:
            return None
        return dict(as_dict(diagnosis_of(differing, self.diagnosis_seconds)))


def digest_of(source: Source) -> str:
    """SHA-256 of an implementation's file; "" for a module."""
    return sha256_of(Path(source.place)) if source.is_file else ""


def absolute(implementation: str) -> str:
    """FILE.py:NAME with the file's absolute path, for other processes and machines.

    Raises:
      ValueError: if it names no implementation.
    """
    source = source_of(implementation)
    return f"{source.place}:{source.name}"
