"""Time and memory of a training step, refglow's and its peers'.

    python -m refglow.validation.training_step [--json FILE] [--peers NAME ...] [--rounds N]
                                               [--large]

A step is the loss (the mean negative log-likelihood), its gradient with respect to all parameters
and an update by Adam, in float32. Weights are random in every layer. refglow, TFP and PyTorch start
with the same weights and images, so their first losses agree; normflows' model is one of the same
size (see `refglow.validation.peers`).

* Time: each peer has a process of its own, in which the model is built and stepped twice first.
  Then all are asked for a step in turn, A B C A B C ..., so that a machine whose speed drifts
  treats them alike; only one works at a time. Quoted are the median over the rounds and the
  fastest round, which other work on the machine disturbs least.
* Memory: the largest resident memory in the life of another fresh process that imports, builds the
  model and makes two steps (the second with Adam's moments in place). What the imports alone take
  is shown beside it.
* Activation memory in mode "reversible": the peak of allocations during `log_prob_and_grad`, less
  the gradients it returns, for 4 and for 64 steps per block: whether it grows with depth.
* --large: one step of a Glow for 256 x 256 images.
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.validation.peers.steps import PEERS, Configuration, Step, refglow_step

LARGE = Configuration((256, 256, 3), 6, 32, 512, 1)
WARM_UP = 2
MIB = 2**20


# ---- measurements, each in a process of its own -------------------------------------------------

def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments), in a new process that ends with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def resident_memory(name: str, configuration: Configuration) -> dict[str, float]:
    """Peak bytes of this process after the imports, and after building and two steps; first loss.

    Args:
      name: of a peer in PEERS.
      configuration: of the model and the batch.
    """
    PEERS[name].load()
    imports = _peak_bytes()
    step = PEERS[name].make_step(configuration)
    losses = [step() for _ in range(WARM_UP)]
    return {"import_bytes": imports, "peak_bytes": _peak_bytes(), "first_loss": losses[0]}


def activation_bytes(configuration: Configuration, memory: str = "reversible") -> int:
    """The peak of what `log_prob_and_grad` allocates, less the gradients that it returns."""
    px, images = configuration.distribution(), configuration.images()
    tracemalloc.start()  # NumPy reports its arrays; the parameters were there before
    _, bars = px.log_prob_and_grad(images, memory=memory)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return int(peak - sum(bar.nbytes for bar in bars.values()))


def one_step(configuration: Configuration, memory: str = "reversible") -> dict[str, float]:
    """Seconds, loss and peak bytes of refglow's first step in this process."""
    step = refglow_step(configuration, memory)
    seconds, loss = _timed(step)
    return {"seconds": seconds, "loss": loss, "peak_bytes": _peak_bytes()}


def step_seconds(names: list[str], configuration: Configuration,
                 rounds: int) -> dict[str, list[float]]:
    """Seconds of each peer's steps; all peers' processes live, one works at a time."""
    workers = {name: _Worker(name, configuration) for name in names}
    try:
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for worker in workers.values():
            for _ in range(WARM_UP):
                worker.step()
        for _ in range(rounds):
            for name, worker in workers.items():
                time.sleep(0.3)  # the threads of the one before go on spinning for a while
                seconds[name].append(worker.step())
        return seconds
    finally:
        for worker in workers.values():
            worker.close()


class _Worker:
    """A process that makes a step each time it is asked to."""

    def __init__(self, name: str, configuration: Configuration) -> None:
        context = get_context("spawn")
        self._name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, configuration, theirs),
                                        daemon=True)
        self._process.start()
        theirs.close()

    def step(self) -> float:
        """The seconds of one step."""
        try:
            self._pipe.send("step")
            return float(self._pipe.recv())
        except (EOFError, ConnectionError):
            self._process.join()
            raise RuntimeError(f"The process of {self._name!r} ended (exit code "
                               f"{self._process.exitcode}); its error is above.") from None

    def close(self) -> None:
        """End the process."""
        self._pipe.close()  # it reads the end of the pipe and returns
        self._process.join()


