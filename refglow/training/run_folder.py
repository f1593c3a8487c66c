"""The files of a training run, in one folder.

    checkpoint.safetensors    the state after the last saved step: weights, optimizer, settings
    model.safetensors         the model at its end, for `refglow.load` (averaged weights, if any)
    log.jsonl                 one JSON object a line: every step, and every look at the test images
    loss.png                  the course of the likelihood
    samples-000500.png        images drawn after that many steps

The log may run ahead of the checkpoint: a killed run has logged steps that it has not saved. When
the run goes on, those lines are taken out first, because they are made again. The log never exists
without a checkpoint.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from refglow.atomic_file import write_atomically
from refglow.held_folder import held_folder


class RunFolder:
    """Where the files of a run are, and its log."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Name the folder; nothing is made or read yet."""
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.model = self.path / "model.safetensors"
        self.log = self.path / "log.jsonl"
        self.loss_curve = self.path / "loss.png"

    def samples(self, step: int) -> Path:
        """The picture of the samples drawn after `step` steps."""
        return self.path / f"samples-{step:06d}.png"

    def require_new(self) -> None:
        """Check that a run can begin here without writing over anything.

        Raises:
          ValueError: if there is a run, or a file with the name of one of a run's files.
        """
        if self.checkpoint.exists():
            raise ValueError(f"{self.path} already holds a training run. Give --resume to go on "
                             "with it, or another folder.")
        taken = [file.name for file in (self.log, self.model, self.loss_curve) if file.exists()]
        if taken:
            raise ValueError(f"{self.path} holds {' and '.join(taken)}, but no "
                             f"{self.checkpoint.name} to go on from. Give another folder.")

    def held(self) -> AbstractContextManager[None]:
        """Make the folder if it is not there; inside it, no other process can hold it.

        Raises:
          OSError, ValueError: as for `held_folder`.
        """
        return held_folder(self.path, "training")

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line to the log.

        Raises:
          OSError: if it cannot be written; names the log.
        """
        line = json.dumps(entry, allow_nan=False) + "\n"
        try:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise OSError(error.errno, f"Cannot write the log ({error.strerror})",
                          str(self.log)) from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """The log's lines. A last line that a killed process left unfinished is passed over."""
        if not self.log.exists():
            return
        with open(self.log, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(entry, dict) and type(entry.get("step")) is int:
                    yield entry

    def drop_after(self, step: int) -> None:
        """Take out of the log what came after `step` steps.

        Raises:
          OSError: if it cannot be written.
        """
        kept = [json.dumps(entry) + "\n" for entry in self.entries() if entry["step"] <= step]
        write_atomically(self.log, "".join(kept).encode())
