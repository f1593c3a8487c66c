"""The puzzles' pictures show who touched what, as it was recorded."""

import sys

import matplotlib
import pytest
from matplotlib import pyplot
from numba import cuda, float32

from refglow.lessons.puzzles import CHANNEL_SHIFT, LOG_DET, SHIFT_BAR, SQUEEZE, TRANSPOSE
from refglow.lessons.puzzles.picture import bank_passes, reads_and_writes, requests


@pytest.fixture(autouse=True)
def _without_a_window():
    matplotlib.use("Agg")
    yield
    pyplot.close("all")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_cells_name_their_threads():
    figure = reads_and_writes(CHANNEL_SHIFT.record())
    x, m, y = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "x [5 x 3], read", "m [3], read", "y [5 x 3], written"]
    assert texts(x) == texts(y) == [f"{p // 2}:{p % 2 * 4 + c}" for p in range(5)
                                    for c in range(3)]
    assert texts(m) == ["5 x"] * 3


def test_a_squeeze_reads_out_of_order():
    image, squeezed = reads_and_writes(SQUEEZE.record()).axes
    assert texts(squeezed) == [f"{i // 8}:{i % 8}" for i in range(24)]
    # Channel 0 of pixels (0, 0), (0, 1), (1, 0), (1, 1) go to thread 0, 1, 2, 3.
    assert [texts(image)[place] for place in (0, 2, 12, 14)] == ["0:0", "0:1", "0:2", "0:3"]


def test_atomics_have_a_panel_of_their_own():
    titles = [axes.get_title(loc="left") for axes in reads_and_writes(SHIFT_BAR.record()).axes]
    assert titles[-1] == "m_bar [2], added to"


def test_requests_and_their_sectors():
    read, written = requests(LOG_DET.record()).axes
    assert texts(read) == ["32", "8", "24", "16"]  # 40 bytes from 0 on, and from 40 on
    assert texts(written) == ["4", "4"]


def conflicting(x, y):
    tile = cuda.shared.array((32, 32), float32)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    tile[row, column] = x[row, column]
    cuda.syncthreads()
    y[row, column] = tile[column, row]


def test_banks():
    written, read = bank_passes(TRANSPOSE.record(conflicting)).axes
    assert texts(written) == ["1"] * 128 and texts(read) == ["32"] * 4
    assert texts(bank_passes(TRANSPOSE.record()).axes[1]) == ["1"] * 128


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "refglow\[train\]"'):
        reads_and_writes(LOG_DET.record())
