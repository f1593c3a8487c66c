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
        "temperature".
      others: other explanations that give the same numbers for these data.
      error_before, error_after: the largest relative error, as it is and with the explanation.
      explained: how many places the explanation was tried on, all of which agree with it.
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

    @property
    def is_explained(self) -> bool:
        """Whether something reproduces it."""
        return bool(self.explanation)


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
        """All explanations as one."""
        return {question: answer for finding in self.findings
                for question, answer in finding.explanation.items()}
