"""Exercise of lesson 13: what one request of a warp costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.patterns import BANKS, SECTOR_BYTES, sectors, warp_rows, wavefronts
from refglow.lessons.comparison import require_parts
from refglow.lessons.exercise import Exercise, WrongAnswerError

Int64 = npt.NDArray[np.int64]
Cost = tuple[int, int]
_WORD = 4  # bytes
_PARTS = ("sectors", "passes")


def cost(addresses: Int64) -> Cost:
    """(sectors of global memory, passes of shared memory) of a request for 4-byte words."""
    sectors_touched = np.unique(addresses // 32).size
    words = np.unique(addresses // 4)
    passes = np.bincount(words % 32).max()
    return int(sectors_touched), int(passes)


def _judge(answer: Callable[..., Any]) -> str:
    count = 0
    for name, addresses in _requests(np.random.default_rng(0)):
        found = require_parts("cost", answer(addresses.copy()), _PARTS)
        expected = _counted(addresses)
        for k, what in enumerate(_PARTS):
            if np.shape(found[k]) != ():
                raise WrongAnswerError(f"{what.capitalize()} are to be a number; got {found[k]!r}.")
            if found[k] != expected[k]:
                raise WrongAnswerError(
                    f"{name}: {expected[k]} {what}; got {found[k]}.{_recognised(answer, k)}")
        count += 1
    return (f"All {count} requests cost what the interpreter of PTX counts, from one sector to 32 "
            "and from one pass to 32.")


def _requests(rng: np.random.Generator) -> Iterator[tuple[str, Int64]]:
    """Named requests, the plain ones first."""
    lane = np.arange(32)
    yield "32 neighbouring words from address 0 on", 4 * lane
    yield "32 neighbouring words from address 16 on", 16 + 4 * lane
    yield "every second word of 64", 8 * lane
    yield "32 threads that ask for one word", np.full(32, 4096)
    yield "a column of a tile with 32 words in a row", 128 * lane
    yield "a column of a tile with 33 words in a row", 132 * lane
    yield "a row of 16 words and the same row again", 4 * (lane % 16)
    yield "5 neighbouring words", 64 + 4 * lane[:5]
    yield "words 3 apart, the last thread first", 12 * lane[::-1]
    for spread in (40, 300, 5000):
        for threads in (32, 7):
            yield (f"{threads} threads with words anywhere among {spread}",
                   4 * rng.integers(0, spread, threads))


def _counted(addresses: Int64) -> Cost:
    """The same by the functions with which the interpreter counts."""
    rows = warp_rows(addresses.astype(np.int64), np.arange(addresses.size)).rows
    return int(sectors(rows)[0]), int(wavefronts(rows, _WORD)[0][0])


def _bytes_asked_for(addresses: Int64) -> int:
    return -(-addresses.size * _WORD // SECTOR_BYTES)


def _from_the_first(addresses: Int64) -> int:
    return int(np.unique((addresses - addresses.min()) // SECTOR_BYTES).size)


def _span(addresses: Int64) -> int:
    return int((addresses.max() - addresses.min()) // SECTOR_BYTES) + 1


def _without_sharing(addresses: Int64) -> int:
    return int(np.bincount(addresses // _WORD % BANKS).max())


def _banks_of_bytes(addresses: Int64) -> int:
    return int(np.bincount(np.unique(addresses) % BANKS).max())


def _banks_used(addresses: Int64) -> int:
    return int(np.unique(addresses // _WORD % BANKS).size)


_MISTAKES: tuple[tuple[tuple[str, Callable[[Int64], int]], ...], ...] = (
    (("That is how many sectors the bytes would fill side by side, not those that they lie in.",
      _bytes_asked_for),
     ("A sector begins at a multiple of 32, not at the first address.", _from_the_first),
     ("Sectors between the first and the last that nobody asks for do not move.", _span)),
    (("Threads that want the same word share a pass.", _without_sharing),
     ("A bank holds words of 4 bytes: bank w % 32 has word w, not byte w.", _banks_of_bytes),
     ("That counts banks. The passes are the words that the fullest bank is asked for.",
      _banks_used)))


def _recognised(answer: Callable[..., Any], k: int) -> str:
    """The mistake whose numbers are the answer's on every request; "" if none is known."""
    requests = [addresses for _, addresses in _requests(np.random.default_rng(0))]
    given = [answer(addresses.copy())[k] for addresses in requests]
    for says, mistaken in _MISTAKES[k]:
        if given == [mistaken(addresses) for addresses in requests]:
            return f" {says}"
    return ""


exercise = Exercise(
    "Write cost(addresses). It is given the byte addresses of the 4-byte words that the threads of "
    "one warp ask for: an integer array of 1 to 32 multiples of 4. Return two whole numbers. First "
    "the sectors that the request touches if the addresses are in global memory: a sector is 32 "
    "bytes and begins at a multiple of 32. Second the passes that it takes if they are in shared "
    "memory: word w, the 4 bytes from address 4 w on, is in bank w % 32; in one pass each bank "
    "gives one word, to all threads that want it.",
    _judge, cost)
