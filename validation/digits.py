"""Digits: what a Glow learns here, what the same Glow learns in TFP, and what a Gaussian knows.

    python -m refglow.validation.digits [--json FILE] [--steps N] [--seed N]

The handwritten digits of scikit-learn, 8x8 pixels of 5 bits: two thirds to learn from, a third to
be tested on. Compared in bits per dimension of the test images, all with the same noise:

* A Gaussian with full covariance, which is what there is to know from means and correlations. It
  gets its best chance: the fit is that to infinitely many draws of the noise, and its covariance is
  drawn to the diagonal as far as cross-validation on the training images recommends.
* A Glow trained by refglow (`refglow.training`).
* The TFP twin of that Glow, from the same weights and ActNorms, on the same batches with the same
  noise, by TensorFlow's Adam with the same learning rates.

The last two are the same computation, so that their figures must agree; and both must be clearly
below the Gaussian's. If not, the exit code is 1.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.dtypes import Array
from refglow.training.bundled import open_digits
from refglow.training.dequantize import bits_per_dim
from refglow.training.model import distribution_of
from refglow.training.schedule import warm_up
from refglow.training.settings import Settings
from refglow.training.trainer import Trainer
from refglow.validation.peers import TfpTraining
from refglow.validation.tolerances import TRAINED_AGAINST_TFP, TRAINED_BELOW_GAUSSIAN

STEPS = 1000
# In float32 the libraries' different roundings grow: over 1000 steps losses were up to 0.08
# bits/dim apart, and the test figures 0.006. In float64 a difference can only be one of formulas.
SETTINGS = Settings(num_steps_per_block=4, num_hidden=32, learning_rate=0.003, dtype="float64")
SHRINKAGES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3)
FOLDS = 5


# ---- the Gaussian -------------------------------------------------------------------------------

@dataclass(frozen=True)
class Gaussian:
    """A normal distribution of flattened images.

    Attributes:
      mean: [D].
      covariance: [D, D].
      shrinkage: how far the covariance was drawn to its diagonal: 0 not at all, 1 onto it.
    """

    mean: Array
    covariance: Array
    shrinkage: float

    def log_prob(self, images: Array) -> Array:
        """-|L^-1 (x - mean)|^2 / 2 - log|det L| - D log(2 pi) / 2, with covariance = L L^T.

        Args:
          images: [B, ...], of D numbers each.

        Returns:
          [B], in nats.
        """
        return self._log_prob(images, 0.0)

    def expected_log_prob(self, cells: Array, noise_variance: float) -> Array:
        """The mean of `log_prob` over independent noise of that variance around `cells`.

        Args:
          cells: [B, ...]: where the noise is centred.
          noise_variance: of each number.

        Returns:
          [B], in nats.
        """
        # E|L^-1 (c + u - mean)|^2 = |L^-1 (c - mean)|^2 + variance trace(covariance^-1)
        return self._log_prob(cells, noise_variance)

    def _log_prob(self, images: Array, noise_variance: float) -> Array:
        lower = np.linalg.cholesky(self.covariance)
        size = len(self.mean)
        whitened = np.linalg.solve(lower, (images.reshape(-1, size) - self.mean).T)
        square = (whitened**2).sum(axis=0)
        if noise_variance:
            square = square + noise_variance * np.trace(np.linalg.inv(self.covariance))
        log_volume = np.log(np.diag(lower)).sum() + 0.5 * size * np.log(2 * np.pi)
        return np.asarray(-0.5 * square - log_volume)


def fit_gaussian(levels: Array, n_bits: int, shrinkage: float) -> Gaussian:
    """The Gaussian of highest likelihood for dequantized levels, averaged over all noise.

    With cells c = (k + 1/2) / 2^n - 1/2, the middles of the levels k, and uniform noise of the
    variance w = 4^-n / 12 around them:

        mean = mean of c,    S = covariance of c + w I,
        covariance = (1 - shrinkage) S + shrinkage diag(S)

    Args:
      levels: [N, H, W, C], whole numbers.
      n_bits: their bits.
      shrinkage: 0..1; 0 is the maximum-likelihood estimate.
    """
    cells = _cells(levels, n_bits)
    mean = cells.mean(axis=0)
    covariance = (cells - mean).T @ (cells - mean) / len(cells)
    covariance += _noise_variance(n_bits) * np.eye(len(mean))
    diagonal = np.diag(np.diag(covariance))
    return Gaussian(mean, (1 - shrinkage) * covariance + shrinkage * diagonal, shrinkage)


def best_gaussian(levels: Array, n_bits: int) -> Gaussian:
    """The fit with the shrinkage under which left-out training images are most likely."""
    fold = np.arange(len(levels)) % FOLDS

    def left_out_log_prob(shrinkage: float) -> float:
        parts = [fit_gaussian(levels[fold != k], n_bits, shrinkage).expected_log_prob(
            _cells(levels[fold == k], n_bits), _noise_variance(n_bits)) for k in range(FOLDS)]
        return float(np.concatenate(parts).mean())
    return fit_gaussian(levels, n_bits, max(SHRINKAGES, key=left_out_log_prob))


def _cells(levels: Array, n_bits: int) -> Array:
    """The middles of the levels' cells, [N, D], float64."""
    return np.asarray((levels.reshape(len(levels), -1) + 0.5) / 2**n_bits - 0.5)


