"""The command `refglow` as a program: what it prints, and how it exits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import refglow

ENTRIES = {"script": [str(Path(sys.executable).with_name("refglow"))],
           "module": [sys.executable, "-m", "refglow"]}


@pytest.fixture(params=ENTRIES)
def command(request, tmp_path):
    def run(*arguments):
        return subprocess.run([*ENTRIES[request.param], *arguments], cwd=tmp_path, text=True,
                              capture_output=True, check=False)
    return run


def test_version(command):
    done = command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{refglow.__version__}\n", "")


def test_help_is_fast_and_names_the_subcommands(command):
    before = os.times()
    done = command("--help")
    after = os.times()
    assert done.returncode == 0
    assert "validate" in done.stdout
    seconds_of_processor = (after.children_user - before.children_user
                            + after.children_system - before.children_system)
    assert seconds_of_processor < 1  # whatever else the machine is doing


@pytest.mark.parametrize("arguments", [["frobnicate"], ["validate", "--frobnicate"],
                                       ["validate", "--configs", "none"]])
def test_wrong_usage_exits_with_2(command, arguments):
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage:" in done.stderr


def test_a_request_that_cannot_be_met_is_one_line_and_exits_with_2(command):
    done = command("validate", "--only", "NoSuchBijector")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("refglow: ")
    assert "NoSuchBijector" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written_is_one_line_and_exits_with_2(command):
    done = command("validate", "--only", "Identity", "--json", "no/such/folder/report.json")
    assert done.returncode == 2
    assert "no/such/folder/report.json" in done.stderr
    assert "Traceback" not in done.stderr
