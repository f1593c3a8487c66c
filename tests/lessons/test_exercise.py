"""What an exercise says of answers, and how a source is shown."""

import numpy as np
import pytest

from refglow.bijectors.expand import expand_forward, expand_inverse
from refglow.bijectors.scale import scale_forward
from refglow.lessons import Exercise, Verdict, show
from refglow.lessons.exercise import WrongAnswerError


def judge(answer):
    if answer(3) != 9:
        raise WrongAnswerError(f"3 squared is 9; got {answer(3)}.")
    return "3 squared is 9."


SQUARE = Exercise("Write square(x).", judge, lambda x: x * x)


def test_an_answer_is_right_or_told_what_is_wrong():
    assert SQUARE.check(SQUARE.solution).right
    assert str(SQUARE.check(lambda x: 2 * x)) == "Not yet. 3 squared is 9; got 6."
    assert not SQUARE.check(9).right


def test_what_an_answer_raises_is_told():
    verdict = SQUARE.check(lambda x: 1 / 0)
    assert not verdict.right and "ZeroDivisionError" in verdict.message


def test_numpys_warnings_do_not_judge():
    assert SQUARE.check(lambda x: np.divide(x, 0.0) and x * x).right


def test_a_notebook_shows_task_and_verdict_as_paragraphs():
    assert "<strong>Exercise.</strong> Write square(x)." in SQUARE._repr_html_()
    assert "<strong>Right.</strong>" in SQUARE.check(SQUARE.solution)._repr_html_()
    shown = Verdict(False, "A `return` of x < 0?")._repr_html_()
    code = '<code class="docutils literal">return</code>'
    assert f"<strong>Not yet.</strong> A {code} of x &lt; 0?" in shown


def test_a_notebook_keeps_the_lines_of_code_in_a_task():
    task = "Write f, given\n\n    a    one\n    b    <two>\n\nand return `c`."
    shown = Exercise(task, judge, lambda x: x)._repr_html_()
    assert ">a    one\nb    &lt;two&gt;</pre><p>and return " in shown


def test_a_method_is_shown_from_the_left_edge():
    assert "\ndef check(self" in str(show(Exercise.check))


def test_a_source_is_the_installed_text():
    shown = show(expand_forward, expand_inverse)
    assert str(shown).startswith("# refglow.bijectors.expand\ndef expand_forward(")
    assert "def expand_inverse(" in shown._repr_markdown_()


def test_sources_of_several_modules_are_refused():
    with pytest.raises(ValueError, match=r"got 2 of refglow\.bijectors\.expand, refglow"):
        show(expand_forward, scale_forward)
    with pytest.raises(ValueError, match="none"):
        show()
