"""Fuzzed: folders of golden vectors, results for them, answers of an implementation's process."""

import json
import os
import time

import numpy as np
import pytest
from fuzzing import (
    changed_texts,
    damaged,
    damaged_safetensors,
    fuzzed,
    put_together,
    result_or_refusal,
    take_apart,
)
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from refglow.validation.implementations.exchange import read_found, write_found
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.interpreter import EndedError, Interpreter
from refglow.validation.vectors.catalogue import BY_NAME
from refglow.validation.vectors.folder import checked_folder, write_rest, write_vector
from refglow.validation.vectors.judging import judged, result_files

NAME = "tanh-ordinary"


@pytest.fixture(scope="module")
def folder(kept, tmp_path_factory):
    place = tmp_path_factory.mktemp("vectors")
    write_vector(place, BY_NAME[NAME], kept)
    write_rest(place)
    (place / "results").mkdir()
    return place


def problems(folder, kept):
    found = [problem for one in checked_folder(folder, kept) for problem in one.problems]
    assert [problem for problem in found if "\n" in problem or len(problem) > 1000] == []
    return found


@fuzzed(200)
@given(data=st.data())
def test_a_folder_of_vectors(data, folder, kept):
    path = data.draw(st.sampled_from([folder / "index.json", folder / "vectors" / f"{NAME}.json",
                                      folder / "vectors" / f"{NAME}.safetensors"]))
    content = path.read_bytes()
    changed = data.draw(
        damaged_safetensors(content) if path.suffix == ".safetensors"
        else damaged(content) | changed_texts(json.loads(content)).map(str.encode))
    try:
        path.write_bytes(changed)
        found = problems(folder, kept)
    finally:
        path.write_bytes(content)
    same = changed == content or (path.suffix == ".json"
                                  and _parsed(changed) == json.loads(content))
    assert bool(found) != same or path.name == "index.json"


def _parsed(text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path),
                                  lambda path: os.symlink(path, path),
                                  lambda path: os.symlink("/etc/passwd", path)],
                         ids=["pipe", "folder", "device", "itself", "another file"])
@pytest.mark.parametrize("name", ["index.json", f"vectors/{NAME}.json",
                                  f"vectors/{NAME}.safetensors"])
def test_what_is_no_file_in_a_folder(make, name, folder, kept):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    make(path)
    try:
        assert problems(folder, kept)
    finally:
        (os.rmdir if path.is_dir() else os.unlink)(path)
        path.write_bytes(content)


@pytest.mark.parametrize("key", ["directions", "flags", "results"])
def test_a_manifest_whose_mistakes_would_take_long_to_list(key, folder, kept):
    """The schema's validator compares what should be unique in pairs."""
    path = folder / "vectors" / f"{NAME}.json"
    content = path.read_bytes()
    many = [{"a": k} for k in range(100_000)]
    path.write_text(json.dumps(json.loads(content) | {
        key: {"a": {"shape": many}} if key == "results" else many}))
    began = time.process_time()
    try:
        [*found] = problems(folder, kept)
    finally:
        path.write_bytes(content)
    assert key in found[0] and len(found) <= 5
    assert time.process_time() - began < 5


@fuzzed(200)
@given(data=st.data())
def test_results_for_a_vector(data, folder, kept):
    truth = {name: by_type["float64"].copy()
             for name, by_type in kept.results(BY_NAME[NAME]).values.items()}
    path = folder / "results" / f"{NAME}.safetensors"
    content = save(truth)
    path.write_bytes(data.draw(damaged_safetensors(content)))
    [one] = judged(result_files(folder), kept)
    assert one.name == NAME
    assert [text for text in one.problems if "\n" in text or len(text) > 1000] == []
    assert one.rows or one.problems or len(one.absent) == len(truth)


# ---- an implementation's process -----------------------------------------------------------------


@fuzzed(200)
@given(data=st.data())
def test_the_file_of_an_answer(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "answer.safetensors"
    write_found(path, Found({"layers/a/output": np.zeros((2, 3)),
                             "layers/a/log_det": np.zeros(2, np.float32)},
                            {"layers/a/output": "float64", "layers/a/log_det": "float32"}, ("a",)))
    path.write_bytes(data.draw(damaged_safetensors(path.read_bytes(), "refglow.call")))
    found = result_or_refusal(path, lambda: read_found(path))
    if found is not None:
        assert found.arrays.keys() == found.dtypes.keys()
        assert {array.dtype.kind for array in found.arrays.values()} <= {"f"}
        assert all(isinstance(text, str) for text in (*found.layers, *found.dtypes.values()))


@pytest.mark.parametrize(("change", "said"), [
    ({"names": ["a", "b", "c"]}, "names are not those of its 2 arrays"),
    ({"names": ["a"]}, "names are not"), ({"names": ["a", "a"]}, "names are not"),
    ({"names": ["a", 3]}, "names are not"), ({"names": {"a": 0, "b": 1}}, "names are not"),
    ({"names": None}, "names are not"), ({"dtypes": {"a": "float64"}}, "number types and layers"),
    ({"dtypes": ["a", "b"]}, "number types"), ({"dtypes": {"a": 1, "b": 2}}, "number types"),
    ({"layers": "ab"}, "number types"), ({"layers": [1]}, "number types"), ({}, "other arrays")])
def test_an_answer_that_does_not_fit_its_arrays(change, said, tmp_path):
    path = tmp_path / "answer.safetensors"
    write_found(path, Found({"a": np.zeros(2), "b": np.zeros(2, np.int64 if not change else
                                                             np.float32)},
                            {"a": "float64", "b": "float32"}))
    header, data = take_apart(path.read_bytes())
    values = json.loads(header["__metadata__"]["refglow.call"])
    header["__metadata__"]["refglow.call"] = json.dumps(values | change)
    path.write_bytes(put_together(header, data))
    with pytest.raises(ValueError, match=rf"answer\.safetensors: .*{said}"):
        read_found(path)


def test_an_answer_of_many_gigabytes(tmp_path):
    path = tmp_path / "answer.safetensors"
    write_found(path, Found({"inverse": np.zeros(2)}, {"inverse": "float64"}))
    os.truncate(path, 2**40)  # of which the disk holds the beginning alone
    with pytest.raises(ValueError, match=r"answer.safetensors is 1099511627776 bytes long"):
        read_found(path)


class Answering(Interpreter):
    """A process that has answered, and runs."""

    def __init__(self, answer):
        self._answers, self._printed = answer, b""
        self._process = type("Process", (), {"stdin": self, "stderr": None})

    def write(self, request): ...

    def flush(self): ...

    def _read_printed(self): ...


@pytest.mark.parametrize("line", [b"[" * 100_000, b"{" * 100_000, b"1" * 100_000, b"null", b"\xff",
                                  b'{"a": 1}, 2', b"", b'"{}"'])
def test_an_answer_that_is_none(line):
    with pytest.raises(EndedError, match="answered what is no answer"):
        Answering(line + b"\n").ask({"do": "start"}, 1.0)


@fuzzed(100)
@given(data=st.data())
def test_a_line_of_an_answer(data):
    line = data.draw(changed_texts({"offered": ["inverse"], "failed": "x"})).encode()
    try:
        found = Answering(line.replace(b"\n", b" ") + b"\n").ask({"do": "start"}, 1.0)
    except EndedError:
        return
    assert isinstance(found, dict)
