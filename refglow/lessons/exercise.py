"""An exercise of a lesson: the task, what tells right from wrong, and a worked solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class WrongAnswerError(Exception):
    """What an answer got wrong: raised by the judge of an exercise, in words for the learner."""


@dataclass(frozen=True)
class Verdict:
    """What was found out about an answer: right or not, and why, in words."""

    right: bool
    message: str

    def __str__(self) -> str:
        return f"{'Right.' if self.right else 'Not yet.'} {self.message}"

    __repr__ = __str__


@dataclass(frozen=True)
class Exercise:
    """A task with a judge.

    Attributes:
        task: What to write, with the arguments it is given and what it is to return.
        judge: Calls the answer on cases of its own; raises `WrongAnswerError` at the first that is
            wrong, and returns what the answer has shown, in words.
        solution: An answer that is right, written to be read.
    """

    task: str
    judge: Callable[[Callable[..., Any]], str]
    solution: Callable[..., Any]

    def check(self, answer: Callable[..., Any]) -> Verdict:
        """Whether an answer is right, and if it is not, what is wrong.

        Args:
            answer: The learner's function. What it raises makes it wrong, and is told.

        Returns:
            The verdict, which prints as one or two sentences.
        """
        if not callable(answer):
            return Verdict(False, f"A function was asked for; this is {type(answer).__name__}.")
        try:
            return Verdict(True, self.judge(answer))
        except WrongAnswerError as wrong:
            return Verdict(False, str(wrong))
        # Whatever a learner's code raises is an answer that is wrong, not a fault of the lesson.
        except Exception as error:
            return Verdict(False, f"It stopped with {type(error).__name__}: {error}")
