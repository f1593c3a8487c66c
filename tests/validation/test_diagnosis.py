"""The diagnosis: what it names, what it leaves unexplained, and what it must not say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow.validation.conditioning import UNBOUNDED
from refglow.validation.diagnosis import (
    Diagnosis,
    Observed,
    ObservedLayer,
    closeness,
    diagnose,
    forward_search,
    gradient_search,
    planted,
    remembering,
    searching,
)
from refglow.validation.diagnosis.candidates import QUESTIONS
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.diagnosis.observing import observe
from refglow.validation.diagnosis.searching import (
    Deadline,
    TimeOverError,
    explanations,
    pairs,
)
from refglow.validation.diagnosis.words import as_dict, in_words
from refglow.validation.dialects import FIELDS, Dialect, DialectGlow
from refglow.validation.dialects.known import KNOWN
from refglow.validation.dialects.networks import NetworkConventions
from refglow.validation.implementations.model import architecture_of
from refglow.validation.mutants import ALL_MUTANTS, MUTANTS, PortedGlow, combined
from refglow.validation.random_models import random_images, randomize_weights


@cache
def model(dtype: Any = np.float64) -> tfb.Glow:
    rng = np.random.default_rng(7)
    glow = tfb.Glow((8, 8, 3), 2, 2, partial(tfb.GlowDefaultNetwork, num_hidden=5), seed=rng,
                    dtype=dtype)
    randomize_weights(glow, rng, 0.5)
    return glow


def seen(port: Any, dtype: Any = np.float64) -> Observed:
    rng = np.random.default_rng(3)
    x, others = (random_images(rng, 2, (8, 8, 3)).astype(dtype) for _ in range(2))
    with np.errstate(all="ignore"):
        return observe(port, x, model(dtype).inverse(others))


def right(dtype: Any = np.float64) -> PortedGlow:
    return PortedGlow(architecture_of(model(dtype)), model(dtype).state_dict())


def wrong(*names: str) -> PortedGlow:
    mutant = MUTANTS[names[0]] if len(names) == 1 else combined(*(MUTANTS[n] for n in names))
    return mutant.build(architecture_of(model()), model().state_dict())


def diagnosed(port: PortedGlow) -> Diagnosis:
    return diagnose(model(), seen(port))


# ---- mistakes in an independent port -------------------------------------------------------------

# One or two of each subject here; `refglow mutants` plants all of them.
SOME = ("squeeze-space-to-depth", "input-blue-first", "actnorm-factor-3",
        "actnorm-sample-deviation", "actnorm-no-epsilon", "conv-transposed", "lu-unit-upper",
        "conv-log-det-half",
        "coupling-high-half", "coupling-shift-first", "coupling-scale-nflows",
        "coupling-layout-openai", "padding-ones-in-the-last", "network-elu", "kernel-rotated",
        "bias-left-out", "exit-openai", "exit-layout-openai", "order-coupling-actnorm-conv",
        "steps-reversed", "step-missing", "latents-finest-first-nchw", "latents-dropped",
        "direction-exchanged", "log-det-negative", "log-det-conv-one-pixel", "log-det-bits",
        "log-det-batch-mean", "log-det-exit-twice", "log-det-coupling-sum-s",
        "density-without-log-2-pi", "bits-without-8", "gradient-sum", "gradient-lu-transposed",
        "precision-bfloat16", "precision-tf32", "coupling-epsilon-back", "conv-undone-by-transpose",
        "coupling-both-sides", "coupling-offset-on-the-shift", "lu-diagonal-softplus",
        "actnorm-start-without-shift", "actnorm-deviation-of-pixels", "log-det-exit-sum-r",
        "log-det-conv-one-pixel-finest", "latents-temperature")


@pytest.mark.parametrize("name", SOME)
def test_a_planted_mistake_is_named(name: str) -> None:
    diagnosis = diagnosed(wrong(name))
    found = {f"{question}={answer}" for question, answer in diagnosis.answers.items()}
    assert found and found <= set(MUTANTS[name].explains)
    assert all(finding.is_explained for finding in diagnosis.findings)
    assert all(finding.error_before > 100 * finding.error_after
               for finding in diagnosis.findings if finding.error_after == finding.error_after
               and "precision" not in finding.explanation)


@pytest.mark.parametrize("names", [
    ("squeeze-quadrants", "coupling-shift-first"), ("coupling-high-half", "padding-edge"),
    ("conv-inverted", "log-det-actnorm-one-pixel"), ("exit-openai", "latents-coarsest-first"),
    ("coupling-scale-exp", "coupling-layout-openai")])
def test_two_mistakes_are_both_named(names: tuple[str, str]) -> None:
    answers = diagnosed(wrong(*names)).answers
    for name in names:
        assert {f"{q}={a}" for q, a in answers.items()} & set(MUTANTS[name].explains)


@pytest.mark.parametrize("name", ["coupling-shift-first", "squeeze-columns-first",
                                  "exit-scale-exp", "order-conv-actnorm-coupling"])
def test_without_layers_the_latents_tell(name: str) -> None:
    observed = replace(seen(wrong(name)), layers=(), forward_inputs=None)
    answers = diagnose(model(), observed).answers
    assert {f"{q}={a}" for q, a in answers.items()} <= set(MUTANTS[name].explains)
    assert answers


def test_with_some_layers_missing_the_rest_tell() -> None:
    observed = seen(wrong("coupling-shift-first"))
    some = tuple(layer for layer in observed.layers if not layer.name.endswith(".conv"))
    assert diagnose(model(), replace(observed, layers=some)).answers == {"affine": "s (x + t)"}


def test_what_no_convention_explains_is_left_unexplained() -> None:
    diagnosis = diagnosed(wrong("coupling-sees-all"))
    assert not diagnosis.agrees and not diagnosis.answers
    assert diagnosis.findings[0].where == "block1.step1.coupling"
    assert "no convention or mistake that refglow knows" in in_words(diagnosis)[0]


@pytest.mark.parametrize("name", ["inverse_log_det", "log_prob", "bits_per_dim", "gradients"])
def test_of_what_no_value_shows_it_is_not_said_that_nothing_known_explains_it(name: str) -> None:
    whole = seen(wrong("coupling-high-half"))  # which is known
    diagnosis = diagnose(model(), Observed(whole.images, **{name: getattr(whole, name)}))
    [said] = in_words(diagnosis)
    assert "no mistake made in it alone gives these numbers. What layers do was not tried" in said
    assert "that refglow knows" not in said


def test_a_log_det_of_forward_alone_is_looked_at() -> None:
    class LogDet:
        def __init__(self, of: Any) -> None:
            self.forward_log_det_jacobian = of.forward_log_det_jacobian
    latents = seen(right()).forward_inputs
    images = seen(right()).images
    assert latents is not None
    assert diagnose(model(), observe(LogDet(right()), images, latents)).agrees
    [finding] = diagnose(model(), observe(LogDet(wrong("coupling-high-half")), images,
                                          latents)).findings
    assert finding.subject == "forward log-det" and not finding.of_seen_values


def test_layers_that_are_not_looked_at_are_not_said_to_agree() -> None:
    whole = seen(right())
    channels_first = tuple(replace(layer, output=np.moveaxis(layer.output, -1, 1))
                           for layer in whole.layers)
    one = Observed(whole.images, layers=channels_first)
    assert diagnose(model(), one).compared == ()
    assert in_words(diagnose(model(), one))[0].startswith("There is nothing to look at")
    assert "layers" not in diagnose(model(), replace(one, latents=whole.latents)).compared


def test_noise_is_not_explained() -> None:
    observed = seen(right())
    rng = np.random.default_rng(0)
    noisy = tuple(replace(layer, output=layer.output * (1 + 1e-6 * rng.standard_normal(
        layer.output.shape))) for layer in observed.layers)
    assert not diagnose(model(), replace(observed, layers=noisy)).answers


# ---- implementations without a mistake -----------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_right_port_is_not_accused(dtype: Any) -> None:
    diagnosis = diagnose(model(dtype), seen(right(dtype), dtype))
    assert diagnosis.agrees
    assert set(diagnosis.compared) >= {"latents", "layers", "gradients", "started",
                                       "forward_images", "log_prob", "bits_per_dim"}
    assert in_words(diagnosis)[0].startswith("Nothing differs: latents, ")


def test_random_right_ports_are_not_accused() -> None:
    found = list(planted.without_mistakes(8, 11))
    assert [dtype for dtype, diagnosis in found if not diagnosis.agrees] == []
    assert {dtype for dtype, _ in found} == {"float64", "float32"}


# ---- dialects, as observed themselves ------------------------------------------------------------

_OTHER_ARRAYS = {("padding", "border indicator"), ("padding", "ones, last"), ("sides", "both")}


def _answers() -> Iterator[tuple[str, str]]:
    for question in dict.fromkeys(q for some in QUESTIONS.values() for q in some):
        for answer in FIELDS[question].answers[1:]:
            if (question, answer) not in _OTHER_ARRAYS and question not in ("steps", "blocks"):
                yield question, answer


def as_observed(dialect: Dialect) -> Observed:
    """A Glow in that dialect as if it were somebody's."""
    there = DialectGlow.of(model(), dialect)
    x = random_images(np.random.default_rng(3), 2, (8, 8, 3))
    results = list(there.towards_latent(x))
    return Observed(x, there.latents(there.scales(results)), layers=tuple(
        ObservedLayer(result.name, result.output, result.log_det) for result in results))


