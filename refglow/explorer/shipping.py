"""The files of the model that comes with refglow, made from the run that trained it.

digits.md has the command of `refglow train`; then `python -m refglow.explorer.shipping run/`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from refglow.atomic_file import write_atomically
from refglow.explorer.content import content_of
from refglow.model_file import save
from refglow.training.bits_per_dim import measured_bits_per_dim
from refglow.training.data import open_data
from refglow.training.trained import Trained, load_trained


def ship(run: Path, folder: Path) -> None:
    """Write digits.safetensors and digits.json.

    Args:
      run: the folder of a training run on the digits.
      folder: where to, refglow/explorer.
    """
    trained = load_trained(run)
    _, test = open_data("digits")
    content = content_of(trained, test)
    measured = measured_bits_per_dim(trained.glow, test.batches(32), test.n_bits, trained.n_bits, 0)
    save(folder / "digits.safetensors", trained.glow)
    card = {"command": command_of(trained), "test_bits_per_dim": measured.mean,
            "n_bits": content.n_bits, "max_level": content.max_level,
            "levels": [levels.ravel().tolist() for levels in content.levels]}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in card.items())
    write_atomically(folder / "digits.json", f"{{\n{lines}\n}}\n".encode())


def command_of(trained: Trained) -> str:
    """The command that trains it again.

    Raises:
      ValueError: if it is a model file, which does not say.
    """
    if trained.settings is None:
        raise ValueError("A model file does not say how it was trained: give the run's folder.")
    settings: dict[str, Any] = {
        "blocks": trained.settings.num_glow_blocks,
        "steps-per-block": trained.settings.num_steps_per_block,
        "hidden": trained.settings.num_hidden, "batch-size": trained.settings.batch_size,
        "average-decay": trained.settings.average_decay, "steps": trained.step}
    return ("refglow train --data digits " + " ".join(
        f"--{name} {value}" for name, value in settings.items()) + " --out run/")


if __name__ == "__main__":
    ship(Path(sys.argv[1]), Path(__file__).parent)
