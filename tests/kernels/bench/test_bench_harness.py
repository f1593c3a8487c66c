"""The harness: wrong variants are refused before they are timed, slow ones are ranked last.

Time is told by the functions themselves, so that nothing here depends on the machine.
"""

import re
from dataclasses import replace

import numpy as np
import pytest

from refglow.kernels.bench.machine import Ceilings, Rate
from refglow.kernels.bench.records import Case, Summary
from refglow.kernels.bench.report import COLUMNS, as_dict, duration, ranked, rows, shares
from refglow.kernels.bench.run import measured
from refglow.kernels.bench.timing import HostClock, Rotation, Settings, copies, in_rounds
from refglow.validation.compare import difference

SETTINGS = Settings(repeats=6, rotated_bytes=1000, timing_seconds=0.5, warm_up_seconds=1e9,
                    timings_of_turn=1, pause_seconds=0.0)
CEILINGS = Ceilings([Rate("a", 80, Summary((2.0, 1.0, 1.0))), Rate("b", 80, Summary((4.0,)))],
                    {"float64": [Rate("c", 160, Summary((1.0,)))]})


class ToldClock:
    """Time that passes only when a function says so; keeps a diary of who ran while it was read."""

    def __init__(self):
        self.now, self.timed, self.log, self.reading = 0.0, [], [], False

    def taking(self, name, function, *durations):
        """`function`, each call of which takes the next of the durations (the last ones for ever).
        """
        left = list(durations)

        def timed(*arguments):
            self.now += left.pop(0) if len(left) > 1 else left[0]
            self.log.append(name)
            if self.reading:
                self.timed.append(name)
            return function(*arguments)
        return timed

    def seconds(self, work):
        before, self.reading = self.now, True
        work()
        self.reading = False
        return self.now - before

    def to_host(self, value):
        return value

    def to_device(self, value):
        return value


def double(x, count):
    return x * 2.0, np.float64(count)


def case(clock, **variants):
    """Doubling four numbers: 64 bytes, 4 operations."""
    return Case("arithmetic", "double", "x [4]", "float64",
                lambda rng: (rng.standard_normal(4), 3), double,
                {"spec": clock.taking("spec", double, 0.25), **variants}, 64, 4,
                lambda a, b: difference(a, b).relative, 1e-15)


def by_name(found):
    return {one.variant: one for one in found}


# ---- verify first ---------------------------------------------------------------------------


def wrong_value(x, count):
    return x * 2.0 + 1e-12, np.float64(count)


def wrong_dtype(x, count):
    return (x * 2.0).astype(np.float32), np.float64(count)


def wrong_shape(x, count):
    return (x * 2.0)[None], np.float64(count)


def wrong_number_of_results(x, count):
    return x * 2.0


def not_a_number(x, count):
    y = x * 2.0
    y[1] = np.nan
    return y, np.float64(count)


def raising(x, count):
    raise ZeroDivisionError("no such count")


def writing(x, count):
    y = x * 2.0
    x += 1.0
    return y, np.float64(count)


@pytest.mark.parametrize(("wrong", "reason"), [
    (wrong_value, r"its error is [\de.-]+; 1\.0e-15 is allowed"),
    (wrong_dtype, r"its result 0 is float32 \[4\]; the specification's float64 \[4\]"),
    (wrong_shape, r"its result 0 is float64 \[1, 4\]; the specification's float64 \[4\]"),
    (wrong_number_of_results, "it returns 1 results; the specification 2"),
    (not_a_number, "its error is inf"),
    (raising, "ZeroDivisionError: no such count"),
    (writing, "it changed its arguments")])
def test_a_wrong_variant_is_refused_and_never_timed(wrong, reason):
    clock = ToldClock()
    planted = clock.taking("wrong", wrong, 0.001)
    right = clock.taking("right", double, 0.5)
    found = by_name(measured(case(clock, wrong=planted, right=right), SETTINGS, clock))
    refused = found["wrong"]
    assert refused.summary is None and refused.bandwidth is None and refused.rate is None
    assert re.search(reason, refused.refused)
    assert clock.log.count("wrong") == 1 and "wrong" not in clock.timed
    assert not found["right"].refused and found["right"].summary.median == 0.5
    assert not found["spec"].refused and found["spec"].error == 0.0


