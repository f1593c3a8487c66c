"""Reading a model's folder, which may have come back from a stranger, and not as it was written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.model_file import load
from refglow.safetensors_file import ArrayKind, naming, open_safetensors, require_kinds
from refglow.validation.implementations.model import parameters_of
from refglow.validation.model_folder.manifest import (
    CHECKED,
    INPUTS,
    MANIFEST,
    MODEL,
    manifest_of,
    manifest_schema,
)
from refglow.validation.schemas import misfits
from refglow.validation.strangers.files import json_bytes, parsed_json, sha256_of
from refglow.validation.strangers.text import one_line

_MOST_TOLD = 3  # of what the schema finds


@dataclass(frozen=True)
class ModelFolder:
    """A model and its inputs.

    Attributes:
      path: the folder.
      glow: the model, float32.
      x, z: images [B, H, W, C] and latents [B, D], float32.
      manifest: as it was written, but for the files' hashes.
    """

    path: Path
    glow: Glow
    x: Array
    z: Array
    manifest: Mapping[str, Any]


def is_model_folder(folder: Path) -> bool:
    """Whether it is a model's folder, sound or not."""
    return any(os.path.lexists(folder / name) for name in (MANIFEST, MODEL, INPUTS))


def read_model_folder(folder: Path) -> ModelFolder:
    """The model and its inputs, if they are those that the manifest tells of.

    Raises:
      OSError: if a file cannot be read.
      ValueError: if one is not what it should be; says which, and why.
    """
    missing = [name for name in (MANIFEST, MODEL, INPUTS) if not os.path.lexists(folder / name)]
    if missing:
        raise ValueError(f"{folder} has no {' and no '.join(missing)}, which belongs to an "
                         "exported model. Export the model again, and leave the files beside "
                         "results/ as they are.")
    manifest = _manifest(inside(folder, MANIFEST))
    for entry in manifest["files"]:
        _require_hash(inside(folder, entry["name"]), entry["sha256"])
    glow = load(folder / MODEL)
    if glow.dtype != np.float32:
        raise ValueError(f"{MODEL} holds a model in {glow.dtype}; it must be float32.")
    parameters_of(glow)
    inputs = _inputs(folder / INPUTS, glow)
    ours = manifest_of(glow, inputs, manifest["seed"], {})
    for key in CHECKED:
        if manifest[key] != json.loads(json_bytes(ours[key])):
            raise ValueError(f"{MANIFEST}: {key!r} does not fit the files beside it. Export the "
                             "model again.")
    return ModelFolder(folder, glow, inputs["x"], inputs["z"], ours)


def inside(folder: Path, name: str) -> Path:
    """The path of what is in the folder.

    Raises:
      ValueError: if it is a link that leads out of it.
    """
    path = folder / name
    try:
        where, root = path.resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise ValueError(f"{name} cannot be followed: {one_line(str(error))}") from None
    if not where.is_relative_to(root):
        raise ValueError(f"{name} is a link that leads out of {folder}; put the file itself there.")
    return path


def _manifest(path: Path) -> dict[str, Any]:
    manifest = parsed_json(path)
    wrong = misfits(manifest, manifest_schema(), "the manifest", _MOST_TOLD)
    if wrong:
        raise ValueError(f"{path.name} does not fit its schema: {'; '.join(map(one_line, wrong))}")
    found: dict[str, Any] = manifest
    if {entry["name"] for entry in found["files"]} != {MODEL, INPUTS}:
        raise ValueError(f"{path.name} must tell of {MODEL} and {INPUTS}, each once.")
    return found


def _require_hash(path: Path, expected: str) -> None:
    if sha256_of(path) != expected:
        raise ValueError(f"{path.name} is not the file that was exported: its sha256 is not the "
                         f"one in {MANIFEST}. Export the model again, and leave the files beside "
                         "results/ as they are.")


def _inputs(path: Path, glow: Glow) -> dict[str, Array]:
    shape = tuple(int(size) for size in glow.parameters["output_shape"])
    with open_safetensors(path) as file, naming(path):
        batches = {name: kind.shape[0] if kind.shape else 0 for name, kind in file.kinds.items()}
        require_kinds({"x": ArrayKind("float32", (batches.get("x", 0), *shape)),
                       "z": ArrayKind("float32", (batches.get("z", 0), int(np.prod(shape))))},
                      file.kinds, "the inputs are not those of the model")
        found = {name: file.array(name) for name in ("x", "z")}
    for name, array in found.items():
        if not len(array) or not np.isfinite(array).all():
            raise ValueError(f"{path.name}: {name} is empty, or not finite.")
    return found