@pytest.mark.parametrize(("question", "answer"), list(_answers()))
def test_every_answer_about_layers_is_found(question: str, answer: str) -> None:
    found = diagnose(model(), as_observed(Dialect(**{question: answer}))).answers
    assert found == {question: answer}


# ---- the measure, the words, the limits ----------------------------------------------------------


def test_the_measure_counts_what_is_named() -> None:
    (outcome,) = planted.singles(planted.mistakes("squeeze-space"), 0)
    assert outcome.named and outcome.both_named and outcome.found == ("squeeze=a b c",)
    assert not replace(outcome, accepted=(("squeeze=b a c",),)).named
    assert not replace(outcome, accepted=(("squeeze=a b c",), ("bias=twice",))).both_named
    assert sum(bool(mutant.explains) for mutant in ALL_MUTANTS) >= 60


def test_gradients_that_were_added_to_old_ones_are_twice_what_they_should_be() -> None:
    observed = seen(right())
    twice = {name: 2 * bar for name, bar in observed.gradients.items()}
    [finding] = diagnose(model(), replace(observed, gradients=twice)).findings
    assert finding.explanation == {"gradient": "sum over the batch"}  # which is of two images
    assert finding.others == ({"gradient": "twice"},)
    noisy = {name: bar + 0.1 * np.cos(np.arange(bar.size).reshape(bar.shape))
             for name, bar in observed.gradients.items()}
    [said] = in_words(diagnose(model(), replace(observed, gradients=noisy)))
    assert "gradients differ by" in said and "of their size" in said


