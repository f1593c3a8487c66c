"""Certifying vectors, on all cores: each in a process of its own, since the work is Python's."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from refglow.dtypes import Array
from refglow.validation.certified.ball import balls
from refglow.validation.certified.certified_results import Certified
from refglow.validation.certified.certify import certified
from refglow.validation.vectors.catalogue import BY_NAME
from refglow.validation.vectors.drawing import drawn_inputs
from refglow.validation.vectors.kept import kept_vectors
from refglow.validation.vectors.results import Arrays, evaluated
from refglow.validation.vectors.vector import Vector


def certified_vector(vector: Vector, inputs: Mapping[str, Array]) -> Certified:
    """A vector's true results, correctly rounded.

    Args:
      vector: which.
      inputs: its parameters and inputs, float32.
    """
    return certified(lambda: evaluated(vector, inputs, object, balls).results, vector.first_bits)


def certified_again(vectors: Sequence[Vector]) -> Iterator[tuple[Vector, Certified]]:
    """Kept vectors and their results, derived again; in the order in which they are done."""
    for vector, _, found in _in_processes(_kept_inputs, vectors):
        yield vector, found


def newly_drawn(vectors: Sequence[Vector]) -> Iterator[tuple[Vector, Arrays, Certified]]:
    """Vectors with inputs drawn from their definitions; in the order in which they are done."""
    yield from _in_processes(drawn_inputs, vectors)


def _in_processes(inputs_of: Callable[[Vector], Arrays], vectors: Sequence[Vector]
                  ) -> Iterator[tuple[Vector, Arrays, Certified]]:
    """Each vector with its inputs and certified results; the dearest are begun first."""
    dearest_first = sorted(vectors, key=lambda vector: -vector.size)
    workers = max(1, min(len(vectors), os.cpu_count() or 1))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        tasks = [pool.submit(_certify, inputs_of, vector.name) for vector in dearest_first]
        for done in as_completed(tasks):
            name, inputs, found = done.result()
            yield BY_NAME[name], inputs, found


def _certify(inputs_of: Callable[[Vector], Arrays], name: str) -> tuple[str, Arrays, Certified]:
    """In a process of its own, to which a vector goes by its name: it holds functions."""
    vector = BY_NAME[name]
    inputs = inputs_of(vector)
    return name, inputs, certified_vector(vector, inputs)


def _kept_inputs(vector: Vector) -> Arrays:
    with kept_vectors() as kept:
        return kept.inputs(vector)
