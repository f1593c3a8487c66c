"""Which answers to which questions could explain a layer that differs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from refglow.validation.dialects.actnorms import EPSILONS, FROM_EVERY_BATCH
from refglow.validation.dialects.dialect import FIELDS, Dialect
from refglow.validation.dialects.known import KNOWN

_NETWORK = ("padding", "activation", "kernel", "bias")
_PLACES = ("steps", "blocks")

# The questions on which a kind of layer's output depends.
QUESTIONS: dict[str, tuple[str, ...]] = {
    "squeeze": ("squeeze", "images"),
    "actnorm": ("actnorm", *_PLACES),
    "conv": ("matrix", "factors", *_PLACES),
    "coupling": ("conditioning", "sides", "joined", "affine", "scale", "layout", *_NETWORK,
                 *_PLACES),
    "exit": ("exit_half", "exit_affine", "exit_scale", "exit_layout", *_NETWORK, "blocks"),
}
# Those on which its log-det depends besides.
LOG_DET_QUESTIONS: dict[str, tuple[str, ...]] = {
    "squeeze": (),
    "actnorm": ("log_det_pixels",),
    "conv": ("log_det_conv_formula", "log_det_pixels"),
    "coupling": ("log_det_coupling_formula",),
    "exit": ("log_det_exit_formula",),
}
_MOST_SEARCHED = 2  # answers at once: singles and pairs are tried, whosever they are
# Answers that need arrays which a Glow in TFP's dialect does not have.
_OTHER_ARRAYS = {"padding": ("border indicator",), "sides": ("both",)}


# What the statistics of every batch depend on, where ActNorm takes those instead of its parameters.
OF_STATISTICS = ("actnorm_deviation", "actnorm_epsilon")


def statistics_of_every_batch() -> Iterator[dict[str, str]]:
    """ActNorms that normalise every batch anew as another project starts them."""
    for deviation, epsilon in itertools.product(("population", "sample"), EPSILONS):
        answers = dict(zip(OF_STATISTICS, (deviation, epsilon), strict=True))
        others = {q: a for q, a in answers.items() if a != getattr(Dialect(), q)}
        if others:
            yield {"actnorm": FROM_EVERY_BATCH, **others}


def answers_of_projects(questions: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """What each known project answers otherwise to some questions, where more than two differ.

    With its networks and, as they may be another's, without.
    """
    tried: list[dict[str, str]] = []
    for known in KNOWN.values():
        differs = {question: answer for question, _, answer
                   in Dialect().differences(known.dialect) if question in questions
                   and answer not in _OTHER_ARRAYS.get(question, ())}
        alone = {question: a for question, a in differs.items() if question not in _NETWORK}
        for answers in (differs, alone):
            if len(answers) > _MOST_SEARCHED and answers not in tried:
                tried.append(answers)
                yield answers


def one_answer(base: Dialect, questions: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """{question: answer} for every other answer to one question."""
    for question in questions:
        for answer in FIELDS[question].answers:
            if answer != getattr(base, question) and (
                    answer not in _OTHER_ARRAYS.get(question, ())):
                yield {question: answer}
