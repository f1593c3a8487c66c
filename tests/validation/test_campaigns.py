"""Campaigns on Dask: two workers, one killed, items that kill theirs; always the same report."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import distributed
import numba
import numpy as np
import pytest
from dask.system import CPU_COUNT

import refglow as rg
from refglow.training.bits_per_dim import measured_bits_per_dim
from refglow.training.data import open_data
from refglow.training.model import affine_network
from refglow.validation.campaigns import engine, of_tfp, workers
from refglow.validation.campaigns.campaign import report_of, settings_of
from refglow.validation.campaigns.engine import ENDS_WORKERS, computed
from refglow.validation.campaigns.of_data import campaign_over
from refglow.validation.campaigns.of_implementation import (
    ImplementationCampaign,
    absolute,
    digest_of,
)
from refglow.validation.campaigns.of_tfp import TfpCampaign, rows_from
from refglow.validation.campaigns.working import worked
from refglow.validation.implementations.source import source_of
from refglow.validation.live import Configuration
from refglow.validation.random_models import randomize_weights
from refglow.validation.row import Row, worst_of

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def client():
    with workers.local_workers(2) as found:
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with images, and a model in each number type."""
    folder = tmp_path_factory.mktemp("campaign")
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        glow = rg.bijectors.Glow(SHAPE, 2, 2, affine_network(6), seed=rng, dtype=dtype)
        randomize_weights(glow, rng, 0.5)
        rg.save(folder / f"{dtype}.safetensors", glow)
    np.save(folder / "images.npy", rng.integers(0, 256, (135, *SHAPE), dtype=np.uint8))
    return folder


def over(place, dtype="float64", shard=4, batch_size=3):
    return campaign_over(place / f"{dtype}.safetensors", str(place / "images.npy"), "train", None,
                         7, seed=5, shard=shard, batch_size=batch_size)


def alone(place, dtype, batch_size=50):
    """The single-machine number."""
    data = open_data(place / "images.npy")[0]
    return measured_bits_per_dim(rg.load(place / f"{dtype}.safetensors"),
                                 data.batches(batch_size), 8, 7, 5)


def same_number(report, expected):
    return (report["passed"] and report["images"] == expected.count
            and report["bits_per_dim"] == expected.mean
            and report["standard_error"] == expected.standard_error)


# ---- two workers --------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "shard", "batch_size"), [
    ("float32", 7, 3), ("float32", 1, 1), ("float64", 50, 20), ("float64", 5, 64)])
def test_two_workers_give_the_single_machine_number(client, place, dtype, shard, batch_size):
    campaign = over(place, dtype, shard, batch_size)
    outcomes = list(computed(campaign, range(len(campaign)), client))
    assert sorted(one.index for one in outcomes) == list(range(len(campaign)))
    assert same_number(report_of(campaign, outcomes), alone(place, dtype))
    assert len(set(client.run(os.getpid).values())) == 2


def test_only_what_is_missing_is_computed(client, place):
    campaign = over(place)
    assert {one.index for one in computed(campaign, [3, 9, 11], client)} == {3, 9, 11}
    assert list(computed(campaign, [], client)) == []


def test_a_worker_killed_mid_run(client, place):
    campaign = over(place, shard=1)
    before = set(client.run(os.getpid).values())
    outcomes = []
    for outcome in computed(campaign, range(len(campaign)), client):
        outcomes.append(outcome)
        if len(outcomes) == 5:
            os.kill(min(before), signal.SIGKILL)
    assert same_number(report_of(campaign, outcomes), alone(place, "float64"))
    client.wait_for_workers(2, timeout=30)
    after = set(client.run(os.getpid).values())
    assert min(before) not in after and max(before) in after and len(after) == 2


def test_a_cluster_by_its_address(client, place):
    with workers.cluster_at(client.scheduler.address) as other:
        campaign = over(place, shard=30)
        outcomes = list(computed(campaign, range(len(campaign)), other))
    assert same_number(report_of(campaign, outcomes), alone(place, "float64"))


