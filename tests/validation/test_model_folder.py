"""A model's folder for programs in any language: what is written, how strangers' folders fare."""

import hashlib
import json
import os
import pickle
import shutil
import struct

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy_glow import NumpyGlow
from safetensors.numpy import load_file, save_file

import refglow as rg
from refglow.bijectors import Glow
from refglow.training.model import affine_network
from refglow.validation.diagnosis.of_conformance import diagnosis_of
from refglow.validation.implementations.calls import NotAnsweredError
from refglow.validation.implementations.found import read
from refglow.validation.implementations.reference import reference_of
from refglow.validation.implementations.report import details
from refglow.validation.model_folder.folder_calls import FolderCalls
from refglow.validation.model_folder.judging import conformances
from refglow.validation.model_folder.manifest import manifest_schema
from refglow.validation.model_folder.reading import is_model_folder, read_model_folder
from refglow.validation.model_folder.results import read_results
from refglow.validation.model_folder.writing import write_model_folder
from refglow.validation.random_models import random_images, randomize_weights

SHAPE = (4, 8, 2)
OFFERED = ("inverse", "inverse_log_det_jacobian", "forward", "forward_log_det_jacobian", "log_prob",
           "bits_per_dim", "layers", "initialize")


def glow_of(**arguments):
    rng = np.random.default_rng(3)
    glow = Glow(SHAPE, 2, 2, affine_network(6), seed=rng, dtype=np.float64, **arguments)
    randomize_weights(glow, rng, 0.4)
    return glow


def write_folder(folder, **arguments):
    write_model_folder(folder, glow_of(**arguments), random_images(
        np.random.default_rng(4), 3, SHAPE), 5)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(exported, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(exported, tmp_path / "copy")


def computed(folder, dtype=np.float64, kind=NumpyGlow):
    """All results of a program that knows nothing but the folder's files."""
    manifest = json.loads((folder / "model.json").read_text())
    parameters = {name: array.astype(dtype) if array.dtype == np.float32 else array
                  for name, array in load_file(folder / "model.safetensors").items()
                  if name in manifest["parameters"]}
    glow = kind(manifest["architecture"] | {"dtype": np.dtype(dtype).name}, parameters)
    inputs = {name: array.astype(dtype)
              for name, array in load_file(folder / "inputs.safetensors").items()}
    found = {}
    for name in OFFERED:
        argument = inputs["z" if name.startswith("forward") else "x"]
        found |= read(name, getattr(glow, name)(argument)).arrays
    z = found["inverse"]
    return found | {f"round_trip/{name}": getattr(glow, name)(z)
                    for name in ("forward", "forward_log_det_jacobian")}


def answer(folder, arrays, name="mine"):
    save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()},
              folder / "results" / f"{name}.safetensors")


def judged(folder):
    model = read_model_folder(folder)
    return {one.dtype: one for one in conformances(model, read_results(model))}


def reasons(found):
    return [call.reason for call in found.failed]


# ---- what is written -------------------------------------------------------------------------


