"""What the machine is and can do: ceilings and environment."""

import builtins
import os

import numpy as np
import pytest

from refglow.kernels.bench import environment, machine
from refglow.kernels.bench.machine import (
    GEMM_SHAPES,
    best,
    copy_rates,
    gemm_rates,
    last_level_cache_bytes,
    processor_ceilings,
)

SMALL = 4096
SHAPES = ((8, 16, 4), (4, 4, 4))


def test_a_copy_counts_what_is_read_and_what_is_written():
    rates = copy_rates(2, SMALL)
    assert [rate.name for rate in rates] == ["numpy", "numba", "threads"]
    assert {rate.amount for rate in rates} == {2 * SMALL}
    assert all(len(rate.summary.seconds) == 2 and rate.per_second > 0 for rate in rates)
    assert best(rates).per_second == max(rate.per_second for rate in rates)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 1000])
def test_every_way_of_copying_copies_everything(length):
    from concurrent.futures import ThreadPoolExecutor
    source = np.arange(1, length + 1)
    with ThreadPoolExecutor(2) as pool:
        for copy in (machine._copy_parts,
                     lambda a, b: machine._copy_on_threads(pool, a, b)):
            target = np.zeros(length + 2, source.dtype)
            copy(source, target[1:-1])
            assert np.array_equal(target[1:-1], source) and target[0] == target[-1] == 0


def test_a_product_counts_a_multiplication_and_an_addition():
    rates = gemm_rates("float64", 2, SHAPES)
    assert [(rate.name, rate.amount) for rate in rates] == [
        ("[8, 16] x [16, 4]", 2 * 8 * 16 * 4), ("[4, 4] x [4, 4]", 2 * 64)]
    assert any(m == k == n for m, k, n in GEMM_SHAPES) and (2048, 400, 400) in GEMM_SHAPES


def test_ceilings():
    found = processor_ceilings(["float32", "float64"], 2, SMALL, SHAPES)
    record = found.as_dict()
    assert record.keys() == {"copy_bytes_per_second", "gemm_operations_per_second", "copy", "gemm"}
    assert record["copy_bytes_per_second"] == max(
        rate["per_second"] for rate in record["copy"])
    assert record["gemm_operations_per_second"]["float64"] == max(
        rate["per_second"] for rate in record["gemm"]["float64"])
    assert found.gemm_rate("float16") is None


def test_the_cache_s_size():
    assert 2**16 <= last_level_cache_bytes() <= 2**32
    assert [machine._bytes(text) for text in ("32K", "2M", "100")] == [32768, 2**21, 100]


def test_the_environment_says_what_ran(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    found = environment.environment("typer", "no-such-package")
    assert found["variables"]["OPENBLAS_CORETYPE"] == "Haswell"
    assert found["cores"] == os.cpu_count() and found["processor"]
    assert found["versions"]["numpy"] == np.__version__
    assert "typer" in found["versions"] and "no-such-package" not in found["versions"]
    assert found["date"].endswith("+00:00")
    line = environment.summary_line(found)
    for part in (found["processor"], f"numpy {np.__version__}", "OPENBLAS_CORETYPE=Haswell",
                 found["date"], f"{found['numba_threads']} Numba threads"):
        assert part in line


def test_the_kernels_of_the_blas_are_named():
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    assert np.ones((2, 2)) @ np.ones(2) is not None
    for library in environment.blas_libraries():
        assert library["internal_api"] and library["num_threads"] >= 1


def test_without_threadpoolctl_the_blas_is_not_known(monkeypatch):
    found = environment.environment()
    importing = builtins.__import__

    def without(name, *arguments):
        if name == "threadpoolctl":
            raise ImportError(name)
        return importing(name, *arguments)
    monkeypatch.setattr(builtins, "__import__", without)
    assert environment.blas_libraries() == []
    assert "threadpoolctl is missing" in environment.summary_line(found | {"blas": []})
