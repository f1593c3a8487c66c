"""What the fast paths are to reach, as ratios within one run, and whether they did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from refglow.kernels.bench.machine import Ceilings
from refglow.kernels.bench.records import Measurement
from refglow.kernels.bench.report import shares

COPY_SHARE = 0.80  # squeeze, coupling and ActNorm: of the copy bandwidth
MEMORY_BOUND = ("squeeze", "unsqueeze", "coupling", "actnorm")


@dataclass(frozen=True)
class Verdict:
    """One target and what was measured.

    Attributes:
      what: is measured.
      value, unit: what was found, e.g. 2.7 and "x"; a unit of "%" means the value is a share.
      target: what was to be reached.
      at_least: whether the target is a lower limit; else an upper one.
      spread: quartiles of the value over the rounds; None if there is one value only.
    """

    what: str
    value: float
    unit: str
    target: float
    at_least: bool = True
    spread: tuple[float, float] | None = None

    @property
    def met(self) -> bool:
        """Whether the target is reached; a NaN never is."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    def as_dict(self) -> dict[str, Any]:
        """For JSON, the verdict included."""
        found = asdict(self) | {"met": self.met}
        return found | {"spread": list(self.spread) if self.spread else None}

    def __str__(self) -> str:
        """One line for people."""
        limit = "at least" if self.at_least else "at most"
        around = (f" (quartiles {self._number(self.spread[0])} to {self._number(self.spread[1])})"
                  if self.spread else "")
        return (f"{'met   ' if self.met else 'MISSED'} {self.what}: {self._number(self.value)}"
                f"{around}; {limit} {self._number(self.target)}")

    def _number(self, value: float) -> str:
        return f"{value:.0%}" if self.unit == "%" else f"{value:.3g} {self.unit}".strip()


def bandwidth_verdicts(found: Iterable[Measurement], ceilings: Ceilings,
                       variant: str = "cpu") -> list[Verdict]:
    """The share of the copy bandwidth that each kernel reaches that has to; NaN if none ran.

    Args:
      found: measurements of any ops.
      ceilings: of the same run.
      variant: which one the target is for.
    """
    reached: dict[tuple[str, str], float] = {}
    for one in found:
        if one.case.op in MEMORY_BOUND:
            share = shares(one, ceilings)[0] if one.variant == variant else None
            reached.setdefault((one.case.function, one.case.size), float("nan"))
            if share is not None:
                reached[one.case.function, one.case.size] = share
    return [Verdict(f"{function}, {size}: of the copy bandwidth", share, "%", COPY_SHARE)
            for (function, size), share in reached.items()]
