"""`refglow validate --implementation`: strangers' code crashes, hangs and prints, and is judged."""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import refglow as rg
from refglow.cli.main import app
from refglow.training.model import affine_network
from refglow.validation.implementations.calls import CallFailedError
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.implementations.process import ProcessCalls
from refglow.validation.implementations.source import source_of
from refglow.validation.random_models import randomize_weights
from refglow.validation.report import report_schema

NUMPY_GLOW = Path(__file__).parents[1] / "validation" / "numpy_glow.py"
LIMIT = 5.0  # seconds, where something hangs; what else is called there takes a hundredth


def small_glow():
    rng = np.random.default_rng(3)
    glow = rg.bijectors.Glow((4, 8, 2), 2, 2, affine_network(6), seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, 0.4)
    return glow


@pytest.fixture
def judged(tmp_path):
    """Run the command on a file with that code; the right implementation is `NumpyGlow` in it."""
    model = tmp_path / "model.safetensors"
    rg.save(model, small_glow())

    def run(code, *arguments, name="build", limit=60.0):
        path = tmp_path / "mine.py"
        path.write_text("import sys\nsys.path.insert(0, " + repr(str(NUMPY_GLOW.parent)) + ")\n"
                        "from numpy_glow import NumpyGlow\n" + textwrap.dedent(code))
        report = tmp_path / "report.json"
        done = CliRunner().invoke(app, [
            "validate", "--implementation", f"{path}:{name}", "--model", str(model),
            "--time-limit", str(limit), "--json", str(report), *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        found = json.loads(report.read_text())
        Draft202012Validator(report_schema()).validate(found)
        return done.exit_code, found["conformance"], done.output
    return run


def reasons(found):
    return {call["offering"]: call["reason"] for call in found["failed"]}


def test_a_right_implementation_passes_in_both_number_types(judged):
    code, found, output = judged("build = NumpyGlow")
    assert code == 0 and "All agree" in output and list(found) == ["float64", "float32"]
    for one in found.values():
        assert one["passed"] and one["absent"] == ["gradients"]
        assert {row["prop"] for row in one["rows"]} >= {"inverse", "forward", "log_prob"}
    assert "gradients" in re.search(r"not offered(.*)", output)[1]
    assert max(map(len, output.splitlines())) <= 80
    assert re.search(r"Digits that the weights allow in float32: 6\.\d for the latents", output)


BAD = '''
    import ctypes, os, time

    class Bad(NumpyGlow):
        def forward(self, z):
            print("about to abort", flush=True)
            os.abort()

        def forward_log_det_jacobian(self, z):
            sys.stdout.write("x" * 1_000_000 + "\\nlast \\x1b[31mwords")
            raise ValueError("no \\x1b]0;title\\x07 determinant")

        def forward_and_log_det(self, z):
            raise MemoryError

        def log_prob(self, x):
            print("waiting")
            time.sleep(60)

        def bits_per_dim(self, x):
            print("leaving")
            os._exit(3)

        def initialize(self, x):
            return {"block0.step0.actnorm.shift": input()}

        def gradients(self, x):
            return None
    '''


def test_each_call_that_fails_is_a_row_and_the_rest_is_compared(judged):
    started = time.monotonic()
    code, found, output = judged(BAD, "--dtype", "float64", name="Bad", limit=LIMIT)
    one, told = found["float64"], reasons(found["float64"])
    printed = {call["offering"]: call["output"] for call in one["failed"]}
    assert code == 1 and time.monotonic() - started < 50
    assert "ended its process (killed by SIGABRT)" in told["forward"]
    assert printed["forward"] == "about to abort"
    assert "raised ValueError: no ?]0;title? determinant (mine.py" in told[
        "forward_log_det_jacobian"]
    assert "ValueError: no" in printed["forward_log_det_jacobian"]
    assert "raised MemoryError" in told["forward_and_log_det"]
    assert f"took longer than the time limit of {LIMIT:g} s" in told["log_prob"]
    assert printed["log_prob"] == "waiting"
    assert "ended its process (exit code 3)" in told["bits_per_dim"]
    assert printed["bits_per_dim"] == "leaving"
    assert "raised EOFError" in told["initialize"] and "returned None" in told["gradients"]
    assert printed["gradients"] == ""  # it printed nothing, and refglow's own lines are not its
    compared = {row["bijector"] for row in one["rows"]}
    assert compared == {"inverse", "inverse_log_det_jacobian", "inverse_and_log_det", "layers",
                        "layers, each alone", "own"}
    assert all(row["passed"] for row in one["rows"])
    assert "\x1b" not in output and output.count("FAIL") >= 7


@pytest.mark.parametrize(("code", "reason"), [
    ("import no_such_module_anywhere", "importing it: raised ModuleNotFoundError: No module named"),
    ("build = = 3", "importing it: raised SyntaxError"),
    ("raise SystemExit('not for import')", "importing it: raised SystemExit: not for import"),
    ("import time; time.sleep(60)", "importing it: took longer than the time limit"),
    ("def build(architecture): return 1", "building it: raised TypeError"),
    ("import os\ndef build(a, p): os._exit(0)", "building it: ended its process (exit code 0)"),
    ("build = lambda a, p: None", "it offers none of: inverse")])
def test_what_cannot_be_imported_or_built_is_one_failure(judged, code, reason):
    exit_code, found, output = judged(code, "--dtype", "float32", limit=LIMIT)
    assert exit_code == 1 and reasons(found["float32"])["build"].startswith(reason)
    assert "FAIL" in output and found["float32"]["rows"] == []


def test_a_name_that_is_not_there_is_said_with_those_that_are(judged):
    with pytest.raises(ValueError, match=r"mine\.py has no Glow; it has: .*NumpyGlow, mine"):
        judged("mine = NumpyGlow", name="Glow")


@pytest.mark.parametrize(("text", "says"), [
    ("none.py:build", "There is no file none.py"), ("mine.py", "FILE.py:NAME or module:NAME"),
    ("mine.py:a b", "FILE.py:NAME or module:NAME"), ("a b:build", "neither a file")])
def test_what_names_no_implementation_is_refused(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        source_of(text)


@pytest.mark.parametrize("arguments", [
    ("--images", "2"), ("--model", "m"), ("--time-limit", "1"), ("--dtype", "both"),
    ("--implementation", "a:b", "--live", "tfp"), ("--implementation", "a:b", "--only", "Exp"),
    ("--implementation", "a:b", "--dtype", "float16"),
    ("--implementation", "a:b", "--configs", "1")])
def test_options_that_do_not_go_together(arguments):
    done = CliRunner().invoke(app, ["validate", *arguments])
    assert done.exit_code == 2 and "Invalid value" in done.output


def require_ended(pid):
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    os.kill(pid, 9)
    pytest.fail("what was to end still runs")


def test_a_module_of_the_working_directory_and_what_it_starts_is_ended(tmp_path, monkeypatch):
    (tmp_path / "random.py").write_text("raise ImportError('not the standard library')\n")
    (tmp_path / "mine.py").write_text(textwrap.dedent(f'''
        import subprocess, time
        class Impl:
            @staticmethod
            def inverse(x):
                started = subprocess.Popen(
                    [{sys.executable!r}, "-c", "import time; time.sleep(99)"])
                open("started", "w").write(str(started.pid))
                time.sleep(99)
            @staticmethod
            def log_prob(x):
                return x.sum(axis=(1, 2, 3))
        '''))
    monkeypatch.chdir(tmp_path)
    glow = small_glow()
    x = np.ones((2, 4, 8, 2))
    with ProcessCalls(source_of("mine:Impl"), architecture_of(glow), parameters_of(glow),
                      LIMIT) as calls:
        assert calls.offered() == ("inverse", "log_prob")
        with pytest.raises(CallFailedError, match="time limit"):
            calls.call("inverse", x)
        assert calls.call("log_prob", x).arrays["log_prob"].tolist() == [64.0, 64.0]
    pid = int((tmp_path / "started").read_text())
    require_ended(pid)


def test_what_started_it_is_killed_and_a_call_that_hangs_ends(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os, time\n"
        "class Impl:\n"
        "    @staticmethod\n"
        "    def inverse(x):\n"
        f"        open({str(tmp_path / 'started')!r}, 'w').write(str(os.getpid()))\n"
        "        while True: time.sleep(0.01)\n")
    starter = subprocess.Popen([sys.executable, "-c", textwrap.dedent(f"""
        import numpy as np
        from refglow.validation.implementations.process import ProcessCalls
        from refglow.validation.implementations.source import source_of
        source = source_of({str(tmp_path / 'mine.py')!r} + ":Impl")
        with ProcessCalls(source, {{}}, {{}}, 99) as calls:
            calls.call("inverse", np.ones((1, 2, 2, 1)))
        """)])
    for _ in range(600):
        if (tmp_path / "started").exists() and (tmp_path / "started").read_text():
            break
        time.sleep(0.05)
    starter.kill()
    starter.wait()
    require_ended(int((tmp_path / "started").read_text()))
