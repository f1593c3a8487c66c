"""Whole models side by side: log_prob, sampling and a training step, contenders taking turns.

Each contender has a process of its own, in which the model is built, run twice and compared with
refglow's specification. Then all are asked for a run in turn, A B C A B C ..., so that a machine
whose speed drifts treats them alike; only one works at a time. What is quoted is the median over
the rounds, and for a ratio the median of the rounds' ratios, with the quartiles.

Memory is the largest resident memory of those processes up to the second run (for a step: with
Adam's moments in place). What the imports alone take is given beside it.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from refglow.backend import use_backend
from refglow.kernels.bench.records import Summary
from refglow.validation.bench.configuration import Configuration
from refglow.validation.bench.contenders import CONTENDERS, tolerance
from refglow.validation.bench.worker import PAUSE, Worker, working

PEERS = ("tfp", "normflows", "torch")


@dataclass(frozen=True)
class Timed:
    """What was found about one contender at one task.

    Attributes:
      name, label: whose.
      summary: its timings, one of each round.
      error, tolerance: how far its results are from the specification's, and may be.
      operations: that one run does, where they are counted; else 0.
      process: what the worker says of itself when it has built its job.
    """

    name: str
    label: str
    summary: Summary
    error: float
    tolerance: float
    operations: int
    process: dict[str, Any]

    @property
    def right(self) -> bool:
        """Whether its results are the specification's."""
        return self.error <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        rate = self.operations / self.summary.median if self.operations else None
        return {"label": self.label, "error": self.error, "tolerance": self.tolerance,
                "operations": self.operations or None, "operations_per_second": rate,
                **self.process, **self.summary.as_dict()}


class NotEqualError(ValueError):
    """A contender computes something else; nothing was timed."""


def contenders_for(task: str, peers: Sequence[str]) -> list[str]:
    """Who takes part in a task, refglow first.

    Args:
      task: "log_prob", "sample" or "step".
      peers: some of PEERS; "torch" stands for the coupling networks alone in log_prob, and for the
        same Glow in a training step.

    Raises:
      ValueError: if a peer is unknown.
    """
    unknown = [peer for peer in peers if peer not in PEERS]
    if unknown:
        raise ValueError(f"There is no peer {', '.join(unknown)}; there are: {', '.join(PEERS)}.")
    ours = ["store", "checkpoint", "reversible"] if task == "step" else ["refglow"]
    theirs = [peer for peer in PEERS if peer in peers and task in CONTENDERS[peer].jobs]
    if task != "log_prob":
        return ours + theirs
    networks = [name for name in CONTENDERS if name.startswith("networks_") and "torch" in peers]
    return ours + theirs + networks + ["gemm"]


def timed(task: str, names: Sequence[str], configuration: Configuration, rounds: int,
          progress: Callable[[str], None] = lambda what: None) -> dict[str, Timed]:
    """Verify these contenders at a task, then time them in turn.

    Args:
      task: what they do.
      names: of contenders that can.
      configuration: of the model and its batch.
      rounds: timings of each.
      progress: told what happens next.

    Returns:
      what was found, by name.

    Raises:
      NotEqualError: if a result differs from the specification's; names who and by how much.
      RuntimeError: if a process fails; says why.
    """
    return timed_each(task, {name: (name, configuration) for name in names}, rounds, progress)


def timed_each(task: str, entries: dict[str, tuple[str, Configuration]], rounds: int,
               progress: Callable[[str], None] = lambda what: None) -> dict[str, Timed]:
    """As `timed`, each entry with a configuration of its own.

    Args:
      task, rounds, progress: as for `timed`.
      entries: by any key, (name of a contender, configuration).
    """
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        process: dict[str, dict[str, Any]] = {}
        for key, (name, configuration) in entries.items():  # one after the other: memory, cores
            progress(f"{task}: building {key}")
            workers[key] = stack.enter_context(working(name, task, configuration))
            process[key] = workers[key].built()
        errors = {}
        for key, worker in workers.items():
            progress(f"{task}: comparing {key}")
            errors[key] = _verified(key, worker, entries[key][1])
        seconds: dict[str, list[float]] = {key: [] for key in workers}
        for round_ in range(1, rounds + 1):
            progress(f"{task}: round {round_} of {rounds}")
            for key, worker in workers.items():
                time.sleep(PAUSE)
                worker.run()  # wakes its threads
                seconds[key].append(worker.run())
    return {key: Timed(name, CONTENDERS[name].label, Summary(tuple(seconds[key])), *errors[key],
                       process[key].pop("operations"), process[key])
            for key, (name, _) in entries.items()}


def _verified(key: str, worker: Worker, configuration: Configuration) -> tuple[float, float]:
    """The error of a worker's results and what is allowed."""
    error, allowed = worker.error(), tolerance(configuration)
    if not error <= allowed.relative:
        raise NotEqualError(f"The results of {key} are {error:.1e} (relative) from the "
                            f"specification's; {allowed.relative:.1e} is allowed. Nothing was "
                            "timed.")
    return error, allowed.relative


def ratios(numerator: Timed, denominator: Timed) -> Summary:
    """The seconds of one over those of the other, round by round."""
    return Summary(tuple(a / b for a, b in zip(
        numerator.summary.seconds, denominator.summary.seconds, strict=True)))


def rates(one: Timed) -> Summary:
    """Operations per second, round by round."""
    return Summary(tuple(one.operations / seconds for seconds in one.summary.seconds))


def activation_bytes(configuration: Configuration, memory: str = "reversible") -> int:
    """The peak of what `log_prob_and_grad` allocates, less the gradients that it returns.

    It is the specification's: NumPy reports the arrays that it allocates, compiled kernels do not.
    What a training step takes with kernels is in the resident memory of its process.

    Args:
      configuration: of the model and its batch.
      memory: what `log_prob_vjp` keeps: "store", "checkpoint" or "reversible".
    """
    px, images = configuration.distribution(), configuration.images()
    tracemalloc.start()  # NumPy reports its arrays; the parameters were there before
    with use_backend("spec"):
        _, bars = px.log_prob_and_grad(images, memory=memory)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return int(peak - sum(bar.nbytes for bar in bars.values()))


def activation_growth(configuration: Configuration, memory: str = "reversible",
                      steps: tuple[int, int] = (4, 64)) -> dict[int, int]:
    """`activation_bytes` of a Glow with few and with many steps per block.

    Args:
      configuration: whose number of steps is replaced.
      memory: as for `activation_bytes`.
      steps: how many, twice.
    """
    return {count: activation_bytes(replace(configuration, num_steps_per_block=count), memory)
            for count in steps}
