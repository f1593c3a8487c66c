"""The lessons as files: what each has, that nothing in it was typed by hand, and that they run.

They run where the site is built, once; here their times are read.
"""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from myst_nb.core.read import read_myst_markdown_notebook

from refglow.lessons import Exercise

FOLDER = Path(__file__).parents[2] / "docs" / "lessons"
FILES = sorted(FOLDER.glob("[0-9]*.md"))
LONGEST_SECONDS = 60
LONGEST_LINE = 90  # of code that is not folded: as many as a page of 1280 pixels has room for
LIBRARIES = {"numpy", "scipy", "matplotlib", "mpmath", "numba", "refglow", *sys.stdlib_module_names}


def cells_of(file, kind="code"):
    cells = read_myst_markdown_notebook(file.read_text()).cells
    return [cell for cell in cells if cell.cell_type == kind]


def code_of(file):
    return "\n".join(cell.source for cell in cells_of(file))


def prose_of(file):
    return "\n\n".join(cell.source for cell in cells_of(file, "markdown"))


def exercises_of(file):
    """The modules whose exercise the lesson sets."""
    found = "^from (refglow[.]lessons[.][a-z_]+) import .*\\bexercise\\b"
    return re.findall(found, code_of(file), re.MULTILINE)


def lessons(test):
    return pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)(test)


def test_lessons_are_numbered_and_listed_in_order():
    assert [int(file.name[:2]) for file in FILES] == list(range(1, len(FILES) + 1))
    listed = re.findall(r"\]\((\d\d_\w+\.md)\)", (FOLDER / "index.md").read_text())
    assert [file.name for file in FILES] == listed[:len(FILES)] and len(listed) == 13


@lessons
def test_each_opens_in_jupyter_too(file):
    """Jupytext makes no notebook without the kernel's name for people."""
    front = yaml.safe_load(file.read_text().split("---\n", 2)[1])
    assert front == {"file_format": "mystnb",
                     "kernelspec": {"name": "python3", "display_name": "Python 3"}}


@lessons
def test_each_asks_a_question_and_says_what_to_see(file):
    prose = prose_of(file)
    assert len(re.findall("^# ", prose, re.MULTILINE)) == 1
    question = re.search(r"\*\*The question\.\*\*(.*?)\n\n", prose, re.DOTALL)
    assert question and "?" in question[1]
    assert "**What to see.**" in prose
    assert re.search(r"^## Where you are\n", prose, re.MULTILINE)


@lessons
def test_no_output_and_no_source_is_typed(file):
    """What is fenced in the text is a directive: what is shown is made."""
    for token in MarkdownIt().parse(prose_of(file)):
        assert token.type != "code_block", token.content
        assert token.type != "fence" or token.info.startswith("{"), token.content
    assert re.search(r"\bshow\((?!exercise)", code_of(file))


@lessons
def test_cells_are_plain_code_of_known_libraries(file):
    for cell in cells_of(file):
        nodes = list(ast.walk(ast.parse(cell.source)))
        names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
        names += [n.module for n in nodes if isinstance(n, ast.ImportFrom)]
        assert {name.split(".")[0] for name in names} <= LIBRARIES
        if "hide-input" not in cell.metadata.get("tags", []):
            long = [line for line in cell.source.splitlines() if len(line) > LONGEST_LINE]
            assert not long, long


@lessons
def test_each_draws_with_a_description_for_those_who_do_not_see(file):
    drawing = [cell for cell in cells_of(file) if "plt.show()" in cell.source]
    assert drawing
    for cell in drawing:
        assert len(cell.metadata["mystnb"]["image"]["alt"]) > 80


@lessons
def test_each_sets_an_exercise_and_solves_it(file):
    (module,) = exercises_of(file)
    assert code_of(file).count("exercise.check(exercise.solution)") == 1
    folded = [cell for cell in cells_of(file) if "show(exercise.solution" in cell.source]
    assert [cell.metadata["tags"] for cell in folded] == [["hide-output"]]
    exercise = importlib.import_module(module).exercise
    assert isinstance(exercise, Exercise)
    answers = importlib.import_module(f"answers_to_{module.rsplit('.', 1)[1]}")
    assert answers.exercise is exercise
    assert exercise.solution in answers.RIGHT_ANSWERS and len(answers.RIGHT_ANSWERS) >= 2
    assert len(answers.WRONG_ANSWERS) >= 2


@pytest.mark.slow
def test_they_run_from_a_clean_start_without_a_warning(built_site):
    assert not built_site.said
    seconds = [built_site.notebook_seconds[f"lessons/{file.stem}"] for file in FILES]
    assert max(seconds) < LONGEST_SECONDS
