"""The folder of vectors for other languages: what is written, and how strangers' folders fare."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from refglow.cli.certificate_tables import beyond_its_bound, vector_table
from refglow.cli.main import app
from refglow.validation.compare import difference
from refglow.validation.vectors import conditions, results
from refglow.validation.vectors import kept as kept_module
from refglow.validation.vectors import report as vectors_report
from refglow.validation.vectors.catalogue import BY_NAME
from refglow.validation.vectors.conditions import layers_of_vector
from refglow.validation.vectors.counter_random import counter_random
from refglow.validation.vectors.folder import checked_folder, write_rest, write_vector
from refglow.validation.vectors.judging import judge_of
from refglow.validation.vectors.manifest import exported, manifest_schema
from refglow.validation.vectors.results import evaluated_in

CHOSEN = [BY_NAME[name] for name in (
    "tanh-ordinary", "glowblock-2x3x4-1", "absolutevalue-ordinary", "initialactnorm-of-3",
    "glow-8x16x3-3-1", "normal-each", "jointmap-two", "split-sizes", "glow-96x64x3-2-1",
    "shift-cancels")]
BESIDE = "beside the vectors"
NAMES = sorted(vector.name for vector in CHOSEN)


@pytest.fixture(scope="module")
def exported_folder(kept, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    for vector in CHOSEN:
        write_vector(folder, vector, kept)
    write_rest(folder)
    return folder


@pytest.fixture
def folder(exported_folder, tmp_path):
    """A copy to spoil."""
    import shutil
    return shutil.copytree(exported_folder, tmp_path / "copy")


def problems(folder, kept):
    return {one.name: one.problems for one in checked_folder(folder, kept)}


def problem_of(folder, kept, name="tanh-ordinary"):
    """The only problem of the only vector that has one."""
    found = problems(folder, kept)
    assert {other for other, what in found.items() if what} == {name}
    [problem] = found[name]
    assert "\n" not in problem
    return problem


def change_manifest(folder, change, name="tanh-ordinary"):
    path = folder / "vectors" / f"{name}.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


# ---- what is written -------------------------------------------------------------------------


def test_the_folder(exported_folder):
    assert sorted(path.name for path in exported_folder.iterdir()) == [
        "README.md", "examples", "generators", "index.json", "operations.json",
        "vector.schema.json", "vectors"]
    index = json.loads((exported_folder / "index.json").read_text())
    assert sorted(entry["name"] for entry in index) == NAMES
    for entry in index:
        manifest = json.loads((exported_folder / entry["manifest"]).read_text())
        assert manifest["name"] == entry["name"]
        assert [flag["name"] for flag in manifest["flags"]] == entry["flags"]


def test_manifests_fit_their_schema_and_tell_of_every_array(exported_folder):
    schema = json.loads((exported_folder / "vector.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert schema == manifest_schema()
    for name in NAMES:
        manifest = json.loads((exported_folder / "vectors" / f"{name}.json").read_text())
        Draft202012Validator(schema).validate(manifest)
        arrays = load_file(exported_folder / "vectors" / manifest["file"])
        inputs = {f"inputs/{key}": what for key, what in manifest["inputs"].items()
                  if "generated" not in what}
        results = {f"results/{dtype}/{key}": what for key, what in manifest["results"].items()
                   for dtype in ("float64", "float32")}
        places = {f"places/{key}" for key, what in manifest["results"].items() if "kept" in what}
        conditions = {f"conditions/{key}" for key, what in manifest["results"].items()
                      if what["by_element"]}
        assert arrays.keys() == inputs.keys() | results.keys() | places | conditions
        for key, what in (inputs | results).items():
            assert list(arrays[key].shape) == [what["kept"]] if "kept" in what else what["shape"]
            assert arrays[key].dtype == what.get("dtype", key.split("/")[1])
        for key in conditions:
            result = key.replace("conditions", "results/float64", 1)
            assert arrays[key].shape == arrays[result].shape and arrays[key].dtype == np.float32


def test_conditions_and_tolerances_are_told(exported_folder, kept):
    """By the rule as it is written in tolerances.py, computed here once more."""
    by_element = 0
    for vector in CHOSEN:
        manifest = json.loads((exported_folder / "vectors" / f"{vector.name}.json").read_text())
        arrays = load_file(exported_folder / "vectors" / manifest["file"])
        layers = layers_of_vector(vector)
        for name, what in manifest["results"].items():
            kappa = kept.conditions(vector)[name]
            assert what["condition"] == pytest.approx(kappa.max(), rel=6e-3)
            if what["by_element"]:
                by_element += 1
                assert what["condition"] == pytest.approx(arrays[f"conditions/{name}"].max(),
                                                          rel=6e-3)
            for dtype, passes in what["tolerance"].items():
                expected = 4 * np.finfo(dtype).eps * np.sqrt(layers) * what["condition"]
                if "/vjp/" in name or "/jvp" in name:
                    expected *= 16
                if name.endswith("log_det") or "density" in vector.operation.lower():
                    eps = np.finfo(dtype).eps  # n numbers in pairs, or in float64 in a loop
                    expected += what["condition"] * (
                        eps * np.log2(vector.size) + 2.0**-53 * (vector.size - 1))
                assert passes == pytest.approx(expected, rel=0.02), (vector.name, name, dtype)
    assert by_element > 10


def test_a_tolerance_in_the_manifest_is_what_the_judge_applies(exported_folder, kept):
    """Numbers that are off by nearly as much pass, and by a little more do not."""
    for vector in CHOSEN:
        manifest = json.loads((exported_folder / "vectors" / f"{vector.name}.json").read_text())
        arrays = load_file(exported_folder / "vectors" / manifest["file"])
        judge = judge_of(vector, kept)
        for name, what in manifest["results"].items():
            truth = arrays[f"results/float64/{name}"]
            for dtype, passes in what["tolerance"].items():
                share, kappa = passes / what["condition"], np.asarray(what["condition"])
                scale = np.asarray(np.abs(truth).max(initial=0))
                if what["by_element"]:
                    kappa = arrays[f"conditions/{name}"]
                    scale = np.maximum(np.abs(truth), np.finfo(dtype).tiny)
                if not scale.any() or (share * kappa >= 0.05).any():
                    continue  # nothing that could be off, or be judged
                for off, right in ((0.5, True), (2, False)):
                    moved = (truth + off * share * kappa * scale).astype(dtype)
                    row = judge(name, moved, truth)
                    assert row is not None and row.passed == right, (vector.name, name, dtype, off)


def test_the_numbers_are_those_that_are_kept(exported_folder, kept):
    for vector in CHOSEN:
        arrays = load_file(exported_folder / "vectors" / f"{vector.name}.safetensors")
        for name, by_type in kept.results(vector).values.items():
            for dtype, array in by_type.items():
                np.testing.assert_array_equal(arrays[f"results/{dtype}/{name}"], array)


def test_generated_arrays_are_those_of_their_streams(exported_folder, kept):
    vector = next(vector for vector in CHOSEN if vector.generated)
    manifest = json.loads((exported_folder / "vectors" / f"{vector.name}.json").read_text())
    inputs = evaluated_in(vector, kept.inputs(vector), np.float64).inputs
    generated = {name: what for name, what in manifest["inputs"].items() if "generated" in what}
    assert len(generated) > 10 and any(name.startswith("param_dots/") for name in generated)
    for name, what in generated.items():
        stream = what["generated"]
        made = counter_random(stream["seed"], int(np.prod(what["shape"]))).reshape(what["shape"])
        made = made * np.float32(2.0**stream["exponent"])
        np.testing.assert_array_equal(made, inputs[name])
        assert np.abs(made).max() <= 2.0**stream["exponent"]


def test_places_are_those_of_the_numbers(exported_folder, kept):
    """Whole results of the same Glow, read as the folder's README.md says."""
    for name in ("glow-8x16x3-3-1", "glow-96x64x3-2-1"):
        vector = replace(BY_NAME[name], generated=False, sampled=False)
        whole = evaluated_in(vector, kept.inputs(BY_NAME[name]), np.float64).results
        arrays = load_file(exported_folder / "vectors" / f"{name}.safetensors")
        places = {key.removeprefix("places/"): array for key, array in arrays.items()
                  if key.startswith("places/")}
        assert len(places) > 10
        for result, indices in places.items():
            expected = arrays[f"results/float64/{result}"]
            assert indices.dtype == np.int32 and indices.shape == expected.shape
            assert difference(whole[result].reshape(-1)[indices], expected).relative < 1e-11


