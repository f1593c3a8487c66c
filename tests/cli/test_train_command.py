"""`refglow train`, `sample`, `interpolate` and `bpd`: what they print, keep and refuse."""

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import refglow as rg
from refglow.training.checkpoint import load_checkpoint, save_checkpoint

REFGLOW = [sys.executable, "-m", "refglow"]
# Without the width that a test runner may have set: a program's terminal has its own.
ENVIRONMENT = {**{name: value for name, value in os.environ.items()
                  if name not in ("COLUMNS", "LINES")}, "OPENBLAS_NUM_THREADS": "1"}
TINY = ["--blocks", "2", "--steps-per-block", "1", "--hidden", "4", "--batch-size", "5",
        "--learning-rate", "0.01", "--warm-up-steps", "3", "--checkpoint-every", "7",
        "--test-every", "10", "--sample-every", "15"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with images (other.npy has as many and as large ones as grey.npy) and a run."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    for name, shape in (("grey", (40, 4, 8)), ("other", (40, 4, 8)), ("rgb", (30, 8, 4, 3)),
                        ("odd", (30, 7, 5))):
        np.save(folder / f"{name}.npy", rng.integers(0, 256, shape, dtype=np.uint8))
    done = refglow(folder, "train", "--data", "grey.npy", "--out", "run", "--steps", "30", *TINY)
    assert done.returncode == 0, done.stderr
    return folder


def refglow(folder, *arguments):
    return subprocess.run([*REFGLOW, *map(str, arguments)], cwd=folder, text=True,
                          capture_output=True, check=False, env=ENVIRONMENT)


def started(folder, *arguments):
    return subprocess.Popen([*REFGLOW, *map(str, arguments)], cwd=folder, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)


def assert_refused(done, *messages):
    """Exit code 2 and one line on stderr."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("refglow: ") and done.stderr.count("\n") == 1
    for message in messages:
        assert message in done.stderr


def losses_of(folder):
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(entry["step"], entry.get("loss"), entry.get("test_bits_per_dim")) for entry in entries]


def assert_same_run(one, other):
    for name in ("checkpoint.safetensors", "model.safetensors", "samples-000015.png",
                 "samples-000030.png"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert losses_of(one) == losses_of(other)


# ---- going on -----------------------------------------------------------------------------------


def test_a_run_is_the_same_again(place, tmp_path):
    done = refglow(place, "train", "--data", "grey.npy", "--out", tmp_path / "run", "--steps", "30",
                   "--resume", *TINY)
    assert done.returncode == 0, done.stderr
    assert_same_run(place / "run", tmp_path / "run")


# From the given step on, the system ends the process within the time of two steps, wherever it is
# then: no handler of Python's runs, as with SIGKILL. Time is counted in steps because a machine's
# speed may change between two runs.
TIMED = """
    import signal, sys, time
    step, share = int(sys.argv[1]), float(sys.argv[2])
    from refglow.cli.main import main
    from refglow.training.trainer import Trainer

    def update(self, evaluation, really=Trainer.update, times=[]):
        times.append(time.perf_counter())
        lengths = [after - before for before, after in zip(times, times[1:])]
        set_already = signal.getitimer(signal.ITIMER_REAL)[0] > 0
        if self.step_count >= step and len(lengths) >= 2 and not set_already:
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, 2 * share * min(lengths)))
        return really(self, evaluation)

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    Trainer.update = update
    sys.argv = ["refglow", *sys.argv[3:]]
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_random_moments_ends_bit_for_bit_where_it_would(seed, place, tmp_path):
    moments, out = random.Random(seed), tmp_path / "run"
    arguments = [str(argument) for argument in (
        "train", "--data", place / "grey.npy", "--out", out, "--steps", "30", "--resume", *TINY)]
    ends = []
    for latest in (20, 25, 27, 29, 29):
        moment = [str(moments.randint(3, latest)), str(moments.random())]
        ends.append(subprocess.run(
            [sys.executable, "-c", textwrap.dedent(TIMED), *moment, *arguments],
            env=ENVIRONMENT, capture_output=True, check=False).returncode)
    assert ends[0] == -signal.SIGALRM and {*ends} <= {0, -signal.SIGALRM}
    done = refglow(place, *arguments)
    assert done.returncode == 0, done.stderr
    assert_same_run(place / "run", out)


