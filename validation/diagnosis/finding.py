"""What a diagnosis says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refglow.validation.dialects.dialect import Dialect


@dataclass(frozen=True)
class Finding:
    """One difference, and what explains it.

    Attributes:
      subject: what differs: "coupling", "latents", "inverse_log_det", "gradients", ...
      where: the first place that differs.
      explanation: {question: answer} with which refglow gives the same numbers; empty if nothing
        that was tried does. Questions are those of a dialect, and "precision", "gradient",
        "temperature", "memory".
      others: other explanations that give the same numbers for these data.
      error_before, error_after: the largest relative error, as it is and with the explanation.
      explained: how many places the explanation was tried on, all of which agree with it.
      only: the names of the places that differ, where others of their kind agree: the explanation
        holds there alone. Empty if it holds at all of them.
      out_of: how many places of the kind there are, where `only` names some.
      of_seen_values: whether the values from which it comes were seen: a log-det or density alone
        does not tell what layers compute, and their conventions are not tried on it.
    """

    subject: str
    where: str
    explanation: Mapping[str, str]
    others: tuple[Mapping[str, str], ...] = ()
    error_before: float = float("nan")
    error_after: float = float("nan")
    explained: int = 1
    of_seen_values: bool = True
    only: tuple[str, ...] = ()
    out_of: int = 0

    @property
    def is_explained(self) -> bool:
        """Whether something reproduces it."""
        return bool(self.explanation)

    @property
    def is_convention(self) -> bool:
        """Whether something reproduces it that holds at all places of its kind."""
        return self.is_explained and not self.only


@dataclass(frozen=True)
class Diagnosis:
    """All differences, in the order in which they arise from the image to the density.

    Attributes:
      findings: none if everything that was offered agrees.
      dialect: the conventions under which what is explained agrees.
      compared: what was looked at.
      complete: whether everything was tried; if not, the time was over.
    """

    findings: tuple[Finding, ...]
    dialect: Dialect
    compared: tuple[str, ...]
    complete: bool = True

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return not self.findings

    @property
    def answers(self) -> dict[str, str]:
        """All explanations that hold at all places of their kind, as one."""
        return {question: answer for finding in self.findings if finding.is_convention
                for question, answer in finding.explanation.items()}