def test_words_say_what_where_whose_and_how_far() -> None:
    diagnosis = diagnosed(wrong("coupling-shift-first"))
    (text,) = in_words(diagnosis)
    assert text.startswith('block1.step1.coupling: the coupling towards the latent')
    assert '"s (x + t)" (as in openai/glow, rosinality/glow-pytorch' in text
    assert 'TFP\'s is "s x + t"' in text and "all 4 such places agree to" in text
    report = as_dict(diagnosis)
    assert report["answers"] == {"affine": "s (x + t)"} and report["agrees"] is False


def test_projects_are_told_apart_in_a_list() -> None:
    [text] = in_words(diagnosed(wrong("coupling-high-half")))
    assert "(as in nflows MultiscaleCompositeTransform, FrEIA GLOWCouplingBlock, Inv" in text


def test_log_dets_that_cancel_are_compared_by_their_terms() -> None:
    assert closeness.log_det_error(np.array([1e-14]), np.array([0.0]), 100) == 1e-15
    assert closeness.log_det_error(np.array([np.inf]), np.array([np.inf]), 4) == 0
    assert closeness.log_det_error(np.array([np.nan]), np.array([1.0]), 4) == np.inf
    assert closeness.log_det_error(np.array([1.0]), np.array([np.inf]), 4) == np.inf


