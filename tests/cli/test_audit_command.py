"""`refglow audit`: what it prints and writes, and its exit codes."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import refglow as rg
from refglow.bijectors import Glow
from refglow.cli.audit_tables import number
from refglow.cli.main import app
from refglow.validation.cases import small_network
from refglow.validation.random_models import randomize_weights


@pytest.fixture
def files(tmp_path):
    """A model file, the same with a fault, and images."""
    glow = Glow((8, 8, 1), 2, 2, small_network, seed=0)
    randomize_weights(glow, np.random.default_rng(0), gain=0.5)
    rg.save(tmp_path / "healthy.safetensors", glow)
    log_scale = dict(glow.named_variables())["block1.step0.actnorm.log_scale"]
    log_scale.assign(np.where(np.arange(4) == 3, np.log(1e-8), log_scale.numpy()))
    rg.save(tmp_path / "faulty.safetensors", glow)
    levels = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", levels)
    return tmp_path


def audited(files, model, *arguments):
    done = CliRunner().invoke(app, ["audit", str(files / model), "--data",
                                    str(files / "images.npy"), "--images", "2", "--ball-seconds",
                                    "0", *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_healthy_model_passes_and_says_so(files):
    done = audited(files, "healthy.safetensors")
    assert done.exit_code == 0
    assert "Nothing is wrong" in done.stdout
    assert "block0.step1.coupling" in done.stdout
    assert "block1.expand" not in done.stdout
    assert "3 layers with smaller kappa, or that only move numbers" in done.stdout


def test_a_faulty_model_fails_and_names_layer_and_channel(files):
    report = files / "report.json"
    done = audited(files, "faulty.safetensors", "--json", str(report), "--all")
    assert done.exit_code == 1
    assert "1. block1.step0.actnorm: Towards the latent it multiplies channel 3" in done.stdout
    assert "Fails in float32" in done.stdout
    assert "block1.expand" in done.stdout
    found = json.loads(report.read_text())
    assert not found["passed"]
    assert found["findings"][0]["layer"] == "block1.step0.actnorm"
    assert found["findings"][0]["channels"] == [3]
    assert len(found["layers"]) == 17
    assert all(len(one["errors_measured"]) == 18 for one in found["digits"])
    assert found["measured_against"]["to_latent"]["why_no_balls"] == (
        "ball arithmetic was not wanted")
    assert [trip["passed"] for trip in found["round_trips"]] == [False, False, False]
    assert found["round_trips"][1]["begins_at"] == "block1.step0.actnorm"


def test_json_on_standard_output_is_only_json(files):
    done = audited(files, "healthy.safetensors", "--json", "-")
    assert json.loads(done.stdout)["passed"]
    assert "Nothing is wrong" in done.stderr


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_terminal(files, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    done = audited(files, "healthy.safetensors")
    printed = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    table = printed[:printed.index("kappa: ")]
    assert "block0.step1.coupling " in table
    assert "…" not in printed
    assert ("multiplies by" in table) == (columns == 120)
    assert max(map(len, table.splitlines())) <= columns


def test_a_model_file_does_not_know_its_data(files):
    done = CliRunner().invoke(app, ["audit", str(files / "healthy.safetensors")])
    assert isinstance(done.exception, ValueError)
    assert "give --data" in str(done.exception)


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (0.95, "0.95"), (12.34, "12.3"), (4567.8, "4568"), (1.23e8, "1e+08"),
    (0.0001, "1e-04"), (float("inf"), "inf"), (None, "")])
def test_numbers_are_short(value, text):
    assert number(value) == text
