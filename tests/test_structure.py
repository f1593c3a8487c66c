"""Structures and event shapes."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

from refglow.event_shape import EventShape
from refglow.structure import broadcast_structure, flatten, is_nested, iterate, map_structure

Pair = namedtuple("Pair", ["left", "right"])


def test_map_structure_goes_as_deep_as_the_template():
    assert map_structure([0, 0], len, [[1, 2], [3]]) == [2, 1]
    assert map_structure(0, len, [[1, 2], [3]]) == 2
    assert map_structure({"a": (0, 0)}, lambda a, b: a + b, {"a": [1, 2]}, {"a": (3, 4)}) == {
        "a": (4, 6)}
    result = map_structure(Pair(0, 0), str, (1, 2))
    assert result == Pair("1", "2") and isinstance(result, Pair)
    assert list(map_structure(OrderedDict(b=0, a=0), str, {"a": 1, "b": 2})) == ["b", "a"]
    assert map_structure([], str, []) == [] and map_structure({}, str, {}) == {}


def test_an_array_is_a_sequence_only_if_the_template_says_so():
    rows = np.arange(6).reshape(2, 3)
    first, second = map_structure([0, 0], lambda row: row, rows)
    assert first.tolist() == [0, 1, 2] and second.tolist() == [3, 4, 5]
    assert map_structure(0, np.shape, rows) == (2, 3)


@pytest.mark.parametrize(("template", "structure", "message"), [
    ([0, 0], [1], "sequence of 2 parts, got a list of length 1"), ([0, 0], 5, "got a int"),
    ([0], {"a": 1}, "got a dict"), ({"a": 0}, [1], r"keys \['a'\], got a list"),
    ({"a": 0}, {"a": 1, "b": 2}, r"keys \['a'\]"), ([[0, 0]], [[1, 2, 3]], "length 3"),
    ([0, 0], None, "got a NoneType")])
def test_other_structures_are_refused(template, structure, message):
    with pytest.raises(ValueError, match=message):
        map_structure(template, str, structure)


def test_flatten_and_iterate_go_in_the_same_order():
    structure = {"b": [1, (2, 3)], "a": 4}
    assert flatten(structure, structure) == [1, 2, 3, 4]
    assert list(iterate(structure)) == [("b.0", 1), ("b.1.0", 2), ("b.1.1", 3), ("a", 4)]
    assert list(iterate(7)) == [("", 7)]
    assert broadcast_structure([0, {"a": 0}], 9) == [9, {"a": 9}]
    assert [is_nested(s) for s in ([], (), {}, 1, "ab", np.zeros(2))] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("sizes", [[2, None, 3], (2, None, 3), iter([2, None, 3]),
                                   np.array([2, None, 3], object), EventShape([2, None, 3])])
def test_event_shapes_are_built_from_any_sizes(sizes):
    shape = EventShape(sizes)
    assert shape == (2, None, 3) and hash(shape) == hash((2, None, 3))
    assert shape[1:] == (None, 3) and shape.rank == len(shape) == 3
    assert shape.as_list() == [2, None, 3] and not shape.is_fully_defined()


def test_known_event_shapes():
    shape = EventShape(np.array([2, 3], np.int32))
    assert shape.num_elements() == 6 and shape.as_tensor().tolist() == [2, 3]
    assert shape.as_tensor().dtype == np.int32
    assert EventShape(5) == (5,) and EventShape(()).num_elements() == 1
    assert EventShape([2.0]) == (2,) and EventShape([0]).num_elements() == 0


@pytest.mark.parametrize("sizes", [[-1], [1.5], ["a"], [[1, 2]], [np.nan]])
def test_sizes_that_are_none_are_refused(sizes):
    with pytest.raises(ValueError, match="non-negative integers or None; got"):
        EventShape(sizes)
