"""A mistake in some layers of a kind only: where it is, and that it is no convention."""

from dataclasses import replace

import numpy as np
import pytest
from numpy_glow import NumpyGlow

from refglow.bijectors import Glow
from refglow.training.model import affine_network
from refglow.validation.diagnosis import Diagnosis, Finding, diagnose
from refglow.validation.diagnosis.observing import observe
from refglow.validation.diagnosis.words import as_dict, in_words
from refglow.validation.dialects import Dialect
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.random_models import random_images, randomize_weights

SHAPE = (8, 8, 3)
RNG = np.random.default_rng(11)
GLOW = Glow(SHAPE, 2, 2, affine_network(6), seed=RNG, dtype=np.float64)
randomize_weights(GLOW, RNG, 0.5)
IMAGES, OTHERS = (random_images(RNG, 3, SHAPE) for _ in range(2))


def diagnosed(kind):
    port = kind(architecture_of(GLOW), parameters_of(GLOW))
    return diagnose(GLOW, observe(port, IMAGES, GLOW.inverse(OTHERS)))


class ConvSkippedOnce(NumpyGlow):
    """Its way back too, so that only values tell."""

    def matrix(self, name):
        w, log_det = super().matrix(name)
        return (np.eye(len(w)), 0.0) if name == "block0.step1.conv" else (w, log_det)


class OneCouplingNotLoaded(NumpyGlow):
    """A middle layer that kept its zeros."""

    def network(self, name, x):
        if name == "block0.step0.coupling":
            self.p = self.p | {name + ".conv2.kernel": np.zeros_like(
                self.p[name + ".conv2.kernel"])}
        return super().network(name, x)


class LogDetOfEveryOtherCoupling(NumpyGlow):
    """Counts the couplings of steps 1 only."""

    def coupling(self, name, x):
        y, log_det = super().coupling(name, x)
        return y, log_det * (".step1." in name)


class ConvLogDetInBits(NumpyGlow):
    """log2 in one place."""

    def conv(self, name, x):
        y, log_det = super().conv(name, x)
        return y, log_det / np.log(2)


class CouplingLogDetOfBatch(NumpyGlow):
    """A mean over one axis too many; the exits' are right."""

    def coupling(self, name, x):
        y, log_det = super().coupling(name, x)
        return y, np.full_like(log_det, log_det.mean())


class CouplingLogDetOfPixels(NumpyGlow):
    """The network's raw scale has a weight of its own: no convention."""

    def coupling(self, name, x):
        y, log_det = super().coupling(name, x)
        return y, 0.37 * log_det


@pytest.mark.parametrize(("kind", "subject", "explanation", "only", "says"), [
    (ConvSkippedOnce, "conv", {"matrix": "left out"}, ["block0.step1.conv"],
     "That is so at 1 of 4 such places (block0.step1.conv); the others agree. With that read"),
    (LogDetOfEveryOtherCoupling, "log-det of coupling", {"log_det_coupling": "left out"},
     ["block1.step0.coupling", "block0.step0.coupling"], "at 2 of 4 such places"),
    (ConvLogDetInBits, "log-det of conv", {"log_det_unit": "bits"},
     [f"block{i}.step{j}.conv" for i in (1, 0) for j in (1, 0)],
     "in the log-dets of this kind of layer only"),
    (CouplingLogDetOfBatch, "log-det of coupling", {"log_det_batch": "mean"},
     [f"block{i}.step{j}.coupling" for i in (1, 0) for j in (1, 0)],
     "in the log-dets of this kind of layer only")])
def test_what_holds_in_some_layers_is_said_of_these(kind, subject, explanation, only, says):
    diagnosis = diagnosed(kind)
    [finding] = diagnosis.findings  # and no second one of the total that follows from it
    assert (finding.subject, finding.explanation, list(finding.only)) == (
        subject, explanation, only)
    assert finding.where == only[0] and says in in_words(diagnosis)[0]
    assert finding.error_after < 1e-14 < finding.error_before
    assert not diagnosis.answers  # of the whole model it is not true
    assert as_dict(diagnosis)["findings"][0]["only"] == only


def test_a_layer_that_nothing_explains_is_named_as_the_only_one():
    findings = diagnosed(OneCouplingNotLoaded).findings
    assert [finding.subject for finding in findings] == ["coupling", "log-det of coupling"]
    for finding in findings:
        assert finding.where == "block0.step0.coupling" and not finding.explanation
        assert finding.only == ("block0.step0.coupling",) and finding.out_of == 4


def test_a_total_that_adds_up_what_was_given_is_no_second_difference():
    [finding] = diagnosed(CouplingLogDetOfPixels).findings
    assert finding.subject == "log-det of coupling" and not finding.explanation
    assert not finding.only


