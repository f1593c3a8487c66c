"""What was compared, a line for each thing, as in the terminal's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refglow.validation.implementations import Conformance
from refglow.validation.implementations.report import LABELS, label_of
from refglow.validation.report.figures import Digits, Figures
from refglow.validation.row import Row, worst_first


@dataclass(frozen=True)
class Group:
    """One thing that was compared, in one number type.

    Attributes:
      label: what it is, in words.
      arrays: how many arrays were compared.
      wrong: how many of them differ.
      failed: how many calls or results could not be compared.
      worst: the array with the largest share of its tolerance; None if there is no array.
      which: the name of that array.
      digits: of that array.
    """

    label: str
    arrays: int
    wrong: int
    failed: int
    worst: Figures | None
    which: str
    digits: Digits | None

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong and not self.failed

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"label": self.label, "arrays": self.arrays, "wrong": self.wrong,
                "failed": self.failed, "passed": self.passed, "which": self.which,
                "worst": None if self.worst is None else self.worst.as_dict(),
                "digits": None if self.digits is None else self.digits.as_dict()}


def groups_of(found: Conformance) -> tuple[Group, ...]:
    """The groups of one number type."""
    rows: dict[str, list[Row]] = {}
    failed: dict[str, int] = {}
    for row in found.rows:
        rows.setdefault(label_of(row), []).append(row)
    for call in found.failed:
        label = LABELS.get(call.offering, call.offering)
        failed[label] = failed.get(label, 0) + 1
    return tuple(_group(label, rows.get(label, []), failed.get(label, 0))
                 for label in dict.fromkeys([*rows, *failed]))


def _group(label: str, rows: list[Row], failed: int) -> Group:
    wrong = sum(not row.passed for row in rows)
    if not rows:
        return Group(label, 0, 0, failed, None, "", None)
    worst = max(rows, key=worst_first)
    return Group(label, len(rows), wrong, failed, Figures.of(worst), worst.prop, Digits.of(worst))
