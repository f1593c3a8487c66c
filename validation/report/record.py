"""A report: all that a comparison found, in plain records. JSON, HTML and JUnit are made from it.

`refglow validate` makes four kinds:

    implementation    yours against refglow, array by array and layer by layer
    golden files      refglow against TFP's results
    live              refglow against the installed TFP
    results           a program's results for golden vectors

Of the fields for what was found, each kind fills its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from refglow.validation.implementations import Conformance
from refglow.validation.report.arrays import ArrayReport
from refglow.validation.report.groups import Group
from refglow.validation.report.layers import LayerReport
from refglow.validation.report.summary import Summary
from refglow.validation.row import Row
from refglow.validation.vectors.judging import Judged

FORMAT, VERSION = "refglow report", 1
IMPLEMENTATION, GOLDEN, LIVE, RESULTS = "implementation", "golden files", "live", "results"

Setting: TypeAlias = str | int | float | None


@dataclass(frozen=True)
class TypeReport:
    """What was found of an implementation in one number type.

    Attributes:
      found: the comparison.
      groups: what was compared, a line for each thing.
      layers: each layer, from image to latent; none if none were given.
      arrays: those whose numbers have a place in the image.
    """

    found: Conformance
    groups: tuple[Group, ...]
    layers: tuple[LayerReport, ...]
    arrays: tuple[ArrayReport, ...]

    @property
    def dtype(self) -> str:
        """float32 or float64."""
        return self.found.dtype

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self.found.as_dict() | {
            "compared": [group.as_dict() for group in self.groups],
            "layers": [layer.as_dict() for layer in self.layers],
            "arrays": [array.as_dict() for array in self.arrays]}


@dataclass(frozen=True)
class Report:
    """All that one comparison found.

    Attributes:
      kind: which of the four.
      against: what was held to be true.
      passed: whether everything agrees.
      seconds: that it took.
      summary: what to read first.
      made_with: versions by name, and "at": the time, UTC.
      settings: what was compared, and how, by the names of the command's options.
      types: of an implementation, by number type.
      diagnosis: of an implementation that differs: `diagnosis.words.as_dict`, and "dtype".
      sections: of golden files and live: rows by title.
      float32_error_ratio: of live: refglow's float32 errors over TFP's, by property.
      vectors: of results.
      suspects: of results: mistakes that only failed vectors catch, and how many of them do.
    """

    kind: str
    against: str
    passed: bool
    seconds: float
    summary: Summary
    made_with: Mapping[str, str]
    settings: Mapping[str, Setting] = field(default_factory=dict)
    types: tuple[TypeReport, ...] = ()
    diagnosis: Mapping[str, Any] | None = None
    sections: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    float32_error_ratio: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    vectors: tuple[Judged, ...] = ()
    suspects: Mapping[str, int] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """In a word; what fails though no number differs could not be compared."""
        if self.passed:
            return "Agrees"
        compares = self.kind in (GOLDEN, LIVE) or any(not row.passed for row in self.rows)
        return "Differs" if compares else "Fails"

    @property
    def rows(self) -> tuple[Row, ...]:
        """All comparisons."""
        return (*(row for one in self.types for row in one.found.rows),
                *(row for rows in self.sections.values() for row in rows),
                *(row for one in self.vectors for row in one.rows))

    def as_dict(self) -> dict[str, Any]:
        """For JSON, as report.schema.json says; numbers that are not finite are left as they are.

        `refglow.validation.report.json_file` writes it.
        """
        return {"format": FORMAT, "version": VERSION, "kind": self.kind, "against": self.against,
                "passed": self.passed, "seconds": self.seconds, "made_with": dict(self.made_with),
                "summary": self.summary.as_dict(), **self.settings, **self._found()}

    def _found(self) -> dict[str, Any]:
        if self.kind == IMPLEMENTATION:
            return {"conformance": {one.dtype: one.as_dict() for one in self.types},
                    "diagnosis": self.diagnosis}
        if self.kind == RESULTS:
            return {"vectors": {one.name: one.as_dict() for one in self.vectors},
                    "only_failed_vectors_catch": dict(self.suspects)}
        sections = {title: [row.as_dict() for row in rows]
                    for title, rows in self.sections.items()}
        ratios = {prop: list(values) for prop, values in self.float32_error_ratio.items()}
        return {"sections": sections} | (
            {"float32_error_ratio": ratios} if self.kind == LIVE else {})