def test_each_worker_has_its_share_of_the_cores(client):
    for found in client.run(lambda: dict(os.environ)).values():
        assert {found[name] for name in workers._ONE_THREAD} == {"1"}
    threads = client.run(lambda: __import__("numba").config.NUMBA_NUM_THREADS)
    assert {*threads.values()} == {max(1, CPU_COUNT // 2)}
    assert client.scheduler.address.startswith("tcp://127.0.0.1:")


@pytest.mark.usefixtures("client")
def test_this_process_keeps_its_threads():
    before = numba.config.NUMBA_NUM_THREADS
    numba.config.reload_config()  # reads the environment; refuses another number of running threads
    assert before == numba.config.NUMBA_NUM_THREADS


def test_the_environment_is_as_before(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with workers._environment_kept(["OMP_NUM_THREADS", "MKL_NUM_THREADS"]):
        os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    assert os.environ["OMP_NUM_THREADS"] == "3" and "MKL_NUM_THREADS" not in os.environ


# ---- items that cannot be computed --------------------------------------------------------------


def test_an_exception_is_one_failed_item(client, place, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes((place / "float64.safetensors").read_bytes())
    campaign = replace(over(place, shard=40), model=str(model))
    model.write_bytes((place / "float32.safetensors").read_bytes())
    outcomes = list(computed(campaign, range(len(campaign)), client))
    assert len(outcomes) == len(campaign) == 4
    for outcome in outcomes:
        assert outcome.result is None and outcome.failed.startswith(
            f"raised ValueError: {model} has changed since the campaign began. (of_data.py, line")
    assert not report_of(campaign, outcomes)["passed"]


KILLER = '''
import os, signal
from refglow.validation.mutants import PortedGlow

def build(architecture, parameters):
    if architecture["output_shape"] == {shape}:
        os.kill(os.getppid(), signal.SIGKILL)
    port = PortedGlow(architecture, parameters)
    class Offered:
        log_prob = staticmethod(port.log_prob)
    return Offered()
'''


def of_implementation(path, **chosen):
    source = f"{path}:build"
    return ImplementationCampaign(**{
        "implementation": absolute(source), "digest": digest_of(source_of(source)),
        "architectures": 4, "seed": 3, "images": 1, "dtypes": ["float64"], "time_limit": 30.0,
        "diagnosis_seconds": 5.0} | chosen)


@pytest.mark.slow
def test_an_item_that_always_ends_its_worker_is_one_failed_item(client, tmp_path):
    path = tmp_path / "killer.py"
    path.write_text(KILLER.format(shape=None))
    shapes = [list(of_implementation(path).model(k).parameters["output_shape"]) for k in range(4)]
    assert shapes.count(shapes[3]) == 1
    path.write_text(KILLER.format(shape=shapes[3]))
    campaign = of_implementation(path)
    outcomes = {one.index: one for one in computed(campaign, range(4), client)}
    assert outcomes[3].failed == ENDS_WORKERS
    for index in range(3):
        assert outcomes[index].result["passed"] and outcomes[index].result["compared"] == 1
    report = report_of(campaign, list(outcomes.values()))
    assert report["failed"] == [{"index": 3, "reason": ENDS_WORKERS}] and not report["passed"]
    assert report["differ"] == [] and report["agree"] == 3


class FakeFuture:
    """A future of `FakeClient`, which is done at once."""

    def __init__(self, client, index):
        self.client, self.index = client, index

    def add_done_callback(self, call):
        call(self)

    def cancelled(self):
        return self.index == self.client.gone_at

    def result(self, timeout):
        if self.client.late and not self.client.late.pop():
            raise TimeoutError
        if self.client.kills & self.client.in_flight:
            raise distributed.scheduler.KilledWorker("item", None, 1)
        return {"result": {"index": self.index}}

    def release(self):
        self.client.in_flight.discard(self.index)


class FakeClient:
    """What the engine needs of a client; an item that kills ends all that is in flight."""

    def __init__(self, kills=(), nthreads=3, gone_at=None):
        self.kills, self.threads, self.gone_at = set(kills), nthreads, gone_at
        self.asked, self.in_flight, self.late = [], set(), []

    def nthreads(self):
        return {"worker": self.threads}

    def submit(self, function, settings, index, pure):
        assert function is worked and not pure and isinstance(settings, str)
        self.asked.append(index)
        self.in_flight.add(index)
        return FakeFuture(self, index)


def test_who_shared_a_worker_with_an_item_that_ends_it_is_computed_again(place):
    client = FakeClient(kills=[8, 20])
    outcomes = {one.index: one for one in computed(over(place), range(30), client)}
    assert sorted(outcomes) == list(range(30))
    assert {index for index, one in outcomes.items() if one.failed} == {8, 20}
    assert all(one.result == {"index": index} for index, one in outcomes.items() if not one.failed)
    assert client.asked[30:] == [*range(3, 9), *range(15, 21)] and not client.in_flight


def test_a_result_that_is_lost_with_its_worker_is_waited_for(place):
    client = FakeClient()
    client.late = [True, False, False]  # read from the end
    outcomes = {one.index: one for one in computed(over(place), range(3), client)}
    assert {index: one.result for index, one in outcomes.items()} == {
        index: {"index": index} for index in range(3)}


def test_few_items_are_in_flight_however_many_there_are(place):
    client = FakeClient()
    for taken, _ in enumerate(computed(over(place), iter(range(100_000)), client), start=1):
        assert len(client.asked) - taken < 6
        if taken == 50:
            break
    assert len(client.asked) == 55


def test_a_cluster_without_workers_or_scheduler_is_an_error(place, monkeypatch):
    with pytest.raises(OSError, match="The Dask scheduler is gone"):
        list(computed(over(place), range(5), FakeClient(gone_at=3)))
    client = FakeClient()
    client.nthreads = lambda: (_ for _ in ()).throw(OSError("stream is closed"))
    with pytest.raises(OSError, match=r"scheduler is gone \(stream is closed\)"):
        list(computed(over(place), range(5), client))
    monkeypatch.setattr(engine, "WORKER_SECONDS", -1.0)
    with pytest.raises(OSError, match="There has been no Dask worker for -1 s"):
        list(computed(over(place), range(5), FakeClient(nthreads=0)))


# ---- clusters that cannot be used ---------------------------------------------------------------


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1:9", "http://127.0.0.1:9", ""])
def test_where_no_scheduler_answers(address, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.5)
    started = time.monotonic()
    with pytest.raises(OSError, match=r"No Dask scheduler answers at .*tcp://HOST:PORT"), \
            workers.cluster_at(address):
        pass
    assert time.monotonic() - started < 15


class Cluster:
    """A client of a cluster whose workers answer so."""

    def __init__(self, answer):
        self.answer = answer

    def wait_for_workers(self, count, timeout):
        if self.answer is None:
            raise TimeoutError

    def run(self, function, on_error):
        assert function is workers.working.version and on_error == "return"
        return {"tcp://a": rg.__version__, "tcp://b": self.answer}


@pytest.mark.parametrize(("answer", "says"), [
    (None, r"has no workers\. .*dask worker tcp://s:1"),
    (ModuleNotFoundError("No module named 'refglow'"),
     r"worker tcp://b cannot run refglow \(No module named 'refglow'\)"),
    ("0.0.7", r"worker tcp://b has refglow 0\.0\.7; here it is")])
def test_workers_without_this_refglow(answer, says):
    workers._require_refglow(Cluster(rg.__version__), "tcp://s:1")
    with pytest.raises(OSError, match=says):
        workers._require_refglow(Cluster(answer), "tcp://s:1")


@pytest.mark.parametrize("count", [0, -1])
def test_no_workers(count):
    with pytest.raises(ValueError, match=f"at least 1 worker; got {count}"), \
            workers.local_workers(count):
        pass


# ---- implementations on random architectures ----------------------------------------------------


MISTAKEN = '''
from refglow.validation.mutants import ALL_MUTANTS, PortedGlow
[mistake] = [mutant for mutant in ALL_MUTANTS if mutant.name == "{name}"]

def build(architecture, parameters):
    return mistake.build(architecture, parameters)
'''


@pytest.mark.slow
def test_a_mistake_is_found_on_every_architecture_that_shows_it(tmp_path):
    path = tmp_path / "mistaken.py"
    path.write_text(MISTAKEN.format(name="squeeze-columns-first"))
    campaign = of_implementation(path, architectures=2)
    settings = json.dumps(settings_of(campaign))
    results = {index: worked(settings, index)["result"] for index in range(2)}
    report = campaign.report(json.loads(json.dumps(results), object_hook=lambda found: {
        int(key) if key.isdigit() else key: value for key, value in found.items()}))
    assert report["differ"] == [0, 1] and not report["passed"]
    [group] = report["groups"]
    assert group["answers"] == {"squeeze": "b a c"} or list(group["answers"]) == ["squeeze"]
    assert "yours is" in group["words"][0]
    sizes = {index: result["parameters"] for index, result in results.items()}
    assert report["smallest"] == min(sizes, key=sizes.__getitem__)


def test_a_file_that_has_changed_is_not_compared(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def build(architecture, parameters): return None\n")
    campaign = of_implementation(path)
    path.write_text("def build(architecture, parameters): return 0\n")
    assert "has changed since the campaign began" in worked(
        json.dumps(settings_of(campaign)), 0)["failed"]


def test_a_name_that_is_not_there_is_told_before_the_work(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def other(architecture, parameters): return None\n")
    with pytest.raises(ValueError, match="has no build; it has: other"):
        of_implementation(path).require_possible()
    path.write_text("def build(architecture, parameters): raise RuntimeError\n")
    of_implementation(path).require_possible()  # which each architecture will show


def test_the_report_of_tfp_is_that_of_the_live_comparison(monkeypatch):
    rows = [[Row("Glow", prop, dtype, 1.0, error, 1e-5, "so", 2.0)
             for prop in ("forward", "inverse") for dtype in ("float64", "float32")]
            for error in (1e-6, 3e-6, 2e-4)]
    found = [Configuration({}, one, one[:2] * 3, {"forward": k + 0.1})
             for k, one in enumerate(rows)]
    monkeypatch.setattr(of_tfp, "tfp_version", lambda: "0.25")
    monkeypatch.setattr(of_tfp, "live_configuration", lambda seed, k: found[k])
    campaign = TfpCampaign(3, 7, "0.25")
    results = {k: json.loads(json.dumps(campaign.run(k))) for k in range(3)}
    report = campaign.report(results)
    whole, layers = map(rows_from, report["sections"].values())
    assert whole == worst_of([row for one in rows for row in one]) and whole[0].count == 3
    assert layers == worst_of([row for one in found for row in one.layers])
    assert layers[0].count == 9
    assert report["float32_error_ratio"] == {"forward": [0.1, 1.1, 2.1]}
    assert report["differ"] == [2] and not report["passed"]
    assert campaign.report({0: results[0]})["passed"] and not campaign.report({})["passed"]
    assert not campaign.report({0: results[0], 1: results[0] | {
        "float32_error_ratio": {"forward": 2.1}}})["passed"]
    with pytest.raises(ValueError, match=r"has TFP 0\.25; the campaign compares with 0\.1"):
        replace(campaign, tfp="0.1").run(0)


def test_rows_that_are_not_finite_are_kept():
    row = Row("Glow", "forward", "float32", float("inf"), float("inf"), 1e-6, "so", 3.0, 2)
    plain = json.loads(json.dumps(of_tfp._plain([row]), allow_nan=False))
    assert rows_from(plain) == [row]
    assert not rows_from([plain[0] | {"relative": "nan"}])[0].passed


def test_scheduled_work_is_named_not_sent(place):
    """What goes to a worker is a function of this package, a string and a number."""
    from distributed.protocol.pickle import dumps

    sent = dumps((worked, json.dumps(settings_of(over(place))), 3))
    assert b"refglow.validation.campaigns.working" in sent and len(sent) < 2000
    assert Path(over(place).data).is_absolute() and Path(over(place).model).is_absolute()
