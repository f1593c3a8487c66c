"""Which answers to which questions could explain a layer that differs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from refglow.validation.dialects.actnorms import EPSILONS, FROM_EVERY_BATCH
from refglow.validation.dialects.dialect import FIELDS, Dialect

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


def one_answer(base: Dialect, questions: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """{question: answer} for every other answer to one question."""
    for question in questions:
        for answer in FIELDS[question].answers:
            if answer != getattr(base, question) and (
                    answer not in _OTHER_ARRAYS.get(question, ())):
                yield {question: answer}
