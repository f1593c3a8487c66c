"""A kernel puzzle: what to compute, a tiny case of it, what is asked of the traffic, and a check.

    SHIFT                       the task, with the specification and the launch
    SHIFT.tiny                  the numbers of the tiny case
    SHIFT.check(my_kernel)      right, or what is wrong
    SHIFT.record(my_kernel)     the tiny case in the simulator, for the pictures of picture.py

A kernel is a function in Numba's CUDA dialect. The check runs it in Numba's CUDA simulator, where
it asks in this order: does it end; does it stay inside its arrays; do all threads come to the
barriers; is there a race; is every number written; are they the specification's; does it move no
more memory than it may. What passes is compiled and interpreted as PTX too, where the compiler is
installed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.lessons.comparison import difference
from refglow.lessons.exercise import Exercise, Verdict, WrongAnswerError
from refglow.lessons.puzzles.case import Case, Mistake, Numbers
from refglow.lessons.puzzles.defects import defects, never_written
from refglow.lessons.puzzles.interpreted import interpret
from refglow.lessons.puzzles.recording import Recording
from refglow.lessons.puzzles.simulator import TIME_LIMIT, KernelStoppedError, simulator
from refglow.lessons.puzzles.traffic import summary
from refglow.lessons.puzzles.travelling import plain
from refglow.validation.tolerances import KERNEL_OF_A_PUZZLE


@dataclass(frozen=True, repr=False)
class Puzzle:
    """One idea, as a kernel to write.

    Attributes:
        name: of the kernel.
        idea: the one idea, in a sentence.
        task: what to write.
        specification: the function of refglow that computes the same.
        stub: the kernel's head, and what one begins with.
        tiny: a case small enough to be done by hand.
        cases: the cases of the check, from a generator of random numbers.
        solution: a kernel that is right, written to be read.
        mistakes: wrong answers that are recognised by their numbers.
        limits: each looks at a right launch and says in a sentence what it moves too much, or None.
        time_limit: seconds for one launch.
    """

    name: str
    idea: str
    task: str
    specification: Callable[..., Any]
    stub: str
    tiny: Case
    cases: Callable[[np.random.Generator], Sequence[Case]]
    solution: Callable[..., None]
    mistakes: tuple[Mistake, ...] = ()
    limits: tuple[Callable[[Recording], str | None], ...] = ()
    time_limit: float = TIME_LIMIT

    def __str__(self) -> str:
        return f"{self.idea}\n\n{self.task}\n\n{self._specified()}\n\n{self.stub}"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return (f"**{self.idea}**\n\n{self.task}\n\n{self._specified()}\n\n"
                f"```python\n{self.stub}\n```")

    def _specified(self) -> str:
        function = self.specification
        return f"Specification: `{function.__module__}.{function.__qualname__}`."

    @property
    def exercise(self) -> Exercise:
        """The puzzle as an exercise."""
        return Exercise(self.task, self._judge, self.solution)

    def check(self, kernel: Callable[..., Any]) -> Verdict:
        """Whether a kernel is right, and if it is not, what is wrong.

        Args:
            kernel: the learner's function, plain or decorated with @cuda.jit.
        """
        return self.exercise.check(kernel)

    def record(self, kernel: Callable[..., Any] | None = None) -> Recording:
        """What a kernel does in the tiny case; the solution if none is given.

        Raises:
            KernelStoppedError: it does not come to its end.
        """
        return self._launched(kernel or self.solution, self.tiny)

    def _launched(self, kernel: Callable[..., Any], case: Case) -> Recording:
        return simulator().run(kernel, case.grid, case.block, case.fresh(), self.time_limit)

    def _judge(self, kernel: Callable[..., Any]) -> str:
        self._check_parameters(kernel)
        cases = (self.tiny, *self.cases(np.random.default_rng(0)))
        for case in cases:
            recording = self._judged(kernel, case)
        text = f"In the CUDA simulator: {summary(recording)}."
        return f"{text} {self._interpreted(kernel, cases[-1])}"

    def _check_parameters(self, kernel: Callable[..., Any]) -> None:
        asked = list(self.tiny.arguments)
        given = len(inspect.signature(plain(kernel)).parameters)
        if given != len(asked):
            raise WrongAnswerError(f"The kernel is launched with {len(asked)} arguments, "
                                   f"{', '.join(asked)}; yours has {given}.")

    def _judged(self, kernel: Callable[..., Any], case: Case) -> Recording:
        """The recording of a case that is right."""
        try:
            recording = self._launched(kernel, case)
        except KernelStoppedError as stopped:
            raise WrongAnswerError(str(stopped)) from stopped
        inputs = [name for name in recording.names if name not in case.expected]
        found = defects(recording, inputs, case.blank)
        if found:
            kind, sentence = found[0]
            raise WrongAnswerError(f"{kind.capitalize()}. {_with_lines(sentence, kernel)}")
        missing = never_written(recording, case.blank)
        if missing is not None:
            raise WrongAnswerError(missing + self._recognised(case, recording.results))
        for name, expected in case.expected.items():
            wrong = _difference(name, recording.results[name], expected)
            if wrong is not None:
                raise WrongAnswerError(wrong + self._recognised(case, recording.results))
        for limit in self.limits:
            too_much = limit(recording)
            if too_much is not None:
                raise WrongAnswerError(f"The numbers are right. {too_much}")
        return recording

    def _recognised(self, case: Case, results: Numbers) -> str:
        """The mistake that gives just these numbers, as a sentence; "" if none is known."""
        for mistake in self.mistakes:
            wrong = mistake.gives(**case.arguments)
            if all(_difference(name, results[name], array) is None
                   for name, array in wrong.items()):
                return f" {mistake.says}"
        return ""

    def _interpreted(self, kernel: Callable[..., Any], case: Case) -> str:
        arguments = case.fresh()
        found = interpret(plain(kernel), case.grid, case.block, arguments, case.blank)
        if found.findings:
            raise WrongAnswerError("The simulator found nothing wrong, but compiled and "
                                   f"interpreted as PTX: {found.findings[0]}")
        if found.ran:
            for name, expected in case.expected.items():
                wrong = _difference(name, arguments[name], expected)
                if wrong is not None:
                    raise WrongAnswerError(f"The simulator gives the right numbers, but compiled "
                                           f"and interpreted as PTX: {wrong}")
        return found.sentence


def _difference(name: str, result: Array, expected: Array) -> str | None:
    return difference(name, result.astype(np.float64), expected, KERNEL_OF_A_PUZZLE)


def _with_lines(sentence: str, kernel: Callable[..., Any]) -> str:
    """The sentence with the text of the lines that it names."""
    try:
        lines = inspect.getsource(plain(kernel)).splitlines()
    except (OSError, TypeError):
        return sentence
    shown: set[str] = set()

    def text(found: re.Match[str]) -> str:
        number = int(found[1])
        if found[1] in shown or not 1 <= number <= len(lines):
            return found[0]
        shown.add(found[1])
        return f"{found[0]} (`{lines[number - 1].strip()}`)"
    return re.sub(r"in line (\d+)", text, sentence)