DYING = """
    import os, signal, sys
    name, count = sys.argv[1], int(sys.argv[2])
    import refglow.atomic_file as atomic
    from refglow.cli.main import main
    from refglow.training.run_folder import RunFolder
    from refglow.training.trainer import Trainer

    def dying(function, only=lambda *arguments: True):
        def call(*arguments):
            global count
            count -= only(*arguments)
            if count < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)
        return call

    if name == "update":
        Trainer.update = dying(Trainer.update)
    elif name == "append":
        RunFolder.append = dying(RunFolder.append)
    elif name == "half a checkpoint":
        def halved(path, content, mode, write=atomic._write_new):
            global count
            if "checkpoint" in target[0]:
                count -= 1
                if count < 0:
                    whole = b"".join(content)
                    with open(path, "wb") as file:
                        file.write(whole[:len(whole) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
            write(path, content, mode)
        target, realpath = [""], os.path.realpath
        def noted(path, **options):
            target[0] = str(path)
            return realpath(path, **options)
        atomic.os.path.realpath, atomic._write_new = noted, halved
    else:
        setattr(os, name, dying(getattr(os, name), lambda *paths: "checkpoint" in str(paths)
                                or name == "fsync"))
    sys.argv = ["refglow", *sys.argv[3:]]
    main()
"""


@pytest.mark.parametrize(("name", "count"), [
    ("update", 12), ("append", 20), ("fsync", 2), ("replace", 0), ("replace", 2),
    ("half a checkpoint", 0), ("half a checkpoint", 3)])
def test_a_run_killed_at_a_chosen_moment_goes_on(name, count, place, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", "--data", str(place / "grey.npy"), "--out", str(out), "--steps", "30",
                 *TINY]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(DYING), name, str(count),
                           *arguments], env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if count:
        assert load_checkpoint(out / "checkpoint.safetensors").step < 30
    assert refglow(place, *arguments, "--resume").returncode == 0
    assert_same_run(place / "run", out)
    assert not list(out.glob(".refglow-*"))  # what the killed process left unfinished


def test_ctrl_c(place, tmp_path):
    out = tmp_path / "run"
    arguments = ("train", "--data", "grey.npy", "--out", out, "--steps", "30", *TINY)
    with started(place, *[a if a != "30" else "100000" for a in arguments]) as process:
        while not (out / "log.jsonl").exists() and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 2
    step = load_checkpoint(out / "checkpoint.safetensors").step
    assert f"refglow: Stopped after step {step}, which is saved." in errors
    assert losses_of(out)[-1][0] == step > 0
    again = refglow(place, "train", "--resume", "--out", out, "--steps", step + 2, "--json", "-")
    assert json.loads(again.stdout)["step"] == step + 2


def test_two_processes_do_not_share_a_folder(place, tmp_path):
    out = tmp_path / "run"
    arguments = ("train", "--data", "grey.npy", "--out", out, *TINY)
    with started(place, *arguments, "--steps", "100000") as process:
        while not (out / "log.jsonl").exists() and process.poll() is None:
            time.sleep(0.02)
        second = refglow(place, *arguments, "--steps", "30", "--resume")
        process.send_signal(signal.SIGKILL)
    assert_refused(second, "Another process is training in")