def test_the_folder(exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        "README.md", "examples", "inputs.safetensors", "model.json", "model.safetensors",
        "model.schema.json", "results"]
    assert is_model_folder(exported) and not list((exported / "results").iterdir())
    manifest = json.loads((exported / "model.json").read_text())
    schema = json.loads((exported / "model.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert schema == manifest_schema()
    Draft202012Validator(schema).validate(manifest)
    for entry in manifest["files"]:
        content = (exported / entry["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("arguments", [{}, {"grab_after_block": (0.75, 1.0)},
                                       {"grab_after_block": (0.0, 0.0), "use_actnorm": False}])
def test_every_result_and_its_shape_is_what_the_reference_has(arguments, tmp_path):
    model = read_model_folder(write_folder(tmp_path / "model", **arguments))
    reference = reference_of(model.glow, model.x, model.z)
    results = model.manifest["results"]
    assert {name: tuple(described["shape"]) for name, described in results.items()
            if not name.startswith("round_trip/")} == {
        name: array.shape for name, array in reference.truth.items()}
    assert results["round_trip/forward"]["shape"] == list(model.x.shape)
    assert model.manifest["layers"] == [layer.name for layer in reference.layers]
    assert {name: described["of"] for name, described in results.items() if "forward" in name} == {
        "forward": "z", "forward_log_det_jacobian": "z", "round_trip/forward": "your inverse",
        "round_trip/forward_log_det_jacobian": "your inverse"}


def test_the_arrays_are_the_model_s_in_float32(exported):
    manifest = json.loads((exported / "model.json").read_text())
    arrays, state = load_file(exported / "model.safetensors"), glow_of().state_dict()
    for name, described in manifest["parameters"].items():
        assert arrays[name].dtype == described["dtype"] in ("float32", "int32")
        np.testing.assert_array_equal(arrays[name], state[name].astype(arrays[name].dtype))
    inputs = load_file(exported / "inputs.safetensors")
    assert {name: array.dtype.name for name, array in inputs.items()} == dict.fromkeys(
        "xz", "float32")
    z = rg.load(exported / "model.safetensors").astype(np.float64).inverse(
        inputs["x"].astype(np.float64))
    assert not np.isclose(inputs["z"], z, atol=1e-2).all()  # nothing remembered can pass for it


def test_a_folder_with_results_or_vectors_is_not_written_over(folder, tmp_path):
    write_folder(folder)
    answer(folder, {"inverse": np.zeros((3, 64))})
    with pytest.raises(ValueError, match="holds results of the model that was there"):
        write_folder(folder)
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(ValueError, match="holds golden vectors"):
        write_folder(tmp_path)


def test_a_model_without_steps_has_no_actnorms_to_start(tmp_path):
    glow, images = Glow(SHAPE, 2, 0, affine_network(6), seed=0, dtype=np.float64), np.ones(
        (2, *SHAPE))
    write_model_folder(tmp_path, glow, images, 0)
    answer(tmp_path, {"bits_per_dim": np.zeros(2)})
    [one] = judged(tmp_path).values()
    assert [row.bijector for row in one.rows] == ["bits_per_dim"]
    with pytest.raises(ValueError, match="built without steps: there is nothing to initialise"):
        glow.initialize(images)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 3e38), (np.float64, 1e300)])
def test_huge_numbers_are_wrong_and_no_warning(dtype, size, folder):
    answer(folder, {name: np.full_like(array, size) if dtype == np.float32 else array * size
                    for name, array in computed(folder, dtype).items()})
    [one] = judged(folder).values()
    assert not one.passed
    assert "precision" not in diagnosis_of(one).answers


@pytest.mark.parametrize("name", ["README.md", "model.safetensors", "model.json",
                                  "examples/model.mjs"])
