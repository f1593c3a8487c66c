"""`refglow campaign`: killed and resumed, the report has the same bytes; bad requests are told."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import refglow as rg
from refglow.cli.main import app
from refglow.training.model import affine_network
from refglow.validation.campaigns import workers
from refglow.validation.campaigns.results_file import ResultsFile
from refglow.validation.random_models import randomize_weights

SHAPE = (16, 16, 3)
SHARDS = 150


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and images; the folder of a finished campaign over them."""
    folder = tmp_path_factory.mktemp("campaign")
    rng = np.random.default_rng(0)
    glow = rg.bijectors.Glow(SHAPE, 2, 2, affine_network(12), seed=rng, dtype=np.float32)
    randomize_weights(glow, rng, 0.5)
    rg.save(folder / "model.safetensors", glow)
    np.save(folder / "images.npy", rng.integers(0, 256, (500, *SHAPE), dtype=np.uint8))
    return folder


def arguments(place, out, *more):
    return ["campaign", "bpd", str(place / "model.safetensors"), "--data",
            str(place / "images.npy"), "--part", "train", "--most", "449", "--shard", "3",
            "--out", str(out), *map(str, more)]


@pytest.fixture(scope="module")
def client():
    with workers.local_workers(1) as found:
        yield found


@pytest.fixture(scope="module")
def finished(place, client):
    done = run(*arguments(place, place / "finished", "--scheduler", client.scheduler.address))
    assert done.exit_code == 0, done.output
    return place / "finished"


