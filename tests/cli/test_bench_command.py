"""`refglow bench`: what its commands print, keep and refuse. No figure depends on real timings."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from fake_cupy import fake_cupy
from PIL import Image
from typer.testing import CliRunner

from refglow.cli import bench_report
from refglow.cli.main import app
from refglow.kernels.bench import cuda_clock, machine
from refglow.kernels.bench.machine import Ceilings, Rate
from refglow.kernels.bench.records import Summary
from refglow.kernels.bench.timing import Settings
from refglow.validation.bench import cpu as cpu_cases_module

needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc")
SMALL = ["--size", "2x4x6x8", "--hidden", "5", "--repeats", "2"]
CEILINGS = Ceilings([Rate("numpy", 2, Summary((1e-9,)))],
                    {name: [Rate("[2, 2] x [2, 2]", 16, Summary((1e-9,)))]
                     for name in ("float32", "float64")})


@pytest.fixture
def quick(monkeypatch):
    """Ceilings that are told beforehand, and a machine whose cache is small."""
    monkeypatch.setattr(machine, "processor_ceilings", lambda dtypes, repeats: CEILINGS)
    monkeypatch.setattr(machine, "last_level_cache_bytes", lambda: 1000)


def run(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def program(folder, *arguments):
    return subprocess.run([sys.executable, "-m", "refglow", "bench", *arguments], cwd=folder,
                          text=True, capture_output=True, check=False,
                          env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})


def assert_pictures(folder, name):
    with Image.open(folder / f"{name}.png") as picture:
        picture.load()
        assert picture.format == "PNG"
    root = ElementTree.parse(folder / f"{name}.svg").getroot()
    assert root.tag.endswith("svg")
    return (folder / f"{name}.svg").read_text(encoding="utf-8")


# ---- cpu ------------------------------------------------------------------------------------


def with_variants(monkeypatch, **variants):
    """Plant variants beside the specification, in place of the kernels."""
    monkeypatch.setattr(cpu_cases_module, "_kernels", lambda case: variants)


def scaled(factor):
    def variant(x, block_size):
        from refglow.bijectors.expand import expand_inverse
        y, log_det = expand_inverse(x, block_size)
        return factor * y, log_det
    return variant


def slow(x, block_size):
    import time
    time.sleep(0.02)
    return scaled(np.float32(1))(x, block_size)


def test_a_wrong_kernel_is_refused_and_a_slow_one_ranked_last(quick, monkeypatch, tmp_path):
    with_variants(monkeypatch, slow=slow, wrong=scaled(np.float32(1.001)))
    done = run("cpu", "--op", "squeeze", *SMALL, "--json", tmp_path / "r.json", "--out",
               tmp_path / "out")
    assert done.exit_code == 1
    assert ("Refused, not timed: expand_inverse, wrong (x [2, 8, 12, 2], float32): its error is "
            "1.0e-03; 0.0e+00 is allowed.") in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert [result["variant"] for result in report["results"]] == ["spec", "slow", "wrong"]
    assert report["results"][2]["refused"].startswith("its error is 1.0e-03")
    assert "median_seconds" not in report["results"][2]
    assert json.loads((tmp_path / "out" / "cpu.json").read_text()) == report
    picture = assert_pictures(tmp_path / "out", "cpu")
    assert picture and sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cpu.json", "cpu.png", "cpu.svg"]


def test_what_is_said_and_kept(quick, monkeypatch, tmp_path):
    with_variants(monkeypatch)
    done = run("cpu", "--op", "coupling_network", "--op", "adam", "--dtype", "float64", *SMALL,
               "--json", "-")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report.keys() == {"command", "environment", "ceilings", "results"}
    assert report["command"] == "bench cpu"
    assert {"date", "processor", "cores", "versions", "numba_threads", "blas",
            "variables"} <= report["environment"].keys()
    assert report["ceilings"]["copy_bytes_per_second"] == pytest.approx(2e9)
    functions = [result["function"] for result in report["results"]]
    assert functions == ["coupling_network", "coupling_network_activations",
                         "coupling_network_vjp", "adam_update"]
    for result in report["results"]:
        assert result["dtype"] == "float64" and len(result["seconds"]) == 2
        assert result["bytes_per_second"] == pytest.approx(
            result["bytes_moved"] / result["median_seconds"])
        assert result["share_of_copy_bandwidth"] == pytest.approx(
            result["bytes_per_second"] / 2e9)
    for text in (report["environment"]["processor"], "Copy bandwidth 2.0 GB/s, read plus written",
                 "Matrix products 16.0 GFLOP/s in float64", "coupling_network_vjp", "GFLOP/s"):
        assert text in done.stderr


@pytest.mark.parametrize("columns", [80, 144])
def test_in_a_narrow_terminal_columns_are_left_out_and_figures_stay_whole(columns):
    from rich.console import Console

    from refglow.kernels.bench.report import Row
    row = Row("heading", ("activation_normalization_forward_vjp", "cpu", "1.23 ms", "1.11 ms",
                          "100%", "99.99", "12.3", "81%", "1.23", "7%", "1e-07"), "")
    console = Console(width=columns, file=io.StringIO())
    console.print(bench_report._table("heading", [row], columns))
    shown = console.file.getvalue()
    assert "…" not in shown and max(map(len, shown.splitlines())) <= columns
    for text in ("1.23 ms", "81%", "7%", "1e-07", "cpu"):
        assert text in shown
    assert ("99.99" in shown) == (columns == 144)


def test_targets(quick, monkeypatch, tmp_path):
    with_variants(monkeypatch, cpu=scaled(np.float32(1)))
    for bandwidth, code in ((1e3, 0), (1e15, 1)):  # bytes a second: any machine has more, and less
        ceilings = Ceilings([Rate("numpy", 1, Summary((1 / bandwidth,)))], CEILINGS.gemm)
        monkeypatch.setattr(machine, "processor_ceilings", lambda *given, c=ceilings: c)
        done = run("cpu", "--op", "squeeze", "--check", *SMALL, "--json", tmp_path / "r.json")
        assert done.exit_code == code
        [target] = json.loads((tmp_path / "r.json").read_text())["targets"]
        assert target["met"] == (code == 0)
        assert ("MISSED" if code else "met   ") in done.stdout


def test_ops_without_arithmetic_and_others_share_a_picture(quick, monkeypatch, tmp_path):
    with_variants(monkeypatch)
    assert run("cpu", "--op", "squeeze", "--op", "actnorm", *SMALL, "--out",
               tmp_path / "new").exit_code == 0
    assert_pictures(tmp_path / "new", "cpu")


@pytest.mark.parametrize(("arguments", "message"), [
    (["cpu", "--op", "warp"], "There is no op warp; there are: squeeze, unsqueeze"),
    (["cpu", "--size", "8x8"], "written BxHxWxC, e.g. 64x64x64x12; got '8x8'"),
    (["cpu", "--json", "no/such/r.json"], "no/such/r.json"),
    pytest.param(["cpu", "--json", "/proc/r.json"], "Cannot write /proc/r.json", marks=needs_proc),
    pytest.param(["cpu", "--out", "/proc/out"], "Cannot write to /proc/out", marks=needs_proc),
    (["cpu", "--out", "no/such/folder"], "no/such/folder"),
    (["cpu", "--out", "taken"], "taken"),
    (["model", "--peers", "jax"], "There is no peer jax"),
    (["model", "--task", "bake"], "There is no task bake")])
def test_what_cannot_be_run_is_one_line_and_writes_nothing(arguments, message, tmp_path):
    (tmp_path / "taken").write_text("a file")
    done = program(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("refglow: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("arguments", [["cpu", "--dtype", "int8"], ["cuda", "--dtype", "int8"],
                                       ["model", "--shape", "32x32"], ["cpu", "--repeats", "0"],
                                       ["cpu", "--repeats", "9" * 20],
                                       ["model", "--scaling", "--large"]])
def test_wrong_usage(arguments):
    done = run(*arguments)
    assert done.exit_code == 2 and "Usage:" in done.stderr


def test_kernels_that_cannot_be_compiled_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    done = program(tmp_path, "cpu", *SMALL)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("refglow: NUMBA_DISABLE_JIT is set")


# ---- cuda -----------------------------------------------------------------------------------


def test_wrong_options_are_told_before_a_missing_gpu():
    done = run("cuda", "--size", "8x8")
    assert "written BxHxWxC" in str(done.exception)


def test_without_a_gpu_it_says_what_is_missing_and_writes_nothing(monkeypatch, tmp_path):
    from refglow.kernels.cuda import availability
    if availability.cuda_unavailable_reason() is None:
        pytest.skip("there is a GPU")
    done = program(tmp_path, "cuda", "--out", "results", "--json", "r.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"refglow: {availability.cuda_unavailable_reason()}\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gpu_s_run_from_end_to_end(monkeypatch, tmp_path, dtype):
    """With NumPy as CuPy and the interpreter as GPU: what the command does, not how fast."""
    from refglow.kernels.cuda import availability, registry
    from refglow.kernels.cuda.device import stand_in
    from refglow.kernels.cuda.stand_ins import InterpretedDevice
    cupy = fake_cupy()
    told = iter(np.linspace(1e-5, 2e-5, 10**5))

    def advancing(self, calls, run=cuda_clock.Rotation.run):
        run(self, calls)
        cupy.stream.now += calls * next(told)
    monkeypatch.setattr(cuda_clock.Rotation, "run", advancing)
    monkeypatch.setattr(cuda_clock, "_HELD_SIDE", 8)
    monkeypatch.setattr(cuda_clock, "_MOST_HELD", 1)
    monkeypatch.setattr(cuda_clock, "GEMM_SIDES", (4,))
    monkeypatch.setattr(cuda_clock, "gpu_ceilings", lambda *given: CEILINGS)
    monkeypatch.setattr("refglow.kernels.bench.timing.Settings",
                        lambda repeats, **given: Settings(repeats, 0, 0.0, 0.0, 0.0))
    squeezes = [one for one in registry.variants() if one.op == "expand_inverse"]
    monkeypatch.setattr(registry, "variants", lambda: squeezes)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(availability, "cuda_unavailable_reason", lambda ordinal=0: None)
    with stand_in(InterpretedDevice(checks=False)):
        done = run("cuda", "--op", "squeeze", "--size", "1x4x8x32", "--repeats", "2", "--dtype",
                   dtype, "--out", tmp_path / "results")
    assert done.exit_code == 0, done.output
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert [name.rpartition(".")[2] for name in names] == ["json", "png", "svg"]
    stem = names[0].rpartition(".")[0]
    assert stem.startswith("cuda-fake-gpu-1-gib-20")
    report = json.loads((tmp_path / "results" / names[0]).read_text())
    assert report["evidence"] == "ran on Fake GPU (1 GiB)"
    assert report["gpu"]["date"][:10] == stem[-10:]
    found = {result["variant"] for result in report["results"]}
    assert {"cupy", "naive", "coalesced", "vectorized", "tiled"} <= found
    assert "Ran on Fake GPU (1 GiB), compute capability 90" in done.stdout
    assert_pictures(tmp_path / "results", stem)


# ---- static ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_static_report_from_end_to_end(tmp_path):
    done = run("static", "--op", "shift_coupling_forward", "--dtype", "float32", "--arch", "sm_90",
               "--out", tmp_path / "out", "--json", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["evidence"] == ["compiled", "interpreted", "predicted"]
    assert report["architectures"] == ["sm_90"]
    assert {variant["op"] for variant in report["variants"]} == {"shift_coupling_forward"}
    for variant in report["variants"]:
        for launch in variant["launches"]:
            assert launch["interpreted"]["instructions_per_element"] > 0
            assert set(launch["compiled"]) == {"sm_90"}
    for text in ("shift_coupling_forward, float32: compiled; times predicted from data sheets",
                 "shift_coupling_forward, float32: PTX interpreted", "H100 SXM", "coalesced"):
        assert text in done.stdout
    assert "…" not in done.stdout
    assert "Predicted, nothing measured: H100 SXM, float32" in assert_pictures(
        tmp_path / "out", "static")
    assert json.loads((tmp_path / "out" / "static.json").read_text()) == report


def test_predicted_points_take_the_bytes_that_move():
    from refglow.cli.bench_static import predicted_point
    from refglow.kernels.bench.devices import gpus_of
    from refglow.kernels.bench.launch_counts import LaunchCounts
    from refglow.kernels.bench.static_report import LaunchReport, VariantReport
    [gpu] = gpus_of("sm_90")
    counts = LaunchCounts(1.0, {}, 1.0, 1.0, 1.0, 1.0, 400, 100, 4.0, 0.0, 0.0, 0.0)
    launch = LaunchReport("op", "naive", "float32", "op_naive", (1, 1, 1), (1, 1, 1), {}, counts)
    variant = VariantReport("op", "naive", "", "float32", 10, 100, 50, {}, (launch,))
    point = predicted_point(variant, gpu)
    assert point.intensity == 0.5
    assert point.bandwidth == pytest.approx(gpu.bandwidth / 4)
    assert point.rate == pytest.approx(gpu.bandwidth / 8)


# ---- model ----------------------------------------------------------------------------------


def planted_model(monkeypatch, error=None):
    """Side by side with figures that are told beforehand."""
    from refglow.validation.bench import side_by_side
    from refglow.validation.bench.contenders import CONTENDERS
    from refglow.validation.bench.model import NotEqualError, Timed

    def stand_in(task, names, configuration, rounds, progress):
        progress("working")
        if error:
            raise NotEqualError(error)
        return {name: Timed(name, CONTENDERS[name].label,
                            Summary((1.0, 1.5) if name in ("refglow", "gemm") else (2.0, 3.0)),
                            1e-7, 1e-5, 9 * configuration.batch if name in ("refglow", "gemm")
                            else 0,
                            {"import_bytes": 2**20, "built_bytes": 2**20, "peak_bytes": 2**21,
                             "blas": []}) for name in names}
    monkeypatch.setattr(side_by_side, "timed", stand_in)
    monkeypatch.setattr(side_by_side, "activation_growth", lambda configuration: {4: 1, 64: 1})
    monkeypatch.setattr(side_by_side, "cold_starts", lambda names, rounds, progress: {
        name: {"label": name, "median_seconds": 1.0,
               "parts_seconds": {"import": 0.1, "build": 0.2, "first log_prob": 0.3}}
        for name in names})


def test_a_model_s_report(monkeypatch, tmp_path):
    planted_model(monkeypatch)
    monkeypatch.setattr(machine, "copy_rates", lambda repeats: CEILINGS.copy)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    done = run("model", "--peers", "tfp,torch", "--batch", "8", "--repeats", "2", "--json",
               tmp_path / "r.json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert list(report["tasks"]) == ["log_prob, batch 8", "sample, batch 8", "step, batch 8"]
    assert report["unset"] == ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]
    assert "OPENBLAS_CORETYPE" not in report["environment"]["variables"]
    assert json.loads((tmp_path / "out" / "model.json").read_text()) == report
    assert report["ceilings"] == {"copy_bytes_per_second": pytest.approx(2e9),
                                  "gemm_operations_per_second": 72 / 1.25}
    assert "whole Glows" in assert_pictures(tmp_path / "out", "model")
    for text in ("Unset in the processes that were timed: OPENBLAS_CORETYPE, OPENBLAS_L2_SIZE",
                 "MISSED log_prob, batch 8: refglow against TFP, tf.function: 2 x",
                 "met    log_prob, batch 8: of the rate of matrix products: 100%",
                 "cold start: a new process", "first\nlog_prob".partition("\n")[2]):
        assert text in done.stdout
    assert {target["met"] for target in report["targets"]} == {True, False}


def test_a_missed_target_fails_only_if_it_is_checked(monkeypatch):
    planted_model(monkeypatch)
    arguments = ("model", "--peers", "tfp", "--task", "log_prob", "--batch", "8")
    assert run(*arguments).exit_code == 0
    assert run(*arguments, "--check").exit_code == 1
    assert run("model", "--peers", "", "--task", "log_prob", "--batch", "8",
               "--check").exit_code == 0


def test_other_results_fail_and_nothing_is_written(monkeypatch, tmp_path):
    planted_model(monkeypatch, error="The results of tfp are 1 from the specification's.")
    done = run("model", "--peers", "tfp", "--out", tmp_path / "out")
    assert done.exit_code == 1 and "refglow: The results of tfp are" in done.stderr
    assert list(tmp_path.iterdir()) == []
