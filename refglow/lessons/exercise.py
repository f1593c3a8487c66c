"""An exercise of a lesson: the task, what tells right from wrong, and a worked solution."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


class WrongAnswerError(Exception):
    """What an answer got wrong: raised by the judge of an exercise, in words for the learner."""


@dataclass(frozen=True)
class Verdict:
    """What was found out about an answer: whether it is right, and a message that says why."""

    right: bool
    message: str

    def __str__(self) -> str:
        return f"{'Right.' if self.right else 'Not yet.'} {self.message}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _marked(f"{'Right' if self.right else 'Not yet'}.", self.message,
                       "#009E73" if self.right else "#E69F00")


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

    def __str__(self) -> str:
        return f"Exercise. {self.task}"

    def _repr_html_(self) -> str:
        return _marked("Exercise.", self.task, "#56B4E9")

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
            # A wrong number is told by the judge, not by NumPy's warning that it divides by zero.
            with np.errstate(all="ignore"):
                return Verdict(True, self.judge(answer))
        except WrongAnswerError as wrong:
            return Verdict(False, str(wrong))
        # Whatever a learner's code raises is an answer that is wrong, not a fault of the lesson.
        except Exception as error:
            return Verdict(False, f"It stopped with {type(error).__name__}: {error}")


def _marked(label: str, text: str, colour: str) -> str:
    """Text as a notebook shows it: wrapped, in the page's colours, with a line beside it.

    Blank lines part paragraphs; an indented one is code, and keeps its lines.
    """
    first, *others = text.split("\n\n")
    small = ' style="font-size: 0.8125rem; overflow-x: auto"'
    parts = [f"<p><strong>{label}</strong> {_with_code(first)}</p>"]
    parts += [f"<pre{small}>{html.escape(textwrap.dedent(part))}</pre>" if part.startswith("    ")
              else f"<p>{_with_code(part)}</p>" for part in others]
    return (f'<div style="border-left: 4px solid {colour}; padding-left: 0.8em">'
            f"{''.join(parts)}</div>")


def _with_code(text: str) -> str:
    code = r'<code class="docutils literal">\1</code>'
    return re.sub("`([^`]*)`", code, html.escape(text))
