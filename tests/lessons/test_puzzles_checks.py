"""What the puzzles' checks rest on: the simulator's process, what is recorded, what is counted."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from numba import cuda, float32
from wrong_kernels import accepted, named, rejected

from refglow.lessons.puzzles import PUZZLES, SHIFT, interpreted
from refglow.lessons.puzzles.defects import defects
from refglow.lessons.puzzles.recording import READ, WRITE
from refglow.lessons.puzzles.simulator import simulator
from refglow.lessons.puzzles.traffic import global_traffic, shared_traffic, total


@pytest.mark.parametrize("puzzle", PUZZLES, ids=lambda puzzle: puzzle.name)
def test_the_solution_is_right_in_the_simulator_and_as_ptx(puzzle):
    verdict = puzzle.check(puzzle.solution)
    assert verdict.right and "CUDA simulator" in verdict.message, str(verdict)
    assert "PTX interpreted" in verdict.message


# The compiler unrolls a loop of unknown length by four and takes the rest one by one, in requests
# of its own: those of strided_shift are more.
@pytest.mark.parametrize("name", [p.name for p in PUZZLES if p.name != "strided_shift"])
def test_traffic_is_what_the_interpreter_counts(name):
    puzzle = named(name)
    for case in (puzzle.tiny, *puzzle.cases(np.random.default_rng(1))):
        recording = simulator().run(puzzle.solution, case.grid, case.block, case.fresh())
        counts = interpreted.interpret(puzzle.solution, case.grid, case.block, case.fresh(),
                                       ()).counts
        assert global_traffic(recording, READ) == counts.loads
        assert global_traffic(recording, WRITE) == counts.stores
        assert shared_traffic(recording, READ) == counts.shared_loads
        assert shared_traffic(recording, WRITE) == counts.shared_stores


def test_a_loop_without_end_is_stopped():
    def waits(x, t, y):
        while True:
            pass

    def reads(x, t, y):
        while True:
            y[0] = x[0]

    start = time.perf_counter()
    rejected(replace(SHIFT, time_limit=1.0), waits, "stopped after 1 s")
    rejected(SHIFT, reads, "does not come to an end")
    assert time.perf_counter() - start < 15
    accepted(SHIFT, SHIFT.solution)


def test_a_crash_harms_nobody():
    def ends(x, t, y):
        os._exit(3)

    rejected(SHIFT, ends, "ended the simulator's process (exit code 3)")
    accepted(SHIFT, SHIFT.solution)


def raises(x, t, y):
    i = cuda.grid(1)
    y[i] = x[i] + t[i].no_such_name


def half_index(x, t, y):
    y[cuda.grid(1) / 2] = x[0]


def slice_of_x(x, t, y):
    y[0] = x[0:2]


def two_indices(x, t, y):
    y[0, 0] = x[0]


def one_argument(x):
    pass


@pytest.mark.parametrize(("kernel", "hint"), [
    (raises, "thread (0, 0, 0) of block (0, 0, 0), in line 3 of the kernel: AttributeError"),
    (half_index, "a whole number"), (slice_of_x, "a whole number"),
    (two_indices, "takes as many indices"), (one_argument, "launched with 3 arguments, x, t, y"),
    (lambda x, t, y: None, "never written")])
def test_what_is_no_kernel_is_told(kernel, hint):
    rejected(SHIFT, kernel, hint)


def test_what_is_no_function_is_told():
    assert "A function was asked for" in SHIFT.check(3).message


def test_lines_are_quoted():
    def reads_beyond(x, t, y):
        i = cuda.grid(1)
        y[i] = x[i + 1]

    rejected(SHIFT, reads_beyond, "in line 3 (`y[i] = x[i + 1]`)")


def test_without_the_compiler_the_simulator_judges(monkeypatch):
    monkeypatch.setattr(interpreted, "compiler_is_there", lambda: False)
    verdict = SHIFT.check(SHIFT.solution)
    assert verdict.right and 'pip install "refglow[cuda]"' in verdict.message


def test_numba_alone_is_enough(tmp_path):
    """Without numba-cuda, as for whoever has not installed the extra "cuda"."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.meta_path[:] = [finder for finder in sys.meta_path\n"
        "                    if type(finder).__name__ != 'NumbaCudaFinder']\n")
    program = ("from numba import cuda\nassert 'numba_cuda' not in cuda.__file__\n"
               "from refglow.lessons.puzzles import LOG_DET, VECTOR_SHIFT\n"
               "for puzzle in (LOG_DET, VECTOR_SHIFT):\n"
               "    print(puzzle.check(puzzle.solution))\n")
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                           env={**os.environ, "PYTHONPATH": str(tmp_path)}, timeout=120)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("Right.") == 2 and found.stdout.count("Not compiled") == 2


