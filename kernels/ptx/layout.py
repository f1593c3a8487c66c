"""Where things are in the simulated 64-bit address space.

Generic addresses: shared memory of the own block at SHARED_WINDOW, local memory of the own thread
at LOCAL_WINDOW, everything else (arrays, .global and .const variables) from GLOBAL_BASE on. The
shared and local spaces' own addresses begin at 0, so that converting is adding the window.
"""

from __future__ import annotations

SHARED_WINDOW = 1 << 40
LOCAL_WINDOW = 1 << 41
WINDOW_BYTES = 1 << 32
GLOBAL_BASE = 1 << 44

# Unused bytes around every array and variable. They are a multiple of a 128-byte line, and each
# array begins on a 256-byte boundary as a device allocation does, so gaps change no alignment,
# no sector count and no bank.
GUARD_BYTES = 4096
ARRAY_ALIGNMENT = 256
SHARED_GUARD_BYTES = 128


def aligned(address: int, alignment: int) -> int:
    """The first multiple of `alignment` from `address` on."""
    return -(-address // alignment) * alignment