def test_going_on_needs_no_settings_and_no_particular_folder(place, tmp_path):
    out = tmp_path / "run"
    first = refglow(place, "train", "--data", "grey.npy", "--out", out, "--steps", "9", *TINY)
    assert first.returncode == 0
    done = refglow(tmp_path, "train", "--out", "run", "--steps", "30", "--resume", *TINY[10:])
    assert done.stdout.startswith("Going on after step 9.\n")
    assert done.returncode == 0, done.stderr
    assert (out / "checkpoint.safetensors").read_bytes() == (
        place / "run" / "checkpoint.safetensors").read_bytes()
    over = refglow(tmp_path, "train", "--out", "run", "--steps", "20", "--resume", "--json", "-")
    assert over.returncode == 0 and "already at step 30: nothing was left to do" in over.stderr
    assert json.loads(over.stdout)["step"] == 30


def test_other_settings_are_refused_and_named(place):
    before = (place / "run" / "checkpoint.safetensors").read_bytes()
    go_on = ("train", "--out", "run", "--steps", "40", "--resume")
    assert_refused(refglow(place, *go_on, "--hidden", "5", "--seed", "1", "--coupling", "additive"),
                   "num_hidden: 4 in the checkpoint, 5 asked for",
                   "seed: 0 in the checkpoint, 1 asked for",
                   "coupling: 'affine' in the checkpoint, 'additive' asked for")
    assert_refused(refglow(place, *go_on, "--data", "other.npy"), "data: ", "other.npy")
    assert_refused(refglow(place, "train", "--out", "run"), "already holds a training run")
    assert (place / "run" / "checkpoint.safetensors").read_bytes() == before


def test_images_that_have_changed_are_refused(place, tmp_path):
    (tmp_path / "images.npy").write_bytes((place / "grey.npy").read_bytes())
    arguments = ("train", "--data", "images.npy", "--out", "run", *TINY)
    assert refglow(tmp_path, *arguments, "--steps", "3").returncode == 0
    (tmp_path / "images.npy").write_bytes((place / "other.npy").read_bytes())
    assert_refused(refglow(tmp_path, *arguments, "--steps", "6", "--resume"), "images.checksum")


def test_a_strangers_checkpoint_is_refused_unbuilt(place, tmp_path):
    real = load_checkpoint(place / "run" / "checkpoint.safetensors")
    settings = real.settings | {"settings": real.settings["settings"] | {"num_hidden": 10**7}}
    save_checkpoint(tmp_path / "checkpoint.safetensors", replace(real, settings=settings))
    for command in (("train", "--resume", "--out", tmp_path), ("bpd", tmp_path),
                    ("sample", tmp_path, "--out", "s.png")):
        assert_refused(refglow(place, *command), "its arrays are not those of its settings",
                       "misfit: 'block0.step0.coupling.conv1.kernel'")
    for garbage in (b"", b"\x80\x04\x95pickle", bytes(1000)):
        (tmp_path / "checkpoint.safetensors").write_bytes(garbage)
        assert_refused(refglow(place, "train", "--resume", "--out", tmp_path),
                       "is not a whole safetensors file")


# ---- what goes wrong ----------------------------------------------------------------------------


def test_a_divergence_exits_with_1_and_names_the_layer(place, tmp_path):
    report, out = tmp_path / "report.json", tmp_path / "run"
    wild = [a if a not in ("0.01", "3") else {"0.01": "1e30", "3": "0"}[a] for a in TINY]
    done = refglow(place, "train", "--data", "grey.npy", "--out", out, "--steps", "30", *wild,
                   "--json", report)
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(report.read_text())
    assert found["step"] == 1 and found["diverged"] in {
        ".".join(name.split(".")[:-1]) for name in rg.load(
            place / "run" / "model.safetensors").state_dict()} | {
        "block0.step0.coupling", "block1.step0.coupling", "block1.exit"}
    line = done.stdout.splitlines()[-1]
    assert line.startswith("Training diverged in step 2: ") and found["diverged"] in line
    assert line.endswith("The checkpoint of step 0 stands.")
    assert load_checkpoint(out / "checkpoint.safetensors").step == 0
    assert refglow(place, "sample", out, "--out", tmp_path / "s.png").returncode == 0


