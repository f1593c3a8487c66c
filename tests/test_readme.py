"""The README's example runs as it stands."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_first_example_runs_and_gives_what_its_comments_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example, *_) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["images"].shape == (4, 32, 32, 3)
    assert names["images"].dtype == "float32"
    assert names["log_p"].shape == (4,)
    assert [names[f"z_{scale}"].shape for scale in ("coarse", "middle", "fine")] == [
        (4, 4, 4, 48), (4, 8, 8, 12), (4, 16, 16, 6)]
    assert names["exact"].dtype == "float64"


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_into_the_repository_lead_somewhere(path):
    assert (Path(__file__).parents[1] / path).exists()
