"""`refglow explain`: what it prints and writes, what it makes of odd images, its exit codes."""

import json
import re
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import refglow as rg
from refglow.backend import use_backend
from refglow.bijectors import Glow
from refglow.cli.main import app, main
from refglow.explain import trace
from refglow.validation.cases import small_network
from refglow.validation.random_models import randomize_weights

SHAPE = (8, 4, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A colour and a grey model, and pictures, right and wrong."""
    folder = tmp_path_factory.mktemp("files")
    for name, shape in (("model", SHAPE), ("grey-model", (*SHAPE[:2], 1)),
                        ("odd-model", (*SHAPE[:2], 2))):
        glow = Glow(shape, 2, 1, small_network, seed=0)
        randomize_weights(glow, np.random.default_rng(0), gain=0.5)
        rg.save(folder / f"{name}.safetensors", glow)
    rg.save(folder / "fresh.safetensors", Glow(SHAPE, 2, 1, small_network, seed=0))
    rng = np.random.default_rng(1)
    pixels = {"right": (8, 4, 3), "grey": (8, 4), "wide": (20, 40, 3), "same-shape": (16, 8, 3),
              "rgba": (8, 4, 4), "opaque": (8, 4, 4)}
    for name, shape in pixels.items():
        array = rng.integers(0, 256, shape, dtype=np.uint8)
        if name == "opaque":
            array[..., 3] = 255
        Image.fromarray(array).save(folder / f"{name}.png")
    Image.fromarray(rng.integers(0, 2**16, (8, 4), dtype=np.uint16)).save(folder / "deep.png")
    whole = (folder / "right.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[:60])
    (folder / "broken.png").write_bytes(whole[:45] + bytes([whole[45] ^ 255]) + whole[46:])
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "huge.png").write_bytes(huge_png())
    return folder


def huge_png():
    """A PNG that says that it has 50000 x 50000 pixels."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0,
                                                              0, 0))
            + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))