FULL = """
    import os, resource, signal, sys
    import refglow.atomic_file as atomic
    from refglow.training.run_folder import RunFolder
    name, count = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    from refglow.cli.main import main

    def fill():
        global count
        count -= 1
        if count < 0:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
    def append(self, entry, whole=RunFolder.append):
        if name == "log.jsonl":
            fill()
        whole(self, entry)
    def realpath(path, whole=os.path.realpath, **options):
        if str(path).endswith(name):
            fill()
        return whole(path, **options)
    RunFolder.append = append
    atomic.os.path.realpath = realpath
    sys.argv = ["refglow", *sys.argv[3:]]
    main()
"""


@pytest.mark.parametrize(("name", "count", "step"), [
    ("log.jsonl", 12, 7), ("checkpoint.safetensors", 2, 7), ("checkpoint.safetensors", 0, None),
    ("samples-000015.png", 0, 14), ("model.safetensors", 0, 30), ("loss.png", 0, 30)])
def test_a_full_disk(name, count, step, place, tmp_path):
    out = tmp_path / "run"
    arguments = ["train", "--data", str(place / "grey.npy"), "--out", str(out), "--steps", "30",
                 *TINY]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(FULL), name, str(count),
                           *arguments], env=ENVIRONMENT, capture_output=True, check=False,
                          text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("refglow: ") and done.stderr.count("\n") == 1
    assert "File too large" in done.stderr and f"{out / name}'" in done.stderr
    if step is None:
        assert done.stderr.endswith("There is no checkpoint yet.\n")
    else:
        assert f"The checkpoint of step {step} stands. --resume goes on from there." in done.stderr
        assert load_checkpoint(out / "checkpoint.safetensors").step == step
    assert not list(out.glob(".refglow-*"))
    again = refglow(place, *arguments, "--resume")
    assert again.returncode == 0, again.stderr
    assert_same_run(place / "run", out)


@pytest.mark.parametrize(("arguments", "message"), [
    (("--data", "odd.npy"), "height 7 must be divisible by"),
    (("--data", "rgb.npy", "--blocks", "3"), "at most 2 blocks"),
    (("--data", "absent"), "There is no data set or folder called 'absent'"),
    (("--data", "grey.npy", "--n-bits", "9"), "n_bits = 9, but the images of grey.npy"),
    (("--data", "grey.npy", "--learning-rate", "nan"), "learning_rate must be a positive number"),
    (("--data", "grey.npy", "--batch-size", "100000000"), "at most 65536; got 100000000"),
    (("--data", "grey.npy", "--weight-decay", "0.1"), "weight_decay is for adamw only"),
    (("--data", "grey.npy", "--optimizer", "sgd"), "adam, adamw, adamax; got 'sgd'"),
    (("--data", "grey.npy", "--image-size", "16"), "image_size = 16 is for \"photographs\" only"),
    (("--data", "grey.npy", "--hidden", "100000000000"), "The memory is not enough"),
    (("--data", "grey.npy", "--json", "no/such/report.json"), "no/such/report.json")])
def test_what_cannot_be_trained(arguments, message, place, tmp_path):
    assert_refused(refglow(place, "train", "--out", tmp_path / "run", *arguments), message)
    assert not (tmp_path / "run").exists()


def test_folders_that_are_in_use(place, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    assert_refused(refglow(place, "train", "--data", "grey.npy", "--out", tmp_path),
                   "holds model.safetensors, but no checkpoint")
    assert (tmp_path / "model.safetensors").read_bytes() == b"mine"
    assert_refused(refglow(place, "train", "--data", "grey.npy", "--out", "grey.npy"), "grey.npy")


def test_a_folder_of_images_with_an_odd_name_and_a_broken_file(tmp_path):
    folder, rng = tmp_path / "[red]two  spaces :smile:", np.random.default_rng(0)
    folder.mkdir()
    for k in range(12):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02}.png")
    (folder / "05.png").write_bytes(b"junk")
    arguments = ("--steps", "2", *TINY[:8])
    done = refglow(tmp_path, "train", "--data", folder.name, "--out", "[b]run", *arguments)
    assert done.returncode == 0
    assert done.stderr.startswith("Warning: 1 of 12 images in ") and "05.png" in done.stderr
    assert done.stderr.count("\n") == 1 and ".py" not in done.stderr
    assert f"9 images of 8 x 8 x 3 from {folder.name} (training)" in done.stdout
    assert "Files go to [b]run." in done.stdout
    assert_refused(refglow(tmp_path, "train", "--data", folder.name, "--out", folder.name),
                   "is the folder of the images")
    line = refglow(tmp_path, "bpd", "[b]run").stdout
    assert f"over 2 test images ({tmp_path / folder.name}, 8 bits" in line


