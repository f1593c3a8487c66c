"""Writing a model's folder."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import numpy as np

from refglow.atomic_file import write_atomically
from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.model_file import save
from refglow.safetensors_file import write_safetensors
from refglow.validation.implementations.model import parameters_of
from refglow.validation.implementations.reference import latents_of_others
from refglow.validation.model_folder.manifest import (
    FORMAT,
    INPUTS,
    MANIFEST,
    MODEL,
    VERSION,
    manifest_of,
    manifest_schema,
)
from refglow.validation.strangers.files import (
    json_bytes,
    parsed_json,
    sha256_of,
)

KEY = "refglow.inputs"  # of the inputs' metadata
RESULTS = "results"


def write_model_folder(folder: Path, model: Glow, images: Array, seed: int) -> None:
    """Write the model, inputs for it and what explains them, and make the results' folder.

    All numbers are rounded to float32, so that implementations in both types start from the same.

    Args:
      folder: where to; made if it is missing.
      model: float32 or float64, its ActNorms initialised.
      images: [B, H, W, C], finite.
      seed: that they, or they and the model, were drawn from.

    Raises:
      ValueError: if an ActNorm is not initialised, or the folder holds something else, or results.
      TypeError: if the model has networks that are not refglow's.
      OSError: if it cannot be written.
    """
    _require_free(folder)
    parameters_of(model)  # which refuses what has no parameters yet
    glow, x = model.astype(np.float32), images.astype(np.float32)
    wide = glow.astype(np.float64)
    inputs = {"x": x, "z": latents_of_others(wide, x.astype(np.float64)).astype(np.float32)}
    (folder / RESULTS).mkdir(parents=True, exist_ok=True)
    # An older manifest stays until the last: its hashes are not those of the files before that.
    save(folder / MODEL, glow)
    write_safetensors(folder / INPUTS, inputs, KEY, {"format_version": VERSION})
    for name, content in _companions().items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_atomically(folder / name, content)
    hashes = {name: sha256_of(folder / name) for name in (MODEL, INPUTS)}
    write_atomically(folder / MANIFEST, json_bytes(manifest_of(glow, inputs, seed, hashes)))


def _require_free(folder: Path) -> None:
    """Raise ValueError where results, vectors or something else would be mixed up with these."""
    if (folder / "index.json").exists():
        raise ValueError(f"{folder} holds golden vectors; choose another folder.")
    there = folder / RESULTS
    if there.exists() and (not there.is_dir() or any(there.iterdir())):
        raise ValueError(f"{there} holds results of the model that was there; choose another "
                         "folder, or move them away.")
    taken = [name for name in (MANIFEST, MODEL, INPUTS, *_companions())
             if os.path.lexists(folder / name)]
    if taken and not _is_of_ours(folder / MANIFEST):
        raise ValueError(f"{folder} holds {', '.join(taken)}, which would be written over, and no "
                         f"{MANIFEST} of a model that was exported there; choose another folder, "
                         "or move them away.")


def _is_of_ours(manifest: Path) -> bool:
    """Whether an export wrote it; of any version, with files that may have been changed since."""
    try:
        found = parsed_json(manifest)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def _companions() -> dict[str, bytes]:
    """The files that are the same in every folder."""
    package = resources.files("refglow.validation.model_folder")
    vectors = resources.files("refglow.validation.vectors")
    return {"README.md": (package / "FOLDER.md").read_bytes(),
            "model.schema.json": json_bytes(manifest_schema()),
            "examples/model.mjs": (package / "examples" / "model.mjs").read_bytes(),
            "examples/glow.mjs": (vectors / "examples" / "glow.mjs").read_bytes()}
