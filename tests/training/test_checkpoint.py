"""Checkpoints: round trips, damaged and hostile files, interrupted and refused writes."""

import errno
import itertools
import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
import tracemalloc

import numpy as np
import pytest
from fuzzing import put_together, take_apart
from safetensors import safe_open
from safetensors.numpy import load_file, save

import refglow as rg
from refglow import safetensors_file
from refglow.training.checkpoint import (
    Checkpoint,
    differences,
    load_checkpoint,
    save_checkpoint,
)
from refglow.training.moving_average import MovingAverage
from refglow.training.optimizer import Adam, Adamax, AdamW
from refglow.validation.random_models import randomize_weights

KEY = "refglow.training"
SETTINGS = {"architecture": {"num_glow_blocks": 1, "output_shape": [4, 2, 1], "name": "Glühwein"},
            "optimizer": {"class": "Adam", "learning_rate": 1e-3, "beta_1": 0.1 + 0.2},
            "seed": 2**70, "clip": None, "augment": True}


def small_glow(seed=0, dtype=np.float32):
    def network(input_shape, dtype=dtype):
        return rg.bijectors.GlowDefaultNetwork(input_shape, num_hidden=3, dtype=dtype)
    glow = rg.bijectors.Glow((4, 2, 1), 1, 2, network, seed=seed, dtype=dtype)
    randomize_weights(glow, np.random.default_rng(seed))
    return glow


def a_run(cls=Adam, dtype=np.float32, seed=0):
    """(glow, optimizer, average, rng) after two steps with random gradients."""
    glow, optimizer, rng = small_glow(seed, dtype), cls(), np.random.default_rng(seed)
    average = MovingAverage(glow.trainable_variables, 0.9)
    for _ in range(2):
        take_step(glow, optimizer, average, rng)
    return glow, optimizer, average, rng


def take_step(glow, optimizer, average, rng):
    variables = glow.trainable_variables
    optimizer.step(variables, {v.name: rng.normal(size=v.shape).astype(v.dtype)
                               for v in variables})
    average.update(variables)


def checkpoint_of(run, step=2, **changes):
    glow, optimizer, average, rng = run
    return Checkpoint(**dict(
        step=step, settings=SETTINGS, random_state=rng.bit_generator.state,
        model=glow.state_dict(), optimizer=optimizer.state_dict(),
        average=average.state_dict()) | changes)


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


# ---- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [Adam, AdamW, Adamax])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_resumed_run_goes_on_bit_for_bit(cls, dtype, path):
    run = a_run(cls, dtype)
    saved = checkpoint_of(run)
    save_checkpoint(path, saved)
    loaded = load_checkpoint(path)
    for group in ("model", "optimizer", "average"):
        assert_same_bits(getattr(loaded, group), getattr(saved, group))
    assert (loaded.step, loaded.settings) == (2, SETTINGS)
    assert loaded.random_state == saved.random_state

    glow, optimizer, rng = small_glow(7, dtype), cls(), np.random.default_rng()
    average = MovingAverage(glow.trainable_variables, 0.9)
    glow.load_state_dict(loaded.model)
    optimizer.load_state_dict(loaded.optimizer)
    average.load_state_dict(loaded.average)
    rng.bit_generator.state = loaded.random_state
    for resumed in [run, (glow, optimizer, average, rng)]:
        for _ in range(2):
            take_step(*resumed)
    again, original = checkpoint_of((glow, optimizer, average, rng)), checkpoint_of(run)
    for group in ("model", "optimizer", "average"):
        assert_same_bits(getattr(again, group), getattr(original, group))
    assert again.random_state == original.random_state
    assert original.model["block0.step0.conv.lower_upper"].tobytes() != (
        saved.model["block0.step0.conv.lower_upper"].tobytes())