def test_what_an_export_did_not_write_is_not_written_over(name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(ValueError, match=f"holds {name}, which would be written over"):
        write_folder(tmp_path)
    assert (tmp_path / name).read_text() == '{"mine": 1}'
    assert not (tmp_path / "results").exists()


def test_what_was_exported_is_written_anew_though_files_in_it_were_changed(folder):
    (folder / "inputs.safetensors").write_bytes(b"")
    (folder / "README.md").unlink()
    write_folder(folder)
    assert read_model_folder(folder).x.shape == (3, *SHAPE)


def test_an_export_that_was_interrupted_is_not_judged_and_can_be_repeated(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    with monkeypatch.context() as patched:
        patched.setattr("refglow.validation.model_folder.writing.write_safetensors", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_folder(folder, use_actnorm=False)
    with pytest.raises(ValueError, match=r"model\.safetensors is not the file that was exported"):
        read_model_folder(folder)
    write_folder(folder, use_actnorm=False)
    assert not read_model_folder(folder).glow.parameters["use_actnorm"]


def test_a_model_without_parameters_is_not_written(tmp_path):
    fresh = Glow(SHAPE, 2, 2, affine_network(6), seed=0)
    with pytest.raises(ValueError, match=r"actnorm\.initialized is false"):
        write_model_folder(tmp_path / "model", fresh, np.zeros((1, *SHAPE)), 0)
    assert not (tmp_path / "model").exists()


# ---- right and wrong results -----------------------------------------------------------------


def test_right_results_in_both_types_and_several_files_pass(folder):
    narrow, wide = computed(folder, np.float32), computed(folder)
    answer(folder, narrow, "narrow")
    for k, (name, array) in enumerate(wide.items()):
        answer(folder, {name: array}, f"wide{k}")
    found = judged(folder)
    assert list(found) == ["float64", "float32"]
    for one in found.values():
        assert one.passed and not one.remarks
        assert one.absent == ("gradients",)
        assert {row.bijector for row in one.rows} == {*OFFERED, "layers, each alone", "own"}
        own = [row.prop for row in one.rows if row.bijector == "own"]
        assert own == ["forward(inverse(x)) = x", "fldj(inverse(x)) = -ildj(x)"]
    assert any("inverse at other images is not among the results" in text
               for text in found["float64"].skipped)


def test_float32_results_in_float64_are_not_right(folder):
    answer(folder, {name: array.astype(np.float64)
                    for name, array in computed(folder, np.float32).items()})
    assert not judged(folder)["float64"].passed


def test_some_results_are_enough(folder):
    arrays = computed(folder)
    answer(folder, {"layers/block1.step1.conv/output": arrays["layers/block1.step1.conv/output"],
                    "log_prob": arrays["log_prob"]})
    [one] = judged(folder).values()
    assert one.passed and set(one.offered) == {"layers", "log_prob"}
    assert [row.prop for row in one.rows] == ["log_prob", "block1.step1.conv/output"]
    assert any("layers, float64" in text and "not given" in text for text in one.skipped)
    assert sum(text.startswith("own, ") for text in one.skipped) == 4


def test_a_round_trip_that_does_not_come_back_is_seen(folder):
    arrays = computed(folder)
    arrays["round_trip/forward"] = arrays["round_trip/forward"] + 1e-3
    answer(folder, arrays)
    [wrong] = [row for row in judged(folder)["float64"].rows if not row.passed]
    assert (wrong.bijector, wrong.prop) == ("own", "forward(inverse(x)) = x")
    del arrays["round_trip/forward"]
    answer(folder, arrays)
    found = judged(folder)["float64"]
    assert found.passed and any("round_trip/forward is not among the results" in text
                                for text in found.skipped)


class ConvFirst(NumpyGlow):
    """The 1x1 convolution before ActNorm, in every step."""

    def layers(self, x):
        for i, (leave, grab, _) in reversed(list(enumerate(self.a["blockwise_splits"]))):
            x = self.squeeze(x)
            yield f"block{i}.squeeze", x, np.zeros(len(x), x.dtype)
            for j in reversed(range(self.a["num_steps_per_block"])):
                for kind in ("conv", "actnorm", "coupling"):
                    name = f"block{i}.step{j}.{kind}"
                    x, log_det = getattr(self, kind)(name, x)
                    yield name, x, np.broadcast_to(log_det, len(x)).astype(x.dtype)
            if leave and grab:
                x, log_det = self.exit(f"block{i}.exit", x, leave)
                yield f"block{i}.exit", x, log_det
            x = x[..., :leave]


def test_layers_in_another_order_are_recognised_by_their_numbers(folder):
    from refglow.validation.diagnosis.of_conformance import diagnosis_of
    arrays = {name: array for name, array in computed(folder, kind=ConvFirst).items()
              if not name.startswith(("forward", "round_trip", "initialize"))}
    answer(folder, arrays)  # in alphabetical order
    found = judged(folder)["float64"]
    assert "not in the order from image to latent: block1.step1.conv, block1.step1.actnorm" in (
        " ".join(reasons(found)))
    assert diagnosis_of(found).answers == {"step_order": "conv actnorm coupling"}


def test_calls_that_were_not_made_are_not_answered(folder):
    arrays = computed(folder)
    model = read_model_folder(folder)
    calls = FolderCalls(arrays, reference_of(model.glow.astype(np.float64), model.x, model.z))
    assert set(calls.offered()) == set(OFFERED)
    x = model.x.astype(np.float64)
    np.testing.assert_array_equal(calls.call("log_prob", x).arrays["log_prob"], arrays["log_prob"])
    for name, argument in (("log_prob", x + 1), ("inverse", x[:1]), ("forward", model.z[:, ::-1])):
        with pytest.raises(NotAnsweredError, match=name):
            calls.call(name, argument)


# ---- strangers' results ----------------------------------------------------------------------


@pytest.fixture
def answered(folder):
    """With right latents beside what is spoilt."""
    answer(folder, {"inverse": computed(folder)["inverse"]}, "right")
    return folder


def problem_in(folder):
    """The only failure; the right latents are judged all the same."""
    [one] = judged(folder).values()
    assert [row.prop for row in one.rows if row.bijector == "inverse" and row.passed] == ["inverse"]
    [reason] = reasons(one)
    assert not one.passed and "\n" not in reason and "\x1b" not in reason
    return reason


@pytest.mark.parametrize(("name", "array", "says"), [
    ("log_prob", np.zeros(4), "log_prob has shape [4]; expected [3]"),
    ("log_prob", np.zeros((3, 1)), "has shape [3, 1]; expected [3]"),
    ("log_prob", np.array([1, np.nan, 3]), "holds nan at [1]"),
    ("log_prob", np.zeros(3, np.float16), "log_prob is F16; it can be float64 or float32"),
    ("log_prob", np.zeros(3, np.int64), "log_prob is int64; it can be float64 or float32"),
    ("inverse", np.zeros((3, 64)), "inverse is in results/right.safetensors too"),
    ("latents", np.zeros((3, 64)), "does not list among the results: latents"),
    ("layers/\x1b[2J/output", np.zeros(3), "does not list among the results: layers/?[2J/output"),
    ("layers/block1.squeeze/output", np.zeros((3, 8, 2, 4)),
     "has shape [3, 8, 2, 4]; expected [3, 2, 4, 8]: channels come last"),
    ("gradients/block9.bias", np.zeros(3), "does not list among the results")])
def test_arrays_that_are_no_results(name, array, says, answered):
    answer(answered, {name: array}, "spoilt")
    assert says in problem_in(answered)


@pytest.mark.parametrize("content", [
    b"", b"12345678", struct.pack("<Q", 2**45) + bytes(64), struct.pack("<Q", 2) + b"{}" + b"more",
    pickle.dumps({"log_prob": [1.0]}),
    struct.pack("<Q", 72) + b'{"log_prob":{"dtype":"F64","shape":[9007199254740993],"data_offsets":'
    b'[0,8]}}' + bytes(8)])
def test_what_is_no_safetensors_file(content, answered):
    (answered / "results" / "spoilt.safetensors").write_bytes(content)
    assert "spoilt.safetensors" in problem_in(answered)
    [told] = [line for line in details(list(judged(answered).values())) if "spoilt" in line]
    assert told.endswith(".") and not told.endswith("..")


def test_what_is_no_file_is_not_opened(answered, tmp_path):
    path = answered / "results" / "spoilt.safetensors"
    os.mkfifo(path)  # opening it would wait for a writer
    assert "not a regular file" in problem_in(answered)
    path.unlink()
    path.mkdir()
    assert "directory" in problem_in(answered)
    path.rmdir()
    save_file({"log_prob": np.zeros(3)}, tmp_path / "elsewhere.safetensors")
    for target in (tmp_path / "elsewhere.safetensors", "../../elsewhere.safetensors", "/dev/zero"):
        path.symlink_to(target)
        assert "is a link that leads out of" in problem_in(answered)
        path.unlink()
    path.symlink_to(path)
    assert "spoilt.safetensors" in problem_in(answered)


def test_other_files_are_listed_and_not_read(answered):
    (answered / "results" / "log_prob.npy").write_bytes(b"x")
    (answered / "results" / ".hidden.safetensors").write_bytes(b"x")
    [one] = judged(answered).values()
    assert one.passed
    assert "results/log_prob.npy: not a safetensors file, not read" in one.skipped
    (answered / "results" / "right.safetensors").unlink()
    with pytest.raises(ValueError, match="holds no results"):
        judged(answered)


def test_nothing_but_broken_files_fails(folder):
    (folder / "results" / "spoilt.safetensors").write_bytes(b"x")
    [one] = judged(folder).values()
    assert not one.passed and not one.rows and len(one.failed) == 1


def test_no_results_folder(folder):
    (folder / "results").rmdir()
    with pytest.raises(ValueError, match="holds no results"):
        judged(folder)
    (folder / "results").symlink_to("/tmp")
    with pytest.raises(ValueError, match="leads out of"):
        judged(folder)


# ---- strangers' models -----------------------------------------------------------------------


def refused(folder, says):
    answer(folder, {"log_prob": np.zeros(3)})
    with pytest.raises((ValueError, OSError), match=says) as error:
        judged(folder)
    assert "\x1b" not in str(error.value) and len(str(error.value)) < 2000


def test_a_model_folder_without_its_manifest_is_not_taken_for_vectors(folder):
    (folder / "model.json").unlink()
    assert is_model_folder(folder)
    refused(folder, r"has no model\.json, which belongs to an exported model")
    (folder / "model.safetensors").unlink()
    refused(folder, r"has no model\.json and no model\.safetensors, which")
    (folder / "inputs.safetensors").unlink()
    assert not is_model_folder(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "inputs.safetensors"])
def test_changed_and_missing_files(name, folder):
    path = folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(folder, f"{name} is not the file that was exported")
    path.unlink()
    refused(folder, f"has no {name}, which belongs to an exported model")
    os.mkfifo(path)
    refused(folder, f"not a regular file.*{name}")
    path.unlink()
    path.symlink_to("/etc/passwd")
    refused(folder, "leads out of")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"null", b" " * (2**22 + 1),
                                  b'{"format": "\x1b[2J"}'])
