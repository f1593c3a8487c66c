"""What an exercise says of answers, and how a source is shown."""

import pytest

from refglow.bijectors.expand import expand_forward, expand_inverse
from refglow.bijectors.scale import scale_forward
from refglow.lessons import Exercise, show
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


def test_a_source_is_the_installed_text():
    shown = show(expand_forward, expand_inverse)
    assert str(shown).startswith("# refglow.bijectors.expand\ndef expand_forward(")
    assert "def expand_inverse(" in shown._repr_markdown_()


def test_sources_of_several_modules_are_refused():
    with pytest.raises(ValueError, match=r"got 2 of refglow\.bijectors\.expand, refglow"):
        show(expand_forward, scale_forward)
    with pytest.raises(ValueError, match="none"):
        show()