# ---- reports ------------------------------------------------------------------------------------


def test_what_training_says(place, tmp_path):
    done = refglow(place, "train", "--data", "grey.npy", "--out", tmp_path / "run", "--steps", "3",
                   *TINY, "--json", "-")
    report = json.loads(done.stdout)
    assert report["step"] == 3 and not report["stopped"] and report["settings"]["num_hidden"] == 4
    first, last = done.stderr.splitlines()
    assert first.startswith("36 images of 4 x 8 x 1 from grey.npy (training), 8 bits. Glow: 2 x 1 "
                            "steps, 4 hidden channels, ")
    assert last.startswith(f"Step 3: {report['bits_per_dim']:.3f} bits/dim in the last batch, "
                           f"{report['test_bits_per_dim']:.3f} on test images")


def test_bits_per_dim(place, tmp_path):
    report = tmp_path / "report.json"
    done = refglow(place, "bpd", "run", "--json", report)
    found = json.loads(report.read_text())
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"{found['bits_per_dim']:.4f} +- {found['standard_error']:.4f} "
                                  "bits/dim over 4 test images (")
    by_file = json.loads(refglow(place, "bpd", "run/model.safetensors", "--data", "grey.npy",
                                 "--batch-size", "3", "--json", "-").stdout)
    assert by_file["bits_per_dim"] == pytest.approx(found["bits_per_dim"], rel=1e-6)
    part = json.loads(refglow(place, "bpd", "run", "--part", "train", "--most", "10",
                              "--json", "-").stdout)
    assert part["images"] == 10 and part["part"] == "train"
    assert_refused(refglow(place, "bpd", "run/model.safetensors"), "give --data")
    assert_refused(refglow(place, "bpd", "run", "--data", "rgb.npy"),
                   "images of shape [8, 4, 3]; the model takes [4, 8, 1]")
    assert_refused(refglow(place, "bpd", "run", "--n-bits", "5"), "levels of 8 bits")
    assert refglow(place, "bpd", "run", "--part", "all").returncode == 2


