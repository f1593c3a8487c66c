"""Whole models side by side: workers, turns, ratios, targets; no figure depends on real timings."""

import os
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from refglow.kernels.bench.records import Summary
from refglow.validation.bench import cold_start, model, side_by_side
from refglow.validation.bench.configuration import Configuration
from refglow.validation.bench.contenders import CONTENDERS, Job
from refglow.validation.bench.model import (
    NotEqualError,
    Timed,
    activation_bytes,
    contenders_for,
    ratios,
    timed,
)
from refglow.validation.bench.model_roofline import (
    bytes_of_pass,
    model_ceiling,
    model_points,
    weights_of,
)
from refglow.validation.bench.operations import operations_of
from refglow.validation.bench.worker import WARM_UP, worker_environment, working

SMALL = Configuration((8, 16, 3), num_glow_blocks=2, num_steps_per_block=2, num_hidden=6, batch=3)
IGNORED = ("import_bytes", "built_bytes", "peak_bytes")


def found(name, *seconds, operations=0, peak=1, error=0.0):
    return Timed(name, CONTENDERS[name].label, Summary(seconds), error, 1e-5, operations,
                 {"import_bytes": 1, "built_bytes": 1, "peak_bytes": peak, "blas": []})


# ---- counts ---------------------------------------------------------------------------------


