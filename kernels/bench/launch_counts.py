"""What the interpreter counted in one launch, in the figures that decide a kernel's speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from refglow.kernels.ptx import Report, SharedTraffic


@dataclass(frozen=True)
class LaunchCounts:
    """Figures of one interpreted launch.

    Attributes:
      instructions_per_element: thread instructions, over the example's elements.
      by_kind: the same for each kind of instruction, such as "fma.f32".
      load_sectors_per_request, store_sectors_per_request: 32-byte sectors of global memory that a
        warp's access touches, on average.
      load_sectors_least, store_sectors_least: how many it would touch if the bytes that its lanes
        ask for lay side by side; it touches fewer only where lanes read the same bytes.
      bytes_in_sectors: bytes of all sectors that accesses touch; what moves if no cache helps.
      bytes_touched: bytes read and bytes written, each counted once; the least that moves.
      traffic_ratio: the former over the latter.
      bank_conflicts: passes of shared-memory accesses beyond the fewest possible, over those.
      worst_bank_conflict: the most passes over the fewest possible that one access took.
      divergence: conditional branches of warps whose lanes part, over all.
    """

    SUMMARY: ClassVar[tuple[str, ...]] = (
        "instructions_per_element", "load_sectors_per_request", "load_sectors_least",
        "store_sectors_per_request", "store_sectors_least", "traffic_ratio", "bank_conflicts",
        "divergence")

    instructions_per_element: float
    by_kind: dict[str, float]
    load_sectors_per_request: float
    load_sectors_least: float
    store_sectors_per_request: float
    store_sectors_least: float
    bytes_in_sectors: int
    bytes_touched: int
    traffic_ratio: float
    bank_conflicts: float
    worst_bank_conflict: float
    divergence: float


def counts_of(report: Report, elements: int) -> LaunchCounts:
    """The figures of an interpreted launch.

    Args:
      report: of the interpreter.
      elements: what "per element" is counted over.
    """
    counts = report.counts
    loads, stores = counts.total(counts.loads), counts.total(counts.stores)
    atomics = counts.total(counts.atomics)
    moved = loads.sector_bytes + stores.sector_bytes + atomics.sector_bytes
    touched = loads.unique_bytes + stores.unique_bytes + atomics.unique_bytes
    shared = (counts.shared_loads, counts.shared_stores)
    return LaunchCounts(
        instructions_per_element=_over(counts.thread_instructions, elements),
        by_kind={kind: _over(count, elements) for kind, count in counts.by_kind.items()},
        load_sectors_per_request=loads.sectors_per_request,
        load_sectors_least=_over(loads.ideal_sectors, loads.requests),
        store_sectors_per_request=stores.sectors_per_request,
        store_sectors_least=_over(stores.ideal_sectors, stores.requests),
        bytes_in_sectors=moved, bytes_touched=touched, traffic_ratio=_over(moved, touched),
        bank_conflicts=_conflicts(shared),
        worst_bank_conflict=max(traffic.worst_ways for traffic in shared),
        divergence=_over(counts.divergent_branches, counts.branches))


def _conflicts(shared: tuple[SharedTraffic, ...]) -> float:
    return _over(sum(traffic.conflicts for traffic in shared),
                 sum(traffic.ideal_wavefronts for traffic in shared))


def _over(numerator: float, denominator: float) -> float:
    """The quotient; 0 where nothing happened."""
    return numerator / denominator if denominator else 0.0
