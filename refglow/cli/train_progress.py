"""The progress of `refglow train` on stderr: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from refglow.cli.messages import say
from refglow.validation.table import stderr_console

if TYPE_CHECKING:
    from refglow.training.trainer import StepReport, Trainer

_BETWEEN_LINES = 30.0  # seconds
_WIDTH_WITH_BAR = 75  # columns; in fewer, the figures alone
_WEIGHT = 0.1  # of the newest step in the images a second


class TrainProgress:
    """Step, loss, bits/dim, images a second, time left."""

    def __init__(self, trainer: Trainer, steps: int) -> None:
        """Begin at the trainer's step; `steps` is the number of steps in all."""
        self._console = stderr_console()
        bar = [BarColumn(bar_width=None)] if self._console.width >= _WIDTH_WITH_BAR else []
        self._bar = Progress(
            TextColumn("{task.completed}/{task.total}"), *bar,
            TextColumn("{task.fields[figures]}"), TimeRemainingColumn(compact=True),
            TextColumn("left"), console=self._console, transient=True, expand=bool(bar),
            disable=not self._console.is_terminal)
        self._steps, self._batch_size = steps, trainer.settings.batch_size
        self._task = self._bar.add_task("", total=steps, completed=trainer.step_count,
                                        figures="first step ...")
        self._last_line, self._seconds = time.monotonic(), 0.0

    def __enter__(self) -> TrainProgress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, report: StepReport) -> None:
        """Move on by one step."""
        self._seconds += (report.seconds - self._seconds) * (_WEIGHT if self._seconds else 1)
        figures = (f"loss {report.loss:.1f} {report.bits_per_dim:.3f} bits/dim "
                   f"{self._batch_size / self._seconds:.0f} images/s")
        self._bar.update(self._task, completed=report.step, figures=figures)
        if self._bar.disable and time.monotonic() - self._last_line > _BETWEEN_LINES:
            self._last_line = time.monotonic()
            left = self._seconds * (self._steps - report.step)
            say(f"Step {report.step} of {self._steps}: {figures}, {left:.0f} s left",
                to_stderr=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)