def test_nan_of_the_specification_is_no_error():
    def nan(x, count):
        return np.full(4, np.nan), np.float64(count)
    clock = ToldClock()
    found = measured(replace(case(clock, other=clock.taking("other", nan, 1.0)),
                             specification=nan), SETTINGS, clock)
    assert not by_name(found)["other"].refused
    assert "inf" in by_name(found)["spec"].refused


def test_where_everything_is_refused_nothing_is_timed():
    clock = ToldClock()
    only = replace(case(clock), variants={"wrong": clock.taking("wrong", wrong_value, 1.0)})
    [found] = measured(only, SETTINGS, clock)
    assert found.refused and clock.timed == []
    assert rows([found], CEILINGS)[0].refused == found.refused


# ---- then time ------------------------------------------------------------------------------


def test_a_slow_variant_is_ranked_last_and_a_refused_one_behind_it():
    clock = ToldClock()
    found = measured(case(clock, wrong=clock.taking("wrong", wrong_value, 0.001),
                          slow=clock.taking("slow", double, 2.0),
                          fast=clock.taking("fast", double, 0.125)), SETTINGS, clock)
    assert [one.variant for one in ranked(found)] == ["fast", "spec", "slow", "wrong"]
    table = rows(found, CEILINGS)
    assert [row.cells[1] for row in table] == ["fast", "spec", "slow", "wrong"]
    assert [row.cells[5] for row in table] == ["0.50", "1.00", "8.00", ""]
    assert {len(row.cells) for row in table} == {len(COLUMNS)}


def test_variants_take_turns_and_each_is_first_as_often():
    clock = ToldClock()
    contenders = {name: Rotation(clock.taking(name, double, 0.5), [(np.ones(4), 1)])
                  for name in "abc"}
    rounds = []
    in_rounds(contenders, SETTINGS, clock, lambda: rounds.append(list(clock.timed)))
    assert len(rounds) == 6
    order = [rounds[k][-3:] for k in range(6)]
    assert order == 2 * [list("abc"), list("bca"), list("cab")]


def test_a_timing_is_the_mean_of_enough_calls_and_its_first_call_is_not_counted():
    clock = ToldClock()
    # a first call that compiles, two of warm-up, then: one before each timing, which is slow
    durations = [9.0] + [0.1] * 4 + [7.0, *[0.1] * 5] * 6
    rotation = Rotation(clock.taking("a", double, *durations), [(np.ones(4), 1)] * 2)
    summary, calls = in_rounds({"a": rotation}, SETTINGS, clock)["a"]
    assert calls == 5  # of 0.1 s, for half a second
    assert summary.seconds == pytest.approx([0.1] * 6)


def test_the_timings_of_a_turn_follow_one_another_after_one_call_that_is_not_counted():
    clock, told = ToldClock(), []
    contenders = {name: Rotation(clock.taking(name, double, 0.5), [(np.ones(4), 1)])
                  for name in "ab"}
    found = in_rounds(contenders, replace(SETTINGS, repeats=7, timings_of_turn=2), clock,
                      lambda: told.append("".join(clock.timed)[-4:]))
    assert all(len(summary.seconds) == 7 for summary, _ in found.values())
    assert told == ["aabb", "aabb", "bbaa", "bbaa", "aabb", "aabb", "bbba"]
    assert "".join(clock.log).endswith("aaabbb" "bbbaaa" "aaabbb" "bbaa")


def test_few_timings_still_take_turns():
    clock = ToldClock()
    contenders = {name: Rotation(clock.taking(name, double, 0.5), [(np.ones(4), 1)])
                  for name in "ab"}
    in_rounds(contenders, replace(SETTINGS, repeats=3, timings_of_turn=5), clock)
    assert "".join(clock.timed).endswith("ab" "ba" "ab")


def test_warm_up_ends_when_its_time_is_over():
    clock = ToldClock()
    rotation = Rotation(clock.taking("a", double, 10.0), [(np.ones(4), 1)] * 50)
    in_rounds({"a": rotation}, replace(SETTINGS, warm_up_seconds=25.0), clock)
    assert len(clock.log) == 1 + 3 + 2 * 6


