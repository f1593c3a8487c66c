"""What a diagnosis knows so far of an implementation's dialect."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.candidates import OF_STATISTICS, QUESTIONS
from refglow.validation.diagnosis.closeness import tolerance
from refglow.validation.diagnosis.finding import Finding
from refglow.validation.diagnosis.searching import Answers
from refglow.validation.dialects.actnorms import FROM_EVERY_BATCH
from refglow.validation.dialects.dialect import Dialect

_MOST_PARTS = 32  # of one number of answers


@dataclass
class Explained:
    """What is known so far of an implementation's dialect, kind by kind.

    Attributes:
      dialects: for each kind of layer the dialect that explains it (or TFP's where none does).
      dtype: the number type of the images.
      frame: the dialect's order of layers and which steps there are, which have no kind.
      findings: in the order in which they were made.
      there: by the names of layers, what explains these alone.
      eps_grown: how much coarser than its number type the implementation's roundings are known
        to be.
    """

    dialects: dict[str, Dialect]
    dtype: np.dtype[Any]
    frame: Dialect = field(default_factory=Dialect)
    findings: list[Finding] = field(default_factory=list)
    there: dict[str, Answers] = field(default_factory=dict)
    eps_grown: float = 1.0

    def with_nothing(self) -> Explained:
        """As if no convention differed; the roundings that are known stay known."""
        return Explained({kind: Dialect() for kind in self.dialects}, self.dtype,
                         eps_grown=self.eps_grown)

    def parts(self) -> Iterator[Explained]:
        """As if none, or some only, of the answers that are known were true."""
        known = tuple(self.known_answers())
        for count in (0, *range(len(known) - 1, 0, -1)) if known else ():
            for kept in itertools.islice(itertools.combinations(known, count), _MOST_PARTS):
                yield self._with_only(kept)

    def _with_only(self, kept: tuple[str, ...]) -> Explained:
        def of(dialect: Dialect) -> Dialect:
            return Dialect().but(**{question: answer for question, _, answer
                                    in Dialect().differences(dialect) if question in kept})
        some = self.with_nothing()
        for finding in self.findings:
            said = {q: a for q, a in finding.explanation.items() if q in kept}
            if said and finding.is_convention:
                some.findings.append(replace(finding, explanation=said))
        some.dialects = {kind: of(dialect) for kind, dialect in self.dialects.items()}
        some.frame = of(self.frame)
        return some

    def add(self, finding: Finding) -> None:
        """Keep a finding, unless all that it says was said of another layer already."""
        said = self.known_answers().items()
        if not finding.is_convention or not finding.explanation.items() <= said:
            self.findings.append(finding)

    @property
    def values_are_known(self) -> bool:
        """Whether every difference of values was explained, so that the rest can be judged."""
        return all(finding.is_convention for finding in self.findings
                   if finding.subject in (*QUESTIONS, "latents"))

    def number_type(self, seen: Array) -> np.dtype[Any]:
        """The coarser of the images' number type and that of a result."""
        return max(self.dtype, np.dtype(seen.dtype), key=lambda dtype: np.finfo(dtype).eps)

    def limit(self, seen: Array, layers: int, condition: float) -> float:
        """The largest relative error of a result that is rounding.

        Args:
          seen: the result.
          layers: how many layers round on the way to it.
          condition: its kappa.
        """
        return self.widened(tolerance(self.number_type(seen), layers, condition))

    def widened(self, limit: float) -> float:
        """A limit of errors for the roundings that the implementation is known to have."""
        return limit * self.eps_grown

    def with_answers(self, kinds: tuple[str, ...], answers: Answers) -> dict[str, Dialect]:
        """The dialects, with other answers for these kinds where the questions concern them."""
        statistics = OF_STATISTICS if answers.get("actnorm") == FROM_EVERY_BATCH else ()
        return self.dialects | {
            kind: self.dialects[kind].but(**{
                question: answer for question, answer in answers.items()
                if question in QUESTIONS[kind] or (kind == "actnorm" and question in statistics)})
            for kind in set(kinds)}

    def known_answers(self) -> Answers:
        """All answers found that hold at all places of their kind, to try first on the next."""
        return {question: answer for finding in self.findings if finding.is_convention
                for question, answer in finding.explanation.items()}