def _serve(name: str, configuration: Configuration, pipe: Any) -> None:
    step = PEERS[name].make_step(configuration)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(_timed(step)[0])


def _timed(step: Step) -> tuple[float, float]:
    started = time.perf_counter()
    loss = step()
    return time.perf_counter() - started, loss


def _peak_bytes() -> int:
    """This process' largest resident memory so far.

    Linux counts into ru_maxrss what the process that started this one had; VmHWM is this one's.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# ---- the report ---------------------------------------------------------------------------------

def measure(names: list[str], configuration: Configuration, rounds: int) -> dict[str, Any]:
    """Everything about these peers: time in turn, memory one by one; the first is compared with."""
    memory = {name: in_fresh_process(resident_memory, name, configuration) for name in names}
    seconds = step_seconds(names, configuration, rounds)
    return {name: {
        "label": PEERS[name].label, "seconds": seconds[name],
        "median_seconds": median(seconds[name]), "fastest_seconds": min(seconds[name]),
        "times_the_first": median(theirs / ours for theirs, ours
                                  in zip(seconds[name], seconds[names[0]], strict=True)),
        **memory[name]} for name in names}


def main() -> None:
    """Measure what the command line asks for and print it."""
    from refglow.validation.table import console, stderr_console
    arguments = _arguments()
    require_writable(arguments.json)
    out = stderr_console() if is_standard_output(arguments.json) else console()
    configuration = Configuration()
    report: dict[str, Any] = {
        "machine": platform.platform(), "configuration": asdict(configuration),
        "peers": measure(arguments.peers, configuration, arguments.rounds)}
    out.print(_table(report["peers"], configuration))
    if "reversible" in arguments.peers:
        report["activation_bytes"] = {steps: in_fresh_process(
            activation_bytes, replace(configuration, num_steps_per_block=steps))
            for steps in (4, 64)}
        few, many = report["activation_bytes"].values()
        out.print(f"Activation memory, reversible: {few / MIB:.1f} MiB with 4 steps per block, "
                  f"{many / MIB:.1f} MiB with 64 ({many / few:.2f} times)")
    if arguments.large:
        report["large"] = asdict(LARGE) | in_fresh_process(one_step, LARGE)
        out.print(f"256x256x3, 6 blocks x 32 steps, 512 filters, batch 1, reversible: "
                  f"{report['large']['seconds']:.1f} s, {report['large']['peak_bytes'] / MIB:.0f} "
                  "MiB resident at most")
    write_json(arguments.json, report)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m refglow.validation.training_step",
                                     description="Time and memory of a training step.")
    parser.add_argument("--json", type=Path, help="write the results to this file ('-': to "
                        "standard output)")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), metavar="NAME",
                        default=[name for name in PEERS if name != "torch"],
                        help=f"whom to measure, of {', '.join(PEERS)}; default: all but torch")
    parser.add_argument("--rounds", type=int, default=7, help="how many steps are timed")
    parser.add_argument("--large", action="store_true", help="also a step for 256 x 256 images")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1; got {arguments.rounds}.")
    return arguments


def _table(peers: dict[str, Any], configuration: Configuration) -> Any:
    from rich.table import Table
    h, w, c = configuration.output_shape
    table = Table(title=f"One training step: {h}x{w}x{c}, {configuration.num_glow_blocks} blocks x "
                  f"{configuration.num_steps_per_block} steps, {configuration.num_hidden} filters, "
                  f"batch {configuration.batch}, float32", title_justify="left",
                  header_style="bold")
    table.add_column("implementation")
    for column in ("seconds\n(median)", "seconds\n(fastest)", "times the\nfirst row's",
                   "peak resident\nMiB", "of them after\nimports, MiB", "first loss\nnats"):
        table.add_column(column, justify="right")
    for found in peers.values():
        table.add_row(found["label"], f"{found['median_seconds']:.3f}",
                      f"{found['fastest_seconds']:.3f}", f"{found['times_the_first']:.2f}",
                      f"{found['peak_bytes'] / MIB:.0f}", f"{found['import_bytes'] / MIB:.0f}",
                      f"{found['first_loss']:.3f}")
    return table


if __name__ == "__main__":
    main()