def test_a_function_that_takes_no_time_is_not_called_without_end():
    clock = ToldClock()
    rotation = Rotation(clock.taking("a", double, 0.0), [(np.ones(4), 1)])
    assert in_rounds({"a": rotation}, replace(SETTINGS, repeats=1), clock)["a"][1] == 1000


def test_inputs_and_results_rotate():
    seen = []

    def noted(x):
        seen.append(x)
        return np.array(x)
    rotation = Rotation(noted, [(1,), (2,), (3,)])
    rotation.run(2)
    rotation.run(5)
    assert seen == [1, 2, 3, 1, 2, 3, 1]
    assert [int(kept) for kept in rotation._results] == [2, 3, 1]


def test_copies_exceed_the_cache_and_share_nothing():
    x = np.arange(10.0)
    made = copies((x, "same", 3), bytes_of_a_call=160, rotated_bytes=1000)
    assert len(made) * 160 > 1000 and (len(made) - 1) * 160 <= 1000
    assert all(np.array_equal(array, x) and rest == ["same", 3] for array, *rest in made)
    assert len({array.__array_interface__["data"][0] for array, *_ in made}) == len(made)
    assert len(copies((x,), 160, 0)) == 2 and len(copies((x,), 1, 10**9)) == 256


def test_the_host_clock_runs_the_work_once():
    calls = []
    assert HostClock().seconds(lambda: calls.append(1)) >= 0 and calls == [1]


# ---- figures --------------------------------------------------------------------------------


def test_statistics():
    summary = Summary((3.0, 1.0, 2.0, 5.0, 4.0))
    assert (summary.minimum, summary.median, summary.quartiles) == (1.0, 3.0, (2.0, 4.0))
    assert summary.spread == pytest.approx(2 / 3)
    assert Summary((0.5,)).quartiles == (0.5, 0.5) and Summary((0.5,)).spread == 0
    assert summary.as_dict() == {"minimum_seconds": 1.0, "median_seconds": 3.0,
                                 "quartiles_seconds": [2.0, 4.0], "spread": summary.spread,
                                 "seconds": [3.0, 1.0, 2.0, 5.0, 4.0]}


def test_rates_and_shares():
    clock = ToldClock()
    found = by_name(measured(case(clock, fast=clock.taking("fast", double, 0.125)), SETTINGS,
                             clock))["fast"]
    assert (found.bandwidth, found.rate) == (64 / 0.125, 4 / 0.125)
    assert CEILINGS.bandwidth == 80.0 and CEILINGS.gemm_rate("float64") == 160.0
    assert shares(found, CEILINGS) == (512 / 80, 32 / 160)
    assert CEILINGS.gemm_rate("float32") is None
    assert found.case.intensity == 4 / 64


def test_the_record_for_programs():
    clock = ToldClock()
    found = by_name(measured(case(clock, wrong=clock.taking("wrong", raising, 1.0)), SETTINGS,
                             clock))
    good, bad = (as_dict(found[name], CEILINGS) for name in ("spec", "wrong"))
    assert good == {
        "op": "arithmetic", "function": "double", "variant": "spec", "size": "x [4]",
        "dtype": "float64", "bytes_moved": 64, "operations": 4, "error": 0.0, "tolerance": 1e-15,
        "refused": None, "calls_per_timing": 2, "bytes_per_second": 256.0,
        "operations_per_second": 16.0, "share_of_copy_bandwidth": 3.2, "share_of_gemm_rate": 0.1,
        "minimum_seconds": 0.25, "median_seconds": 0.25, "quartiles_seconds": [0.25, 0.25],
        "spread": 0.0, "seconds": [0.25] * 6}
    assert bad["refused"] == "ZeroDivisionError: no such count"
    assert bad["bytes_per_second"] is None and "seconds" not in bad


@pytest.mark.parametrize(("seconds", "text"), [
    (2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-5, "45.6 us"), (7e-8, "0.07 us")])
def test_durations(seconds, text):
    assert duration(seconds) == text
