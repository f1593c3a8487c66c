"""`refglow validate --export` and `--results`: a whole Glow in JavaScript, right and wrong."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import refglow as rg
from refglow.cli.main import app
from refglow.training.model import affine_network
from refglow.validation.random_models import randomize_weights
from refglow.validation.report import report_schema

RESULTS = "results/javascript.safetensors"


def run(*arguments):
    done = CliRunner().invoke(app, ["validate", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(3)
    glow = rg.bijectors.Glow((8, 8, 3), 2, 2, affine_network(6), seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, 0.5)
    rg.save(folder / "model.safetensors", glow)
    done = run("--export", folder / "out", "--model", folder / "model.safetensors", "--images", 3,
               "--seed", 7)
    assert f"refglow validate --results {folder / 'out'}" in done.stdout
    return folder / "out"


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "copy")


def by_node(folder, *planted):
    """Run the example, with mistakes planted in a copy of it."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    for name, right, wrong in planted:
        path = folder / "examples" / name
        source = path.read_text("utf-8")
        assert source.count(right) == 1
        path.write_text(source.replace(right, wrong))
    done = subprocess.run(["node", folder / "examples" / "model.mjs", folder], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_glow_in_javascript(folder, tmp_path):
    by_node(folder)
    manifest = json.loads((folder / "model.json").read_text())
    assert set(load_file(folder / RESULTS)) == {
        name for name in manifest["results"] if not name.startswith("gradients/")}
    done = run("--results", folder, "--json", tmp_path / "r.json")
    assert done.exit_code == 0 and "All agree: 76 arrays compared" in done.stdout
    assert re.search(r"Digits that the weights allow in float64: 15\.\d for the latents, 14\.\d",
                     done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80
    report = json.loads((tmp_path / "r.json").read_text())
    assert Draft202012Validator(report_schema()).is_valid(report)
    assert (report["images"], report["seed"], report["passed"]) == (3, 7, True)
    found = report["conformance"]["float64"]
    assert found["absent"] == ["gradients"] and found["failed"] == []
    for digits in found["digits"].values():
        assert 13 < digits["allowed"] < 16 and 13 < digits["agree"] < 16


GLOW, MODEL = "glow.mjs", "model.mjs"
PLANTED = {
    "scale and shift exchanged": (
        [(GLOW, "affine(b, channels(output, 0, mapped), t,",
          "affine(b, t, channels(output, 0, mapped),")],
        {"layout": "[t, r]", "exit_layout": "[t, r]"}, "block1.step1.coupling"),
    "s (x + t)": (
        [(GLOW, "x.data[index] * s + shift : (x.data[index] - shift) / s",
          "(x.data[index] + shift) * s : x.data[index] / s - shift")],
        {"affine": "s (x + t)", "exit_affine": "s (x + t)"}, "block1.step1.coupling"),
    "the other half": (
        [(GLOW, "const a = channels(x, 0, deciding), b = channels(x, deciding, deciding + mapped);",
          "const from = exponential ? 0 : mapped, to = exponential ? deciding : 0;\n"
          "  const a = channels(x, from, from + deciding), b = channels(x, to, to + mapped);"),
         (GLOW, "return [joined(a, y, channels(",
          "return [joined(...exponential ? [a, y] : [y, a], channels(")],
        {"conditioning": "high half"}, "block1.step1.coupling"),
    "H W forgotten": (
        [(GLOW, "total = x.h * x.w * sum(logScale.data)", "total = sum(logScale.data)")],
        {"log_det_pixels": "actnorm not times H W"}, "block1.step1.actnorm"),
    "rows and columns exchanged": (
        [(GLOW, "(k * b + p) * b + q;", "(k * b + q) * b + p;")],
        {"squeeze": "c b a"}, "block1.squeeze"),
    "convolution first": (
        [(GLOW, "    if (step.actnorm) maps.push((v) => actnorm(v, step.actnorm, forward));\n"
          "    maps.push((v) => matvec(v, step.conv, !forward));\n",
          "    maps.push((v) => matvec(v, step.conv, !forward));\n"
          "    maps.push((v) => actnorm(v, step.actnorm, forward));\n"),
         (MODEL,
          "      if (step.actnorm) layer(`${at}.actnorm`, actnorm(x, step.actnorm, false));\n"
          "      layer(`${at}.conv`, matvec(x, step.conv, true));\n",
          "      layer(`${at}.conv`, matvec(x, step.conv, true));\n"
          "      layer(`${at}.actnorm`, actnorm(x, step.actnorm, false));\n")],
        {"step_order": "conv actnorm coupling"}, None)}


@pytest.mark.parametrize(("planted", "answers", "first"), PLANTED.values(), ids=PLANTED)
def test_a_mistake_in_it_is_named(planted, answers, first, folder, tmp_path):
    by_node(folder, *planted)
    done = run("--results", folder, "--json", tmp_path / "r.json")
    assert done.exit_code == 1 and "What explains it (float64):" in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["diagnosis"]["answers"] == answers
    for answer in answers.values():
        assert f'yours is "{answer}"' in " ".join(done.stdout.split())
    if first is not None:
        assert report["conformance"]["float64"]["first_wrong_layer"] == first
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_transposed_matrix_is_named(folder, tmp_path):
    """Of results that were right but for W: v W for W v."""
    by_node(folder, (GLOW, "    const v = Array.from({ length: c }, (_, k) => "
                     "x.data[pixel * c + (forward ? k : p[k])]);\n    if (forward) {\n",
                     "    let v = Array.from({ length: c }, (_, k) => "
                     "x.data[pixel * c + (forward ? k : p[k])]);\n    if (forward) {\n"
                     "      const u = v.map((_, k) => v[p[k]]), w = [...u];\n"
                     "      for (let i = 0; i < c; i++) for (let j = i + 1; j < c; j++)\n"
                     "        w[i] += lu[j * c + i] * u[j];\n"
                     "      for (let i = 0; i < c; i++) {\n"
                     "        v[i] = lu[i * c + i] * w[i];\n"
                     "        for (let j = 0; j < i; j++) v[i] += lu[j * c + i] * w[j];\n"
                     "        y.data[pixel * c + i] = v[i];\n"
                     "      }\n"
                     "      continue;\n"))
    arrays = load_file(folder / RESULTS)
    save_file({name: array for name, array in arrays.items() if "forward" not in name},
              folder / RESULTS)
    run("--results", folder, "--json", tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["conformance"]["float64"]["first_wrong_layer"] == "block1.step1.conv"
    assert report["diagnosis"]["answers"] == {"matrix": "W^T"}


def test_a_folder_with_broken_results_is_told_and_the_rest_is_judged(folder):
    z = load_file(folder / "inputs.safetensors")["z"].astype(np.float64)
    save_file({"forward": z.reshape(3, 8, 8, 3), "evil\x1b[2J": z}, folder / RESULTS)
    (folder / "results" / "more.safetensors").write_bytes(b"\x80\x04]\x94.")
    done = run("--results", folder, "--json", "-")
    assert done.exit_code == 1 and not json.loads(done.stdout)["passed"]
    text = " ".join(done.stderr.split())
    assert "more.safetensors is not a whole safetensors file" in text and "evil?[2J" in text
    assert "3 arrays differ" in text or "1 arrays differ" in text


@pytest.mark.parametrize(("arguments", "says"), [
    (("--export", "x", "--results", "y"), "--results"),
    (("--export", "x", "--only", "a"), "--only"), (("--export", "x", "--json", "-"), "--json"),
    (("--export", "x", "--dtype", "both"), "--dtype"),
    (("--export", "x", "--implementation", "a:b"), "--implementation")])
def test_options_that_do_not_go_together(arguments, says):
    done = run(*arguments)
    assert done.exit_code == 2 and "Invalid value" in done.output and says in done.output


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"There is no folder .*missing"):
        run("--results", tmp_path / "missing")


def test_terminal_and_report_explain_alike(folder, tmp_path):
    x = load_file(folder / "inputs.safetensors")["x"].astype(np.float64)
    z = rg.load(folder / "model.safetensors").astype(np.float64).inverse(x)
    save_file({"inverse": z, "log_prob": z[:2, 0]}, folder / "results" / "r.safetensors")
    done = run("--results", folder, "--json", tmp_path / "r.json")
    [said] = json.loads((tmp_path / "r.json").read_text())["summary"]["explanation"]
    assert said in " ".join(done.stdout.split()) and said.startswith("No convention: what is wrong")


def test_the_names_of_vectors_do_not_choose_in_a_model(folder):
    with pytest.raises(ValueError, match="leave out --only"):
        run("--results", folder, "--only", "glow")
    with pytest.raises(ValueError, match="holds no results"):
        run("--results", folder)