def test_what_is_not_a_manifest(text, folder):
    (folder / "model.json").write_bytes(text)
    refused(folder, "model.json")


def change_manifest(folder, change):
    path = folder / "model.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(("change", "says"), [
    (lambda m: m["files"][0].update(name="../../etc/passwd"), "files/0/name"),
    (lambda m: m["files"].__setitem__(1, m["files"][0]), "each once"),
    (lambda m: m["files"][0].update(sha256="0" * 64), "is not the file that was exported"),
    (lambda m: m["layers"].reverse(), "'layers' does not fit"),
    (lambda m: m["results"].update(evil={"of": "x", "shape": [2**31 - 1]}), "'results' does not"),
    (lambda m: m["architecture"].update(num_glow_blocks=31), "'architecture' does not fit"),
    (lambda m: m["inputs"]["x"].update(shape=[10**9, 4, 8, 2]), "'inputs' does not fit"),
    (lambda m: m.update(version=2), "version"), (lambda m: m.pop("seed"), "'seed' is a required"),
    (lambda m: m.update({"\x1b[2J": 1}), "does not fit its schema")])
def test_manifests_that_do_not_fit(change, says, folder):
    change_manifest(folder, change)
    refused(folder, says)


@pytest.mark.parametrize(("change", "says"), [
    (lambda arrays: arrays.pop("z"), "missing: 'z'"),
    (lambda arrays: arrays.update(x=arrays["x"].astype(np.float64)), "misfit: 'x' is float64"),
    (lambda arrays: arrays.update(x=arrays["x"][:, :2]), "misfit: 'x'"),
    (lambda arrays: arrays.update(x=arrays["x"][:0]), "x is empty"),
    (lambda arrays: arrays.update(z=arrays["z"][0]), "misfit: 'z'"),
    (lambda arrays: arrays.update(x=arrays["x"] * np.float32(np.nan)), "x is empty, or not finite"),
    (lambda arrays: arrays.update(z=arrays["z"] * np.float32(np.inf)), "z is empty, or not finite"),
    (lambda arrays: arrays.update(more=np.zeros(2)), "unknown: 'more'")])
def test_other_inputs_than_the_model_s(change, says, folder):
    path = folder / "inputs.safetensors"
    arrays = load_file(path)
    change(arrays)
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    change_manifest(folder, lambda m: [entry.update(sha256=digest) for entry in m["files"]
                                       if entry["name"] == path.name])
    refused(folder, says)


def test_a_model_that_is_none(folder):
    path = folder / "model.safetensors"
    save_file({"x": np.zeros(3)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    change_manifest(folder, lambda m: [entry.update(sha256=digest) for entry in m["files"]
                                       if entry["name"] == path.name])
    refused(folder, "not a model file")