def test_the_exported_generator_needs_numpy_alone(exported_folder):
    path = exported_folder / "generators" / "counter_random.py"
    assert "refglow" not in path.read_text().split('"""')[2]
    spec = importlib.util.spec_from_file_location("exported_generator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.testing.assert_array_equal(module.counter_random(5, 20), counter_random(5, 20))


def test_exporting_evaluates_nothing(kept, monkeypatch):
    expected = {vector.name: evaluated_in(vector, kept.inputs(vector), np.float64).inputs
                for vector in CHOSEN}

    def refused(*given):
        raise AssertionError("something was evaluated")

    monkeypatch.setattr(results._Walk, "evaluate", refused)
    for module in (conditions, kept_module):
        for measure in ("_base_and_moved", "evaluated_in"):
            monkeypatch.setattr(module, measure, refused, raising=False)
    for vector in CHOSEN:
        arrays, manifest = exported(vector, kept).arrays, exported(vector, kept).manifest
        assert manifest["inputs"].keys() == expected[vector.name].keys()
        for name, array in expected[vector.name].items():
            assert vector.is_generated(name) or np.array_equal(arrays[f"inputs/{name}"], array)


def test_exporting_twice_gives_the_same_bytes(kept):
    assert exported(CHOSEN[0], kept).content == exported(CHOSEN[0], kept).content


# ---- what is checked -------------------------------------------------------------------------


def test_a_folder_as_it_was_written(exported_folder, kept):
    assert problems(exported_folder, kept) == dict.fromkeys([*NAMES, BESIDE], ())


def test_a_changed_number(folder, kept):
    path = folder / "vectors" / "tanh-ordinary.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "holds other numbers, at [" in problem_of(folder, kept)


def test_a_missing_file(folder, kept):
    (folder / "vectors" / "tanh-ordinary.safetensors").unlink()
    assert "No such file" in problem_of(folder, kept)


def test_half_a_file(folder, kept):
    path = folder / "vectors" / "tanh-ordinary.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert "tanh-ordinary.safetensors" in problem_of(folder, kept)


@pytest.mark.parametrize("header", [
    b"{", b"[]", b"\xff\xfe", b'{"x":{"dtype":"F64","shape":[4611686018427387904],'
    b'"data_offsets":[0,8]}}', b'{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,99999999]}}',
    b'{"x":{"dtype":"F64","shape":[1],"data_offsets":[-8,0]}}'])
def test_hostile_headers(folder, kept, header):
    path = folder / "vectors" / "tanh-ordinary.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    assert "tanh-ordinary.safetensors" in problem_of(folder, kept)


def test_a_header_of_many_terabytes(folder, kept):
    path = folder / "vectors" / "tanh-ordinary.safetensors"
    path.write_bytes(struct.pack("<Q", 2**45) + bytes(64))
    assert "tanh-ordinary.safetensors" in problem_of(folder, kept)


def test_a_pickle_is_not_read(folder, kept):
    import pickle
    path = folder / "vectors" / "tanh-ordinary.safetensors"
    path.write_bytes(pickle.dumps({"inputs/forward/input": [1.0]}))
    assert "tanh-ordinary.safetensors" in problem_of(folder, kept)


@pytest.mark.parametrize("text", [b"", b"{", b"nonsense", b"\xff", b"[" * 100_000, b"null"])
def test_what_is_not_a_manifest(folder, kept, text):
    (folder / "vectors" / "tanh-ordinary.json").write_bytes(text)
    assert "tanh-ordinary.json" in problem_of(folder, kept)


def test_a_manifest_of_many_megabytes(folder, kept):
    (folder / "vectors" / "tanh-ordinary.json").write_bytes(b" " * (2**22 + 1))
    assert "is longer than" in problem_of(folder, kept)


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "a/b.safetensors",
                                  "..safetensors", "x\u0000.safetensors"])
