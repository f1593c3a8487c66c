"""What the accesses of a recorded launch cost: sectors of global memory, bank conflicts in shared.

A warp is 32 neighbouring threads of a block. What they do at the same instruction, for the same
time each, is one request. Memory answers it by sectors of 32 bytes; shared memory, which has 32
banks, in one pass for each different word that the fullest bank is asked for. Both are counted by
the functions with which the interpreter of PTX counts them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.counts import SharedTraffic, Traffic
from refglow.kernels.ptx.patterns import WARP, sectors, warp_rows, wavefronts
from refglow.lessons.puzzles.recording import ATOMIC, READ, WRITE, Recording


def global_traffic(recording: Recording, kind: int) -> dict[str, Traffic]:
    """The traffic of each array of the arguments that is read, or written.

    Args:
        recording: of a launch.
        kind: READ or WRITE; atomics are neither.
    """
    found: dict[str, Traffic] = {}
    for name in recording.names:
        rows = recording.of(name).of_kinds(kind).inside()
        if not len(rows.table):
            continue
        itemsize = recording.memory(name).itemsize
        traffic = found[name] = Traffic()
        for address, slots, size in _requests(rows, itemsize):
            warps = warp_rows(address, slots)
            traffic.requests += int(warps.counts.sum())
            traffic.threads += address.size
            traffic.bytes_requested += address.size * size
            traffic.sectors += int(sectors(warps.rows) @ warps.counts)
        elements = rows.elements().column("first")
        traffic.unique_bytes = int(np.unique(elements).size) * itemsize
    return found


def shared_traffic(recording: Recording, kind: int) -> SharedTraffic:
    """The traffic of shared memory, read or written."""
    rows = recording.of_shared_memory().of_kinds(kind).inside()
    traffic = SharedTraffic()
    if not len(rows.table):
        return traffic
    itemsize = recording.memories[rows.column("array")[0]].itemsize
    for address, slots, size in _requests(rows, itemsize):
        warps = warp_rows(address, slots)
        passes, fewest = wavefronts(warps.rows, size)
        traffic.requests += int(warps.counts.sum())
        traffic.wavefronts += int(passes @ warps.counts)
        traffic.ideal_wavefronts += int(fewest @ warps.counts)
        traffic.worst_ways = max(traffic.worst_ways, float((passes / fewest).max()))
    return traffic


def total(by_array: dict[str, Traffic]) -> Traffic:
    """The traffic of all arrays together."""
    return sum(by_array.values(), Traffic())


def summary(recording: Recording) -> str:
    """The traffic in words, for people."""
    parts = []
    for kind, verb in ((READ, "read"), (WRITE, "written")):
        found = total(global_traffic(recording, kind))
        if found.requests:
            parts.append(f"{found.bytes_requested} bytes {verb} in {found.requests} requests of "
                         f"{found.sectors_per_request:.1f} sectors each")
    shared = [shared_traffic(recording, kind) for kind in (READ, WRITE)]
    if any(traffic.requests for traffic in shared):
        parts.append(f"{sum(traffic.conflicts for traffic in shared)} bank conflicts")
    atomics = len(recording.of_kinds(ATOMIC).table) // 2
    if atomics:
        parts.append(f"{atomics} atomic additions")
    return ", ".join(parts)


def reads_of_block(recording: Recording, name: str) -> int:
    """The most elements of an array that the threads of one block read, each read counted."""
    rows = recording.of(name).of_kinds(READ).elements()
    return int(np.bincount(rows.column("block"), minlength=1).max())


def request_of(rows: Recording) -> npt.NDArray[np.int64]:
    """The number of each row's request, in the order of the warps and their turns."""
    key = np.stack([rows.column("block"), rows.column("thread") // WARP, rows.column("turn"),
                    rows.column("place"), rows.column("array"), rows.column("count")], axis=1)
    return np.unique(key, axis=0, return_inverse=True)[1].reshape(-1)


def _requests(rows: Recording, itemsize: int) -> list[tuple[npt.NDArray[np.int64],
                                                            npt.NDArray[np.int64], int]]:
    """(byte addresses, slots as `warp_rows` takes them, bytes) of all requests of one size."""
    slots = request_of(rows) * WARP + rows.column("thread") % WARP
    found = []
    for count in np.unique(rows.column("count")):
        chosen = np.flatnonzero(rows.column("count") == count)
        order = chosen[np.argsort(slots[chosen])]
        found.append((rows.column("first")[order] * itemsize, slots[order], int(count) * itemsize))
    return found
