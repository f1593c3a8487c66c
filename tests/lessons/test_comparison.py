"""What a judge says of numbers that are not right."""

import numpy as np
import pytest

from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import WrongAnswerError

RIGHT = np.array([[1.0, 2.0], [3.0, 4.0]])


def said_of(got, mistakes=None):
    with pytest.raises(WrongAnswerError) as raised:
        require_close("y", got, RIGHT, given="n = 2", mistakes=mistakes)
    return str(raised.value)


def test_rounding_is_not_a_mistake():
    require_close("y", RIGHT * (1 + 1e-12), RIGHT, given="n = 2")
    require_close("y", [[1, 2], [3, 4]], RIGHT, given="n = 2")


@pytest.mark.parametrize(("got", "words"), [
    (RIGHT.T, "With n = 2, y[0, 1] is 3; it should be 2 (2 of 4 numbers differ)."),
    (RIGHT * (1 + 1e-8), "y[0, 0] is 1.00000001; it should be 1 (4 of 4"),
    (RIGHT * np.nan, "y[0, 0] is nan; it should be 1"),
    (RIGHT * [[1, 1], [1, np.inf]], "y[1, 1] is inf"), (RIGHT + 1e-3j, "y[0, 0] is 1+0.001j"),
    (RIGHT[0], "the shape (2,); it should be (2, 2)"), (None, "a `return`"),
    ("four", "an array of numbers; got str"), ([[1], [2, 3]], "an array of numbers; got list"),
])
def test_a_difference_is_told(got, words):
    assert words in said_of(got)


def test_the_mistake_that_explains_it_is_told():
    mistakes = {"Minus.": -RIGHT, "Transposed.": RIGHT.T, "The shape.": RIGHT[:1]}
    assert said_of(RIGHT.T, mistakes).endswith("differ). Transposed.")
    assert said_of(RIGHT[:1], mistakes).endswith("The shape.")
    assert said_of(2 * RIGHT, mistakes).endswith("differ).")


def test_a_number_is_told_without_an_index():
    with pytest.raises(WrongAnswerError, match=r"With s = 2, fldj is 1; it should be 0\.5\.$"):
        require_close("fldj", 1.0, 0.5, given="s = 2")


def test_parts_are_counted():
    assert require_parts("f", [1, 2], ("y", "fldj")) == (1, 2)
    with pytest.raises(WrongAnswerError, match=r"return \(y, fldj\); got 3 parts"):
        require_parts("f", (1, 2, 3), ("y", "fldj"))
    with pytest.raises(WrongAnswerError, match="got ndarray"):
        require_parts("f", RIGHT, ("y", "fldj"))