def test_layers_of_other_shapes_end_the_walk() -> None:
    observed = seen(right())
    k = next(k for k, layer in enumerate(observed.layers) if layer.name.endswith("conv"))
    broken = replace(observed.layers[k], output=observed.layers[k].output[..., :-1])
    layers = (*observed.layers[:k], broken, *observed.layers[k + 1:])
    assert diagnose(model(), replace(observed, layers=layers)).agrees


# ---- odd results ---------------------------------------------------------------------------------


@pytest.mark.parametrize("results", [
    {"inverse_log_det": np.zeros((2, 1))}, {"inverse_log_det": np.zeros(0)},
    {"inverse_log_det": np.array(1.0)}, {"log_prob": np.array(1.0)}, {"log_prob": np.zeros(0)},
    {"bits_per_dim": np.array(3.0)}, {"forward_images": np.full((2, 8, 8, 3), np.nan)},
    {"forward_images": np.array(0.0)}, {"forward_log_det": np.full(2, np.inf)},
    {"latents": np.full((2, 192), np.nan)}, {"latents": np.zeros(2)},
    {"started": {"foo": np.zeros(3), "": np.zeros(3)}},
    {"started": {"block1.step1.actnorm.shift": np.zeros(3)}},
    {"started": {"block0.step0.conv.lower_upper": np.zeros((2, 2))}},
    {"gradients": {"x": np.zeros(3)}}, {"gradients": {"block0.step0.nothing": np.zeros(3)}}])
def test_what_is_no_result_is_not_guessed_at(results: dict[str, Any]) -> None:
    diagnosis = diagnose(model(), replace(seen(right()), **results))
    assert diagnosis.agrees
    assert not set(diagnosis.compared) & set(results)


def test_latents_and_log_dets_that_were_exchanged_are_no_latents() -> None:
    observed = seen(right())
    exchanged = replace(observed, layers=(), log_prob=None, bits_per_dim=None,
                        latents=observed.inverse_log_det.reshape(-1, 1))
    assert "latents" not in diagnose(model(), exchanged).compared
    assert diagnose(model(), exchanged).agrees


def test_log_probs_of_zero_differ() -> None:
    diagnosis = diagnose(model(), replace(seen(right()), log_prob=np.zeros(2)))
    assert [finding.subject for finding in diagnosis.findings] == ["log_prob"]
    assert not diagnosis.answers


def test_layers_of_zeros_or_nan_are_not_explained() -> None:
    observed = seen(right())
    zeros = tuple(replace(layer, output=np.zeros_like(layer.output)) for layer in observed.layers)
    assert not diagnose(model(), replace(observed, layers=zeros, latents=None)).answers
    k = next(k for k, layer in enumerate(observed.layers) if layer.name.endswith("conv"))
    nan = replace(observed.layers[k], output=np.full_like(observed.layers[k].output, np.nan))
    layers = (*observed.layers[:k], nan, *observed.layers[k + 1:])
    assert diagnose(model(), replace(observed, layers=layers)).agrees


def test_layers_may_be_listed_from_the_latent_on_or_in_part() -> None:
    observed = seen(right())
    assert diagnose(model(), replace(observed, layers=observed.layers[::-1])).agrees
    some = tuple(layer for layer in observed.layers if ".step1." in layer.name)
    assert diagnose(model(), replace(observed, layers=some)).agrees


def test_a_mistake_in_one_direction_does_not_accuse_the_other() -> None:
    observed, good = seen(wrong("coupling-shift-first")), seen(right())
    diagnosis = diagnose(model(), replace(
        observed, forward_images=good.forward_images, forward_log_det=good.forward_log_det,
        started=good.started))
    assert diagnosis.answers == {"affine": "s (x + t)"} and len(diagnosis.findings) == 1


