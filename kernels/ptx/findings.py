"""What the checks found: structured findings, their totals, and the exception that lists them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from refglow.kernels.ptx.syntax import PtxError

OUT_OF_BOUNDS = "out-of-bounds access"
MISALIGNED = "misaligned access"
READ_ONLY = "write to read-only memory"
SHARED_RACE = "race in shared memory"
GLOBAL_RACE = "race in global memory"
DIVERGENT_BARRIER = "divergent barrier"
UNINITIALISED = "read of memory nobody wrote"
UNASSIGNED = "register read before written"
DIVERGENT_WARP = "divergent warp operation"
DEADLOCK = "deadlock"
BUDGET = "instruction budget spent"

Index3 = tuple[int, int, int]


@dataclass(frozen=True)
class Finding:
    """One defect, at the first thread that showed it.

    Attributes:
        kind: one of this module's constants.
        kernel: the kernel's name.
        line: the line of the PTX text.
        instruction: the full opcode.
        source: "file:line" of the kernel's source where the PTX has it, else None.
        block, thread: indices (x, y, z) of the first thread that showed it.
        array: the name of the array or variable concerned (for an address outside of all, the
            nearest one), or None.
        offset: byte offset from that array's start, or None.
        address: the address in the simulated address space, or None.
        sentence: what happened, for people.
        count: how many threads showed it at this instruction.
    """

    kind: str
    kernel: str
    line: int
    instruction: str
    source: str | None
    block: Index3
    thread: Index3
    array: str | None
    offset: int | None
    address: int | None
    sentence: str
    count: int = 1

    def __str__(self) -> str:
        where = f"PTX line {self.line} ({self.instruction})"
        if self.source:
            where += f", {self.source}"
        times = f" [{self.count} times]" if self.count > 1 else ""
        return (
            f"{self.kind}: {self.sentence}\n    block {self.block}, thread {self.thread}, "
            f"{where}{times}"
        )


class FindingsError(PtxError):
    """A kernel ran, and the checks found defects.

    Attributes:
        findings: all of them, one per kind, instruction and array.
    """

    def __init__(self, kernel: str, findings: list[Finding]) -> None:
        """List the first findings of a kernel, and the totals."""
        self.findings = findings
        totals: dict[str, int] = {}
        for finding in findings:
            totals[finding.kind] = totals.get(finding.kind, 0) + finding.count
        shown = [f"  {finding}" for finding in findings[:5]]
        if len(findings) > 5:
            shown.append(f"  ... and {len(findings) - 5} more places")
        summary = ", ".join(f"{count} x {kind}" for kind, count in totals.items())
        super().__init__(f"kernel {kernel}: {summary}\n" + "\n".join(shown))


class FindingLog:
    """Findings as they come, merged by kind, PTX line and array."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: dict[tuple[str, int, str | None], Finding] = {}

    def add(self, finding: Finding) -> None:
        """Record a finding, or raise the count of the one like it."""
        key = (finding.kind, finding.line, finding.array)
        first = self._found.get(key)
        if first is not None:
            finding = replace(first, count=first.count + finding.count)
        self._found[key] = finding

    def all(self) -> list[Finding]:
        """The findings in the order of their first appearance."""
        return list(self._found.values())