def test_a_file_outside_the_folder(folder, kept, file):
    change_manifest(folder, lambda manifest: manifest.update(file=file))
    assert "file" in problem_of(folder, kept) and "does not match" in problem_of(folder, kept)


def test_a_field_too_many_and_one_too_few(folder, kept):
    change_manifest(folder, lambda manifest: manifest.update(evil="x" * 10_000))
    assert len(problem_of(folder, kept)) < 400
    change_manifest(folder, lambda manifest: (manifest.pop("evil"), manifest.pop("why")))
    assert "'why' is a required property" in problem_of(folder, kept)


def test_another_claim(folder, kept):
    change_manifest(folder, lambda manifest: manifest.update(formula="y = x"))
    assert problem_of(folder, kept) == "tanh-ordinary.json: 'formula' is not refglow's."


def test_the_manifest_of_another_vector(folder, kept):
    text = (folder / "vectors" / "normal-each.json").read_text()
    (folder / "vectors" / "tanh-ordinary.json").write_text(text)
    assert "is the manifest of 'normal-each'" in problem_of(folder, kept)


def test_an_unknown_vector(folder, kept):
    change_manifest(folder, lambda manifest: manifest.update(name="unheard-of"))
    (folder / "vectors" / "tanh-ordinary.json").rename(folder / "vectors" / "unheard-of.json")
    found = problems(folder, kept)
    assert "has no vector 'unheard-of'" in found["unheard-of"][0]
    assert "index.json lists tanh-ordinary" in found[BESIDE][0]