@pytest.mark.parametrize("name", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_every_generator_of_random_numbers(name, path):
    rng = np.random.Generator(getattr(np.random, name)(5))
    rng.integers(10, size=3, dtype=np.int32)  # some keep half of a number for the next call
    save_checkpoint(path, checkpoint_of(a_run(), random_state=rng.bit_generator.state))
    other = np.random.Generator(getattr(np.random, name)(6))
    other.bit_generator.state = load_checkpoint(path).random_state
    expected = rng.integers(2**30, size=1000, dtype=np.int32)
    assert np.array_equal(other.integers(2**30, size=1000, dtype=np.int32), expected)


def test_other_kinds_of_arrays(path):
    odd = {"nan": np.array([np.nan, -np.inf, -0.0]), "scalar": np.array(1.5, np.float32),
           "empty": np.zeros((0, 3)), "flag": np.array(True), "int32": np.array(7, np.int32),
           "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
           "strided": np.arange(8.0)[::2], "step": np.array(-2**63), "": np.ones(1),
           "a.b": np.ones(2)}
    save_checkpoint(path, Checkpoint(np.int64(3), {}, {}, odd, {"step": np.array(2**63 - 1)}))
    loaded = load_checkpoint(path)
    assert_same_bits(loaded.model, odd)
    assert_same_bits(loaded.optimizer, {"step": np.array(2**63 - 1)})
    assert (loaded.average, loaded.step) == ({}, 3)


def test_what_is_in_the_file(path):
    saved = checkpoint_of(a_run())
    save_checkpoint(path, saved)
    arrays = load_file(path)
    assert_same_bits(
        arrays, {f"{group}.{name}": array for group in ("model", "optimizer", "average")
                 for name, array in getattr(saved, group).items()})
    assert arrays["optimizer.step"] == 2 and arrays["optimizer.step"].dtype == np.int64
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert metadata.keys() == {KEY}
    assert json.loads(metadata[KEY]) == {
        "format_version": 1, "step": 2, "settings": SETTINGS, "random_state": saved.random_state}


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_files_bytes_are_the_librarys(count, path):
    arrays = dict(list({
        "model.b": np.ones(3, np.float32), "model.a\"é\n": np.ones(()), "model.": np.zeros((0, 3)),
        "model.flag": np.array([True, False, True]), "model.Z": np.ones((2, 1), np.int32),
        "model.swapped": np.arange(4, dtype=">f8"), "model.aa": np.ones((2, 2), np.float32),
        "model.count": np.array(2**40), "model.C": np.arange(-3, 0),
    }.items())[:3 * count])
    save_checkpoint(path, Checkpoint(
        0, {"é\"": "x" * count}, {}, {n.removeprefix("model."): a for n, a in arrays.items()}, {}))
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert path.read_bytes() == save(arrays, metadata)
    assert (np.frombuffer(path.read_bytes()[:8], "<u8") + 8) % 8 == 0


def test_saving_holds_no_second_copy(path):
    big = {"w": np.ones((512, 1024))}
    tracemalloc.start()
    try:
        save_checkpoint(path, Checkpoint(0, {}, {}, big, {}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20 < big["w"].nbytes
    code = textwrap.dedent("""
        import resource, sys
        import numpy as np
        from refglow.training.checkpoint import Checkpoint, save_checkpoint
        arrays = {str(k): np.ones(2**21) for k in range(12)}
        save_checkpoint(sys.argv[1], Checkpoint(0, {}, {}, {"w": np.ones(1)}, {}))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        save_checkpoint(sys.argv[1], Checkpoint(0, {}, {}, arrays, {}))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True)
    kilobytes = int(done.stdout) / (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 32 * 1024 < 12 * 2**21 * 8 / 1024  # the library's buffer, of 192 MB


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "error", "message"), [
    (dict(settings={"a": {"b": [0, object()]}}), TypeError, r"settings\.a\.b\.1 cannot be <object"),
    (dict(settings={"a": {3: 4}}), TypeError, r"settings\.a cannot be \{3: 4\}"),
    (dict(settings={"a": np.ones(2)}), TypeError, r"settings\.a cannot be array"),
    (dict(settings={"rate": float("nan")}), ValueError, r"settings\.rate is nan"),
    (dict(random_state={"x": [np.inf]}), ValueError, r"random_state\.x\.0 is inf"),
    (dict(settings=[1]), ValueError, "settings cannot be"),
    (dict(settings={"text": "x" * 2**24}), ValueError, "characters of JSON; a file holds"),
    (dict(step=-1), ValueError, "step cannot be -1"), (dict(step=1.0), ValueError, "step cannot"),
    (dict(step=True), ValueError, "step cannot be True"),
    (dict(average={"w": np.ones(2, np.longdouble)}), TypeError, r"average\.w holds"),
    (dict(optimizer={"m": np.ones(2, np.uint64)}), TypeError, r"optimizer\.m holds uint64"),
    (dict(model={"m": np.ones(2, object)}), TypeError, r"model\.m holds object")])
def test_what_cannot_be_saved(changes, error, message, path):
    save_checkpoint(path, checkpoint_of(a_run()))
    old = path.read_bytes()
    with pytest.raises(error, match=message):
        save_checkpoint(path, checkpoint_of(a_run(), **changes))
    assert path.read_bytes() == old and os.listdir(path.parent) == [path.name]


def test_settings_in_themselves(path):
    settings = {}
    settings["a"] = settings
    with pytest.raises(ValueError, match="settings is nested more than 32 deep"):
        save_checkpoint(path, checkpoint_of(a_run(), settings=settings))


def test_differences():
    a = {"architecture": {"num_steps_per_block": 4, "exit": {"kernel_shape": 3}, "shape": [4, 2, 1],
                          "use_actnorm": 1}, "seed": 0, "old": "x"}
    b = {"architecture": {"num_steps_per_block": 8, "exit": {"kernel_shape": 3}, "shape": (4, 2, 2),
                          "use_actnorm": True}, "seed": 0.0, "new": {"a": None}}
    assert differences(a, b) == [
        "architecture.num_steps_per_block: 4 in the checkpoint, 8 asked for",
        "architecture.shape: [4, 2, 1] in the checkpoint, [4, 2, 2] asked for",
        "architecture.use_actnorm: 1 in the checkpoint, True asked for",
        "old: 'x' in the checkpoint, nothing asked for",
        "new: nothing in the checkpoint, {'a': None} asked for"]
    assert differences(a, a) == []
    assert differences(SETTINGS, json.loads(json.dumps(SETTINGS))) == []
    assert differences({"a": {"b": 1}}, {"a": 2}) == [
        "a: {'b': 1} in the checkpoint, 2 asked for"]
    assert differences({"a": np.int64(1), "b": (1, 2)}, {"a": 1, "b": [1, 2]}) == []


# ---- files from strangers -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """The bytes of a checkpoint."""
    path = tmp_path_factory.mktemp("valid") / "checkpoint"
    save_checkpoint(path, checkpoint_of(a_run()))
    return path.read_bytes()


def with_text(text):
    """A damage that puts another text into the metadata."""
    def change(content):
        header, data = take_apart(content)
        header["__metadata__"][KEY] = text
        return put_together(header, data)
    return change


def with_entries(**entries):
    """A damage that changes entries of the JSON; None removes one."""
    def change(content):
        header, data = take_apart(content)
        declared = json.loads(header["__metadata__"][KEY]) | entries
        header["__metadata__"][KEY] = json.dumps(
            {key: value for key, value in declared.items() if value is not None})
        return put_together(header, data)
    return change


def renamed(old, new):
    def change(content):
        header, data = take_apart(content)
        header[new] = header.pop(old)
        return put_together(header, data)
    return change


def with_kind(name, **values):
    def change(content):
        header, data = take_apart(content)
        header[name].update(values)
        return put_together(header, data)
    return change


def without_metadata(content):
    header, data = take_apart(content)
    del header["__metadata__"]
    return put_together(header, data)


def deep(depth):
    value = {}
    for _ in range(depth):
        value = {"x": value}
    return value


SHIFT = "model.block0.step0.actnorm.shift"
STEP = "optimizer.step"
FLAG = "model.block0.step0.actnorm.initialized"
ENTRIES = '"format_version": 1, "step": 0, "random_state": {}, "settings": '

DAMAGES = {
    "empty": (lambda c: b"", "not a whole safetensors file"),
    "half": (lambda c: c[:len(c) // 2], "not a whole safetensors file"),
    "one byte short": (lambda c: c[:-1], "not a whole safetensors file"),
    "one byte long": (lambda c: c + b"\0", "not a whole safetensors file"),
    "text": (lambda c: b"I am not a checkpoint.\n" * 50, "not a whole safetensors file"),
    "a pickle": (lambda c: b"\x80\x04\x95\x10" + bytes(100), "not a whole safetensors file"),
    "huge header": (lambda c: struct.pack("<Q", 2**62) + c[8:], "header too large"),
    "vast shape": (with_kind(SHIFT, shape=[2**62]), "not a whole safetensors file"),
    "no metadata": (without_metadata, "not a checkpoint: its metadata has no entry"),
    "not JSON": (with_text("{"), "not valid JSON"),
    "deep JSON": (with_text("[" * 10**5), "not valid JSON"),
    "long number": (with_text("1" * 10**5), "not valid JSON"),
    "long JSON": (with_text(" " * 2**25), "characters; at most"),
    "JSON list": (with_text("[]"), "not a JSON object"),
    "no version": (with_entries(format_version=None), "format_version is None"),
    "newer version": (with_entries(format_version=2), "format_version is 2"),
    "version a flag": (with_entries(format_version=True), "format_version is True"),
    "entry missing": (with_entries(step=None), "must have the entries"),
    "entry unknown": (with_entries(**{"os.system": "true"}), "os.system"),
    "step negative": (with_entries(step=-1), "step cannot be -1"),
    "step vast": (with_entries(step=10**4000), "step cannot be"),
    "step a fraction": (with_entries(step=0.5), r"step cannot be 0\.5"),
    "settings a list": (with_entries(settings=[]), r"settings cannot be \[\]"),
    "random state a string": (with_entries(random_state="MT"), "random_state cannot be 'MT'"),
    "settings deep": (with_entries(settings=deep(100)), "settings is nested more than 32"),
    "NaN": (with_text("{" + ENTRIES + '{"a": NaN}}'), "not valid JSON: NaN is not a number"),
    "infinite": (with_text("{" + ENTRIES + '{"a": [1e999]}}'), r"settings\.a\.0 is inf"),
    "long key": (with_text("{" + ENTRIES + '{"' + "k" * 2**20 + '": [' + "0," * 200_000
                           + "1e999]}}"),
                 r"settings\.'k+\.\.\.k+'\.200000 is inf"),
    "counters": (with_entries(counters={"optimizer.step": 1}), "must have the entries"),
    "array elsewhere": (renamed(SHIFT, "weights." + SHIFT), "must begin with model"),
    "array without name": (renamed(SHIFT, ""), "must begin with model.*: ''"),
    "array of a foreign type": (with_kind(SHIFT, dtype="BF16", shape=[8]), "holds BF16"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(damage, valid, path):
    change, message = DAMAGES[damage]
    path.write_bytes(change(valid))
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            load_checkpoint(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 20_000
    assert peak < 1e6 + 40 * path.stat().st_size  # 40 for JSON objects of a few letters each
    assert time.process_time() - began < 10


def test_undamaged(valid, path):
    """The tools above are not what is refused."""
    for change in [lambda c: c, lambda c: put_together(*take_apart(c)), with_entries(step=7),
                   with_text("{" + ENTRIES + '{"a": 1e300}}'), with_entries(settings=deep(30)),
                   renamed(SHIFT, "average.x"), renamed(STEP, "model.x")]:
        path.write_bytes(change(valid))
        load_checkpoint(path)


def test_model_files_and_checkpoints_are_told_apart(valid, path):
    path.write_bytes(valid)
    with pytest.raises(ValueError, match="not a model file"):
        rg.load(path)
    rg.save(path, small_glow())
    with pytest.raises(ValueError, match="not a checkpoint: its metadata has no entry"):
        load_checkpoint(path)


def test_a_flag_of_other_bytes(valid, path):
    header, data = take_apart(valid)
    begin, end = header[FLAG]["data_offsets"]
    path.write_bytes(put_together(header, data[:begin] + b"\x07" + data[end:]))
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        load_checkpoint(path)


def test_a_truncated_file_at_every_length(valid, path):
    for size in range(0, len(valid), 97):
        path.write_bytes(valid[:size])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            load_checkpoint(path)


def test_bytes_changed_at_random(valid, path):
    rng = np.random.default_rng(0)
    header_end = 8 + struct.unpack("<Q", valid[:8])[0]
    refused = 0
    for _ in range(300):
        content = bytearray(valid)
        for place in rng.integers(header_end, size=rng.integers(1, 4)):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        loaded, refusal = None, str(path)
        try:
            loaded = load_checkpoint(path)
        except ValueError as error:
            refusal = str(error)
        assert str(path) in refusal
        assert loaded is None or (type(loaded.step), type(loaded.settings)) == (int, dict)
        refused += loaded is None
    assert 100 < refused < 300


def test_a_missing_file_and_a_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        load_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        save_checkpoint(tmp_path / "absent" / "checkpoint", checkpoint_of(a_run()))
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        save_checkpoint(tmp_path, checkpoint_of(a_run()))


# ---- interrupted and refused writes -------------------------------------------------------------

LIMITED = """
    import os, resource, signal, sys
    import numpy as np
    from refglow.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

    old = Checkpoint(1, {}, {}, {"w": np.arange(100.0)}, {})
    save_checkpoint(sys.argv[1], old)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    try:
        save_checkpoint(sys.argv[1], Checkpoint(2, {}, {}, {"w": np.ones(2**18)}, {}))
    except OSError as error:
        print(error.errno, error)
    loaded = load_checkpoint(sys.argv[1])
    print(loaded.step, loaded.model["w"].sum(), os.listdir(os.path.dirname(sys.argv[1])))
"""


def test_a_file_that_grows_too_large(path):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(LIMITED), path],
                          capture_output=True, text=True, check=True)
    refusal, rest = done.stdout.splitlines()
    assert refusal == (f"{errno.EFBIG} [Errno {errno.EFBIG}] Cannot write the file "
                       f"({os.strerror(errno.EFBIG)}): '{path}'")
    assert rest == f"1 4950.0 ['{path.name}']"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.geteuid() == 0 and sys.platform == "linux" and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False,
        capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("no small disk can be mounted here; the limit on a file's size stands for it")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(small_disk):
    path = small_disk / "checkpoint"
    save_checkpoint(path, checkpoint_of(a_run()))
    old = path.read_bytes()
    with pytest.raises(OSError, match=r"No space left on device.*checkpoint") as caught:
        save_checkpoint(path, checkpoint_of(a_run(), model={"w": np.ones(2**18)}))
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == old and os.listdir(small_disk) == ["checkpoint"]
    save_checkpoint(path, checkpoint_of(a_run(), step=3))
    assert load_checkpoint(path).step == 3


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(),
                                   MemoryError()])
@pytest.mark.parametrize("written", [0, 1, 3])
def test_an_error_between_two_arrays(error, written, path, monkeypatch):
    save_checkpoint(path, checkpoint_of(a_run()))
    old = path.read_bytes()
    whole = safetensors_file.file_in_pieces

    def interrupted(arrays, metadata):
        yield from itertools.islice(whole(arrays, metadata), written)
        raise error
    monkeypatch.setattr(safetensors_file, "file_in_pieces", interrupted)
    with pytest.raises(type(error)) as caught:
        save_checkpoint(path, checkpoint_of(a_run(seed=1)))
    if isinstance(error, OSError):
        assert str(caught.value) == ("[Errno 28] Cannot write the file (No space left on device): "
                                     f"'{path}'")
    assert path.read_bytes() == old and os.listdir(path.parent) == [path.name]


def test_a_new_file_has_the_usual_permissions(path):
    save_checkpoint(path, checkpoint_of(a_run()))
    usual = path.with_name("usual")
    usual.write_bytes(b"")
    assert path.stat().st_mode == usual.stat().st_mode
    path.chmod(0o640)
    save_checkpoint(path, checkpoint_of(a_run()))
    assert path.stat().st_mode & 0o777 == 0o640


SAVING = """
    import os, sys, time
    import numpy as np
    from refglow.training.checkpoint import Checkpoint, save_checkpoint

    def wait(*_):
        print("now", flush=True)
        time.sleep(60)

    checkpoint = Checkpoint(2, {}, {}, {"w": np.ones(int(sys.argv[3]))}, {})
    if sys.argv[2] != "any time":
        setattr(os, sys.argv[2], wait)
    else:
        print("now", flush=True)
    while True:
        save_checkpoint(sys.argv[1], checkpoint)
"""


@pytest.mark.parametrize("moment", ["fsync", "replace", "half written"])
def test_a_killed_process(moment, path):
    save_checkpoint(path, Checkpoint(1, {}, {}, {"w": np.zeros(5)}, {}))
    old, size = path.read_bytes(), 2**23
    stage = "replace" if moment == "half written" else moment
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(SAVING), path, stage, str(size)],
                          stdout=subprocess.PIPE) as process:
        if moment == "half written":
            wait_for_a_part(path, process)
        else:
            assert process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_bytes() == old and load_checkpoint(path).step == 1
    strays = [name for name in os.listdir(path.parent) if name != path.name]
    assert len(strays) == 1 and strays[0].startswith(".refglow-")
    if moment != "half written":
        assert load_checkpoint(path.with_name(strays[0])).model["w"].size == size
    save_checkpoint(path, Checkpoint(3, {}, {}, {"w": np.zeros(5)}, {}))
    assert load_checkpoint(path).step == 3


def wait_for_a_part(path, process):
    """Until another file beside `path` holds some bytes."""
    while process.poll() is None:
        with os.scandir(path.parent) as entries:
            if any(entry.name != path.name and entry.stat().st_size > 0 for entry in entries):
                return


def test_a_process_killed_at_any_time(path):
    save_checkpoint(path, Checkpoint(1, {}, {}, {"w": np.zeros(5)}, {}))
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(SAVING), path, "any time",
                           "100000"], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"now\n"
        while load_checkpoint(path).step == 1 and process.poll() is None:
            pass
        for _ in range(20):
            assert load_checkpoint(path).step == 2
        process.send_signal(signal.SIGKILL)
    assert load_checkpoint(path).model["w"].sum() == 100000