def exchange_over_warps(x, y):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncthreads()
    y[t] = tile[63 - t]
    tile[t] = 0


def blocks_meet(x, y):
    y[0] = x[cuda.blockIdx.x]


def atomics_and_a_read(x, y):
    cuda.atomic.add(y, 0, x[cuda.threadIdx.x])
    x[cuda.threadIdx.x] + y[0]


@pytest.mark.parametrize(("kernel", "grid", "block", "kind"), [
    (exchange_over_warps, 1, 64, "race in shared memory"),
    (blocks_meet, 2, 1, "race in global memory"),
    (atomics_and_a_read, 1, 8, "race in global memory")])
def test_races_that_leave_the_numbers_right(kernel, grid, block, kind):
    arguments = {"x": np.arange(64, dtype=np.float32), "y": np.zeros(64, np.float32)}
    recording = simulator().run(kernel, (grid, 1, 1), (block, 1, 1), arguments)
    assert [found for found, _ in defects(recording, ["x"], [])] == [kind]


def by_columns(x, y):
    y[cuda.threadIdx.x] = x[cuda.threadIdx.x, 3]


def test_sectors_and_bank_conflicts_by_hand():
    arguments = {"x": np.ones((32, 16), np.float32), "y": np.zeros(32, np.float32)}
    recording = simulator().run(by_columns, (1, 1, 1), (32, 1, 1), arguments)
    read, written = (total(global_traffic(recording, kind)) for kind in (READ, WRITE))
    assert (read.requests, read.sectors, read.bytes_requested) == (1, 32, 128)  # 64 bytes apart
    assert (written.requests, written.sectors) == (1, 4)


@cuda.jit(device=True)
def added(x, t):
    return x[cuda.grid(1)] + t[cuda.grid(1)]


def with_a_device_function(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = added(x, t)


@cuda.jit(device=True, inline="always")
def inlined(x, t):
    return x[cuda.grid(1)] + t[cuda.grid(1)]


def with_an_inlined_one(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = inlined(x, t)


def of_python_alone(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = sum([x[i], t[i]], start={}.get("zero", 0))


def test_helpers_travel_with_the_kernel_and_must_compile():
    accepted(SHIFT, with_a_device_function)
    assert "PTX interpreted" in SHIFT.check(with_an_inlined_one).message
    rejected(SHIFT, of_python_alone, "Numba's compiler refuses it")


def wraps_around(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        four = 4 * (x.size // x.size)
        y[i] = x[i] + t[i] if four * 2**62 > 0 else float32(0)  # 2^64: in int64 that is 0


def test_numbers_that_only_the_simulator_gets_right_are_wrong():
    rejected(SHIFT, wraps_around, "compiled and interpreted as PTX: y[0] is 0; it should be")


def prints(x, t, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] + t[i]
        print("number", i)


def test_what_a_kernel_prints_is_shown(capsys):
    verdict = SHIFT.check(prints)
    assert verdict.right and "it prints" in verdict.message
    assert "number 8 | number 9" in capsys.readouterr().out
