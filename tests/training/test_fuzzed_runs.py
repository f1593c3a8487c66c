"""Fuzzed: what refglow reads of a training run, and images, from strangers."""

import json
import os
import struct
import warnings

import numpy as np
import pytest
from fuzzing import (
    changed_texts,
    damaged,
    damaged_safetensors,
    fuzzed,
    result_or_refusal,
)
from hypothesis import given
from hypothesis import strategies as st

import refglow as rg
from refglow.safetensors_file import naming
from refglow.training.checkpoint import load_checkpoint
from refglow.training.data import open_data
from refglow.training.image_data import ArrayImages
from refglow.training.run_folder import RunFolder
from refglow.training.settings import Settings
from refglow.training.train import Schedule, train
from refglow.training.trained import load_trained
from refglow.training.trainer import Trainer

SETTINGS = Settings(num_glow_blocks=1, num_steps_per_block=1, num_hidden=3, batch_size=5,
                    average_decay=0.8, warm_up_steps=0)


def trainer():
    levels = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1), dtype=np.uint8)
    return Trainer(SETTINGS, ArrayImages("noise", levels, 8), ArrayImages("noise", levels, 8))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(the folder, the bytes of its checkpoint, what could go on from it)."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    with rg.use_backend("spec"):
        train(trainer(), folder, Schedule(2))
    return folder, folder.checkpoint.read_bytes(), trainer()


@fuzzed(200)
@given(data=st.data())
def test_a_run_s_checkpoint(data, run):
    folder, content, runner = run
    folder.checkpoint.write_bytes(data.draw(damaged_safetensors(content, "refglow.training")))
    checkpoint = result_or_refusal(folder.checkpoint, lambda: load_checkpoint(folder.checkpoint))
    trained = result_or_refusal(folder.path, lambda: load_trained(folder.path))
    if trained is not None:
        h, w, c = trained.glow.parameters["output_shape"]
        assert tuple(trained.glow.inverse_event_shape((h, w, c))) == (h * w * c,)
    if checkpoint is not None:
        def restored():
            with naming(folder.checkpoint):
                runner.restore(checkpoint)
            return runner.step_count
        assert result_or_refusal(folder.checkpoint, restored) in (None, checkpoint.step)


@fuzzed(100)
@given(data=st.data())
def test_a_run_s_log(data, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.getbasetemp())
    entries = [{"step": k, "loss": 1.5, "more": [1, {"a": "b"}]} for k in range(3)]
    lines = [data.draw(changed_texts(entry) | st.just(json.dumps(entry))) for entry in entries]
    folder.log.write_bytes(data.draw(damaged("\n".join(lines).encode()) | st.just(
        "\n".join(lines).encode())))
    kept = [entry for entry in folder.entries() if entry["step"] <= 1]
    folder.drop_after(1)
    assert [entry["step"] for entry in folder.entries()] == [entry["step"] for entry in kept]


HEADERS = ["(-1, 4, 4, 3)", "(0, 4, 4, 3)", "(10**3,)", "(999999999999, 4, 4, 3)",
           "(99999999999999999999,)", "(20, 4, 4, 3, )" + " " * 70_000, "(True, 4, 4, 3)", "()",
           "(" * 3000, "[20, 4, 4, 3]"]
DTYPES = ["|O", "|V8", "<U4", "<f8", "|S3", "|b1", "<M8[s]", "x", "|u1'}#"]


@st.composite
def damaged_npy(draw, content):
    """An .npy file with other bytes, or another header."""
    if draw(st.booleans()):
        return draw(damaged(content, near=128))
    size, = struct.unpack("<H", content[8:10])
    header, numbers = content[10:10 + size].decode(), content[10 + size:]
    if draw(st.booleans()):
        begin, end = header.index("("), header.index(")") + 1
        header = header[:begin] + draw(st.sampled_from(HEADERS)) + header[end:]
    else:
        header = header.replace("|u1", draw(st.sampled_from(DTYPES)))
    version, form = draw(st.sampled_from([(1, "<H"), (2, "<I"), (3, "<I"), (9, "<I")]))
    length = len(header) % 2**16 if version == 1 else len(header)
    return content[:6] + bytes([version, 0]) + struct.pack(form, length) + header.encode() + numbers


@fuzzed(200)
@given(data=st.data())
def test_images_in_an_npy_file(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzzed.npy"
    levels = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    np.save(path, levels)
    path.write_bytes(data.draw(damaged_npy(path.read_bytes())))

    def read():
        train, test = open_data(str(path))
        return train.batch([0, len(train) - 1]), test.batch([0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of what it makes of a header
        found = result_or_refusal(path, read)
    assert found is None or {images.dtype.name for images in found} == {"uint8"}


def test_a_pipe_in_place_of_an_npy_file(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(OSError, match=r"not a regular file.*x\.npy"):
        open_data(str(tmp_path / "x.npy"))


@fuzzed(80)
@given(data=st.data())
def test_a_folder_of_images(data, tmp_path_factory):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    folder = tmp_path_factory.getbasetemp() / "images"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name, mode in (("0.png", "RGB"), ("1.jpg", "RGB"), ("2.png", "P"), ("3.png", "RGB")):
        levels = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        image.fromarray(levels).convert(mode).save(folder / name)
    path = folder / data.draw(st.sampled_from(["0.png", "1.jpg", "2.png"]))
    path.write_bytes(data.draw(damaged(path.read_bytes())))

    def read():
        train, test = open_data(str(folder))
        return len(train.batch(range(len(train)))) + len(test.batch(range(len(test))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # which names the broken file
        assert result_or_refusal(folder, read) in (None, 3, 4)
