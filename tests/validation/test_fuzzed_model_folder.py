"""Fuzzed: a model's folder that comes back from a stranger, and the results in it; a campaign's."""

import hashlib
import json

import numpy as np
import pytest
from fuzzing import changed_texts, damaged, damaged_safetensors, fuzzed, result_or_refusal
from hypothesis import given
from hypothesis import strategies as st
from numpy_glow import NumpyGlow
from safetensors.numpy import load_file, save

from refglow.bijectors import Glow
from refglow.training.model import affine_network
from refglow.validation.campaigns.campaign import Outcome
from refglow.validation.campaigns.folder import CampaignFolder
from refglow.validation.campaigns.of_tfp import TfpCampaign
from refglow.validation.model_folder.judging import conformances
from refglow.validation.model_folder.reading import read_model_folder
from refglow.validation.model_folder.results import read_results
from refglow.validation.model_folder.writing import write_model_folder
from refglow.validation.random_models import random_images, randomize_weights

SHAPE = (4, 4, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(0)
    glow = Glow(SHAPE, 1, 1, affine_network(2), seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, 0.4)
    place = tmp_path_factory.mktemp("model")
    write_model_folder(place, glow, random_images(rng, 2, SHAPE), 0)
    return place


@pytest.fixture(scope="module")
def results(folder):
    """The bytes of right results, without what is slow to judge."""
    manifest = json.loads((folder / "model.json").read_text())
    parameters = {name: array for name, array in load_file(folder / "model.safetensors").items()
                  if name in manifest["parameters"]}
    glow = NumpyGlow(manifest["architecture"] | {"dtype": "float64"}, parameters)
    x = load_file(folder / "inputs.safetensors")["x"].astype(np.float64)
    layers = {f"layers/{name}/output": np.ascontiguousarray(output)
              for name, output, *_ in glow.layers(x)}
    return save({"inverse": np.ascontiguousarray(glow.inverse(x)), "log_prob": glow.log_prob(x),
                 **layers})


def result_or_error(read):
    """(what it returns, ""), or (None, why it refuses)."""
    try:
        return read(), ""
    except (ValueError, OSError) as error:
        return None, str(error)


@fuzzed(150)
@given(data=st.data())
def test_the_manifest_of_a_model(data, folder):
    path = folder / "model.json"
    content = path.read_bytes()
    try:
        path.write_bytes(data.draw(damaged(content)
                                   | changed_texts(json.loads(content)).map(str.encode)))
        found = result_or_refusal(path, lambda: read_model_folder(folder))
    finally:
        path.write_bytes(content)
    if found is not None:  # what explains the rest may be another text
        assert found.manifest["results"] == json.loads(content)["results"]
        assert found.glow.parameters["output_shape"] == SHAPE


@fuzzed(100)
@given(data=st.data())
@pytest.mark.parametrize("name", ["model.safetensors", "inputs.safetensors"])
def test_the_arrays_of_a_model(data, name, folder):
    """With the manifest's hash made to fit, as an enemy would."""
    path, manifest = folder / name, folder / "model.json"
    content, told = path.read_bytes(), manifest.read_bytes()
    changed = data.draw(damaged_safetensors(
        content, "refglow.glow" if name.startswith("model") else None))
    described = json.loads(told)
    for entry in described["files"]:
        if entry["name"] == name:
            entry["sha256"] = hashlib.sha256(changed).hexdigest()
    try:
        path.write_bytes(changed)
        manifest.write_text(json.dumps(described))
        found, said = result_or_error(lambda: read_model_folder(folder))
    finally:
        path.write_bytes(content)
        manifest.write_bytes(told)
    if found is None:
        assert any(text in said for text in (name, "model.json", "initialized"))
        assert len(said) < 20_000
    else:
        assert np.isfinite(found.x).all() and np.isfinite(found.z).all()


@fuzzed(60)
@given(data=st.data())
def test_the_results_for_a_model(data, folder, results):
    path = folder / "results" / "mine.safetensors"
    changed = data.draw(damaged_safetensors(results))
    path.write_bytes(changed)
    model = read_model_folder(folder)
    for one in conformances(model, read_results(model)):
        texts = [*one.skipped, *one.remarks, *(call.reason for call in one.failed)]
        assert [text for text in texts if "\n" in text or len(text) > 1000] == []
        assert one.rows or one.failed or one.skipped


# ---- campaigns -----------------------------------------------------------------------------------


CAMPAIGN = TfpCampaign(architectures=3, seed=0, tfp="0.25.0")
OUTCOMES = {k: Outcome(k, {"rows": [], "ratios": {}, "n": k}) for k in range(3)}


@fuzzed(150)
@given(data=st.data())
@pytest.mark.parametrize("name", ["settings.json", "results.jsonl"])
def test_the_folder_of_a_campaign(data, name, tmp_path_factory):
    place = CampaignFolder(tmp_path_factory.mktemp("campaign"), CAMPAIGN)
    place.begin(resume=False)
    for outcome in OUTCOMES.values():
        place.results.append(outcome)
    path = place.path / name
    content = path.read_bytes()
    texts = ([changed_texts(json.loads(content)).map(str.encode)] if name == "settings.json"
             else [])
    path.write_bytes(data.draw(st.one_of(damaged(content), *texts)))
    found, said = result_or_error(lambda: place.begin(resume=True)[0])
    assert str(place.path) in said or all(OUTCOMES[k] == one for k, one in found.items())