def _noise_variance(n_bits: int) -> float:
    return float(4.0**-n_bits / 12)


# ---- the trainings ------------------------------------------------------------------------------

@dataclass(frozen=True)
class Score:
    """What a model makes of the test images.

    Attributes:
      model: what to call it.
      steps: of training; None for a fit in closed form.
      bits: bits per dimension of each test image.
      seconds: that the training took, compilation included.
    """

    model: str
    steps: int | None
    bits: Array
    seconds: float

    @property
    def bits_per_dim(self) -> float:
        """The mean over the test images."""
        return float(self.bits.mean())

    @property
    def standard_error(self) -> float:
        """That of `bits_per_dim`, the images being a sample of all images."""
        return float(self.bits.std(ddof=1) / np.sqrt(len(self.bits)))


@dataclass(frozen=True)
class Comparison:
    """The three scores, and how far the trainings' losses were apart on the way.

    Attributes:
      gaussian, refglow, tfp: the scores.
      loss_difference: the largest difference of the training loss at one step, in bits per
        dimension.
    """

    gaussian: Score
    refglow: Score
    tfp: Score
    loss_difference: float

    def findings(self) -> dict[str, tuple[bool, str]]:
        """{what is required: (whether it holds, the numbers)}."""
        below = self.gaussian.bits - self.refglow.bits  # image by image: the noise is the same
        gain, error = below.mean(), below.std(ddof=1) / np.sqrt(len(below))
        apart = abs(self.refglow.bits_per_dim - self.tfp.bits_per_dim)
        return {
            "clearly below the Gaussian": (
                bool(gain - 5 * error > TRAINED_BELOW_GAUSSIAN),
                f"{gain:.3f} bits/dim below it, standard error {error:.3f}; required: "
                f"{TRAINED_BELOW_GAUSSIAN} after five standard errors are taken off"),
            "the same as TFP": (
                bool(apart <= TRAINED_AGAINST_TFP),
                f"{apart:.2g} bits/dim apart; allowed: {TRAINED_AGAINST_TFP}")}


def compare(settings: Settings, steps: int,
            on_step: Callable[[], object] = lambda: None) -> Comparison:
    """Train both Glows for that many steps, fit the Gaussian and score all three.

    Args:
      settings: of the training; no clipping, no average of the weights, optimizer Adam.
      steps: how many.
      on_step: called after each step of both.

    Raises:
      ImportError: if TFP or scikit-learn is missing.
      ValueError: if TFP's side does not know the settings.
    """
    _require_common(settings)
    train, test = open_digits()
    trainer = Trainer(settings, train, test)
    peer = TfpTraining(trainer.glow, settings.learning_rate, settings.beta_1, settings.beta_2)
    seconds, loss_difference = _train(trainer, peer, steps, on_step)
    started = time.perf_counter()
    gaussian = best_gaussian(train.batch(np.arange(len(train))), trainer.batches.n_bits)
    fit_seconds = time.perf_counter() - started
    ours = distribution_of(trainer.evaluated_glow())
    return Comparison(
        Score(f"Gaussian, shrinkage {gaussian.shrinkage:g}", None,
              _bits(trainer, gaussian.log_prob), fit_seconds),
        Score("Glow, refglow", steps, _bits(trainer, ours.log_prob), seconds[0]),
        Score("Glow, TFP", steps, _bits(trainer, peer.log_prob), seconds[1]), loss_difference)


