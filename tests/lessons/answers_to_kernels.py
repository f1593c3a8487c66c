"""Lesson 13's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.lessons.kernels import exercise


def passes_of(addresses):
    return np.bincount(np.unique(addresses // 4) % 32).max()


def sectors_of(addresses):
    return len({int(address) // 32 for address in addresses})


def by_dictionaries(addresses):
    banks: dict[int, set[int]] = {}
    for address in addresses.tolist():
        banks.setdefault(address // 4 % 32, set()).add(address)
    return [sectors_of(addresses), max(map(len, banks.values()))]


RIGHT_ANSWERS = [exercise.solution, by_dictionaries]
WRONG_ANSWERS = {
    "fill side by side": lambda a: (-(-len(a) * 4 // 32), passes_of(a)),
    "begins at a multiple of 32": lambda a: (len(np.unique((a - a.min()) // 32)), passes_of(a)),
    "nobody asks for": lambda a: ((a.max() - a.min()) // 32 + 1, passes_of(a)),
    "from address 0 on: 4 sectors; got 32": lambda a: (len(np.unique(a)), passes_of(a)),
    "share a pass": lambda a: (sectors_of(a), np.bincount(a // 4 % 32).max()),
    "not byte w": lambda a: (sectors_of(a), np.bincount(np.unique(a) % 32).max()),
    "That counts banks": lambda a: (sectors_of(a), len(np.unique(a // 4 % 32))),
    "Sectors are to be a number": lambda a: (np.unique(a // 32), passes_of(a)),
    "cost is to return (sectors, passes); got int": lambda a: sectors_of(a),
    "It stopped with AttributeError": lambda a: (sectors_of(a), a.no_such_name),
}