def test_one_direction_may_have_some_of_the_other_ones_mistakes() -> None:
    """What it has of them is said already, and that they do not undo each other elsewhere."""
    both = seen(wrong("coupling-shift-first", "log-det-actnorm-one-pixel"))
    one = seen(wrong("coupling-shift-first"))
    found = diagnose(model(), replace(both, forward_images=one.forward_images,
                                      forward_log_det=one.forward_log_det))
    assert found.answers == {"affine": "s (x + t)", "log_det_pixels": "actnorm not times H W"}
    assert [finding.subject for finding in found.findings] == ["coupling", "log-det of actnorm"]
    latents = seen(wrong("coupling-shift-first", "latents-finest-first"))
    found = diagnose(model(), replace(latents, forward_images=one.forward_images,
                                      forward_log_det=one.forward_log_det))
    assert [finding.subject for finding in found.findings] == ["coupling", "latents"]
    noise = diagnose(model(), replace(both, forward_images=one.forward_images + 0.1))
    assert noise.findings[-1].subject == "forward" and not noise.findings[-1].is_explained


def test_a_start_may_have_some_of_the_layers_mistakes() -> None:
    both = seen(wrong("input-blue-first", "conv-transposed"))
    one = seen(wrong("conv-transposed"))
    found = diagnose(model(), replace(both, started=one.started, forward_images=None,
                                      forward_log_det=None))
    assert found.answers == {"images": "last channel first", "matrix": "W^T"}
    assert len(found.findings) == 2


@pytest.mark.parametrize("project", ["openai", "rosinality"])
def test_the_exit_of_a_project_is_recognised_as_a_whole(project: str) -> None:
    """Three answers at once: no single one and no pair gives these numbers."""
    answers = {question: getattr(KNOWN[project].dialect, question)
               for question in ("exit_affine", "exit_scale", "exit_layout")}
    [finding] = diagnose(model(), as_observed(Dialect().but(**answers))).findings
    assert finding.explanation == answers and finding.error_after < 1e-12


def test_fixed_point_is_not_a_floating_type() -> None:
    observed = seen(right())
    fixed = tuple(replace(layer, output=np.rint(layer.output * 256) / 256)
                  for layer in observed.layers)
    assert "precision" not in diagnose(model(), replace(observed, layers=fixed)).answers


def test_one_number_is_not_explained_by_a_pair() -> None:
    """Some pair gives any number; several images tell which."""
    x = random_images(np.random.default_rng(3), 4, (8, 8, 3))
    pair = {"log_det_coupling": "left out", "log_det_conv": "twice"}
    _, total = DialectGlow.of(model(), Dialect(**pair)).inverse(x)
    assert diagnose(model(), Observed(x, inverse_log_det=total)).answers == pair
    one = diagnose(model(), Observed(x[:1], inverse_log_det=total[:1]))
    assert not one.agrees and not one.answers


def test_latents_are_told_from_layers_that_nothing_explains() -> None:
    observed = seen(wrong("coupling-sees-all", "latents-finest-first"))
    diagnosis = diagnose(model(), observed)
    assert not diagnosis.findings[0].is_explained
    assert diagnosis.answers == {"latents": "finest first NHWC"}


def test_nothing_is_tried_after_the_deadline() -> None:
    tried: list[dict[str, str]] = []

    def judge(answers: dict[str, str]) -> float:
        tried.append(answers)
        return 2.0
    ones = [{"bias": "twice"}, {"scale": "exp(r)"}]
    late, early = Deadline(0.0), Deadline(60.0)
    assert explanations(judge, ones, pairs(ones), late) == [] and late.passed and not tried
    assert explanations(judge, ones, pairs(ones), early) == [] and not early.passed
    assert tried == [*ones, {"bias": "twice", "scale": "exp(r)"}]