@pytest.mark.parametrize(("fewer", "constant", "answers"), [
    (0, 1e-6, {"actnorm_epsilon": "1e-6"}), (1, 0.0, {"actnorm_deviation": "sample"}),
    (1, 1e-6, {"actnorm_deviation": "sample", "actnorm_epsilon": "1e-6"})])
def test_an_actnorm_that_starts_again_is_named_with_its_own_statistics(fewer, constant, answers):
    """As rosinality#6: after loading, the first batch is taken for the start's."""
    class StartsAgain(NumpyGlow):
        def actnorm(self, name, x):
            v = -np.log(x.std((0, 1, 2), ddof=fewer) + constant)
            return (x - x.mean((0, 1, 2))) * np.exp(v), x.shape[1] * x.shape[2] * v.sum()
    port = StartsAgain(architecture_of(GLOW), parameters_of(GLOW))
    seen = observe(port, IMAGES, GLOW.inverse(OTHERS))
    for layers in (seen.layers, ()):
        diagnosis = diagnose(GLOW, replace(seen, layers=layers))
        assert diagnosis.answers == {"actnorm": "this batch's statistics", **answers}
        assert len(diagnosis.findings) == 1


def test_without_layers_it_is_said_that_they_would_tell():
    unexplained = Finding("latents", "latents", {}, error_before=0.3)
    told = in_words(Diagnosis((unexplained,), Dialect(), ("latents",)))
    assert len(told) == 2 and "tell in which layer it begins" in told[1]
    for also, given in ((unexplained, ("latents", "layers")),
                        (replace(unexplained, explanation={"matrix": "W^T"}), ("latents",))):
        assert len(in_words(Diagnosis((also,), Dialect(), given))) == 1


class HalfWeights(NumpyGlow):
    """A checkpoint in float16, computed with in float64."""

    def __init__(self, architecture, parameters):
        super().__init__(architecture, {
            name: np.float64(np.float16(value)) if value.dtype.kind == "f" else value
            for name, value in parameters.items()})


class Autocast(NumpyGlow):
    """Networks take and give float16; sums are wide, and couplings too."""

    def convolution(self, x, kernel):
        return super().convolution(self.half(x), self.half(kernel))

    def network(self, name, x):
        return self.half(super().network(name, x))

    @staticmethod
    def half(x):
        return np.float64(np.float16(x))


@pytest.mark.parametrize(("kind", "answer", "where"), [
    (HalfWeights, "float16 weights", "block1.step1.actnorm"),
    (Autocast, "float16", "block1.step1.coupling")])
def test_half_precision_of_weights_and_of_networks_is_recognised(kind, answer, where):
    diagnosis = diagnosed(kind)
    [finding] = diagnosis.findings
    assert finding.explanation == {"precision": answer} and finding.where == where
    [said] = in_words(diagnosis)
    assert "are those that roundings to that type make" in said and "agree to" not in said


def in_place(kind):
    """A list of layers whose ActNorms write into what the layer before them gave."""
    def layers(self, x):
        found = []
        for name, y, log_det in kind.layers(self, x):
            output = y.copy()
            if name.endswith("actnorm"):
                found[-1][1][...] = output
            found.append((name, output, log_det))
        return found
    return type("InPlace", (kind,), {
        "layers": layers, "inverse_and_log_det": lambda self, x: kind(
            self.a, self.p).inverse_and_log_det(x)})


class ActNormLeftOut(NumpyGlow):
    """Gives back what it gets."""

    def actnorm(self, name, x):
        return x, 0.0


def test_outputs_that_were_overwritten_are_no_mistake_of_a_layer():
    diagnosis = diagnosed(in_place(NumpyGlow))
    [finding] = diagnosis.findings
    assert finding.explanation == {"memory": "overwritten by what follows"}
    assert finding.where == "block1.squeeze" and finding.explained == 4
    assert "what is in a layer's output once the next layers have run" in in_words(diagnosis)[0]
    assert diagnosed(ActNormLeftOut).answers["actnorm"] == "left out"


def test_the_first_start_that_differs_is_named():
    port = NumpyGlow(architecture_of(GLOW), parameters_of(GLOW))
    right = port.initialize
    port.initialize = lambda x: {
        name: value * (1 + 0.01 * ("block0.step1" in name)) for name, value in right(x).items()}
    seen = observe(port, IMAGES, GLOW.inverse(OTHERS))
    [finding] = diagnose(GLOW, seen).findings
    assert finding.subject == "start of actnorm" and finding.where == "block0.step1.actnorm"
