"""Which lanes run next: lowest program counter first, barriers, warp operations, budget.

All lanes that stand at the lowest program counter run the basic block there together. Lanes that
parted at a branch meet again at the latest where the later one of their paths begins, because the
lanes behind catch up before the lanes ahead move on. A block-wide barrier opens when nothing else
can run. Then every block whose threads have all arrived goes on, so the blocks of a wave pass
their barriers together.

A thread that spins until another thread of the same warp or a later block acts would spin for
ever, as on a device without independent thread scheduling; the instruction budget ends it.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.ptx import findings as kinds
from refglow.kernels.ptx.code import Code
from refglow.kernels.ptx.control import Block
from refglow.kernels.ptx.types import Lanes
from refglow.kernels.ptx.warp import lanes_present
from refglow.kernels.ptx.wave import Wave


class Tally:
    """What the scheduler counts: per basic block, lanes and warps that ran it."""

    def __init__(self) -> None:
        """Start at zero."""
        self.lanes: dict[int, int] = {}
        self.warps: dict[int, int] = {}
        self.branches = 0
        self.divergent_branches = 0


class Scheduler:
    """Runs one wave to its end."""

    def __init__(self, code: Code, wave: Wave, tally: Tally, budget: int) -> None:
        """Make every lane ready at the first instruction."""
        self._code, self._wave, self._tally = code, wave, tally
        self._budget = budget
        self._everyone = np.arange(wave.size)
        self._live = np.ones(wave.size, np.bool_)
        self._ready: dict[int, list[Lanes]] = {0: [self._everyone]}
        # Lanes that may begin a block without waiting (again) for what its first instruction
        # waits for, lanes parked at a warp operation, and lanes waiting at a block's barrier.
        self._passed: dict[int, list[Lanes]] = {}
        self._parked: dict[int, Lanes] = {}
        self._waiting: dict[int, list[Lanes]] = {}

    def run(self) -> bool:
        """Run until every lane has exited; False if the budget was spent before."""
        while True:
            if self._ready or self._passed:
                pc = min((*self._ready, *self._passed))
                if not self._dispatch(pc):
                    return False
            elif not (self._retry_parked() or self._open_barriers() or self._break_deadlock()):
                return True

    def _dispatch(self, pc: int) -> bool:
        if pc in self._passed:
            return self._execute(self._code.blocks[pc], _merge(self._passed.pop(pc)))
        lanes = _merge(self._ready.pop(pc))
        if pc in self._code.barriers:
            if lanes.size == self._wave.size and self._code.barriers[pc].threads is None:
                self._open(lanes)
            else:
                self._waiting.setdefault(pc, []).append(lanes)
                return True
        elif pc in self._code.masks:
            lanes = self._admit(pc, lanes)
            if not lanes.size:
                return True
        return self._execute(self._code.blocks[pc], lanes)

    def _execute(self, block: Block, lanes: Lanes) -> bool:
        wave, tally = self._wave, self._tally
        active = None if lanes.size == wave.size else lanes
        for step in self._code.steps[block.start : block.end]:
            step(wave, active)
        tally.lanes[block.start] = tally.lanes.get(block.start, 0) + lanes.size
        warps = wave.warps(lanes)
        tally.warps[block.start] = tally.warps.get(block.start, 0) + warps
        self._branch(block, lanes, active, warps)
        self._budget -= block.end - block.start
        if self._budget < 0:
            wave.report(
                kinds.BUDGET,
                block.end - 1,
                lanes,
                "is still running; an endless loop, or a thread that waits in a loop for another "
                "one; if the kernel is just long, give a larger budget",
            )
            return False
        return True

    def _branch(self, block: Block, lanes: Lanes, active: Lanes | None, warps: int) -> None:
        """Send the lanes where the block's last instruction sends them."""
        last = block.end - 1
        taken, others = lanes, None
        if last in self._code.predicates:
            read, negated = self._code.predicates[last]
            held = np.broadcast_to(read(self._wave, active), lanes.size)
            held = ~held if negated else held
            taken, others = lanes[held], lanes[~held]
            if block.target is not None:
                wave, tally = self._wave, self._tally
                tally.branches += warps
                tally.divergent_branches += wave.warps(taken) + wave.warps(others) - warps
        elif block.target is None and not block.exits:
            taken, others = lanes[:0], lanes
        if taken.size:
            if block.target is not None:
                self._ready.setdefault(block.target, []).append(taken)
            else:
                self._live[taken] = False
        if others is not None and others.size:
            if block.end in self._code.blocks:
                self._ready.setdefault(block.end, []).append(others)
            else:
                self._live[others] = False

    # Operations of a warp.

    def _admit(self, pc: int, lanes: Lanes) -> Lanes:
        """Of the lanes at a warp operation, those that need not wait; the others are parked."""
        wave = self._wave
        if pc in self._parked:
            lanes = np.sort(np.concatenate([lanes, self._parked.pop(pc)]))
        if lanes.size < wave.size or wave.slots(None) is not None:
            active = None if lanes.size == wave.size else lanes
            masks = np.broadcast_to(self._code.masks[pc](wave, active), lanes.size)
            live = np.zeros(wave.slot_count, np.bool_)
            live[wave.all_slots(self._everyone)] = self._live
            present = lanes_present(wave.all_slots(active), masks, live)
            if not present.all():
                self._parked[pc] = lanes[~present]
                lanes = lanes[present]
        if lanes.size and self._code.program.instructions[pc].opcode in ("bar", "barrier"):
            wave.synchronise(lanes, whole_block=False)
        return lanes

    def _retry_parked(self) -> bool:
        """Threads that have exited are waited for no more."""
        for pc in sorted(self._parked):
            lanes = self._admit(pc, self._parked.pop(pc))
            if lanes.size:
                self._passed.setdefault(pc, []).append(lanes)
        return bool(self._passed)

    # Barriers of a block.

    def _open(self, lanes: Lanes) -> None:
        self._wave.synchronise(lanes, whole_block=True)
        if lanes.size == np.count_nonzero(self._live):
            self._wave.memory.barrier_passed_by_all()

    def _open_barriers(self) -> bool:
        """Let go every block whose threads have all arrived."""
        if not self._waiting:
            return False
        wave, code = self._wave, self._code
        live = np.bincount(wave.block_of(self._everyone)[self._live], minlength=wave.block_count)
        opened = []
        for number in sorted({code.barriers[pc].number for pc in self._waiting}):
            places = [pc for pc in sorted(self._waiting) if code.barriers[pc].number == number]
            lanes = {pc: _merge(self._waiting.pop(pc)) for pc in places}
            needed = live
            arrived = np.zeros(wave.block_count, np.int64)
            for pc in places:
                arrived += np.bincount(wave.block_of(lanes[pc]), minlength=wave.block_count)
                if code.barriers[pc].threads is not None:
                    needed = np.full(wave.block_count, code.barriers[pc].threads)
            complete = (arrived >= needed) & (arrived > 0)
            if (needed is live) and complete.any():
                self._check_convergence(places, lanes, complete, live)
            for pc in places:
                goes = complete[wave.block_of(lanes[pc])]
                if goes.any():
                    self._passed.setdefault(pc, []).append(lanes[pc][goes])
                    opened.append(lanes[pc][goes])
                if not goes.all():
                    self._waiting.setdefault(pc, []).append(lanes[pc][~goes])
        if opened:
            self._open(_merge(opened))
        return bool(opened)

    def _check_convergence(
        self,
        places: list[int],
        lanes: dict[int, Lanes],
        complete: np.ndarray[tuple[int], np.dtype[np.bool_]],
        live: np.ndarray[tuple[int], np.dtype[np.int64]],
    ) -> None:
        """Report blocks whose threads are not all at one and the same barrier instruction."""
        wave = self._wave
        seen = np.full(wave.block_count, -1)
        for pc in places:
            block = wave.block_of(lanes[pc])
            elsewhere = complete[block] & (seen[block] >= 0)
            if elsewhere.any():
                other = self._code.program.instructions[seen[block][elsewhere][0]].line
                wave.report(
                    kinds.DIVERGENT_BARRIER,
                    pc,
                    lanes[pc][elsewhere],
                    f"waits at this barrier while other threads of its block wait at the one on "
                    f"PTX line {other}",
                )
            seen[block] = pc
            gone = complete[block] & (live[block] < wave.size // wave.block_count)
            if gone.any():
                missing = wave.size // wave.block_count - live[block][gone][0]
                wave.report(
                    kinds.DIVERGENT_BARRIER,
                    pc,
                    lanes[pc][gone],
                    f"waits at a barrier that {missing} threads of its block have not reached: "
                    "they have exited",
                )

    def _break_deadlock(self) -> bool:
        """Nothing can go on although lanes are left: report it, and force one group on."""
        wave = self._wave
        if self._parked:
            pc = min(self._parked)
            lanes = self._parked.pop(pc)
            wave.report(
                kinds.DIVERGENT_WARP,
                pc,
                lanes,
                "waits for threads of its warp that wait elsewhere",
            )
            self._passed[pc] = [lanes]
            return True
        for pc in sorted(self._waiting):
            lanes = _merge(self._waiting.pop(pc))
            wave.report(
                kinds.DEADLOCK,
                pc,
                lanes,
                "waits at a barrier that the threads still missing can never reach",
            )
            self._live[lanes] = False
        return False


def _merge(pieces: list[Lanes]) -> Lanes:
    """Groups of lanes as one, ascending."""
    return pieces[0] if len(pieces) == 1 else np.sort(np.concatenate(pieces))
