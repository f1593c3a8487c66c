"""Every erratum: TFP still departs from its documentation, refglow does as its entry says."""

import inspect
import json
import re

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from refglow.cli.errata import errata
from refglow.validation.errata import ERRATA, Demonstration, Erratum

BY_NAME = pytest.mark.parametrize("erratum", ERRATA, ids=lambda erratum: erratum.identifier)


@BY_NAME
def test_refglow_does_as_stated(erratum):
    shown = erratum.check()
    assert shown.holds is True, shown.observed


@pytest.mark.tfp
@BY_NAME
def test_tfp_still_departs(erratum):
    pytest.importorskip("tensorflow_probability")
    if erratum.identifier == "pad-numpy" and "newshape" in inspect.signature(np.reshape).parameters:
        pytest.skip("this NumPy still takes the argument that TFP's Pad passes")
    shown = erratum.reproduce()
    assert shown.holds is True, shown.observed


def test_identifiers_are_unique_and_plain():
    identifiers = [erratum.identifier for erratum in ERRATA]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in identifiers)


@BY_NAME
def test_texts_are_complete(erratum):
    assert erratum.follows in ("documentation", "code", "neither")
    assert not erratum.title.endswith(".")
    for text in (erratum.documented, erratum.tfp_does, erratum.refglow_does):
        assert text.endswith(".")


def test_the_nine_groups_of_known_departures_are_there():
    identifiers = {erratum.identifier for erratum in ERRATA}
    assert identifiers >= {
        "exit-slice-affine", "exit-slice-silent", "fraction-all-message", "fraction-small-silent",
        "latents-interleaved", "latents-sizes", "default-networks", "use-actnorm-default",
        "fraction-rounding", "blocks-divide", "fraction-all-last", "actnorm-samples",
        "actnorm-constant-channel", "lu-zero-diagonal", "cache-hides-wrong-inverse",
        "cache-gradient-none", "conv-kwargs", "float32-round-trip"}


def _erratum(show):
    text = "Says so."
    return Erratum("made-up", "made up", "nowhere", text, text, text, "code", show, show)


def test_a_demonstration_that_fails_does_not_hold():
    def fail():
        raise RuntimeError("no such method")

    for shown in (_erratum(fail).check(), _erratum(fail).reproduce()):
        assert shown == Demonstration("the demonstration failed: RuntimeError: no such method",
                                      False)


def test_a_missing_library_is_not_mistaken_for_a_result():
    def fail():
        raise ImportError("install it")

    with pytest.raises(ImportError, match="install it"):
        _erratum(fail).reproduce()


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(errata)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def two_errata(monkeypatch):
    """The command on two entries only: one that holds, one whose sides are given."""
    def use(ours, theirs):
        entries = (_erratum(lambda: Demonstration("fine", True)),
                   Erratum("other", "other", "nowhere", "A.", "B.", "C.", "neither",
                           lambda: Demonstration("theirs", theirs),
                           lambda: Demonstration("ours", ours)))
        monkeypatch.setattr("refglow.validation.errata.ERRATA", entries)
    return use


def test_command_lists_every_entry(run, two_errata):
    two_errata(True, False)
    result = run()
    assert result.exit_code == 0
    assert "made-up" in result.stdout
    assert "other" in result.stdout
    assert "2 errata; refglow does as stated in 2" in result.stdout


def test_command_fails_if_refglow_does_not_do_as_stated(run, two_errata):
    two_errata(False, True)
    result = run()
    assert result.exit_code == 1
    assert "other, refglow: ours" in result.stdout


@pytest.mark.tfp
@pytest.mark.parametrize(("theirs", "code"), [(True, 0), (False, 1)])
def test_live_command_fails_if_tfp_no_longer_departs(run, two_errata, theirs, code):
    pytest.importorskip("tensorflow_probability")
    two_errata(True, theirs)
    result = run("--live")
    assert result.exit_code == code
    assert "reproduced with TFP 0." in result.stdout
    assert ("other, tfp: theirs" in result.stdout) == (code == 1)


@pytest.mark.parametrize("target", ["file", "-"])
def test_command_writes_json(run, two_errata, target, tmp_path):
    two_errata(True, True)
    path = tmp_path / "errata.json"
    result = run("--json", "-" if target == "-" else str(path))
    report = json.loads(result.stdout if target == "-" else path.read_text(encoding="utf-8"))
    assert result.exit_code == 0
    assert report["passed"] is True
    assert report["tensorflow_probability"] is None
    assert [entry["identifier"] for entry in report["entries"]] == ["made-up", "other"]
    assert report["entries"][1]["refglow_observed"] == "ours"
    assert report["entries"][1]["tfp_holds"] is None