def test_control_characters_do_not_reach_the_terminal(folder, kept):
    change_manifest(folder, lambda manifest: manifest.update(name="\x1b[2J\u202e"))
    assert "\x1b" not in problem_of(folder, kept)
    change_manifest(folder, lambda manifest: manifest["inputs"].update({"\x1b[31m": {}}))
    assert "\x1b" not in str(problems(folder, kept))


def test_what_is_no_file_is_not_opened(folder, kept):
    path = folder / "vectors" / "tanh-ordinary.json"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is not a regular file" in problem_of(folder, kept)
    path.unlink()
    os.mkfifo(path)  # opening it would wait for a writer
    assert "is not a regular file" in problem_of(folder, kept)


def test_a_vector_that_is_missing(folder, kept):
    (folder / "vectors" / "tanh-ordinary.json").unlink()
    found = problems(folder, kept)
    assert found.pop(BESIDE) == (
        "index.json lists tanh-ordinary, of which there is no manifest.",
        "tanh-ordinary.safetensors has no manifest.")
    assert not any(found.values())


@pytest.mark.parametrize("name", ["generators/counter_random.c", "vector.schema.json",
                                  "operations.json", "examples/glow.mjs"])
def test_a_changed_file_beside_the_vectors(folder, kept, name):
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert problem_of(folder, kept, BESIDE) == f"{name} is not refglow's."


@pytest.mark.parametrize("text", ["", "[1]", "{", '[{"name": "tanh-ordinary"}]'])
def test_another_index(folder, kept, text):
    (folder / "index.json").write_text(text)
    assert "index.json" in str(problems(folder, kept)[BESIDE])


@pytest.mark.parametrize(("change", "message"), [
    (lambda arrays: arrays.pop("inputs/forward/input"), "lacks inputs/forward/input"),
    (lambda arrays: arrays.update(more=np.zeros(2)), "holds more, which the vector has not"),
    (lambda arrays: arrays.update({"inputs/forward/input": np.zeros((2, 4, 2))}),
     "is float64[2, 4, 2]; it must be float32[2, 4, 2]"),
    (lambda arrays: arrays.update({"inputs/forward/input": np.zeros((4, 4), np.float32)}),
     "it must be float32[2, 4, 2]"),
    (lambda arrays: arrays["results/float64/forward/value"].fill(np.nan), "nan instead of"),
    (lambda arrays: None, "the right arrays, but not the bytes")])
def test_other_arrays(folder, kept, change, message):
    path = folder / "vectors" / "tanh-ordinary.safetensors"
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    change(arrays)
    save_file(arrays, path)
    assert message in " ".join(problems(folder, kept)["tanh-ordinary"])


def test_a_second_export_adds_to_the_index(folder, kept):
    more = BY_NAME["exp-ordinary"]
    write_vector(folder, more, kept)
    write_rest(folder)
    assert not any(problems(folder, kept).values())
    assert len(json.loads((folder / "index.json").read_text())) == len(NAMES) + 1


def test_an_empty_folder(tmp_path, kept):
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="holds no vectors"):
            problems(place, kept)


# ---- the commands ----------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["vectors", *map(str, arguments)])


