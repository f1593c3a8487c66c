"""The pictures of a run: what is in the files, pixel by pixel where that can be said."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from refglow.training.pictures import brightness, running_median, save_grid, save_loss_curve


def read(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image)


@pytest.mark.parametrize(("shape", "columns", "expected_columns"), [
    ((6, 5, 8, 3), 3, 3), ((5, 8, 8, 1), None, 3), ((1, 4, 3, 1), None, 1),
    ((7, 16, 16, 3), 20, 7), ((12, 8, 32, 3), None, 2), ((3, 500, 210, 3), None, 3)])
def test_a_grid_holds_every_image_magnified(tmp_path, shape, columns, expected_columns):
    number, height, width, channels = shape
    images = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)  # 255 is the margin
    save_grid(tmp_path / "grid.png", images, columns)
    assert os.listdir(tmp_path) == ["grid.png"]
    grid = read(tmp_path / "grid.png")
    assert grid.shape[2:] == (() if channels == 1 else (3,))
    grid = grid.reshape(*grid.shape[:2], channels)
    factor = (grid.shape[1] - 2 * (expected_columns + 1)) // (expected_columns * width)
    rows = -(-number // expected_columns)
    assert grid.shape[0] == rows * (height * factor + 2) + 2
    assert grid.shape[1] == expected_columns * (width * factor + 2) + 2
    assert 400 <= grid.shape[1] < 400 + expected_columns * width or factor == 1
    for row in range(rows):
        for column in range(expected_columns):
            top, left = 2 + row * (height * factor + 2), 2 + column * (width * factor + 2)
            place = grid[top:top + height * factor, left:left + width * factor]
            index = row * expected_columns + column
            if index < number:
                for i in (0, factor - 1):  # the corners of each magnified pixel
                    assert np.array_equal(place[i::factor, i::factor], images[index])
            else:
                assert (place == 255).all()
    covered = (grid < 255).all(-1).sum()
    assert covered == number * height * width * factor**2  # and nothing anywhere else


@pytest.mark.parametrize(("images", "message"), [
    (np.zeros((0, 4, 4, 3), np.uint8), r"got uint8 of shape \[0, 4, 4, 3\]"),
    (np.zeros((2, 4, 4, 3)), "got float64"), (np.zeros((2, 4, 4, 2), np.uint8), r"4, 4, 2\]"),
    (np.zeros((4, 4, 3), np.uint8), r"shape \[4, 4, 3\]")])
def test_what_is_no_stack_of_images_is_refused(tmp_path, images, message):
    with pytest.raises(ValueError, match=message):
        save_grid(tmp_path / "grid.png", images)
    assert not os.listdir(tmp_path)


def test_a_grid_needs_a_column_and_a_place(tmp_path):
    images = np.zeros((1, 4, 4, 1), np.uint8)
    with pytest.raises(ValueError, match="at least 1 column; got 0"):
        save_grid(tmp_path / "grid.png", images, columns=0)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_grid(tmp_path / "nowhere" / "grid.png", images)


def test_brightness():
    assert brightness(np.array([0, 1, 8, 16, 17]), 16).tolist() == [0, 16, 128, 255, 255]
    assert np.array_equal(brightness(np.arange(256, dtype=np.uint8), 255), np.arange(256))
    assert brightness(np.arange(32), 31)[[0, 31]].tolist() == [0, 255]


def test_running_median_of_a_short_run_by_hand():
    steps = np.arange(10.0, 80, 10)
    values = np.array([5, 1, np.nan, 7, 3, np.inf, 4])
    at, median = running_median(steps, values)
    assert at.tolist() == steps.tolist()
    assert median.tolist() == [3, 5, 4, 3, 4, 4, 3.5]  # two on either side, finite ones only
    assert np.isnan(running_median(steps[:1], np.array([np.nan]))[1]).all()


def test_running_median_of_a_long_run_is_short_and_true():
    values = np.random.default_rng(0).standard_normal(5000)
    at, median = running_median(np.arange(5000), values)
    assert len(at) == 400 and at[0] == 0 and at[-1] == 4999
    i = at[200]
    assert median[200] == np.sort(values[i - 50:i + 51])[50]


def curve(path, num_steps=300, num_test=6, peak=0.0, **replaced):
    steps = np.arange(1, num_steps + 1)
    bpd = 3 + np.exp(-steps / 50) + peak * np.exp(-steps / 2)
    test_steps = np.linspace(1, num_steps, num_test).round()
    series = dict(steps=steps, losses=(bpd - 8) * 192 * np.log(2), bits_per_dim=bpd,
                  test_steps=test_steps, test_bpd=np.full(num_test, 3.4567)) | replaced
    save_loss_curve(path, **series)


@pytest.fixture
def drawn(monkeypatch):
    """The figures as matplotlib had them when it wrote them."""
    from matplotlib.figure import Figure
    figures = []
    original = Figure.savefig

    def savefig(self, *arguments, **options):
        figures.append(self)
        return original(self, *arguments, **options)
    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def test_a_loss_curve_shows_every_series_with_units(tmp_path, drawn):
    curve(tmp_path / "loss.png")
    assert os.listdir(tmp_path) == ["loss.png"]
    assert read(tmp_path / "loss.png").shape[0] > 500
    upper, lower = drawn[0].axes
    assert upper.get_ylabel() == "bits per dimension"
    assert lower.get_ylabel() == "loss (nats per image)"
    assert lower.get_xlabel() == "training step"
    assert [axes.get_yscale() for axes in (upper, lower)] == ["linear", "linear"]
    batches, median, test = upper.get_lines()
    expected = 3 + np.exp(-np.arange(1, 301) / 50)
    np.testing.assert_allclose(batches.get_ydata(), expected)
    assert batches.get_alpha() < 0.5 < (median.get_alpha() or 1)
    assert test.get_ydata().tolist() == [3.4567] * 6 and test.get_linestyle() == "None"
    np.testing.assert_allclose(lower.get_lines()[0].get_ydata(), (expected - 8) * 192 * np.log(2))
    assert [text.get_text() for text in upper.texts] == ["3.457"] * 6


def test_the_first_peak_is_left_out_and_named(tmp_path, drawn):
    curve(tmp_path / "loss.png", peak=40)
    upper, _ = drawn[0].axes
    bottom, top = upper.get_ylim()
    assert bottom < 3 and 3.4567 < top < 6
    highest = 3 + np.exp(-1 / 50) + 40 * np.exp(-1 / 2)
    assert f"not shown: up to {highest:.3g} bits/dim, at step 1" in [
        text.get_text() for text in upper.texts]


def test_many_test_dots_have_few_labels_and_the_last_has_one(tmp_path, drawn):
    curve(tmp_path / "loss.png", num_test=41, test_bpd=np.linspace(4, 3, 41))
    labels = [text.get_text() for text in drawn[0].axes[0].texts]
    assert 4 <= len(labels) <= 8 and "3.000" in labels


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_run_that_diverged_is_still_drawn(tmp_path, value):
    bpd = np.where(np.arange(300) < 200, 4.0, value)
    curve(tmp_path / "loss.png", bits_per_dim=bpd, losses=bpd, test_bpd=[4, 4, 4, 4, 4, value])
    curve(tmp_path / "all.png", bits_per_dim=bpd * value, losses=bpd * value, test_steps=[],
          test_bpd=[])
    curve(tmp_path / "one.png", num_steps=1, num_test=0)


def test_series_of_different_lengths_and_none_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one length; got shapes \[300\], \[2\], \[300\]"):
        curve(tmp_path / "loss.png", losses=[1, 2])
    with pytest.raises(ValueError, match="test_steps and test_bpd"):
        curve(tmp_path / "loss.png", test_bpd=[1])
    with pytest.raises(ValueError, match="steps is empty"):
        curve(tmp_path / "loss.png", num_steps=0)


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "loss.png"
    curve(path)
    before = path.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr("refglow.atomic_file.os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        curve(path, peak=3)
    with pytest.raises(KeyboardInterrupt):
        save_grid(path, np.zeros((1, 4, 4, 1), np.uint8))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["loss.png"]


def test_pyplot_and_its_settings_stay_untouched(tmp_path):
    code = ("import sys, refglow.training.pictures as p\n"
            "assert not {'matplotlib', 'PIL'} & sys.modules.keys()\n"
            "p.save_loss_curve(sys.argv[1], [1, 2], [1, 2], [1, 2], [], [])\n"
            "assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "loss.png")], check=True)


def test_missing_packages_are_named_with_how_to_install_them(tmp_path, monkeypatch):
    for name in ("matplotlib.figure", "PIL"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"matplotlib.*pip install \"refglow\[train\]\""):
        curve(tmp_path / "loss.png")
    with pytest.raises(ImportError, match=r"PIL.*pip install \"refglow\[train\]\""):
        save_grid(tmp_path / "grid.png", np.zeros((1, 4, 4, 1), np.uint8))
    assert not os.listdir(tmp_path)
