"""Certifying vectors, on all cores: each in a process of its own, since the work is Python's."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np

from refglow.dtypes import Array
from refglow.validation.certified.ball import balls
from refglow.validation.certified.certify import Certified, certified
from refglow.validation.vectors.catalogue import VECTORS
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
    by_name = {vector.name: vector for vector in vectors}
    with _pool(len(vectors)) as pool:
        for done in as_completed([pool.submit(_again, name) for name in _dearest_first(by_name)]):
            name, found = done.result()
            yield by_name[name], found


def newly_drawn(vectors: Sequence[Vector]) -> Iterator[tuple[Vector, Arrays, Certified]]:
    """Vectors with inputs drawn from their definitions; in the order in which they are done."""
    by_name = {vector.name: vector for vector in vectors}
    with _pool(len(vectors)) as pool:
        for done in as_completed([pool.submit(_anew, name) for name in _dearest_first(by_name)]):
            name, inputs, found = done.result()
            yield by_name[name], inputs, found


def _pool(tasks: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max(1, min(tasks, os.cpu_count() or 1)),
                               mp_context=multiprocessing.get_context("spawn"))


def _dearest_first(by_name: Mapping[str, Vector]) -> list[str]:
    return sorted(by_name, key=lambda name: -int(np.prod(by_name[name].event_shape)))


def _named(name: str) -> Vector:
    return next(vector for vector in VECTORS if vector.name == name)


def _again(name: str) -> tuple[str, Certified]:
    vector = _named(name)
    with kept_vectors() as kept:
        inputs = kept.inputs(vector)
    return name, certified_vector(vector, inputs)


def _anew(name: str) -> tuple[str, Arrays, Certified]:
    vector = _named(name)
    inputs = drawn_inputs(vector)
    return name, inputs, certified_vector(vector, inputs)
