"""Occupancy: how many warps of a kernel a multiprocessor holds at a time, as a share of its most.

A multiprocessor takes whole blocks, as many as its warp slots, its registers, its shared memory and
its block slots allow, whichever is scarcest:

    warps      floor(warps / warps of a block)
    registers  those of a warp, 32 per register of a thread, are rounded up to units of 256; each of
               four partitions holds floor(registers / 4 / those of a warp) warps, so that
               floor(4 * that / warps of a block) blocks fit
    shared     floor(shared memory / (that of a block + what is reserved, rounded up to units))

Source: cuda_occupancy.h of the CUDA toolkit 13.5, which the occupancy functions of the CUDA runtime
follow; with its default preference, the largest share of the cache as shared memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from refglow.kernels.bench.devices import Architecture

WARP = 32
_PARTITIONS = 4
_REGISTER_UNIT = 256
_MOST_REGISTERS = 255  # that a thread can name


@dataclass(frozen=True)
class Occupancy:
    """How a kernel fills a multiprocessor.

    Attributes:
      blocks: resident at a time.
      warps: resident at a time.
      share: warps over the most a multiprocessor can hold.
      limits: what allows no more blocks: of "warps", "registers", "shared memory" and "blocks".
    """

    blocks: int
    warps: int
    share: float
    limits: tuple[str, ...]


def occupancy(architecture: Architecture, threads: int, registers: int,
              shared_bytes: int) -> Occupancy:
    """The occupancy of a kernel on an architecture.

    Args:
      architecture: of the GPU.
      threads: of a block.
      registers: of a thread.
      shared_bytes: of a block, static and dynamic together.

    Raises:
      ValueError: a block of no or more than 1024 threads, or more registers than a thread can have.
    """
    if not 1 <= threads <= 1024 or not 0 <= registers <= _MOST_REGISTERS or shared_bytes < 0:
        raise ValueError(f"No kernel has {threads} threads in a block, {registers} registers and "
                         f"{shared_bytes} bytes of shared memory.")
    warps = -(-threads // WARP)
    by_resource = {
        "warps": architecture.warps // warps,
        "registers": _by_registers(architecture, warps, registers),
        "shared memory": _by_shared_memory(architecture, shared_bytes),
        "blocks": architecture.blocks,
    }
    blocks = min(by_resource.values())
    limits = tuple(name for name, fit in by_resource.items() if fit == blocks)
    return Occupancy(blocks, blocks * warps, blocks * warps / architecture.warps, limits)


def _by_registers(architecture: Architecture, warps: int, registers: int) -> int:
    of_a_warp = _round_up(WARP * registers, _REGISTER_UNIT)
    # A launch is checked as if each partition had the same number of a block's warps.
    if of_a_warp * _round_up(warps, _PARTITIONS) > architecture.registers:
        return 0
    if of_a_warp == 0:
        return architecture.blocks
    warps_of_a_partition = architecture.registers // _PARTITIONS // of_a_warp
    return _PARTITIONS * warps_of_a_partition // warps


def _by_shared_memory(architecture: Architecture, shared_bytes: int) -> int:
    if shared_bytes > architecture.shared_bytes_of_a_block:
        return 0
    of_a_block = _round_up(shared_bytes + architecture.reserved_shared_bytes,
                           architecture.shared_unit)
    return architecture.shared_bytes // of_a_block if of_a_block else architecture.blocks


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
