"""The static report: what it says of good and of planted bad kernels."""

import json

import numpy as np
import pytest
from numba import cuda

from refglow.kernels.bench import static_report as module
from refglow.kernels.bench.devices import gpus_of, roofline_seconds
from refglow.kernels.bench.static_report import StaticReport, static_report
from refglow.kernels.cuda.device import device_of
from refglow.kernels.cuda.kernel import Kernel, Variant

ROWS, COLUMNS = 48, 64


def copied(x, y, n):
    i = cuda.grid(1)
    if i < n:
        y[i] = x[i]


def transposed(x, y, rows, columns):
    i = cuda.grid(1)
    if i < rows * columns:
        y[i] = x[i % rows * columns + i // rows]


def turned_in_shared_memory(x, y, n):
    shared = cuda.shared.array(1024, np.float32)
    i = cuda.threadIdx.x
    shared[32 * (i % 32) + i // 32] = x[cuda.grid(1)]
    cuda.syncthreads()
    y[cuda.grid(1)] = shared[32 * (i % 32) + i // 32]


def halved_where_even(x, y, n):
    i = cuda.grid(1)
    if i < n:
        if i % 2:
            y[i] = x[i]
        else:
            y[i] = x[i] * np.float32(0.5)


def run_with(kernel, threads, extra):
    def run(x):
        device = device_of(x)
        y = device.xp.empty(x.size, x.dtype)
        device.launch(kernel, -(-x.size // threads), threads, x, y, *extra)
        return y
    return run


def variant(name, function, threads=256, extra=(ROWS * COLUMNS,)):
    return Variant(
        op="moving", name=name, idea="planted", run=run_with(Kernel(function), threads, extra),
        example=lambda size, dtype: (np.arange(ROWS * COLUMNS, dtype=dtype),),
        bytes_moved=lambda x: 2 * x.nbytes, operations=lambda x: 3 * x.size,
        elements=lambda x: x.size, dtypes=("float32", "float64") if name == "good" else
        ("float32",))


PLANTED = (variant("good", copied), variant("uncoalesced", transposed, extra=(ROWS, COLUMNS)),
           variant("conflicting", turned_in_shared_memory, 1024),
           variant("divergent", halved_where_even))


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "variants", lambda: PLANTED)
        return static_report(("sm_80", "sm_90"))


def row_of(report, name, dtype="float32", architecture="sm_80"):
    [row] = [row for row in report.rows if (row["variant"], row["dtype"], row["architecture"])
             == (name, dtype, architecture)]
    return row


def test_a_good_kernel_moves_what_it_must(report):
    row = row_of(report, "good")
    assert row["op"] == "moving" and row["kernel"] == "copied"
    assert row["load_sectors_per_request"] == row["load_sectors_least"] == 4
    assert row["store_sectors_per_request"] == row["store_sectors_least"] == 4
    assert row["traffic_ratio"] == 1 and row["bank_conflicts"] == row["divergence"] == 0
    assert 5 < row["instructions_per_element"] < 40
    assert row["bytes_per_element"] == 8 and row["operations_per_element"] == 3
    assert row_of(report, "good", "float64")["load_sectors_per_request"] == 8


def test_planted_slowness_shows(report):
    uncoalesced = row_of(report, "uncoalesced")
    assert uncoalesced["load_sectors_per_request"] > 30 and uncoalesced["traffic_ratio"] > 3
    conflicting = row_of(report, "conflicting")
    assert conflicting["bank_conflicts"] == 31 and conflicting["shared_bytes"] == 4096
    assert report.variants[3].launches[0].interpreted.worst_bank_conflict == 32
    assert row_of(report, "divergent")["divergence"] > 0.4


def test_the_compiler_s_figures(report):
    row = row_of(report, "good")
    assert 6 <= row["registers"] <= 32 and row["occupancy"] == 1
    assert row["spill_bytes"] == row["local_bytes"] == row["float64_instructions"] == 0
    assert row_of(report, "good", "float64")["float64_instructions"] > 0
    assert row_of(report, "good", architecture="sm_90")["predicted_gpu"] == "H100 SXM"


def test_predictions_are_the_roofline(report):
    row, [gpu] = row_of(report, "good"), gpus_of("sm_80")
    bytes_moved = 8 * ROWS * COLUMNS
    assert row["predicted_seconds"] == roofline_seconds(gpu, bytes_moved, 0, "float32")
    assert row["predicted_elements_per_second"] == pytest.approx(2039e9 / 8)


def test_it_is_plain_json_with_one_shape_of_row(report):
    assert isinstance(report, StaticReport)
    plain = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert plain["architectures"] == ["sm_80", "sm_90"] and plain["interpreted_as"] == "sm_80"
    assert len(plain["variants"]) == 5
    assert set(plain["variants"][0]["launches"][0]["compiled"]) == {"sm_80", "sm_90"}
    assert len(report.rows) == 10 and len({tuple(row) for row in report.rows}) == 1


def test_without_the_interpreter(monkeypatch):
    monkeypatch.setattr(module, "variants", lambda: PLANTED)
    seen = []
    found = static_report(("sm_75",), interpret=False, dtypes=["float64"],
                          progress=lambda *step: seen.append(step))
    [row] = found.rows
    assert row["divergence"] is None and row["registers"] > 0
    assert found.variants[0].launches[0].interpreted is None
    assert seen == [(0, 1, "moving, good, float64")]


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"No CUDA op is called nothing; there .*expand_inverse"):
        static_report(("sm_80",), ["nothing"])
    with pytest.raises(ValueError, match="'sm_61' is no architecture"):
        static_report(("sm_61",))
    with pytest.raises(ValueError, match="No variant is compiled for float8"):
        static_report(("sm_80",), dtypes=["float8"])


def test_the_real_registry_is_reported():
    found = static_report(("sm_90",), ["expand_inverse"], dtypes=["float32"])
    names = [variant.variant for variant in found.variants]
    assert {"naive", "coalesced", "vectorized", "tiled"} <= set(names)
    naive, tiled = (row_of(found, name, architecture="sm_90") for name in ("naive", "tiled"))
    assert naive["traffic_ratio"] > 2 * tiled["traffic_ratio"] >= 2
    assert tiled["vector_loads"] and tiled["vector_stores"]
