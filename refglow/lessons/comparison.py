"""How the judges of exercises compare an answer with what is right, and say what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.lessons.exercise import WrongAnswerError
from refglow.validation.tolerances import ANSWER_OF_AN_EXERCISE


def require_close(what: str, got: Any, expected: Any, *, given: str,
                  mistakes: Mapping[str, Any] | None = None) -> None:
    """Nothing, if an answer is right.

    Args:
        what: What is compared, as the task names it.
        got: What the answer returned.
        expected: What is right, real.
        given: For which arguments, in words.
        mistakes: What a typical mistake would have returned, by the sentence that names it.

    Raises:
        WrongAnswerError: It has another shape or other values; the first that differs is told, and
            the mistake that explains all of them, if one does.
    """
    found = as_array(what, got)
    differs = difference(what, found, np.asarray(expected))
    if differs is None:
        return
    explanations = [words for words, value in (mistakes or {}).items()
                    if difference(what, found, np.asarray(value)) is None]
    raise WrongAnswerError(" ".join([f"With {given}, {differs}", *explanations[:1]]))


def difference(what: str, found: Array, right: Array,
               relative: float = ANSWER_OF_AN_EXERCISE) -> str | None:
    """The first number that is off by more than rounding, in a sentence; None if there is none.

    Args:
        what: What is compared, as the task names it.
        found: What the answer gives.
        right: What is right, real.
        relative: How much is rounding, relative to the largest number of `right`.
    """
    if found.shape != right.shape:
        return f"{what} has the shape {found.shape}; it should be {right.shape}."
    wrong = _wrong(found, right, relative)
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f"{what}[{', '.join(map(str, index))}]" if index else what
    count = f" ({wrong.sum()} of {wrong.size} numbers differ)" if wrong.size > 1 else ""
    is_, should_be = _told_apart(found[index], right[index])
    return f"{place} is {is_}; it should be {should_be}{count}."


def as_array(what: str, got: Any) -> Array:
    """What an answer returned as an array of numbers.

    Args:
        what: What it is, as the task names it.
        got: What the answer returned.

    Raises:
        WrongAnswerError: It is none.
    """
    if got is None:
        raise WrongAnswerError(f"{what} is None: is a `return` missing?")
    try:
        array = np.asarray(got)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        raise WrongAnswerError(f"{what} is to be an array of numbers; got {type(got).__name__}.")
    return array


def require_parts(what: str, got: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    """The parts of a tuple that an answer returned.

    Args:
        what: What returned it, as the task names it.
        got: What it returned.
        names: What each part is.

    Raises:
        WrongAnswerError: It is no tuple or list of that many.
    """
    if not isinstance(got, tuple | list) or len(got) != len(names):
        raise WrongAnswerError(f"{what} is to return ({', '.join(names)}); got "
                               + (f"{len(got)} parts." if isinstance(got, tuple | list)
                                  else f"{type(got).__name__}."))
    return tuple(got)


def _wrong(found: Array, right: Array, relative: float) -> Array:
    """Where they differ by more than rounding. NaN and infinities are equal to themselves."""
    finite = np.isfinite(right)
    limit = relative * np.abs(right[finite]).max(initial=0)
    with np.errstate(invalid="ignore"):
        same = (found == right) | (np.isnan(found) & np.isnan(right))
        return np.asarray(~(same | (finite & (np.abs(found - right) <= limit))))


def _told_apart(found: Any, right: Any) -> tuple[str, str]:
    """Both numbers, with as many digits as show that they differ, and 6 at least."""
    shown = [(f"{found:.{digits}g}", f"{right:.{digits}g}") for digits in (6, 9, 12, 17)]
    return next((pair for pair in shown if pair[0] != pair[1]), shown[-1])
