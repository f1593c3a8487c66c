"""The exercises of all lessons: which answers they take, and what they say to the others."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from refglow.lessons.floating_point import true_log_sigmoid

ANSWERS = {file.stem.removeprefix("answers_to_"): importlib.import_module(file.stem)
           for file in sorted(Path(__file__).parent.glob("answers_to_*.py"))}


@pytest.mark.parametrize(("lesson", "answer"), [
    (lesson, answer) for lesson, answers in ANSWERS.items() for answer in answers.RIGHT_ANSWERS])
def test_right_answers_are_accepted(lesson, answer):
    verdict = ANSWERS[lesson].exercise.check(answer)
    assert verdict.right, verdict


@pytest.mark.parametrize(("lesson", "words"), [
    (lesson, words) for lesson, answers in ANSWERS.items() for words in answers.WRONG_ANSWERS])
def test_wrong_answers_are_told_what_is_wrong(lesson, words):
    answers = ANSWERS[lesson]
    verdict = answers.exercise.check(answers.WRONG_ANSWERS[words])
    assert not verdict.right and words in verdict.message, verdict


@pytest.mark.parametrize("answer", ANSWERS["kernels"].RIGHT_ANSWERS)
def test_the_verdict_on_costs_says_how_many_were_asked_for(answer):
    assert "15 requests" in ANSWERS["kernels"].exercise.check(answer).message


def test_the_truth_of_log_sigmoid_is_that_of_mpmath():
    mpmath = pytest.importorskip("mpmath", reason="the truth is held against mpmath's")
    x = np.array([-1000.0, -3.25, 0.0, 2.0, 37.0, 700.0])
    with mpmath.workdps(700):
        expected = [float(-mpmath.log(1 + mpmath.exp(-mpmath.mpf(v)))) for v in x]
    assert true_log_sigmoid(x).tolist() == expected