def test_operations_of_the_default_glow():
    """5.3 GFLOP: for 16, 8 and 4 pixels a side, 12, 24 and 48 channels, 32 steps each."""
    counted = operations_of(Configuration().glow())
    networks = sum(2 * side**2 * 32 * (9 * (c // 2) * 400 + 400**2 + 9 * 400 * c)
                   for side, c in ((16, 12), (8, 24), (4, 48)))
    matrices = sum(2 * side**2 * 32 * c**2 for side, c in ((16, 12), (8, 24), (4, 48)))
    exits = sum(2 * side**2 * 9 * (c // 2) * c for side, c in ((16, 12), (8, 24)))
    assert counted.as_dict() == {"couplings": networks, "exits": exits, "matrices": matrices,
                                 "total": networks + exits + matrices}
    assert counted.total == 5_306_327_040


def test_the_model_is_well_conditioned_in_both_directions():
    """Else one would measure arithmetic with infinities and NaN."""
    deep = replace(Configuration((16, 16, 3), num_steps_per_block=32, num_hidden=16), batch=2)
    glow = deep.glow()
    latents, samples = glow.inverse(deep.images()), glow.forward(deep.latents())
    assert 0.1 < latents.std() < 10 and 0.1 < samples.std() < 10
    assert max(np.abs(latents).max(), np.abs(samples).max()) < 100


# ---- jobs -----------------------------------------------------------------------------------


def losses(name, count=3):
    job = CONTENDERS[name].jobs["step"](SMALL)
    return [job.run() for _ in range(count)]


@pytest.mark.tfp
def test_the_steps_that_are_timed_do_the_same_work(tf):
    """Later losses are those after updates of the same size by the same gradients."""
    expected = losses("torch")
    assert len(set(expected)) == 3
    for name in ("tfp", "store", "checkpoint", "reversible"):
        assert losses(name) == pytest.approx(expected, rel=1e-6)


@pytest.mark.tfp
@pytest.mark.parametrize(("name", "task"), [(name, task) for name, one in CONTENDERS.items()
                                            for task in one.jobs if name != "gemm"])
def test_every_job_says_how_far_it_is_from_the_specification(name, task, tf):
    job = CONTENDERS[name].jobs[task](SMALL)
    for _ in range(WARM_UP):
        job.run()
    assert job.error() <= model.tolerance(SMALL).relative


@pytest.mark.parametrize(("task", "names"), [
    ("log_prob", ["refglow", "normflows", "networks_nchw", "networks_channels_last", "gemm"]),
    ("sample", ["refglow", "normflows"]),
    ("step", ["store", "checkpoint", "reversible", "normflows", "torch"])])
def test_who_takes_part(task, names):
    assert contenders_for(task, ["torch", "normflows"]) == names
    with pytest.raises(ValueError, match="no peer jax; there are: tfp, normflows, torch"):
        contenders_for(task, ["jax"])


# ---- workers --------------------------------------------------------------------------------


@pytest.mark.slow
def test_measurements_are_of_processes_of_their_own(monkeypatch):
    monkeypatch.setattr(model, "PAUSE", 0.0)
    told = []
    measured = timed("step", ["torch", "store"], SMALL, 2, told.append)
    assert list(measured) == ["torch", "store"]
    for one in measured.values():
        assert len(one.summary.seconds) == 2 and one.summary.minimum > 0
        assert one.error <= one.tolerance
        assert one.process["peak_bytes"] >= one.process["import_bytes"] > 10 * 2**20
    torch, store = (one.process for one in measured.values())
    assert torch["import_bytes"] > store["import_bytes"] + 50 * 2**20
    assert store["first"] == pytest.approx(torch["first"], rel=1e-6)
    assert told[:2] == ["step: building torch", "step: building store"]
    assert told[-2:] == ["step: round 1 of 2", "step: round 2 of 2"]
    record = measured["store"].as_dict()
    assert {"label", "error", "tolerance", "operations", "operations_per_second", "first", "blas",
            "median_seconds", "seconds", *IGNORED} <= record.keys()


def test_a_process_that_ends_is_an_error():
    with working("nobody", "log_prob", SMALL) as one, pytest.raises(
            RuntimeError, match=r"process of 'nobody' ended \(exit code 1\): KeyError: 'nobody'"):
        one.built()


def test_settings_of_one_blas_are_kept_from_the_workers(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    given = worker_environment()
    assert "OPENBLAS_CORETYPE" not in given and "OPENBLAS_L2_SIZE" not in given
    assert given["OPENBLAS_NUM_THREADS"] == "1" and given["PATH"] == os.environ["PATH"]


class Told:
    """A worker whose figures are told beforehand; counts the runs."""

    def __init__(self, error, seconds):
        self._error, self._seconds, self.runs = error, seconds, 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def built(self):
        return {"operations": 10, "peak_bytes": 1, "import_bytes": 1, "built_bytes": 1, "blas": []}

    def error(self):
        return self._error

    def run(self):
        self.runs += 1
        return self._seconds * self.runs


def told(monkeypatch, **workers):
    monkeypatch.setattr(model, "PAUSE", 0.0)
    monkeypatch.setattr(model, "working", lambda name, *rest: workers[name])
    return workers


def test_a_contender_with_other_results_stops_everything_before_it_is_timed(monkeypatch):
    allowed = model.tolerance(SMALL).relative
    for error in (1.01 * allowed, float("nan"), float("inf")):
        workers = told(monkeypatch, refglow=Told(0.0, 1.0), tfp=Told(error, 2.0))
        with pytest.raises(NotEqualError, match=r"results of tfp are .* Nothing was timed"):
            timed("log_prob", ["refglow", "tfp"], SMALL, 3)
        assert workers["refglow"].runs == workers["tfp"].runs == 0


def test_ratios_are_of_rounds(monkeypatch):
    told(monkeypatch, refglow=Told(0.0, 1.0), tfp=Told(0.0, 3.0))
    measured = timed("log_prob", ["refglow", "tfp"], SMALL, 3)
    assert measured["refglow"].summary.seconds == (2.0, 4.0, 6.0)  # each after one not counted
    assert ratios(measured["tfp"], measured["refglow"]).seconds == (3.0, 3.0, 3.0)
    assert model.rates(measured["refglow"]).seconds == (5.0, 2.5, 10 / 6)


def test_a_wrong_model_is_noticed_in_its_process(monkeypatch):
    """Planted: the error is computed from results, not assumed."""
    from refglow.validation.peers import TorchNetworks
    job = CONTENDERS["networks_nchw"].jobs["log_prob"](SMALL)
    assert isinstance(job, Job) and job.error() < 1e-5
    original = TorchNetworks.evaluate
    monkeypatch.setattr(TorchNetworks, "evaluate",
                        lambda self: [1.001 * y for y in original(self)])
    assert CONTENDERS["networks_nchw"].jobs["log_prob"](SMALL).error() > 1e-4


# ---- targets --------------------------------------------------------------------------------


def test_targets_of_log_prob(monkeypatch):
    results = {"refglow": found("refglow", 1.0, 1.0, 2.0, operations=85),
               "tfp": found("tfp", 2.5, 2.6, 2.0), "normflows": found("normflows", 1.9, 1.9, 1.9),
               "networks_nchw": found("networks_nchw", 9.0, 9.0, 9.0),
               "networks_channels_last": found("networks_channels_last", 1.0, 1.1, 1.9),
               "gemm": found("gemm", 1.0, 1.0, 1.0, operations=100)}
    verdicts = side_by_side._log_prob_verdicts("log_prob, batch 8", results)
    assert [(verdict.value, verdict.met) for verdict in verdicts] == [
        (2.5, True), (1.9, False), (0.85, True), (1.0, True)]
    assert verdicts[3].what.endswith("alone, channels_last") and not verdicts[3].at_least
    assert verdicts[0].spread == (1.75, 2.55)


def test_targets_of_a_step():
    results = {"store": found("store", 1.0, peak=100), "checkpoint": found("checkpoint", 9.0),
               "reversible": found("reversible", 1.5, peak=60), "tfp": found("tfp", 2.2),
               "normflows": found("normflows", 2.3)}
    verdicts = side_by_side._step_verdicts("step, batch 8", results)
    assert [verdict.met for verdict in verdicts] == [True, True, False, True, True]
    assert verdicts[-1].value == 0.6


def test_everything_together(monkeypatch):
    """With stand-ins for what takes long; the real ones have tests of their own."""
    def stand_in(task, names, configuration, rounds, progress):
        return {name: found(name, 1.0, 2.0, operations=10 * configuration.batch) for name in names}
    starts = {"refglow_warm": {"median_seconds": 1.0}, "refglow_cold": {"median_seconds": 31.0},
              "tfp": {"median_seconds": 3.1}}
    monkeypatch.setattr(side_by_side, "timed", stand_in)
    monkeypatch.setattr(side_by_side, "cold_starts",
                        lambda names, rounds, progress: {name: starts[name] for name in names})
    monkeypatch.setattr(side_by_side, "activation_growth", lambda configuration: {4: 1, 64: 2})
    report = side_by_side.side_by_side(SMALL, side_by_side.TASKS, ["tfp", "torch"], [8, 32], 2,
                                       lambda what: None)
    assert list(report.tasks) == ["log_prob, batch 8", "log_prob, batch 32", "sample, batch 8",
                                  "sample, batch 32", "step, batch 8"]
    starting = {verdict.what: verdict.met for verdict in report.verdicts[-2:]}
    assert list(starting.values()) == [True, False]
    assert len(report.verdicts) == 2 * 3 + 2 * 1 + 3 + 2
    record = report.as_dict()
    assert record["tasks"]["step, batch 8"].keys() == {"store", "checkpoint", "reversible", "tfp",
                                                       "torch"}
    assert record["activation_bytes"] == {4: 1, 64: 2}
    assert record["configuration"]["num_hidden"] == 6
    with pytest.raises(ValueError, match="no task bake; there are: log_prob, "):
        side_by_side.side_by_side(SMALL, ["bake"], [], [8], 1, lambda what: None)


def test_the_cost_of_a_pixel(monkeypatch):
    from refglow.validation.bench import scaling

    def stand_in(task, entries, rounds, progress):
        return {key: found(name, 1e-9 * 1.1**k * configuration.batch
                           * np.prod(configuration.output_shape[:2]), peak=11)
                for k, (key, (name, configuration)) in enumerate(entries.items())}
    monkeypatch.setattr(scaling, "timed_each", stand_in)
    report = side_by_side.scaled(SMALL, 1, lambda what: None, sides=(8, 16), batches=(1, 2, 4))
    rows = report.extra["scaling"]
    assert [row["point"] for row in rows["sizes"]] == ["8x8, batch 1", "16x16, batch 1"]
    assert [row["nanoseconds_per_pixel"] for row in rows["batches"]] == pytest.approx(
        [1, 1.1, 1.21])
    assert rows["batches"][0]["added_bytes"] == 10
    assert [verdict.met for verdict in report.verdicts] == [True, False]


# ---- a first start --------------------------------------------------------------------------


def test_a_start_is_measured_from_outside_and_its_cache_is_as_said(monkeypatch, tmp_path):
    program = tmp_path / "first_log_prob_refglow.py"
    program.write_text(
        "import json, os, pathlib\n"
        "folder = pathlib.Path(os.environ['NUMBA_CACHE_DIR'])\n"
        "held = len(list(folder.iterdir()))\n"
        "(folder / 'kernel').touch()\n"
        "print(json.dumps({'import': held, 'build': 0.0, 'first log_prob': 0.0, "
        "'finite': True}), flush=True)\n")
    monkeypatch.setattr(cold_start, "__file__", str(tmp_path / "cold_start.py"))
    starts = cold_start.cold_starts(["refglow_warm", "refglow_cold"], 2)
    assert starts["refglow_warm"]["parts_seconds"]["import"] == 1
    assert starts["refglow_cold"]["parts_seconds"]["import"] == 0
    assert all(len(start["seconds"]) == 2 and start["minimum_seconds"] > 0
               for start in starts.values())
    program.write_text("raise SystemExit('no kernels today')")
    with pytest.raises(RuntimeError, match=r"refglow, kernels cached failed \(exit code 1\): no k"):
        cold_start.cold_starts(["refglow_warm"], 1)
    program.write_text("print('{\"import\": 1, \"finite\": false}')")
    with pytest.raises(RuntimeError, match="not finite"):
        cold_start.cold_starts(["refglow_warm"], 1)


# ---- memory ---------------------------------------------------------------------------------


def test_activation_memory_grows_with_depth_where_activations_are_stored():
    wide = Configuration((16, 16, 3), num_glow_blocks=2, num_hidden=32, batch=8)
    growth = {}
    for mode in ("store", "reversible"):
        few, many = (activation_bytes(replace(wide, num_steps_per_block=steps), mode)
                     for steps in (2, 20))
        growth[mode] = many / few
    assert growth["store"] > 5
    assert growth["reversible"] < 1.3


def test_peaks_are_forgotten_where_the_system_can():
    import sys

    from refglow.validation.bench.memory import forget_peak, peak_bytes
    if sys.platform != "linux":
        pytest.skip("only Linux forgets")
    large = np.ones(2**26, np.uint8)
    before = peak_bytes()
    del large
    resident = forget_peak()
    assert resident <= before
    assert peak_bytes() <= before - 2**25


# ---- the picture ----------------------------------------------------------------------------


def test_a_pass_moves_its_weights_once_and_its_images_in_and_out():
    weights = sum(variable.numpy().size for variable in SMALL.glow().trainable_variables)
    assert weights_of(SMALL) == weights
    assert bytes_of_pass(weights, SMALL) == 4 * (weights + 2 * 3 * 8 * 16 * 3)


def test_points_are_those_whose_operations_are_counted_and_products_are_the_ceiling():
    tasks = {"log_prob, batch 2": {"refglow": found("refglow", 2.0, operations=40),
                                   "normflows": found("normflows", 3.0),
                                   "gemm": found("gemm", 1.0, operations=60)},
             "step, batch 3": {"store": found("store", 3.0)}}
    moved = bytes_of_pass(weights_of(SMALL), replace(SMALL, batch=2))
    [point] = model_points(tasks, SMALL)
    assert (point.name, point.variant) == ("batch 2", f"log_prob: {CONTENDERS['refglow'].label}")
    assert (point.intensity, point.rate, point.bandwidth) == (40 / moved, 20.0, moved / 2)
    ceiling = model_ceiling(tasks, 7.0)
    assert (ceiling.bandwidth, ceiling.rate) == (7.0, 60.0)
    del tasks["log_prob, batch 2"]["gemm"]
    assert model_ceiling(tasks, 7.0).rate is None
