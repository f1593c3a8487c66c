"""The examples of the README and the guide run as they stand, and their commands can be given."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from strict_cupy import strict_gpu
from typer.main import get_command

import refglow as rg
from refglow.bijectors import coupling
from refglow.cli.main import app
from refglow.kernels.cuda.stand_ins import InterpretedDevice
from refglow.validation.cases import small_network
from refglow.validation.random_models import randomize_weights

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
TEXTS = [page.read_text(encoding="utf-8") for page in PAGES]
BLOCKS = r"```(?:sh|\{code-cell\} ipython3\n%%shell[^\n]*)\n(.*?)```"
COMMANDS = sorted({
    line for page in [*PAGES, ROOT / "docs/index.md", *(ROOT / "docs/howto").glob("*.md")]
    for block in re.findall(BLOCKS, page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for line in block.splitlines() if line.startswith("refglow ")})


def example_with(words):
    """The one Python example of the README and the guide that holds these words."""
    (example,) = (text for page in TEXTS for text in re.findall(r"```python\n(.*?)```", page,
                                                               flags=re.DOTALL) if words in text)
    return example


def test_the_first_example_runs_and_gives_what_its_comments_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(example_with("glow.initialize(x)"), "README.md", "exec"), names)
    assert names["images"].shape == (4, 32, 32, 3)
    assert names["images"].dtype == "float32"
    assert names["log_p"].shape == (4,)
    assert [names[f"z_{scale}"].shape for scale in ("coarse", "middle", "fine")] == [
        (4, 4, 4, 48), (4, 8, 8, 12), (4, 16, 16, 6)]
    assert names["exact"].dtype == "float64"


def test_the_example_of_derivatives_runs():
    example = example_with("inverse_jvp")
    tfb, tfd = rg.bijectors, rg.distributions
    glow = tfb.Glow((4, 8, 2), 2, 1, seed=0, coupling_bijector_fn=small_network, dtype=np.float64)
    rng = np.random.default_rng(0)
    randomize_weights(glow, rng, gain=0.3)
    names: dict = {
        "glow": glow, "px": glow(tfd.Sample(tfd.Normal(np.float64(0), np.float64(1)), [64])),
        "x": rng.standard_normal((3, 4, 8, 2)), "x_dot": rng.standard_normal((3, 4, 8, 2)),
        "z_bar": rng.standard_normal((3, 64)), "ildj_bar": rng.standard_normal(3),
        "param_dots": {"block0.step0.actnorm.shift": rng.standard_normal(16)}}
    exec(compile(example, "README.md", "exec"), names)
    assert names["x_bar"].shape == names["x"].shape
    trainable = {variable.name for variable in glow.trainable_variables}
    assert names["param_bars"].keys() == {f"bijector.{name}" for name in trainable}
    pulled = np.vdot(names["z_bar"], names["z_dot"]) + names["ildj_bar"] @ names["ildj_dot"]
    assert np.isfinite(pulled)


def test_the_example_on_a_gpu_runs_on_what_stands_in_for_one():
    example = example_with("import cupy")
    glow = rg.bijectors.Glow((4, 8, 1), 1, 1, seed=0, coupling_bijector_fn=small_network)
    randomize_weights(glow, np.random.default_rng(0), gain=0.3)
    base = rg.distributions.Sample(rg.distributions.Normal(np.float32(0), np.float32(1)), [32])
    x = np.random.default_rng(1).standard_normal((2, 4, 8, 1)).astype(np.float32)
    names: dict = {"rg": rg, "px": glow(base), "x": x}
    with strict_gpu(InterpretedDevice(checks=False)) as cupy:
        exec(compile(example, "README.md", "exec"), names)
        found = [names["log_p"], names["images"], *names["param_bars"].values()]
        assert {type(value) for value in found} == {cupy.ndarray}
    assert names["images"].shape == (4, 4, 8, 1) and len(names["param_bars"]) == len(
        glow.trainable_variables)


def test_the_example_of_certified_values_runs():
    example = example_with("certified(")
    rng = np.random.default_rng(0)
    names: dict = {"x": rng.standard_normal((1, 2, 12)), "output": rng.standard_normal((1, 2, 12)),
                   "sigmoid_coupling_forward": coupling.sigmoid_coupling_forward}
    exec(compile(example, "README.md", "exec"), names)
    expected, _ = coupling.sigmoid_coupling_forward(names["x"], names["output"], 6)
    np.testing.assert_array_max_ulp(names["found"].values["y"]["float64"], expected, 8)


def test_the_example_of_a_trace_runs(capsys):
    glow = rg.bijectors.Glow((4, 8, 2), 2, 1, seed=0, coupling_bijector_fn=small_network)
    rng = np.random.default_rng(0)
    randomize_weights(glow, rng, gain=0.3)
    x = rng.standard_normal((3, 4, 8, 2)).astype(np.float32)
    example = compile(example_with("rg.trace("), "explaining.md", "exec")
    exec(example, {"rg": rg, "glow": glow, "x": x})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == list(rg.trace(glow, x, conditions=False).names)


def test_the_example_of_an_interpreted_kernel_finds_its_error(tmp_path):
    example = example_with("examine")
    (tmp_path / "example.py").write_text(example)  # Numba reads a kernel's source from its file
    names: dict = {"np": np}
    exec(compile(example, str(tmp_path / "example.py"), "exec"), names)
    found = names["found"]
    assert (found.block, found.thread) == ((3, 0, 0), (8, 0, 0))
    assert f"# {found.sentence}" in example


@pytest.mark.parametrize(("page", "path"), [
    (page, path) for page, text in zip(PAGES, TEXTS, strict=True)
    for path in re.findall(r"\]\(([^)#:]+)\)", text)], ids=lambda value: Path(value).name)
def test_links_into_the_repository_lead_somewhere(page, path):
    assert (page.parent / path).exists()


def test_commands_have_the_arguments_that_they_are_given():
    assert len(COMMANDS) > 30
    for line in COMMANDS:
        command, (_, *arguments) = get_command(app), shlex.split(line, comments=True)
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        assert command.make_context(command.name, arguments), line  # which raises if it cannot
