"""A first start: a new process that imports, builds the default Glow and evaluates 8 images.

Measured from outside, from the start of the process to its answer, Python's own start included.
refglow is started with its compiled kernels on disk ("warm"), in a folder that one start before has
filled, and without any ("cold"), in an empty folder; NUMBA_CACHE_DIR names both. TFP runs eagerly,
as it does without `tf.function`, whose tracing would take longer. Models are fresh, as their
libraries build them: the images are the batch that initialises ActNorm.

One start of each before the rounds, which is not counted, brings the files from the disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from refglow.kernels.bench.records import Summary
from refglow.validation.bench.worker import worker_environment

LABELS = {"refglow_warm": "refglow, kernels cached", "refglow_cold": "refglow, no kernels cached",
          "tfp": "TFP, eager"}


def cold_starts(names: Sequence[str], rounds: int,
                progress: Callable[[str], None] = lambda what: None) -> dict[str, dict[str, Any]]:
    """Seconds of first starts, in turn.

    Args:
      names: of LABELS.
      rounds: starts of each.
      progress: told what happens next.

    Returns:
      by name: its label, the timings, and the parts of the last start ("import", "build", "first
      log_prob"), in seconds.

    Raises:
      RuntimeError: if a start fails, or its results are not finite.
    """
    seconds: dict[str, list[float]] = {name: [] for name in names}
    parts: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as warm:
        for name in names:
            progress(f"cold start: {LABELS[name]}, once before")
            _started(name, warm)
        for round_ in range(1, rounds + 1):
            for name in names:
                progress(f"cold start: {LABELS[name]}, round {round_} of {rounds}")
                took, parts[name] = _started(name, warm)
                seconds[name].append(took)
    return {name: {"label": LABELS[name], "parts_seconds": parts[name],
                   **Summary(tuple(seconds[name])).as_dict()} for name in names}


def _started(name: str, warm: str) -> tuple[float, dict[str, float]]:
    """The seconds of one start, and of its parts."""
    with tempfile.TemporaryDirectory() as empty:
        environment = worker_environment() | {
            "NUMBA_CACHE_DIR": warm if name == "refglow_warm" else empty}
        program = Path(__file__).with_name(f"first_log_prob_{name.partition('_')[0]}.py")
        # -P: the program's folder is not searched for modules
        began = time.perf_counter()
        with subprocess.Popen([sys.executable, "-P", str(program)], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            answer = process.stdout.readline()
            took = time.perf_counter() - began
            _, errors = process.communicate()
    if process.returncode or not answer:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"The start of {LABELS[name]} failed (exit code {process.returncode}): "
                           f"{''.join(last)}")
    found: dict[str, Any] = json.loads(answer)
    if not found.pop("finite"):
        raise RuntimeError(f"{LABELS[name]}: the first log_prob is not finite.")
    return took, found
