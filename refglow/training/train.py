"""Training a Glow by maximum likelihood: the steps (`trainer.py`), and the run's folder.

A checkpoint is written once the loss and the gradient that follow from it are known to be finite,
so that the one that stands after a divergence is a state that training can go on from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from refglow.extras import from_extra
from refglow.model_file import save
from refglow.training.checkpoint import save_checkpoint
from refglow.training.divergence import DivergedError
from refglow.training.interrupts import held_interrupts
from refglow.training.run_folder import RunFolder
from refglow.training.trainer import StepReport, Trainer


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how often to look.

    Attributes:
      steps: the number of steps in all, those of an earlier part of the run included.
      checkpoint_every, test_every, sample_every: after how many steps to save, to evaluate the test
        images, to draw samples; each also happens at the end. 0: only at the end.
      test_images: at most so many test images are evaluated; None: all.
      samples: how many images to draw.
    """

    steps: int
    checkpoint_every: int = 100
    test_every: int = 100
    sample_every: int = 0
    test_images: int | None = 1000
    samples: int = 16

    def is_due(self, every: int, step: int) -> bool:
        """Whether something that happens `every` so many steps happens after `step`."""
        return step == self.steps or (every > 0 and step % every == 0)


def train(trainer: Trainer, folder: RunFolder, schedule: Schedule,
          on_step: Callable[[StepReport], None] = lambda report: None,
          on_event: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Make the steps that are left, and keep the run's folder.

    After the first Ctrl-C the step at hand is finished and saved; the second ends it at once.

    Args:
      trainer: what to train, from wherever it stands.
      folder: where the run's files go; held by the caller.
      schedule: how long, and how often to look.
      on_step: called after each step.
      on_event: called with a line of text when something else is worth saying.

    Returns:
      the last entries of the log, {"step", "loss", "bits_per_dim", "test_bits_per_dim", ...}, and
      "stopped": whether Ctrl-C ended it early; the model is not written then.

    Raises:
      DivergedError: if the loss or the gradient is not finite. The last checkpoint stands.
      ImportError: if a package that is needed at the end is missing.
      KeyboardInterrupt: at the second Ctrl-C. The last checkpoint stands.
      OSError: if a file cannot be written. The last checkpoint stands.
    """
    _require_packages()
    try:
        with held_interrupts() as interrupted:
            last = _make_steps(trainer, folder, schedule, on_step, on_event, interrupted)
    except DivergedError:
        save_curve(folder)
        raise
    if not last["stopped"]:
        save(folder.model, trainer.evaluated_glow())
    save_curve(folder)
    return last


def _make_steps(trainer: Trainer, folder: RunFolder, schedule: Schedule,
                on_step: Callable[[StepReport], None], on_event: Callable[[str], None],
                interrupted: Callable[[], bool]) -> dict[str, Any]:
    """The steps that are left, each logged and, where due, saved; see `train`."""
    last: dict[str, Any] = {"step": trainer.step_count, "stopped": False}
    saved = trainer.step_count if folder.checkpoint.exists() else None
    start = trainer.step_count
    while True:
        step, is_over = trainer.step_count, trainer.step_count >= schedule.steps
        is_due = saved is None or schedule.is_due(schedule.checkpoint_every, step)
        if is_over and (saved == step or not is_due):
            return last
        evaluation = trainer.evaluate()
        if step > start:
            last |= _look(trainer, folder, schedule, on_event)
        stop = interrupted()
        if saved != step and (is_due or stop):
            save_checkpoint(folder.checkpoint, trainer.checkpoint())
            saved = step
        if is_over or stop:
            return last | {"stopped": not is_over}
        report = trainer.update(evaluation)
        folder.append(vars(report))
        last |= vars(report)
        on_step(report)


def save_curve(folder: RunFolder) -> None:
    """Write the loss curve of what the log holds; nothing if it holds no step.

    Raises:
      OSError: if it cannot be written.
    """
    from refglow.training.pictures import save_loss_curve
    entries = list(folder.entries())
    steps = [entry for entry in entries if "loss" in entry]
    tests = [entry for entry in entries if "test_bits_per_dim" in entry]
    if steps:
        save_loss_curve(folder.loss_curve, [e["step"] for e in steps], [e["loss"] for e in steps],
                        [e["bits_per_dim"] for e in steps], [e["step"] for e in tests],
                        [e["test_bits_per_dim"] for e in tests])


def _require_packages() -> None:
    """Fail before the work rather than after it."""
    with from_extra("train", "The loss curve and the samples"):
        for package in ("matplotlib", "PIL"):
            if find_spec(package) is None:
                raise ImportError(name=package)


def _look(trainer: Trainer, folder: RunFolder, schedule: Schedule,
          on_event: Callable[[str], None]) -> dict[str, Any]:
    """Evaluate test images and draw samples, as far as they are due; returns the test's result."""
    step, result = trainer.step_count, {}
    if schedule.is_due(schedule.test_every, step):
        found = trainer.test_bits_per_dim(schedule.test_images)
        if found is not None and np.isfinite(found):
            result = {"test_bits_per_dim": found}
            folder.append({"step": step} | result)
        elif found is not None:
            on_event(f"Step {step}: the likelihood of the test images is not finite.")
    if schedule.is_due(schedule.sample_every, step):
        _draw(trainer, folder, schedule, on_event)
    return result


def _draw(trainer: Trainer, folder: RunFolder, schedule: Schedule,
          on_event: Callable[[str], None]) -> None:
    from refglow.training.sampling import draw_images, save_images
    images, lost = draw_images(trainer.evaluated_glow(), schedule.samples, 1.0,
                               trainer.settings.seed)
    if lost:
        on_event(f"Step {trainer.step_count}: {lost} of {schedule.samples} samples are not finite "
                 "and stand as black squares.")
    save_images(folder.samples(trainer.step_count), images, trainer.batches.n_bits,
                trainer.max_level)