@pytest.fixture
def explained(files, monkeypatch, capsys):
    """Runs the command in the folder of the files: (exit code, stdout, stderr)."""
    def run(*arguments):
        monkeypatch.chdir(files)
        monkeypatch.setattr(sys, "argv", ["refglow", "explain", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err
    return run


# ---- what it shows ---------------------------------------------------------------------------


def test_without_arguments_there_is_something_to_see(explained):
    code, out, err = explained()
    assert (code, err) == (0, "")
    assert "small model, random weights in every layer (seed 0). Input: a picture drawn" in out
    assert "block2.step1.coupling" in out and "block0.exit" in out and "latents" in out
    assert re.search(r"bits/dim = 8 bits [+-] [\d.]+ of the prior [+-] [\d.]+ of the log-dets", out)
    assert explained("--seed", "1")[1] != out


def test_the_table_is_that_of_the_trace(explained, files):
    glow = rg.load(files / "model.safetensors")
    with Image.open(files / "right.png") as picture:
        x = ((np.asarray(picture).astype(float) + 0.5) / 256 - 0.5).astype(np.float32)
    found = trace(glow, x)
    code, out, _ = explained("model.safetensors", "right.png", "--json", "report.json")
    report = json.loads((files / "report.json").read_text())
    assert code == 0
    assert {"model", "input", "stages", "bits_per_dim", "direction"} <= report.keys()
    assert report["stages"] == [stage.as_dict() for stage in found]
    assert report["input"] == "right.png" and report["bits_per_dim"] == found.bits_per_dim.tolist()
    for stage in found:
        [line] = [line.split() for line in out.splitlines() if line.startswith(f"{stage.name} ")]
        assert line[1] == "x".join(map(str, stage.shape_out))
        assert float(line[2]) == pytest.approx(stage.log_det[0], rel=1e-3, abs=1e-12)
        assert line[3] == f"{stage.running.total[0]:.4f}"
        assert float(line[4]) == pytest.approx(stage.condition[0], rel=1e-2)
        assert [float(cell) for cell in line[5:7]] == pytest.approx(
            [stage.statistics.least, stage.statistics.largest], rel=1e-3)


@pytest.mark.parametrize("arguments", [["small"], ["model.safetensors", "right.png"]])
def test_bits_are_counted_of_the_levels_that_are_asked_for(explained, files, arguments):
    found = {}
    for bits in (8, 5):
        code, out, _ = explained(*arguments, "--no-conditions", "--json", "bits.json",
                                 *([] if bits == 8 else ["--n-bits", bits]))
        report = json.loads((files / "bits.json").read_text())
        assert code == 0 and f"bits/dim = {bits} bits " in out and report["n_bits"] == bits
        found[bits] = report["stages"][-1]["running"]
    for bits, running in found.items():
        assert running["bits_per_dim"][0] == pytest.approx(
            bits + running["prior"][0] + running["log_dets"][0], rel=1e-12)
    assert found[8]["prior"] != found[5]["prior"]  # the levels are others too


@pytest.mark.parametrize(("direction", "raw_scale"), [("inverse", 1000), ("forward", -1000)])
def test_where_numbers_stop_being_finite_is_said(explained, files, direction, raw_scale):
    """The table's columns are of the others: nobody sees there that some are lost."""
    arguments = ("--direction", direction, "--no-conditions")
    assert "not finite" not in explained("model.safetensors", *arguments)[1]
    glow = rg.load(files / "model.safetensors")
    bias = np.where(np.arange(12) == 0, raw_scale, 0).astype(np.float32)
    glow.load_state_dict(glow.state_dict() | {"block1.exit.conv1.bias": bias})
    rg.save(files / "overflowing.safetensors", glow)
    _, out, _ = explained("overflowing.safetensors", *arguments)
    assert ("The first numbers that are not finite come out of block1.exit: 8 of 96."
            in " ".join(out.split()))


def test_a_stage_is_zoomed_in_on(explained):
    code, out, _ = explained("model.safetensors", "--at", "block1.step0.coupling", "--pixel", "3,2",
                             "--json", "zoom.json")
    assert code == 0
    assert "block1.step0.coupling: Affine coupling" in out
    assert "Pixel 3,2 of the image (row,column) is pixel 1,1 of 4 x 2" in out
    assert re.search(r"s\[6\] = sigmoid\(.+ \+ 2\) = 0\.\d+", out)
    assert "block0.exit" not in out
    assert re.search(r"^[cba.123]{2} [cba.123]{2} ", out, re.MULTILINE)  # the picture


@pytest.mark.parametrize("direction", ["inverse", "forward"])
def test_channels_that_a_stage_leaves_alone_are_said_of_both_directions(explained, direction):
    """On the way to the image none of them has exited before."""
    out = explained("model.safetensors", "--at", "block0.step0.conv", "--direction", direction)[1]
    assert ("2x1x48 -> 2x1x48; 24 of the channels belong to finer scales and are carried along\n"
            in out) and "exited before" not in out
    out = explained("model.safetensors", "--at", "block1.squeeze", "--direction", direction)[1]
    assert "finer scales" not in out and "log-det    0 nats\n" in out  # not "0 nats, 0"


def test_json_on_standard_output_is_only_json(explained):
    code, out, err = explained("model.safetensors", "--json", "-", "--at", "latents",
                               "--no-conditions")
    report = json.loads(out)
    assert code == 0 and "Places in the vector" in err
    assert report["worked"]["stage"] == "latents"
    assert report["stages"][0]["condition"] == ["nan"]
    assert report["stages"][0]["condition_how"] == "not measured"


def test_pictures_of_all_stages(explained):
    plain = explained("model.safetensors", "--no-conditions")[1]
    out = explained("model.safetensors", "--no-conditions", "--pictures")[1]
    assert out.count("c b a negative to -") == 11 and "c b a negative" not in plain


def test_forward_shows_the_way_back_or_a_sample(explained):
    _, there, _ = explained("model.safetensors", "right.png", "--no-conditions")
    code, out, _ = explained("model.safetensors", "right.png", "--direction", "forward",
                             "--no-conditions")
    assert code == 0 and "Input: the latents of right.png." in out
    row = re.compile(r"block\d|latents +[\dx]+ +0 ")
    names = [[line.split()[0] for line in text.splitlines() if row.match(line)]
             for text in (there, out)]
    assert names[0] == names[1][::-1] and len(names[0]) == 11
    ends = [re.search(r"^([\d.]+) bits/dim = ", text, re.MULTILINE)[1] for text in (there, out)]
    assert ends[0] == ends[1]
    one, same, other = (explained("model.safetensors", "--direction", "forward", "--no-conditions",
                                  "--seed", seed)[1] for seed in (0, 0, 1))
    assert "a sample of the prior (seed 0)" in one and one == same != other


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_tables_fit_the_terminal(explained, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", explained("--pictures")[1])
    lines = [line for line in plain.splitlines() if not re.match(r"Model:|--at|.*bits/dim =", line)]
    assert max(map(len, lines)) <= columns
    assert ("mean" in plain) == (columns == 120) and (" max" in plain) == (columns >= 80)
    assert "\u2026" not in plain
    assert "\u2580" in plain and "blue -" in plain


# ---- runs of training ------------------------------------------------------------------------


def test_a_run_and_its_test_images(explained, files):
    np.save(files / "images.npy",
            np.random.default_rng(3).integers(0, 256, (30, *SHAPE), dtype=np.uint8))
    with use_backend("spec"):
        done = CliRunner().invoke(app, [
            "train", "--data", str(files / "images.npy"), "--out", str(files / "run"), "--steps",
            "2", "--blocks", "2", "--steps-per-block", "1", "--hidden", "4", "--batch-size", "5"])
    assert done.exit_code == 0, done.output
    code, out, _ = explained("run")
    assert code == 0 and "run, trained for 2 steps. Input: test image 0." in out
    assert "Input: test image 2." in explained("run", "2")[1]
    assert_refused(explained("run", "99"), "test images, 0 to ")
    assert_refused(explained("model.safetensors", "3"), "of which data? Give --data")
    assert explained("model.safetensors", "1", "--data", "images.npy")[0] == 0


# ---- bad input -------------------------------------------------------------------------------


def assert_refused(done, *messages):
    code, out, err = done
    assert (code, out) == (2, "") and "Traceback" not in err
    for message in messages:
        assert message in " ".join(err.split()), err
    if err.startswith("refglow: "):
        assert err.count("\n") == 1


@pytest.mark.parametrize(("image", "messages"), [
    ("wide.png", ["shape [20, 40, 3]; the model takes [8, 4, 3]",
                  "--fit crop would take the middle 20 x 10 of its 20 x 40 pixels (rows x columns) "
                  "and scale them to 8 x 4",
                  "--fit resize would scale the whole picture to 8 x 4, which changes"]),
    ("same-shape.png", ["--fit crop would take all its 16 x 8 pixels"]),
    ("rgba.png", ["rgba.png: ", "pixels are transparent; flatten it"]),
    ("deep.png", ["deep.png: it has more than 8 bits per channel; convert it to 8"]),
    ("cut.png", ["cut.png: "]), ("broken.png", ["broken.png: "]),
    ("text.png", ["text.png: it is not a PNG or JPEG file"]),
    ("empty.png", ["empty.png: it is not a PNG or JPEG file"]),
    ("huge.png", ["huge.png: ", "decompression bomb"]),
    ("absent.png", ["absent.png: No such file or directory"])])
def test_images_that_cannot_be_used(explained, image, messages):
    assert_refused(explained("model.safetensors", image), *messages)


@pytest.mark.parametrize("image", ["right.png", "grey.png", "opaque.png"])
def test_grey_and_opaque_images_can_be_used(explained, image):
    assert explained("model.safetensors", image, "--no-conditions")[0] == 0


def test_a_colour_image_for_a_grey_model(explained):
    assert_refused(explained("grey-model.safetensors", "right.png"),
                   "--fit crop (or resize) would make it grey")
    assert_refused(explained("grey-model.safetensors", "wide.png"),
                   "scale them to 8 x 4, made grey")
    for fit in ("crop", "resize"):
        assert explained("grey-model.safetensors", "wide.png", "--fit", fit)[0] == 0
    assert_refused(explained("odd-model.safetensors", "right.png", "--fit", "crop"),
                   "A picture has 1 channel or 3, so none fits into 2")


def test_what_fit_does(files, explained):
    """A red left half, a green right half: the middle has both, and so has the whole."""
    array = np.zeros((20, 40, 3), np.uint8)
    array[:, :20, 0], array[:, 20:, 1] = 255, 255
    array[:, :8] = array[:, 32:] = 255  # white margins, which only the middle leaves out
    Image.fromarray(array).save(files / "halves.png")
    pixels = {}
    for fit in ("crop", "resize"):
        code, _, _ = explained("model.safetensors", "halves.png", "--fit", fit, "--no-conditions",
                               "--at", "block1.squeeze", "--json", "fit.json")
        report = json.loads((files / "fit.json").read_text())
        channels = report["stages"][0]["statistics"]["channel_max"][8:]  # of blue
        assert code == 0
        pixels[fit] = max(channels)
    assert pixels["crop"] < -0.4 and pixels["resize"] > 0.2


def test_an_image_that_fits_is_not_touched_by_fit(explained):
    arguments = ["model.safetensors", "right.png", "--no-conditions"]
    assert explained(*arguments, "--fit", "crop")[1] == explained(*arguments)[1]


@pytest.mark.parametrize(("arguments", "message"), [
    (["model.safetensors", "--at", "block1.step9.coupling"], "Nearest are block1.step0.coupling"),
    (["model.safetensors", "--at", "latents", "--pixel", "8,0"], "rows 0 to 7 and columns 0 to 3"),
    (["model.safetensors", "--pixel", "3,2"], "--at or --html"),
    (["fresh.safetensors"], "a trace was asked for before"),
    (["--pixel", "3"], "two whole numbers, such as 16,20; got '3'"),
    (["--pixel", "a,b"], "got 'a,b'"), (["--direction", "backward"], "got 'backward'"),
    (["--fit", "stretch"], "'crop' or 'resize'; got 'stretch'"),
    (["absent"], "There is no model absent. Give small or default, the folder of a training run"),
    (["right.png"], "right.png is a picture, and the model comes before it: refglow explain small"),
    (["--html", "no/folder/page.html"], "no/folder/page.html"),
    (["--html", "-"], "must be a file"),
    (["--html", "same", "--json", "same"], "same file")])
def test_requests_that_cannot_be_met(explained, arguments, message):
    code, out, err = explained(*arguments)
    assert code == 2 and out == ""
    assert message in re.sub(r"[\s\u2502]+", " ", err)


def test_a_singular_matrix_is_named(files, explained):
    arrays = load_file(files / "model.safetensors")
    with safe_open(files / "model.safetensors", "numpy") as opened:
        metadata = opened.metadata()
    for number in (0, np.nan):
        arrays["block1.step0.conv.lower_upper"][2, 2] = number
        save_file(arrays, files / "singular.safetensors", metadata)
        assert_refused(explained("singular.safetensors"), "at channel 2", "It is block1.step0.conv")


def test_the_page_is_written_though_nobody_reads_on(explained, files, monkeypatch):
    """As with `refglow explain --html page.html | head`."""
    def broken(*arguments, **options):
        raise BrokenPipeError
    monkeypatch.setattr("refglow.cli.explain.say", broken)
    explained("model.safetensors", "--no-conditions", "--html", "cut.html", "--json", "cut.json")
    assert (files / "cut.html").exists() and (files / "cut.json").exists()


def test_lines_stay_as_far_in_as_they_begin(explained, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    _, out, _ = explained("model.safetensors", "--at", "block1.step0.coupling", "--no-conditions")
    lines = out[out.index("  shape"):].splitlines()
    assert any(line.startswith("    ") for line in lines)
    assert not any(re.match(r"channels? |exited|pixels", line) for line in lines)


def test_weights_that_do_not_fit(files, explained):
    arrays = load_file(files / "model.safetensors")
    with safe_open(files / "model.safetensors", "numpy") as opened:
        metadata = opened.metadata()
    for name, change in (("shape", lambda a: a[:-1]), ("type", lambda a: a.astype(np.float64)),
                         ("absent", None)):
        changed = dict(arrays)
        key = "block1.step0.actnorm.shift"
        if change is None:
            del changed[key]
        else:
            changed[key] = change(changed[key])
        save_file(changed, files / f"{name}.safetensors", metadata)
        assert_refused(explained(f"{name}.safetensors"), f"{name}.safetensors", key)
    save_file(arrays, files / "plain.safetensors")
    assert_refused(explained("plain.safetensors"), "plain.safetensors")
