"""Write the package's files of vectors: `python -m refglow.validation.vectors.make FOLDER [--all]`.

New vectors, and those whose drawn inputs or names of results are no longer the kept ones, are
certified; the others are taken over as they are, or with --all certified as well. The conditions of
their results are measured where none are kept. FOLDER is the package's own, or another.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import numpy as np

from refglow.atomic_file import write_atomically
from refglow.cli.progress import tracked
from refglow.dtypes import Array
from refglow.safetensors_file import file_in_pieces
from refglow.validation.vectors.catalogue import VECTORS
from refglow.validation.vectors.certifying import newly_drawn
from refglow.validation.vectors.conditions import measured_conditions
from refglow.validation.vectors.drawing import drawn_inputs
from refglow.validation.vectors.kept import (
    CONDITIONS_FILE,
    FILE,
    KeptVectors,
    file_content,
    kept_vectors,
)
from refglow.validation.vectors.packed_conditions import packed
from refglow.validation.vectors.results import Arrays, evaluated_in
from refglow.validation.vectors.vector import Vector


def main() -> None:
    """Run the command."""
    folder, *rest = sys.argv[1:]
    found, conditions = [], {}
    if all(_is_there(name) for name in (FILE, CONDITIONS_FILE)) and "--all" not in rest:
        with kept_vectors() as kept:
            for vector in tracked(VECTORS, len(VECTORS), "comparing with what is kept"):
                if _is_kept(kept, vector):
                    found.append((vector, kept.inputs(vector), kept.results(vector)))
                    if kept.has_conditions(vector):
                        conditions[vector.name] = kept.packed_conditions(vector)
    names = {vector.name for vector, *_ in found}
    wanted = [vector for vector in VECTORS if vector.name not in names]
    found += tracked(newly_drawn(wanted), len(wanted), "certifying")
    order = {vector.name: place for place, vector in enumerate(VECTORS)}
    found.sort(key=lambda one: order[one[0].name])
    conditions |= _measured([(vector, inputs) for vector, inputs, _ in found
                             if vector.name not in conditions])
    write_atomically(Path(folder) / FILE, file_content(found))
    write_atomically(Path(folder) / CONDITIONS_FILE,
                     b"".join(map(bytes, file_in_pieces(conditions, {}))))


def _is_there(name: str) -> bool:
    return (resources.files("refglow.validation.vectors") / name).is_file()


def _measured(vectors: list[tuple[Vector, Arrays]]) -> dict[str, Array]:
    return {vector.name: packed(measured_conditions(vector, inputs))
            for vector, inputs in tracked(vectors, len(vectors), "measuring conditions")}


def _is_kept(kept: KeptVectors, vector: Vector) -> bool:
    if vector.name not in kept:
        return False
    drawn, before = drawn_inputs(vector), kept.inputs(vector)
    if drawn.keys() != before.keys() or not all(
            np.array_equal(array, before[name]) for name, array in drawn.items()):
        return False
    results = evaluated_in(vector, drawn, np.float64).results
    return results.keys() == kept.results(vector).values.keys()


if __name__ == "__main__":
    main()
