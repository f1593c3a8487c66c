"""refglow and its peers at every task, the ratios between them, and the verdict on each target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from refglow.kernels.bench.records import Summary
from refglow.validation.bench.cold_start import cold_starts
from refglow.validation.bench.configuration import Configuration
from refglow.validation.bench.model import (
    Timed,
    activation_growth,
    contenders_for,
    rates,
    ratios,
    timed,
)
from refglow.validation.bench.scaling import BATCHES, SIDES, scaling
from refglow.validation.bench.targets import Verdict

TASKS = ("log_prob", "sample", "step", "cold_start")
LARGE = Configuration((256, 256, 3), 6, 32, 512, 1)
COLD_START_ROUNDS = 3

# At least so many times as fast as the peer.
LOG_PROB = {"tfp": 2.5, "normflows": 2.0}
SAMPLE = {"tfp": 2.0, "normflows": 2.0}
STEP = {"store": {"tfp": 2.0, "normflows": 2.0}, "reversible": {"tfp": 1.5, "normflows": 1.5}}
GEMM_SHARE = 0.85
NETWORKS_ALONE = 1.0  # refglow's whole log_prob over PyTorch's coupling networks, at most
WARM_START = 1 / 3  # of TFP's, at most
COLD_START_SECONDS = 30.0
FLAT = 1.2  # the dearest pixel over the cheapest, at most

Progress = Callable[[str], None]


@dataclass
class SideBySide:
    """Everything that was measured.

    Attributes:
      tasks: by the name of a task and its batch ("log_prob, batch 8"), what was found by contender.
      extra: other figures, for JSON.
      verdicts: on the targets that can be judged from these contenders.
    """

    tasks: dict[str, dict[str, Timed]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"tasks": {title: {name: one.as_dict() for name, one in found.items()}
                          for title, found in self.tasks.items()},
                **self.extra, "targets": [verdict.as_dict() for verdict in self.verdicts]}


def side_by_side(configuration: Configuration, tasks: Sequence[str], peers: Sequence[str],
                 batches: Sequence[int], rounds: int, progress: Progress) -> SideBySide:
    """Measure these tasks.

    Args:
      configuration: of the model; its batch is replaced.
      tasks: of TASKS.
      peers: as for `contenders_for`.
      batches: for log_prob and sampling; a training step is measured with the first.
      rounds: timings of each contender.
      progress: told what happens next.

    Raises:
      NotEqualError, RuntimeError: as `timed`.
      ValueError: if a task or a peer is unknown.
    """
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise ValueError(f"There is no task {', '.join(unknown)}; there are: {', '.join(TASKS)}.")
    found = SideBySide(extra={"configuration": asdict(configuration)})
    for task in dict.fromkeys(tasks):
        if task == "cold_start":
            _cold_start(found, peers, progress)
            continue
        for batch in batches[:1] if task == "step" else batches:
            sized = replace(configuration, batch=batch)
            title = f"{task}, batch {batch}"
            results = timed(task, contenders_for(task, peers), sized, rounds, progress)
            found.tasks[title] = results
            found.verdicts += _VERDICTS[task](title, results)
        if task == "step":
            progress("step: memory for activations")
            found.extra["activation_bytes"] = activation_growth(
                replace(configuration, batch=batches[0]))
    return found


def _log_prob_verdicts(title: str, found: dict[str, Timed]) -> list[Verdict]:
    ours = found["refglow"]
    verdicts = _times_as_fast(title, found, "refglow", LOG_PROB)
    gemm = rates(found["gemm"])
    share = Summary(tuple(a / b for a, b in zip(rates(ours).seconds, gemm.seconds, strict=True)))
    verdicts.append(Verdict(f"{title}: of the rate of matrix products", share.median, "%",
                            GEMM_SHARE, spread=share.quartiles))
    networks = [one for name, one in found.items() if name.startswith("networks_")]
    if networks:
        best = min(networks, key=lambda one: one.summary.median)
        ratio = ratios(ours, best)
        verdicts.append(Verdict(f"{title}: time over that of {best.label}", ratio.median, "x",
                                NETWORKS_ALONE, at_least=False, spread=ratio.quartiles))
    return verdicts


def _sample_verdicts(title: str, found: dict[str, Timed]) -> list[Verdict]:
    return _times_as_fast(title, found, "refglow", SAMPLE)


def _step_verdicts(title: str, found: dict[str, Timed]) -> list[Verdict]:
    verdicts = [verdict for mode, targets in STEP.items()
                for verdict in _times_as_fast(title, found, mode, targets)]
    less, more = (found[mode].process["peak_bytes"] for mode in ("reversible", "store"))
    return verdicts + [Verdict(f"{title}: peak memory of reversible over store", less / more, "x",
                               1.0, at_least=False)]


def _times_as_fast(title: str, found: dict[str, Timed], name: str,
                   targets: dict[str, float]) -> list[Verdict]:
    verdicts = []
    for peer, target in targets.items():
        if peer in found:
            ratio = ratios(found[peer], found[name])
            verdicts.append(Verdict(f"{title}: {found[name].label} against {found[peer].label}",
                                    ratio.median, "x", target, spread=ratio.quartiles))
    return verdicts


_VERDICTS = {"log_prob": _log_prob_verdicts, "sample": _sample_verdicts, "step": _step_verdicts}


def _cold_start(found: SideBySide, peers: Sequence[str], progress: Progress) -> None:
    names = ["refglow_warm", "refglow_cold"] + (["tfp"] if "tfp" in peers else [])
    starts = cold_starts(names, COLD_START_ROUNDS, progress)
    found.extra["cold_start"] = starts
    medians = {name: start["median_seconds"] for name, start in starts.items()}
    if "tfp" in medians:
        found.verdicts.append(Verdict("cold start, kernels cached: time over that of TFP, eager",
                                      medians["refglow_warm"] / medians["tfp"], "x", WARM_START,
                                      at_least=False))
    found.verdicts.append(Verdict("cold start, no kernels cached", medians["refglow_cold"], "s",
                                  COLD_START_SECONDS, at_least=False))


def scaled(configuration: Configuration, rounds: int, progress: Progress,
           sides: Sequence[int] = SIDES, batches: Sequence[int] = BATCHES) -> SideBySide:
    """The cost of a pixel over sizes and batches.

    Args:
      configuration, rounds, progress, sides, batches: as for `scaling`.
    """
    found = scaling(configuration, rounds, progress, sides, batches)
    return SideBySide(extra={"configuration": asdict(configuration), "scaling": found}, verdicts=[
        Verdict(f"cost of a pixel over {name}: dearest over cheapest",
                found[f"{name}_dearest_over_cheapest"], "x", FLAT, at_least=False)
        for name in ("sizes", "batches")])


def large_step(progress: Progress) -> SideBySide:
    """One training step of a Glow for 256 x 256 images, reversible."""
    found = timed("step", ["reversible"], LARGE, 1, progress)
    return SideBySide({"step, 256x256x3, batch 1": found}, {"configuration": asdict(LARGE)})
