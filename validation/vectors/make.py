"""Write the package's file of vectors: `python -m refglow.validation.vectors.make FILE [--all]`.

New vectors, and those whose drawn inputs or names of results are no longer the kept ones, are
certified; the others are taken over as they are, or with --all certified as well.
"""

from __future__ import annotations

import sys
from importlib import resources

import numpy as np
from rich.progress import track

from refglow.atomic_file import write_atomically
from refglow.validation.table import stderr_console
from refglow.validation.vectors.catalogue import VECTORS
from refglow.validation.vectors.certifying import newly_drawn
from refglow.validation.vectors.drawing import drawn_inputs
from refglow.validation.vectors.kept import FILE, KeptVectors, file_content, kept_vectors
from refglow.validation.vectors.results import evaluated_in
from refglow.validation.vectors.vector import Vector


def main() -> None:
    """Run the command."""
    path, *rest = sys.argv[1:]
    found, wanted = [], list(VECTORS)
    if (resources.files("refglow.validation.vectors") / FILE).is_file() and "--all" not in rest:
        with kept_vectors() as kept:
            as_before = [vector for vector in VECTORS if _is_kept(kept, vector)]
            found = [(vector, kept.inputs(vector), kept.results(vector)) for vector in as_before]
        names = {vector.name for vector in as_before}
        wanted = [vector for vector in VECTORS if vector.name not in names]
    found += track(newly_drawn(wanted), "certifying", len(wanted), console=stderr_console())
    order = {vector.name: place for place, vector in enumerate(VECTORS)}
    found.sort(key=lambda one: order[one[0].name])
    write_atomically(path, file_content(found))


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