def _train(trainer: Trainer, peer: TfpTraining, steps: int,
           on_step: Callable[[], object]) -> tuple[tuple[float, float], float]:
    """(each side's seconds, the largest difference of the losses at one step in bits/dim)."""
    settings, largest, ours, theirs = trainer.settings, 0.0, 0.0, 0.0
    for k in range(steps):
        images = trainer.batches.training(k)
        rate = warm_up(k, settings.learning_rate, settings.warm_up_steps)
        report = trainer.step()
        started = time.perf_counter()
        loss = peer.step(images, rate)
        ours, theirs = ours + report.seconds, theirs + time.perf_counter() - started
        largest = max(largest, abs(report.loss - loss) / (_num_dims(trainer) * math.log(2)))
        on_step()
    return (ours, theirs), largest


def _require_common(settings: Settings) -> None:
    """Raise ValueError unless TfpTraining makes the same steps."""
    for name, value in (("optimizer", "adam"), ("clip_norm", None), ("average_decay", None)):
        if getattr(settings, name) != value:
            raise ValueError(f"TFP's side trains with {name} = {value!r}; the settings have "
                             f"{getattr(settings, name)!r}.")


def _bits(trainer: Trainer, log_prob: Callable[[Array], Array]) -> Array:
    """Bits per dimension of each test image, [N]; the noise is a function of the seed."""
    log_probs = np.concatenate([log_prob(images) for images in trainer.batches.testing()])
    return bits_per_dim(log_probs, _num_dims(trainer), trainer.batches.n_bits)


def _num_dims(trainer: Trainer) -> int:
    return int(np.prod(trainer.train_data.image_shape))


# ---- the command --------------------------------------------------------------------------------

def main() -> None:
    """Compare, print the table; exit code 1 if a requirement is not met."""
    from rich.progress import Progress

    from refglow.validation.table import console, stderr_console
    arguments = _arguments()
    require_writable(arguments.json)
    settings = replace(SETTINGS, seed=arguments.seed)
    with Progress(console=stderr_console(), transient=True) as progress:
        task = progress.add_task("Training both Glows", total=arguments.steps)
        found = compare(settings, arguments.steps, lambda: progress.advance(task))
    out = stderr_console() if is_standard_output(arguments.json) else console()
    scores = (found.gaussian, found.refglow, found.tfp)
    out.print(_table(scores))
    out.print("Largest difference of the two Glows' training losses at one step: "
              f"{found.loss_difference:.2g} bits/dim")
    for what, (holds, numbers) in found.findings().items():
        out.print(f"{'[green]ok[/]  ' if holds else '[bold red]FAIL[/]'} {what}: {numbers}")
    write_json(arguments.json, {
        "settings": asdict(settings), "loss_difference": found.loss_difference,
        "scores": [{"model": score.model, "steps": score.steps, "seconds": score.seconds,
                    "test_bits_per_dim": score.bits_per_dim,
                    "standard_error": score.standard_error} for score in scores],
        "findings": {what: {"holds": holds, "numbers": numbers}
                     for what, (holds, numbers) in found.findings().items()}})
    sys.exit(0 if all(holds for holds, _ in found.findings().values()) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m refglow.validation.digits",
                                     description="A Glow trained here, in TFP, and a Gaussian.")
    parser.add_argument("--json", type=Path, help="write the results to this file ('-': to "
                        "standard output)")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of training, default "
                        f"{STEPS}")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.seed < 0:
        parser.error(f"--steps must be at least 1 and --seed at least 0; got {arguments.steps} and "
                     f"{arguments.seed}.")
    return arguments


def _table(scores: Iterable[Score]) -> Any:
    from rich.table import Table
    table = Table(title="scikit-learn's digits: bits per dimension of the test images",
                  title_justify="left", header_style="bold")
    table.add_column("model")
    for column in ("training\nsteps", "test\nbits/dim", "standard\nerror", "training\nseconds"):
        table.add_column(column, justify="right")
    for score in scores:
        table.add_row(score.model, "" if score.steps is None else str(score.steps),
                      f"{score.bits_per_dim:.4f}", f"{score.standard_error:.4f}",
                      f"{score.seconds:.1f}")
    return table


if __name__ == "__main__":
    main()