def test_export_and_check(tmp_path):
    done = run("export", tmp_path / "out", "--only", "tanh")
    assert done.exit_code == 0 and "README.md there explains them" in done.stdout
    done = run("check", tmp_path / "out", "--json", tmp_path / "r.json")
    assert done.exit_code == 0 and "vectors are refglow's" in done.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["passed"] and "tanh-tails" in report["vectors"]
    change_manifest(tmp_path / "out", lambda manifest: manifest.update(bits=3))
    done = run("check", tmp_path / "out", "--json", "-")
    assert done.exit_code == 1 and not json.loads(done.stdout)["passed"]
    assert "tanh-ordinary: tanh-ordinary.json: 'bits' is not refglow's." in done.stderr


def test_vectors_need_no_extra(tmp_path):
    """Only certifying needs python-flint: who reads vectors installs the core alone."""
    program = ("import sys; sys.modules['flint'] = None; from refglow.cli.main import main; "
               "sys.argv = ['refglow', *sys.argv[1:]]; main()")
    for arguments in (["vectors", "export", "out", "--only", "tanh-o"], ["vectors", "check", "out"],
                      ["validate", "--results", "out"]):
        done = subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        if arguments[1] == "export":
            truth = load_file(tmp_path / "out" / "vectors" / "tanh-ordinary.safetensors")
            (tmp_path / "out" / "results").mkdir()
            save_file({"forward/value": truth["results/float64/forward/value"]},
                      tmp_path / "out" / "results" / "tanh-ordinary.safetensors")


def test_export_of_nothing(tmp_path):
    done = run("export", tmp_path, "--only", "xyz")
    assert isinstance(done.exception, ValueError) and "they begin with" in str(done.exception)


def test_certify_a_sample_of_nothing():
    done = run("certify", "--only", "zzz", "--sample", "2")
    assert isinstance(done.exception, ValueError) and "begins with 'zzz'" in str(done.exception)


def test_certify_a_sample(tmp_path):
    done = run("certify", "--only", "expaffine", "--sample", "2", "--json", tmp_path / "r.json")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["rows"] == [] and len(report["vectors"]) == 2
    assert "Golden vectors" in done.stdout and "each correctly rounded" in done.stdout
    for vector in report["vectors"]:
        for nearest in vector["nearest_its_bound"].values():
            assert 0 < nearest["share"] == nearest["relative"] / nearest["bound"] < 1


def test_an_error_beyond_its_bound_is_told(monkeypatch, tmp_path):
    right = vectors_report.evaluated_in

    def nearly(vector, inputs, dtype, backend):
        found = right(vector, inputs, dtype, backend)
        if (dtype, backend) == ("float64", "cpu"):
            found.results["inverse/log_det"] *= 1 + 1e-14
        return found
    monkeypatch.setattr(vectors_report, "evaluated_in", nearly)
    done = run("certify", "--only", "tanh-ord", "--sample", "1", "--json", tmp_path / "r.json")
    assert done.exit_code == 1 and "1 of 1 are beyond their bound: tanh-ordinary" in done.stdout
    assert "All as kept" not in done.stdout and "%" in done.stdout
    [vector] = json.loads((tmp_path / "r.json").read_text())["vectors"]
    assert vector["as_kept"] and vector["nearest_its_bound"]["cpu/float64"]["share"] > 1
    assert vector["nearest_its_bound"]["spec/float64"]["share"] < 1


def test_what_cannot_be_judged_has_no_share():
    row = {"vector": "a", "operation": "Exp", "numbers": 1, "bits": 128, "as_kept": True,
           "ulps": {"spec/float64": 1.0}, "nearest_its_bound": {"spec/float64": None}}
    assert not beyond_its_bound(row)
    assert [next(iter(column.cells)) for column in vector_table([row]).columns][-4:] == [
        "-", "-", "-", "as kept"]
    unknown = {**row, "nearest_its_bound": {"spec/float64": {
        "result": "forward/value", "relative": float("nan"), "bound": 1e-15, "reason": "",
        "share": float("nan")}}}
    assert beyond_its_bound(unknown)
    known = {"result": "forward/value", "relative": 1e-16, "bound": 1e-15, "reason": "",
             "share": 0.1}
    both = unknown | {"nearest_its_bound": {"a": known, **unknown["nearest_its_bound"], "b": known}}
    assert list(vector_table([both]).columns[-2].cells) == ["[bold red]nan%[/]"]
