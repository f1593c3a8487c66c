"""Nested structures (lists, tuples, dicts) of values, for bijectors with several inputs or outputs.

A *template* says how deep a structure goes. A list of two arrays and one array of two rows look
the same to NumPy; the template `[1, 1]` or `1` tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def is_nested(template: Any) -> bool:
    """Whether `template` is a list, tuple or dict rather than a single leaf."""
    return isinstance(template, (list, tuple, dict))


def map_structure(template: Any, fn: Callable[..., Any], *structures: Any) -> Any:
    """fn applied to the parts of `structures` that stand where `template` has a leaf.

    Returns:
      a structure like `template`, holding the results.

    Raises:
      ValueError: if a structure is not as the template says.
    """
    if not is_nested(template):
        return fn(*structures)
    children = [_children_like(template, structure) for structure in structures]
    keys = list(template) if isinstance(template, dict) else list(range(len(template)))
    results = [map_structure(template[key], fn, *(child[key] for child in children))
               for key in keys]
    if isinstance(template, dict):
        return dict(zip(keys, results, strict=True))
    if hasattr(template, "_fields"):
        return type(template)(*results)
    return type(template)(results)


def flatten(template: Any, structure: Any) -> list[Any]:
    """The parts of `structure` at the leaves of `template`, in order."""
    if not is_nested(template):
        return [structure]
    leaves: list[Any] = []
    map_structure(template, leaves.append, structure)
    return leaves


def broadcast_structure(template: Any, value: Any) -> Any:
    """A structure like `template` with `value` at every leaf."""
    return map_structure(template, lambda _: value, template)


def iterate(structure: Any) -> Iterator[tuple[str, Any]]:
    """(dotted path, leaf) for every leaf of a nested structure; "" is the path of a bare leaf."""
    if not is_nested(structure):
        yield "", structure
        return
    items = structure.items() if isinstance(structure, dict) else enumerate(structure)
    for key, child in items:
        for path, leaf in iterate(child):
            yield (f"{key}.{path}" if path else str(key)), leaf


def _children_like(template: Any, structure: Any) -> Any:
    """`structure`, checked to have the children that `template` has."""
    if isinstance(template, dict):
        if isinstance(structure, dict) and structure.keys() == template.keys():
            return structure
        expected = f"a dict with the keys {sorted(map(str, template))}"
    else:
        if hasattr(structure, "__len__") and not isinstance(structure, dict) and (
                len(structure) == len(template)):
            return structure
        expected = f"a sequence of {len(template)} parts"
    size = f" of length {len(structure)}" if hasattr(structure, "__len__") else ""
    raise ValueError(f"Expected {expected}, got a {type(structure).__name__}{size}.")