@pytest.mark.parametrize("looks", [0, 10])
def test_nothing_is_said_of_what_was_not_reached(looks: int,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is over once somebody has looked at the clock so often."""
    observed, clock = seen(right()), itertools.count()
    monkeypatch.setattr(searching, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    diagnosis = diagnose(model(), observed, looks)
    assert diagnosis.agrees and not diagnosis.complete
    assert "gradients" not in diagnosis.compared
    (text,) = in_words(diagnosis)
    assert text.startswith("The time was over before everything was compared")


def test_a_difference_that_was_seen_in_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is over once the first half of the gradients is known."""
    parts = iter([0, 0, 0])

    def cut(*arguments: Any, with_log_det: bool = True) -> Any:
        if not with_log_det:
            raise TimeOverError
        next(parts)
        return gradients(*arguments)
    gradients = gradient_search.gradients
    monkeypatch.setattr(gradient_search, "gradients", cut)
    diagnosis = diagnose(model(), seen(wrong("gradient-sum")))
    assert [finding.subject for finding in diagnosis.findings] == ["gradients"]
    assert not diagnosis.answers


def test_a_part_of_a_deadline_tells_the_whole() -> None:
    whole = Deadline(60.0)
    part = whole.part(0.0)
    assert part.over() and whole.passed and not whole.over()
    whole.check()
    with pytest.raises(TimeOverError):
        part.check()


def test_a_network_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all answers, log-dets and the way back."""
    calls: list[bytes] = []
    compute = remembering.network_output

    def counted(x: Any, layers: Any, *others: Any) -> Any:
        calls.append(x.tobytes() + layers[0]["kernel"].tobytes() + repr(others[0]).encode())
        return compute(x, layers, *others)
    monkeypatch.setattr(remembering, "network_output", counted)
    observed = replace(seen(wrong("coupling-shift-first")), started={}, gradients={})
    assert diagnose(model(), observed).answers == {"affine": "s (x + t)"}
    moved = len(calls) - len(set(calls))
    assert moved == 0
    assert len(set(calls)) < 120


def test_outputs_of_other_weights_are_not_kept() -> None:
    arrays = DialectGlow.of(model()).arrays
    networks = remembering.RememberedNetworks(arrays, Deadline(60.0))
    layers = [{role: arrays[f"block1.exit.conv1.{role}"] for role in ("kernel", "bias")}]
    x = np.ones((1, 2, 2, layers[0]["kernel"].shape[2]))
    first = networks(x, layers, NetworkConventions())
    assert networks(x.copy(), layers, NetworkConventions()) is first
    assert np.array_equal(networks(2 * x, layers, NetworkConventions()), networks(
        2 * x, [dict(layers[0])], NetworkConventions()))
    other = [{role: value.copy() for role, value in layers[0].items()}]
    assert networks(x, other, NetworkConventions()) is not first
    assert networks(x, layers, NetworkConventions(bias="twice")) is not first


def test_mistakes_on_other_models() -> None:
    (one,) = planted.singles(planted.mistakes("log-det-exit-sum-r"), 0, family="three-blocks")
    assert one.shows and one.named
    (one,) = planted.singles(planted.mistakes("coupling-shift-first"), 0, family="additive")
    assert not one.shows and one.diagnosis.agrees
    (one,) = planted.singles(planted.mistakes("conv-transposed"), 0, family="no-actnorm")
    assert one.shows and one.named
    assert not list(planted.singles(planted.mistakes("exit-odd"), 0, family="three-blocks"))


def test_a_search_that_was_cut_short_says_so() -> None:
    observed = replace(seen(wrong("coupling-sees-all")), layers=())
    diagnosis = diagnose(model(), observed, seconds=0.1)
    assert not diagnosis.complete
    assert "time was over" in in_words(diagnosis)[-1]


def test_forward_that_is_too_ill_conditioned_is_not_explained() -> None:
    """Where refglow's own images are NaN, an epsilon that keeps them finite "explained" others."""
    def judge(answers: dict[str, str]) -> float:
        return 0.5 if answers else np.inf
    ones = [{"scale": "sigmoid(r + 2) + 0.001"}]
    found = forward_search._searched("forward", judge, ones, [], limit_of(1e-6),
                                      Deadline(60.0))
    assert found is not None and found.explanation == ones[0]
    assert forward_search._searched("forward", judge, ones, [], limit_of(UNBOUNDED),
                                    Deadline(60.0)) is None


def limit_of(value: float) -> Measured:
    return Measured(lambda draws: value, lambda: value)
