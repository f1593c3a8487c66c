"""Fuzzed: checkpoints of other projects. Arrays come out, or an error that names the file."""

import io
import os
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from fuzzing import damaged, fuzzed, result_or_refusal
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from refglow.validation.adapters import arrays_of_torch_file  # noqa: E402

ARRAYS = {"a.weight": np.ones((2, 3)), "b": np.arange(50, dtype=np.int32)}


def npz(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **(arrays or ARRAYS))
    return file.getvalue()


def torch_file(value, new=True):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


TENSORS = {"model": {name: torch.tensor(array) for name, array in ARRAYS.items()},
           "half": [torch.ones(3).half(), torch.zeros(2, dtype=torch.bfloat16)], "step": 3}
FILES = {"npz": [npz(), npz(np.savez_compressed)],
         "pt": [torch_file(TENSORS), torch_file(TENSORS, new=False)]}


@st.composite
def damaged_archive(draw, content):
    """Bytes changed: anywhere, or in one member of a zip archive whose checksums are right."""
    if not content.startswith(b"PK") or draw(st.booleans()):
        return draw(damaged(content))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(
            file, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED,
                                             zipfile.ZIP_BZIP2]))) as after:
        chosen = draw(st.sampled_from(before.namelist()))
        for name in before.namelist():
            inside = before.read(name)
            after.writestr(name, draw(damaged(inside)) if name == chosen else inside)
    return file.getvalue()


@pytest.mark.parametrize("kind", FILES)
@fuzzed(150)
@given(data=st.data())
def test_damaged_checkpoints(kind, data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"fuzzed.{kind}"
    path.write_bytes(data.draw(damaged_archive(data.draw(st.sampled_from(FILES[kind])))))
    found = result_or_refusal(path, lambda: arrays_of_torch_file(path))
    assert found is None or all(isinstance(array, np.ndarray) and array.dtype.kind in "biufc"
                                for array in found.values())


# ---- what fuzzing found --------------------------------------------------------------------------


def with_header(header, numbers=b"\0" * 48, version=1):
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + numbers


def described(shape, dtype="<f8"):
    return with_header(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}")


MEMBERS = {
    "unfinished header": with_header("{'descr': ("),
    "deep header": with_header("(" * 60_000),
    "tebibytes declared": described("(1000000000000,)"),
    "more than a machine's integer": described("(99999999999999999999,)"),
    "a negative size": described("(-1,)"), "two negative sizes": described("(-2, -3)"),
    "too few numbers": described("(7,)"), "a flag for a size": described("(True, 6.0)"),
    "objects": described("(6,)", "|O"), "texts": described("(12,)", "<U1"),
    "dates": described("(6,)", "<M8[s]"), "records": described("(6,)", "V8"),
    "no dtype": described("(6,)", "x"), "other bools": described("(48,)", "|b1").replace(
        b"\0" * 48, b"\7" * 48), "version 3": with_header("{}", version=3), "nothing": b""}


@pytest.mark.parametrize("damage", MEMBERS)
def test_members_of_npz_files(damage, tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", MEMBERS[damage])
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"a\.npz: it is not an \.npz file of plain arrays: "):
            arrays_of_torch_file(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_zip_archives_that_numpy_does_not_make(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", described("(6,)"))
    with pytest.raises(ValueError, match="packed by another method"):
        arrays_of_torch_file(path)
    content = npz()
    for place in (6, 8):  # the flags and the method of a member's own header: encrypted, unknown
        local = bytearray(content)
        local[place] = 0x21 if place == 6 else 0x63
        path.write_bytes(local)
        result_or_refusal(path, lambda: arrays_of_torch_file(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for k in range(3):
            archive.writestr(f"{k}.npy", b"\0" * 2**19)
            archive.infolist()[k].file_size = 2**31 - 1  # as a packed gigabyte of zeros declares
    with pytest.raises(ValueError, match="it would unpack to 6442450941 bytes"):
        arrays_of_torch_file(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "|b1", ">i2", "<c8"])
def test_whole_arrays_come_out(order, dtype, tmp_path):
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 2, dtype=dtype, order=order)
    (tmp_path / "a.npz").write_bytes(npz(np.savez_compressed, x=array, y=np.array(3.0)))
    found = arrays_of_torch_file(tmp_path / "a.npz")
    assert np.array_equal(found["x"], array) and found["x"].dtype == array.dtype.newbyteorder("=")
    assert found["y"] == 3.0 and found["y"].shape == ()


def in_itself():
    value = [torch.ones(1)]
    value.append(value)
    return value


def doubled():
    value = [torch.ones(1)]
    for _ in range(60):
        value = [value, value]
    return value


def deep():
    value = [torch.ones(1)]
    for _ in range(300):
        value = {"a": value}
    return value


CONTAINERS = {
    "in itself": (in_itself, "nested more than 100 deep"),
    "doubled sixty times": (doubled, "more than 100000 values"),
    "deep": (deep, "nested more than 100 deep"),
    "a long name": (lambda: {"k" * 2000: torch.ones(1)}, "names of more than 1000 characters"),
    "repeated without end": (lambda: {"x": torch.ones(1).half().expand(10**12)},
                             r"x declares torch.float16\[1000000000000\], and the file holds 2 "),
    "sparse": (lambda: {"x": torch.eye(3).to_sparse()}, "x is no plain array"),
    "of 8 bits": (lambda: {"x": torch.ones(3).to(torch.float8_e5m2)}, "x is no plain array"),
    "without numbers": (lambda: {"x\n": torch.ones(3, device="meta")}, r"x\? (is no|declares)")}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_torch_files_may_hold(kind, tmp_path):
    path = tmp_path / "model.pt"
    value, message = CONTAINERS[kind]
    path.write_bytes(torch_file(value()))
    began = time.process_time()
    with pytest.raises(ValueError, match=rf"model\.pt: .*{message}"):
        arrays_of_torch_file(path)
    assert time.process_time() - began < 20


@pytest.mark.parametrize("name", ["a.npz", "a.pt", "a.safetensors"])
def test_a_pipe_is_not_read(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="not a regular file"):
        arrays_of_torch_file(tmp_path / name)
