"""Glow's functions as cases for the harness: what is counted, and that they run."""

from dataclasses import replace

import numpy as np
import pytest

from refglow.kernels.bench.run import measured
from refglow.kernels.bench.timing import HostClock, Settings
from refglow.validation.bench import cpu
from refglow.validation.bench.cpu import OPS, cases
from refglow.validation.bench.size import Size, parsed
from refglow.validation.bench.targets import Verdict, bandwidth_verdicts

SMALL = Size(2, 4, 6, 8, hidden=5)
ONCE = Settings(repeats=1, rotated_bytes=0, timing_seconds=0.0, warm_up_seconds=0.0,
                pause_seconds=0.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS)
def test_every_specification_runs_and_agrees_with_itself(dtype, op):
    found = [one for case in cases([op], dtype, [SMALL])
             for one in measured(case, ONCE, HostClock())]
    assert found
    assert {one.refused for one in found} == {""} and {one.error for one in found} == {0.0}


# What need not be read or is a handful of numbers, in a case's own words, is not counted.
NOT_NEEDED = {"shift_coupling_forward_vjp": (0, 1), "shift_coupling_inverse_vjp": (0, 1)}


@pytest.mark.parametrize("op", OPS)
def test_bytes_are_those_of_the_arrays(op):
    size = Size(2, 20, 30, 8, hidden=40)
    for case in cases([op], "float32", [size]):
        inputs = case.make_inputs(np.random.default_rng(0))
        results = case.specification(*inputs)
        needed = [value for k, value in enumerate(inputs)
                  if k not in NOT_NEEDED.get(case.function, ())]
        arrays = [value for value in (*needed, *(results if isinstance(results, tuple)
                                                 else (results,)))
                  if isinstance(value, np.ndarray)]
        moved = sum(array.nbytes for array in arrays)
        assert case.bytes_moved == pytest.approx(moved, rel=0.025), case.function
        assert case.bytes_moved <= moved


def test_operations_are_those_of_the_products():
    counted = {(case.function, case.size): case.operations
               for op in ("conv2d", "coupling_network", "one_by_one_conv")
               for case in cases([op], "float32", [SMALL])}
    pixels, i, f, o = 2 * 4 * 6, 4, 5, 8
    assert [count for (name, _), count in counted.items() if name == "conv2d"] == [
        2 * pixels * taps + pixels * outputs
        for taps, outputs in ((9 * i * f, f), (f * f, f), (9 * f * o, o))]
    [network] = {count for (name, _), count in counted.items()
                 if name in ("coupling_network", "coupling_network_activations")}
    assert network == 2 * pixels * (9 * i * f + f * f + 9 * f * o) + pixels * (4 * f + o)
    assert counted["scale_matvec_lu_forward", "x [2, 24, 8]"] == 2 * pixels * 64


def test_functions_have_their_own_op_and_size():
    found = cases(OPS, "float32")
    assert {case.op for case in found} == set(OPS)
    assert len({(case.function, case.size) for case in found}) == len(found)
    assert [case.function for case in cases(["squeeze", "unsqueeze"], "float64", [SMALL])] == [
        "expand_inverse", "expand_forward"]


def test_what_cannot_be_asked_for():
    with pytest.raises(ValueError, match="There is no op warp, weft; there are: squeeze, "):
        cases(["warp", "squeeze", "weft"], "float32")
    for text in ("8x16x16", "8x16x16x12x3", "8x16x-16x12", "axbxcxd", ""):
        with pytest.raises(ValueError, match="written BxHxWxC"):
            parsed(text)
    for text in ("0x4x4x8", "1x4x4x6", "1x4x4x0"):
        with pytest.raises(ValueError, match="multiple of 4"):
            parsed(text)
    assert str(parsed("2x4x6x8", hidden=5)) == "2x4x6x8" and parsed("2x4x6x8", 5) == SMALL


def test_kernels_are_those_that_refglow_computes_with(monkeypatch):
    def kernel(*arguments):
        raise AssertionError
    monkeypatch.setattr(cpu, "accelerated", lambda specification, array: (
        kernel if (specification.__name__, array.dtype) == ("coupling_network", "float32")
        else None))
    network, activations, vjp = cpu.cpu_cases(["coupling_network"], "float32", [SMALL])
    assert list(network.variants) == ["spec", "cpu"] and network.variants["cpu"] is kernel
    assert list(activations.variants) == list(vjp.variants) == ["spec"]


# ---- verdicts -------------------------------------------------------------------------------


def test_verdicts():
    upper = Verdict("time", 1.2, "x", 1.0, at_least=False, spread=(1.1, 1.3))
    assert not upper.met and str(upper) == (
        "MISSED time: 1.2 x (quartiles 1.1 x to 1.3 x); at most 1 x")
    lower = Verdict("share", 0.851, "%", 0.85)
    assert lower.met and str(lower) == "met    share: 85%; at least 85%"
    assert not Verdict("nothing", float("nan"), "x", 1.0).met
    assert not Verdict("nothing", float("nan"), "x", 1.0, at_least=False).met
    assert upper.as_dict() == {"what": "time", "value": 1.2, "unit": "x", "target": 1.0,
                               "at_least": False, "spread": [1.1, 1.3], "met": False}


def test_the_bandwidth_s_target_is_for_kernels_that_move_memory():
    from refglow.kernels.bench.machine import Ceilings, Rate
    from refglow.kernels.bench.records import Measurement, Summary
    ceilings = Ceilings([Rate("copy", 100, Summary((1.0,)))], {})
    found = []
    for op, seconds in (("squeeze", 1.0), ("actnorm", 2.0), ("adam", 3.0)):
        case = replace(next(iter(cases([op], "float32", [SMALL]))), bytes_moved=90)
        found += [Measurement(case, "spec", 0.0, "", Summary((9.0,)), 1),
                  Measurement(case, "cpu", 0.0, "", Summary((seconds,)), 1)]
    case = replace(next(iter(cases(["coupling"], "float32", [SMALL]))))
    found.append(Measurement(case, "cpu", 1.0, "wrong"))
    verdicts = bandwidth_verdicts(found, ceilings)
    assert [verdict.met for verdict in verdicts] == [True, False, False]
    assert [verdict.value for verdict in verdicts[:2]] == [0.9, 0.45]
    [missing] = bandwidth_verdicts([one for one in found[:2] if one.variant == "spec"], ceilings)
    assert not missing.met
