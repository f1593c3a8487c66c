"""An interrupted save leaves the old file whole."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import refglow as rg
from refglow import atomic_file
from refglow.atomic_file import write_atomically
from refglow.validation.random_models import randomize_weights


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_permissions(tmp_path):
    plain, path = tmp_path / "plain", tmp_path / "file"
    plain.write_bytes(b"")
    write_atomically(path, b"old")
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o640)
    write_atomically(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o640


def test_symbolic_links_are_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert os.listdir(tmp_path / "elsewhere") == ["target"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("odd"),
                                   KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("stage", ["fsync", "replace", "chmod"])
def test_an_error_at_any_stage(stage, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_):
        raise error
    monkeypatch.setattr(os, stage, fail)
    with pytest.raises(type(error)) as caught:
        write_atomically(path, b"new")
    if isinstance(error, OSError):
        assert str(path) in str(caught.value)
        assert ("No space left" if error.errno else "odd") in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_after_half_of_the_bytes(tmp_path, monkeypatch):
    path = tmp_path / "model"
    glow = rg.bijectors.Glow((4, 2, 1), 1, 1, seed=0)
    rg.save(path, glow)
    old = path.read_bytes()
    randomize_weights(glow, np.random.default_rng(0))

    def write_half(name, content, mode):
        whole = b"".join(content)
        with open(name, "xb") as file:
            file.write(whole[:len(whole) // 2])
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(atomic_file, "_write_new", write_half)
    with pytest.raises(OSError, match=r"No space left on device.*model"):
        rg.save(path, glow)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["model"]


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(FileNotFoundError, match="absent/model"):
        write_atomically(tmp_path / "absent" / "model", b"")
    with pytest.raises(NotADirectoryError, match="file/model"):
        write_atomically(tmp_path / "file" / "model", b"")
    with pytest.raises(IsADirectoryError, match="it is a directory"):
        write_atomically(tmp_path, b"")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"not a regular file.*pipe"):
        write_atomically(tmp_path / "pipe", b"")
    with pytest.raises(OSError, match="too long"):
        write_atomically(tmp_path / ("n" * 300), b"")
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_nothing_may_be_written(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="write-protected"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


SAVING = """
    import os, sys, time
    import refglow as rg

    def wait(*_):
        print("now", flush=True)
        time.sleep(60)

    glow = rg.bijectors.Glow((4, 2, 1), 1, 1, seed=1)
    if sys.argv[2] != "any time":
        setattr(os, sys.argv[2], wait)
    else:
        print("now", flush=True)
    while True:
        rg.save(sys.argv[1], glow)
"""


@pytest.mark.parametrize("moment", ["fsync", "replace", "any time"])
def test_a_killed_process(moment, tmp_path):
    path = tmp_path / "model"
    rg.save(path, rg.bijectors.Glow((4, 2, 1), 1, 1, seed=0))
    old = path.read_bytes()
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(SAVING), path, moment],
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"now\n"
        if moment == "any time":
            while path.read_bytes() == old and process.poll() is None:
                pass
        process.send_signal(signal.SIGKILL)
    if moment == "any time":
        assert len(path.read_bytes()) == len(old)
    else:
        assert path.read_bytes() == old
    rg.load(path)
    strays = [name for name in os.listdir(tmp_path) if name != "model"]
    assert all(name.startswith(".refglow-") for name in strays)
    rg.save(path, rg.bijectors.Glow((4, 2, 1), 1, 1, seed=2))
    rg.load(path)
