"""What a warp's addresses cost: 32-byte sectors of global memory, bank conflicts in shared.

Requests are taken warp by warp as rows of 32 byte addresses relative to the first active lane's
(rounded down to a sector). Most instructions give every warp the same row, so rows are told apart
by a 64-bit hash (random odd weights: two different rows of a launch collide with a probability
near 2^-64) and each distinct row is worked out once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]

WARP = 32
SECTOR_BYTES = 32
BANKS = 32
BANK_BYTES = 4
_INACTIVE = np.int64(np.iinfo(np.int64).min)
_WEIGHTS = np.random.default_rng(20180709).integers(1, 2**63, WARP, dtype=np.int64) * 2 + 1


class WarpRows(NamedTuple):
    """Distinct rows of relative byte addresses, and how many warps have each."""

    hashes: Int64
    rows: Int64
    counts: Int64


def warp_rows(address: Int64, slots: Int64 | None) -> WarpRows:
    """The distinct address rows of one instruction.

    Args:
        address: byte address per active lane.
        slots: warp * 32 + lane of each active lane, ascending; None if all lanes of all warps are
            active in order.
    """
    if slots is None:
        rows = address.reshape(-1, WARP)
        relative = rows - (rows[:, :1] & np.int64(-SECTOR_BYTES))
    else:
        warp = slots // WARP
        starts = np.flatnonzero(np.diff(warp, prepend=-1))
        row = np.repeat(np.arange(starts.size), np.diff(starts, append=warp.size))
        relative = np.full((starts.size, WARP), _INACTIVE)
        relative[row, slots % WARP] = address - (address[starts] & np.int64(-SECTOR_BYTES))[row]
    hashes = relative @ _WEIGHTS
    if (hashes == hashes[0]).all():
        return WarpRows(hashes[:1], relative[:1], np.array([hashes.size]))
    unique, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    return WarpRows(unique, relative[first], counts)


def _distinct(values: Int64, active: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """For rows sorted ascending: which entries are the first of their value, and active."""
    first = np.ones(values.shape, np.bool_)
    first[:, 1:] = values[:, 1:] != values[:, :-1]
    return first & active


def sectors(rows: Int64) -> Int64:
    """Per row: how many 32-byte sectors its addresses lie in.

    An aligned access of at most 16 bytes lies in one sector.
    """
    ordered = np.sort(np.where(rows == _INACTIVE, _INACTIVE, rows >> 5), axis=1)
    found: Int64 = _distinct(ordered, ordered != _INACTIVE).sum(axis=1)
    return found


def wavefronts(rows: Int64, access_bytes: int) -> tuple[Int64, Int64]:
    """Per row: passes over shared memory that the request takes, and the fewest it could take.

    Shared memory has 32 banks of 4 bytes; lanes that want the same word of a bank share a pass,
    different words of one bank take one pass each. Accesses of 8 bytes are served half-warp by
    half-warp and those of 16 bytes quarter-warp by quarter-warp.
    """
    words = max(access_bytes // BANK_BYTES, 1)
    group = WARP // words
    total = np.zeros(rows.shape[0], np.int64)
    fewest = np.zeros(rows.shape[0], np.int64)
    for start in range(0, WARP, group):
        part = rows[:, start : start + group]
        active = part != _INACTIVE
        word = np.concatenate(
            [np.where(active, (part >> 2) + k, _INACTIVE) for k in range(words)], axis=1
        )
        word = np.sort(word, axis=1)
        wanted = _distinct(word, word != _INACTIVE)
        index = np.nonzero(wanted)
        in_bank = np.zeros((rows.shape[0], BANKS), np.int64)
        np.add.at(in_bank, (index[0], word[wanted] % BANKS), 1)
        total += in_bank.max(axis=1)
        fewest += active.any(axis=1)
    return total, fewest