def test_samples(place, tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        done = refglow(place, "sample", "run", "--out", path, "--count", "3", "--seed", seed,
                       "--columns", "3", "--json", "-")
        assert json.loads(done.stdout)["not_finite"] == 0
    one, same, other = (path.read_bytes() for path in paths)
    assert one == same != other
    refglow(place, "sample", "run", "--out", paths[0], "--count", "3", "--columns", "3",
            "--temperature", "0")
    with Image.open(paths[0]) as picture:
        pixels = np.asarray(picture)
    width = (pixels.shape[1] - 2) // 3
    assert np.array_equal(pixels[:, :width + 2], pixels[:, -width - 2:])
    assert_refused(refglow(place, "sample", "absent", "--out", "s.png"), "no model absent.")
    assert_refused(refglow(place, "sample", "run", "--out", "absent/s.png"), "absent/s.png")


def test_interpolations(place, tmp_path):
    rng, out = np.random.default_rng(1), tmp_path / "i.png"
    levels = rng.integers(0, 256, (2, 4, 8), dtype=np.uint8)
    for name, array in (("a.png", levels[0]), ("b.png", levels[1]),
                        ("large.png", np.zeros((9, 9), np.uint8)),
                        ("rgb.png", np.zeros((4, 8, 3), np.uint8))):
        Image.fromarray(array).save(tmp_path / name)
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[:45] + bytes([whole[45] ^ 255]) + whole[46:])
    run = Path(place / "run").resolve()
    done = refglow(tmp_path, "interpolate", run, "a.png", "b.png", "--out", out, "--frames", "5",
                   "--json", "-")
    report = json.loads(done.stdout)
    assert report["largest_error_at_the_ends"] < 1e-4 and report["not_finite"] == 0
    with Image.open(out) as picture:
        pixels = np.asarray(picture)
    down, right = (pixels.shape[0] - 2), (pixels.shape[1] - 2) // 5
    for k, end in ((0, levels[0]), (4, levels[1])):
        shown = pixels[2:down, 2 + k * right:(k + 1) * right]
        assert np.array_equal(shown[::shown.shape[0] // 4, ::shown.shape[1] // 8], end)
    assert refglow(tmp_path, "interpolate", run, "0", "b.png", "--out", out).returncode == 0
    for second, message in (("large.png", "shape [9, 9, 1]; the model takes [4, 8, 1]"),
                            ("rgb.png", "shape [4, 8, 3]"), ("broken.png", "broken.png: "),
                            ("absent.png", "absent.png: No such file"),
                            ("4", "has 4 test images, 0 to 3; got 4")):
        assert_refused(refglow(tmp_path, "interpolate", run, "a.png", second, "--out", out),
                       message)
    assert_refused(refglow(tmp_path, "interpolate", run / "model.safetensors", "0", "1", "--out",
                           out), "of which data? Give --data")


def test_a_grey_image_for_a_model_of_colours(place, tmp_path):
    out = tmp_path / "run"
    assert refglow(place, "train", "--data", "rgb.npy", "--out", out, "--steps", "2",
                   *TINY[:8]).returncode == 0
    for name, shape in (("grey.png", (8, 4)), ("rgb.png", (8, 4, 3))):
        Image.fromarray(np.full(shape, 77, np.uint8)).save(tmp_path / name)
    done = refglow(tmp_path, "interpolate", "run", "grey.png", "rgb.png", "--out", "i.png")
    assert done.returncode == 0, done.stderr


def test_a_picture_of_levels_that_do_not_fill_their_bits(tmp_path):
    """A digit that refglow has drawn is the same digit when it is read again."""
    from refglow.cli.given_image import given_image
    from refglow.training.pictures import brightness
    from refglow.training.trained import Trained

    glow = rg.bijectors.Glow((8, 8, 1), 1, 0)
    levels = np.arange(64).reshape(8, 8) % 17
    Image.fromarray(brightness(levels, 16)).save(tmp_path / "digit.png")
    x = given_image(str(tmp_path / "digit.png"), Trained(glow, 5, 16), None)
    assert np.array_equal(np.floor((x[..., 0] + 0.5) * 32), levels)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(tmp_path / "full.png")
    x = given_image(str(tmp_path / "full.png"), Trained(glow, 5, 31), None)
    assert np.array_equal(np.floor((x[..., 0] + 0.5) * 32), np.arange(64).reshape(8, 8) // 2)


@pytest.mark.parametrize("columns", [60, 120])
def test_the_bar_in_a_terminal(columns, place, tmp_path):
    """All figures, in one line, and nothing left of it at the end."""
    import fcntl
    import pty
    import struct
    import termios

    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([*REFGLOW, "train", "--data", "grey.npy", "--out", str(tmp_path / "run"),
                           "--steps", "60", *TINY], cwd=place, stdout=end, stderr=end,
                          env={**ENVIRONMENT, "TERM": "xterm"}) as process:
        os.close(end)
        shown = b""
        try:
            while part := os.read(terminal, 65536):
                shown += part
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(terminal)
    assert process.returncode == 0
    text = shown.decode()
    for figure in ("/60", "loss ", " bits/dim ", " images/s ", " left"):
        assert figure in text
    assert "…" not in text
    assert ("━" in text) == (columns > 100)
    assert text.rstrip().rpartition("\x1b[2K")[2].startswith("Step 60: ")