def run(*given):
    done = CliRunner().invoke(app, [*map(str, given)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def results_in(out):
    """The results in a campaign's folder, in which there may be nothing yet."""
    settings = out / "settings.json"
    return ResultsFile(out / "results.jsonl",
                       json.loads(settings.read_bytes()) if settings.exists() else {})


def started(place, out):
    """The command in a process group of its own."""
    return subprocess.Popen([sys.executable, "-m", "refglow", *arguments(
        place, out, "--workers", 2)], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_results(out, count):
    for _ in range(1200):
        if len(results_in(out).read()[0]) >= count:
            return
        time.sleep(0.05)
    pytest.fail("no results came")


def processes_of(group):
    """The processes of a group that run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def require_ended(group):
    """Within ten seconds."""
    for _ in range(200):
        if not processes_of(group):
            return
        time.sleep(0.05)
    pytest.fail("some of its processes still run")


# ---- killed, interrupted, resumed ---------------------------------------------------------------


def test_the_number_is_that_of_one_machine(place, finished, tmp_path):
    report = json.loads((finished / "report.json").read_text())
    run("bpd", place / "model.safetensors", "--data", place / "images.npy", "--part", "train",
        "--most", 449, "--batch-size", 50, "--json", tmp_path / "alone.json")
    alone = json.loads((tmp_path / "alone.json").read_text())
    for name in ("bits_per_dim", "standard_error", "images", "n_bits"):
        assert (report | report["settings"])[name] == alone[name]
    assert report["passed"] and report["items"] == SHARDS and len(report["computed_on"]) == 1


@pytest.mark.slow
def test_killed_and_resumed_the_report_has_the_same_bytes(place, finished, client, tmp_path):
    out = tmp_path / "out"
    process = started(place, out)
    wait_for_results(out, 5)
    process.kill()
    process.communicate(timeout=30)
    there = len(results_in(out).read()[0])
    assert 5 <= there < SHARDS
    require_ended(process.pid)  # the workers notice
    with open(out / "results.jsonl", "ab") as file:
        file.write(b'{"index": 149, "resu')  # as if it had been killed while it wrote
    address = client.scheduler.address
    with pytest.raises(ValueError, match=f"{there} of 150 shards are done. Give --resume"):
        run(*arguments(place, out, "--scheduler", address))
    done = run(*arguments(place, out, "--scheduler", address, "--resume"))
    assert done.exit_code == 0 and f"Going on after {there} of 150 shards" in done.output
    assert "1 line(s)" in done.output
    assert (out / "report.json").read_bytes() == (finished / "report.json").read_bytes()
    assert results_in(out).read()[1] == 0


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(place, tmp_path):
    out = tmp_path / "out"
    process = started(place, out)
    wait_for_results(out, 3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=30)
    there = len(results_in(out).read()[0])
    assert process.returncode == 2 and 3 <= there < SHARDS
    assert output == (f"refglow: Stopped. {there} of 150 shards are done. The same command with "
                      "--resume goes on.\n")
    require_ended(process.pid)  # what tracks its resources ends when it has


def test_a_finished_campaign_only_prints_its_report(place, finished, tmp_path):
    before = (finished / "results.jsonl").stat().st_mtime_ns
    done = run(*arguments(place, finished, "--scheduler", "tcp://127.0.0.1:9", "--json",
                          tmp_path / "report.json"))
    assert done.exit_code == 0 and "nothing is left to compute" in done.output
    assert "bits/dim over 449 train images" in done.output
    assert (finished / "results.jsonl").stat().st_mtime_ns == before
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(
        (finished / "report.json").read_text())
    with pytest.raises(ValueError, match="another campaign: seed is 0 there and 1 here"):
        run(*arguments(place, finished, "--seed", 1))


def test_a_damaged_line_is_computed_again(place, finished, client, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("settings.json", "results.jsonl"):
        (out / name).write_bytes((finished / name).read_bytes())
    content = (out / "results.jsonl").read_bytes()
    lines = content.splitlines(keepends=True)
    lines[40] = lines[40].replace(b'"images": 3', b'"images": 5')
    (out / "results.jsonl").write_bytes(b"".join(lines))
    done = run(*arguments(place, out, "--resume", "--scheduler", client.scheduler.address))
    assert "1 line(s)" in done.output and "Going on after 149 of 150" in done.output
    assert (out / "report.json").read_bytes() == (finished / "report.json").read_bytes()


def test_what_failed_is_computed_again_if_wanted(place, finished, client, tmp_path):
    from refglow.validation.campaigns.campaign import Outcome

    out = tmp_path / "out"
    out.mkdir()
    for name in ("settings.json", "results.jsonl"):
        (out / name).write_bytes((finished / name).read_bytes())
    results_in(out).append(Outcome(7, None, "raised OSError: [no] disk"))
    results_in(out).append(Outcome(9, None, "raised OSError: [no] disk"))
    address = client.scheduler.address
    done = run(*arguments(place, out, "--scheduler", address, "--json", "-"))
    assert done.exit_code == 1 and json.loads(done.stdout)["complete"] is False
    assert "No bits/dim: 443 of 449 images could be evaluated" in done.stderr
    assert "2 shards could not be computed (number 7, 9): raised OSError: [no] disk" in done.stderr
    done = run(*arguments(place, out, "--scheduler", address, "--resume", "--retry"))
    assert done.exit_code == 0 and "Going on after 148 of 150" in done.output
    assert (out / "report.json").read_bytes() == (finished / "report.json").read_bytes()


# ---- an implementation --------------------------------------------------------------------------


@pytest.mark.slow
def test_the_smallest_architecture_that_differs_is_compared_alone_by_the_command(client, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from refglow.validation.mutants import PortedGlow\n"
                    "class Mine(PortedGlow):\n"
                    "    def log_prob(self, x):\n"
                    "        wrong = not self._architecture['use_actnorm']\n"
                    "        return super().log_prob(x) + wrong\n"
                    "def build(architecture, parameters):\n"
                    "    mine = Mine(architecture, parameters)\n"
                    "    mine._architecture = architecture\n"
                    "    class Offered:\n"
                    "        log_prob = staticmethod(mine.log_prob)\n"
                    "        inverse = staticmethod(mine.inverse)\n"
                    "    return Offered()\n")
    done = run("campaign", "validate", "--implementation", f"{path}:build", "--architectures", 3,
               "--seed", 8, "--dtype", "float64", "--diagnosis-seconds", 5, "--images", 2, "--out",
               tmp_path / "out", "--scheduler", client.scheduler.address)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert done.exit_code == 1, done.output
    assert 0 < len(report["differ"]) < 3 and len(report["groups"]) == 1
    assert report["groups"][0]["only_with"]["use_actnorm"] is False
    assert report["smallest_arguments"]["use_actnorm"] is False
    assert "all and none that agrees with" in done.output and "use_actnorm = False" in done.output
    [command] = [line for line in done.output.splitlines() if "refglow validate" in line]
    again = run(*shlex.split(command)[1:], "--json", tmp_path / "alone.json")
    alone = json.loads((tmp_path / "alone.json").read_text())["conformance"]["float64"]
    assert again.exit_code == 1
    assert [row["prop"] for row in alone["rows"] if not row["passed"]] == ["log_prob"]


# ---- bad requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "says"), [
    (["--workers", 0], "must be at least 1; got 0"),
    (["--workers", 2, "--scheduler", "tcp://a:1"], "goes without --scheduler"),
    (["--retry"], "goes with --resume"), (["--shard", 0], "--shard"),
    (["--part", "both"], "can be 'test' or 'train'")])
def test_options_that_cannot_be_met(place, tmp_path, more, says):
    done = run(*arguments(place, tmp_path / "out", *more))
    assert done.exit_code == 2 and says in done.output
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_does_not_answer(place, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 0.5)
    with pytest.raises(OSError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run(*arguments(place, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9"))
    # Nothing was computed, so the folder may be given again, for another campaign too.
    with pytest.raises(OSError, match="No Dask scheduler answers"):
        run(*arguments(place, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9", "--seed", 3))


def test_without_dask_it_says_what_to_install(place, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r'pip install "refglow\[distributed\]"'):
        run(*arguments(place, tmp_path / "out"))


def test_what_cannot_be_opened_is_told_before_anything_is_made(place, tmp_path):
    for changed, says in (("--data", "no such file or folder"), ("--n-bits", "has 8 bits")):
        given = arguments(place, tmp_path / "out")
        given += [changed, {"--data": tmp_path / "none.npy", "--n-bits": 9}[changed]]
        with pytest.raises((OSError, ValueError), match=f"(?i){says}"):
            run(*given)
    with pytest.raises(ValueError, match=r"There is no file none\.py"):
        run("campaign", "validate", "--implementation", "none.py:x", "--out", tmp_path / "out")
    done = run("campaign", "validate", "--implementation", "m:x", "--dtype", "float16", "--out",
               tmp_path / "out")
    assert done.exit_code == 2 and "can be float64, float32, both" in done.output
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_keeps_what_is_done(place, tmp_path, client, monkeypatch):
    append, count = ResultsFile.append, []

    def full(self, outcome):
        count.append(outcome)
        if len(count) > 4:
            raise OSError(28, "Cannot write the results (No space left on device)", str(self.path))
        append(self, outcome)
    monkeypatch.setattr(ResultsFile, "append", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        run(*arguments(place, tmp_path / "out", "--scheduler", client.scheduler.address))
    assert raised.value.__notes__ == [
        "4 of 150 shards are done. The same command with --resume goes on."]
