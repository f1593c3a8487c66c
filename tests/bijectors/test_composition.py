"""Compositions: how ranks, structures, keyword arguments and log-dets travel, against live TFP."""

import warnings

import numpy as np
import pytest

import refglow as rg
from refglow.structure import flatten, iterate, map_structure

rgb = rg.bijectors

RNG = np.random.default_rng(5)
MATRIX, ORDER = RNG.uniform(0.5, 2.0, (2, 2)), np.array([1, 0])


TWO = np.float64(2)  # (TFP takes a Python 2.0 for float32, and casts what it meets.)


def lu(b):
    if b is rgb:
        return b.ScaleMatvecLU(MATRIX, ORDER)
    import tensorflow as tf
    return b.ScaleMatvecLU(tf.constant(MATRIX), tf.constant(ORDER, tf.int32))


# Built from refglow's or TFP's module. What they have in common: every way in which ranks travel.
COMPOSITIONS = {
    "to a matrix and back": lambda b: b.Chain([b.Reshape([6], [3, 2]), b.Reshape([3, 2], [6])]),
    "scalar around vector": lambda b: b.Chain([b.Exp(), lu(b), b.Tanh()]),
    "vector around matrix": lambda b: b.Chain([lu(b), b.Reshape([3, 2], [6])]),
    "vector before matrix": lambda b: b.Chain([b.Transpose([1, 0]), lu(b)]),
    "matrix demanded late": lambda b: b.Chain([b.Exp(), b.Reshape([2, 3, 1], [6]), b.Exp()]),
    "rank drops to scalars": lambda b: b.Chain([b.Exp(), b.Reshape([], [1])]),
    "rank rises from scalars": lambda b: b.Chain([b.Reshape([1], []), b.Exp()]),
    "inverted twice": lambda b: b.Invert(b.Invert(b.Chain([b.Exp(), b.Reshape([2, 3], [6])]))),
    "inverted chain": lambda b: b.Invert(b.Chain([b.Reshape([2, 3], [6]), b.Scale(TWO)])),
    "chain of chains": lambda b: b.Chain([b.Chain([b.Exp(), b.Transpose([1, 0])]),
                                          b.Chain([b.Reshape([3, 2], [6])]), b.Chain([])]),
    "empty chain": lambda b: b.Chain([]),
    "split": lambda b: b.Split([2, 4]),
    "joined": lambda b: b.Invert(b.Split([2, 4])),
    "split, map, join": lambda b: b.Chain([
        b.Invert(b.Split(2)), b.JointMap([b.Exp(), b.Scale(TWO)]), b.Split(2)]),
    "split and map": lambda b: b.Chain([b.JointMap([b.Exp(), lu(b)]), b.Split([3, 2])]),
    "map and join": lambda b: b.Chain([b.Invert(b.Split([2, 2])), b.JointMap([lu(b), b.Tanh()])]),
    "split of rows": lambda b: b.Chain([b.JointMap([b.Exp(), b.Exp()]), b.Split([1, 2], axis=-2)]),
    "split under a matrix": lambda b: b.Chain([b.Split(2, axis=-2), b.Reshape([4, 1], [4])]),
    "side by side": lambda b: b.JointMap([b.Exp(), b.Reshape([2, 3], [6]), lu(b)]),
    "dict": lambda b: b.JointMap({"a": b.Exp(), "b": b.Reshape([2, 3], [6])}),
    "nested structure": lambda b: b.JointMap({"a": [b.Exp(), lu(b)], "b": b.Tanh()}),
    "maps one after another": lambda b: b.Chain([
        b.JointMap([b.Exp(), b.Transpose([1, 0])]), b.JointMap([lu(b), b.Reshape([2, 3], [6])])]),
    "map on a scalar split": lambda b: b.Chain([
        b.JointMap([b.Reshape([3, 1], [3]), b.Reshape([1, 3], [3])]), b.Split(2)]),
    "split for unequal demands": lambda b: b.Chain([
        b.JointMap([b.Exp(), b.Transpose([1, 0])]), b.Split([1, 3])]),
    "unequal demands joined": lambda b: b.Chain([
        b.Invert(b.Split([2, 2])), b.JointMap([b.Transpose([1, 0]), b.Exp()])]),
    "unequal demands on both sides": lambda b: b.Chain([
        b.JointMap([b.Exp(), b.Transpose([1, 0])]), b.Invert(b.JointMap([lu(b), b.Exp()])),
        b.Split([2, 3])]),
    "blockwise": lambda b: b.Blockwise([b.Exp(), lu(b)], [1, 2]),
    "blockwise of scalars": lambda b: b.Blockwise([b.Exp(), b.Tanh()]),
    "blockwise in a chain": lambda b: b.Chain([
        b.Reshape([2, 3], [6]), b.Blockwise([b.Exp(), lu(b)], [4, 2]), b.Transpose([0])]),
    "blockwise inverted": lambda b: b.Invert(b.Blockwise([b.Exp(), lu(b)], [1, 2])),
    "blockwise of blockwise": lambda b: b.Blockwise([
        b.Blockwise([b.Exp(), b.Tanh()], [1, 2]), b.Identity()], [3, 1]),
}
SHAPES = {
    "to a matrix and back": (6,), "scalar around vector": (2,), "vector around matrix": (6,),
    "vector before matrix": (3, 2), "matrix demanded late": (6,), "rank drops to scalars": (1,),
    "rank rises from scalars": (), "inverted twice": (6,), "inverted chain": (2, 3),
    "chain of chains": (6,), "empty chain": (3,), "split": (6,), "joined": [(2,), (4,)],
    "split, map, join": (6,), "split and map": (5,), "map and join": [(2,), (2,)],
    "split of rows": (3, 2), "split under a matrix": (4,), "side by side": [(2,), (6,), (2,)],
    "dict": {"a": (2,), "b": (6,)}, "nested structure": {"a": [(3,), (2,)], "b": (1,)},
    "maps one after another": [(2,), (6,)], "map on a scalar split": (6,),
    "split for unequal demands": (2, 4), "unequal demands joined": [(2, 3), (3, 2)],
    "unequal demands on both sides": (3, 5), "blockwise": (3,),
    "blockwise of scalars": (2,), "blockwise in a chain": (6,), "blockwise inverted": (3,),
    "blockwise of blockwise": (4,)}
ALL = pytest.mark.parametrize("name", COMPOSITIONS)


def unwrapped(structure):
    """TensorFlow's wrappers of lists and dicts undone."""
    if isinstance(structure, dict):
        return {key: unwrapped(part) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [unwrapped(part) for part in structure]
    return structure


def positive(template, shape, batch=(2,)):
    rng = np.random.default_rng(1)
    return map_structure(template, lambda s: rng.uniform(0.2, 0.8, batch + tuple(s)), shape)


def assert_close(ours, theirs):
    ours, theirs = list(iterate(ours)), list(iterate(unwrapped(theirs)))
    assert [path for path, _ in ours] == [path for path, _ in theirs]
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=1e-12, atol=1e-12)


@ALL
@pytest.mark.tfp
def test_ranks_are_inferred_as_tfp_does(name, tfb):
    ours, theirs = COMPOSITIONS[name](rgb), COMPOSITIONS[name](tfb)
    assert ours.forward_min_event_ndims == unwrapped(theirs.forward_min_event_ndims)
    assert ours.inverse_min_event_ndims == unwrapped(theirs.inverse_min_event_ndims)
    for extra in (0, 1, 2):
        x = map_structure(ours.forward_min_event_ndims, lambda n, extra=extra: n + extra,
                          ours.forward_min_event_ndims)
        y = map_structure(ours.inverse_min_event_ndims, lambda n, extra=extra: n + extra,
                          ours.inverse_min_event_ndims)
        assert ours.forward_event_ndims(x) == unwrapped(theirs.forward_event_ndims(x))
        assert ours.inverse_event_ndims(y) == unwrapped(theirs.inverse_event_ndims(y))


@ALL
@pytest.mark.tfp
def test_values_and_log_dets_are_tfps(name, tfb):
    ours, theirs = COMPOSITIONS[name](rgb), COMPOSITIONS[name](tfb)
    x = positive(ours.forward_min_event_ndims, SHAPES[name])
    ndims = map_structure(ours.forward_min_event_ndims, len, SHAPES[name])
    y = ours.forward(x)
    y_ndims = ours.forward_event_ndims(ndims)
    assert_close(y, theirs.forward(x))
    assert_close(ours.inverse(y), theirs.inverse(y))
    assert_close(ours.forward_log_det_jacobian(x, ndims), np.broadcast_to(
        theirs.forward_log_det_jacobian(x, ndims), (2,)))
    assert_close(ours.inverse_log_det_jacobian(y, y_ndims), np.broadcast_to(
        theirs.inverse_log_det_jacobian(y, y_ndims), (2,)))
    assert_close(ours.inverse(y), x)


@pytest.mark.tfp
def test_parts_of_different_rank_side_by_side(tfb):
    """Parts that do not interact may have excess ranks of their own."""
    for b in (rgb, tfb):
        joint = b.JointMap([b.Exp(), b.Reshape([2, 3], [6])])
        assert unwrapped(joint.forward_event_ndims([3, 1])) == [3, 2]
        assert unwrapped(joint.inverse_event_ndims([0, 4])) == [0, 3]
    ours, theirs = (b.JointMap([b.Exp(), b.Reshape([2, 3], [6])]) for b in (rgb, tfb))
    x = [np.ones((5, 4)), np.ones((5, 6))]
    assert_close(ours.forward_log_det_jacobian(x, [1, 1]),
                 theirs.forward_log_det_jacobian(x, [1, 1]))
    with pytest.raises(ValueError, match="same number"):
        rgb.Split(2).inverse_event_ndims([1, 2])


def test_log_dets_of_parts_with_different_batches_are_refused():
    joined = rgb.Invert(rgb.Split([1, 1]))
    with pytest.raises(ValueError, match="different event shapes"):
        joined.forward_log_det_jacobian([np.ones((1, 1)), np.ones((3, 1))], [2, 2])
    with pytest.raises(ValueError, match="broadcast"):
        joined.forward([np.ones((2, 1)), np.ones((3, 1))])


@pytest.mark.parametrize(("method", "tangents", "options"), [
    ("", 0, {}), ("_and_log_det", 0, {}), ("_vjp", 0, {}), ("_vjp", 0, {"memory": "checkpoint"}),
    ("_jvp", 1, {})])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_an_error_says_in_which_part_it_arose(direction, method, tangents, options):
    chain = rgb.Chain([rgb.Shift(1.0), rgb.Exp(validate_args=True)], name="outer")
    x = np.array([np.nan], np.float32)
    with pytest.raises(ValueError, match="NaN or infinite") as caught:
        getattr(chain, direction + method)(x, *[x] * tangents, **options)
    assert caught.value.__notes__ == ["(in outer, at 1)"]


# ---- not injective ------------------------------------------------------------------------------

@pytest.mark.tfp
def test_absolute_value_as_tfp(tfb):
    ours, theirs = rgb.AbsoluteValue(), tfb.AbsoluteValue()
    x = np.array([[-2.0, 0.0, 3.0]])
    assert np.array_equal(ours.forward(x), theirs.forward(x))
    for mine, its in [(ours.inverse(abs(x)), theirs.inverse(abs(x))),
                      (ours.inverse_log_det_jacobian(abs(x), 1),
                       theirs.inverse_log_det_jacobian(abs(x), 1))]:
        assert isinstance(mine, tuple) and len(mine) == len(its) == 2
        for a, b in zip(mine, its, strict=True):
            assert np.array_equal(a, np.broadcast_to(np.asarray(b), a.shape))
    for b in (ours, theirs):
        with pytest.raises(NotImplementedError):
            b.forward_log_det_jacobian(x, 1)
    assert ours.inverse(abs(x))[0].tolist() == [[-2, 0, -3]]
    assert not ours.is_injective


@pytest.mark.tfp
def test_non_injective_part_of_a_chain(tfb):
    for b in (rgb, tfb):
        chain = b.Chain([b.Exp(), b.AbsoluteValue()])
        assert not getattr(chain, "is_injective", getattr(chain, "_is_injective", None))
        assert np.asarray(chain.forward(np.array([-1.0, 1.0]))).tolist() == [np.e, np.e]
        with pytest.raises(NotImplementedError):
            chain.inverse(np.array([2.0]))
        with pytest.raises(NotImplementedError):
            chain.forward_log_det_jacobian(np.array([2.0]), 0)
        with pytest.raises(NotImplementedError):
            b.Invert(b.AbsoluteValue())
    chain = rgb.Chain([rgb.Exp(), rgb.AbsoluteValue()])
    for method in (chain.inverse, chain.inverse_log_det_jacobian, chain.inverse_and_log_det):
        with pytest.raises(NotImplementedError, match="invert the parts one at a time"):
            method(2.0)  # (TFP returns a log-det here, of one branch.)


# ---- Pad and validate_event_size ----------------------------------------------------------------

def test_scaling_padding_is_reported_if_asked():
    """y = 2 (x, 0): TFP's documented example of a log-det that counts padding as volume."""
    parts = [rgb.Scale(2.0), rgb.Pad(((0, 1),))]
    x = np.ones((3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rgb.Chain(parts).forward(x).shape == (3, 3)
        assert rgb.Chain(parts).forward_log_det_jacobian(x, 1) == pytest.approx(3 * np.log(2))
        rgb.Chain([rgb.Permute([2, 0, 1]), rgb.Pad(((0, 1),))],
                  validate_event_size=True).forward_log_det_jacobian(x, 1)
        rgb.Chain([rgb.Pad(((0, 1),)), rgb.Scale(2.0)],
                  validate_event_size=True).forward_log_det_jacobian(x, 1)
    watched = rgb.Chain(parts, validate_event_size=True)
    assert watched.validate_event_size
    with pytest.warns(RuntimeWarning, match="'scale' acts on an event with more numbers"):
        watched.forward_log_det_jacobian(x, 1)
    strict = rgb.Chain(parts, validate_event_size=True, validate_args=True)
    with pytest.raises(ValueError, match="'scale' acts on an event with more numbers"):
        strict.forward_log_det_jacobian(x, 1)
    for derivative in (strict.forward_vjp, lambda v: strict.forward_jvp(v, v)):
        with pytest.raises(ValueError, match="'scale' acts on an event with more numbers"):
            derivative(x)
    assert strict.forward(x).shape == (3, 3)


def test_redundancy_is_seen_through_structure():
    """After Pad, splitting and joining are harmless; a scale on one part is not."""
    x = np.ones((3, 3))
    harmless = rgb.Chain([rgb.Invert(rgb.Split(2)), rgb.Split(2), rgb.Pad(((0, 1),))],
                         validate_event_size=True, validate_args=True)
    assert np.array_equal(harmless.forward_log_det_jacobian(x, 1), np.zeros(3))
    harmful = rgb.Chain([rgb.JointMap([rgb.Scale(2.0), rgb.Identity()]), rgb.Split(2),
                         rgb.Pad(((0, 1),))], validate_event_size=True, validate_args=True)
    with pytest.raises(ValueError, match="more numbers"):
        harmful.forward_log_det_jacobian(x, 1)


# ---- keyword arguments --------------------------------------------------------------------------

def conditioned(b, name="coupling"):
    return b.RealNVP(1, bijector_fn=lambda x, n, by=0.0: b.Shift(by), name=name)


@pytest.mark.tfp
def test_keyword_arguments_reach_parts_by_name_as_in_tfp(tfb):
    def build(b):
        return b.Chain([
            b.Invert(conditioned(b, "outer"), name="undone"),
            b.Blockwise([conditioned(b, "first"), b.Identity()], [2, 1], name="blocks"),
            b.Chain([conditioned(b, "inner"), b.Exp()], name="nested")])
    x = RNG.standard_normal((4, 3))
    kwargs = {"undone": {"by": np.float64(1.0)}, "blocks": {"first": {"by": np.float64(10.0)}},
              "nested": {"inner": {"by": np.float64(100.0)}}}
    ours, theirs = build(rgb), build(tfb)
    y = ours.forward(x, **kwargs)
    assert_close(y, theirs.forward(x, **kwargs))
    assert y[0, 1] == pytest.approx(np.exp(x[0, 1]) + 100 + 10 - 1)
    assert_close(ours.inverse(y, **kwargs), x)
    assert_close(ours.inverse(y, **kwargs), theirs.inverse(y, **kwargs))
    assert_close(ours.inverse_log_det_jacobian(y, 1, **kwargs),
                 theirs.inverse_log_det_jacobian(y, 1, **kwargs))
    assert_close(ours.forward_log_det_jacobian(x, 1, **kwargs),
                 theirs.forward_log_det_jacobian(x, 1, **kwargs))
    assert ours.forward_dtype(np.float64, nested={}) == np.float64


def test_keyword_arguments_reach_parts_of_joint_maps_in_any_structure():
    joint = rgb.JointMap({"a": [conditioned(rgb, "one")], "b": conditioned(rgb, "two")})
    x = {"a": [np.zeros(2)], "b": np.zeros(2)}
    y = joint.forward(x, one={"by": 1.0}, two={"by": 2.0})
    assert (y["a"][0].tolist(), y["b"].tolist()) == ([0, 1], [0, 2])
    assert joint.inverse(y, one={"by": 1.0}, two={"by": 2.0})["b"].tolist() == [0, 0]


def test_parts_of_one_name_share_their_arguments():
    chain = rgb.Chain([conditioned(rgb), conditioned(rgb)])
    assert chain.forward(np.zeros(2), coupling={"by": 1.0}).tolist() == [0, 2]


@pytest.mark.parametrize("call", [
    lambda b, x: b.forward(x, misspelt={}), lambda b, x: b.inverse(x, misspelt={}),
    lambda b, x: b.forward_log_det_jacobian(x, 1, misspelt={}),
    lambda b, x: b.inverse_and_log_det(x, 1, misspelt={})])
@pytest.mark.parametrize("bijector", [
    rgb.Chain([rgb.Exp(name="e"), rgb.Tanh(name="t")]),
    rgb.Blockwise([rgb.Exp(name="e"), rgb.Tanh(name="t")], [1, 1]),
    rgb.Invert(rgb.Chain([rgb.Exp(name="e"), rgb.Tanh(name="t")]))], ids=lambda b: b.name)
def test_a_name_that_no_part_has_is_an_error(bijector, call):
    with pytest.raises(TypeError, match=r"no part is called 'misspelt'; the parts are e, t"):
        call(bijector, np.array([0.3, 0.4]))


def test_arguments_that_are_no_dict_are_an_error():
    with pytest.raises(TypeError, match="coupling= must be a dict"):
        rgb.Chain([conditioned(rgb)]).forward(np.zeros(2), coupling=1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'label'"):
        rgb.Chain([rgb.Exp()]).forward(np.zeros(2), exp={"label": 1})


# ---- structures ---------------------------------------------------------------------------------

def test_the_structure_of_the_result_is_that_of_the_bijectors():
    tuple_map = rgb.JointMap((rgb.Exp(), rgb.Tanh()))
    assert isinstance(tuple_map.forward((np.zeros(2), np.zeros(3))), tuple)
    listed = rgb.Split(2).forward(np.arange(4.0))
    assert isinstance(listed, list) and [p.tolist() for p in listed] == [[0, 1], [2, 3]]


def test_batch_dimensions_of_joined_pieces_broadcast():
    joined = rgb.Split([1, 2]).inverse([np.zeros((3, 1)), np.ones(2)])
    assert joined.tolist() == [[0, 1, 1]] * 3


@pytest.mark.parametrize(("call", "message"), [
    (lambda: rgb.Split(2).inverse([np.ones(2)]), r"split: y is not structured.*2 parts.*length 1"),
    (lambda: rgb.Split(2).inverse({"a": 1}), r"sequence of 2 parts, got a dict"),
    (lambda: rgb.JointMap({"a": rgb.Exp()}).forward({"b": 1.0}), r"dict with the keys \['a'\]"),
    (lambda: rgb.JointMap([rgb.Exp()]).forward(1.0), r"x is not structured"),
    (lambda: rgb.Split(2).inverse_log_det_jacobian([1.0, 1.0], 1), r"event_ndims is not struct"),
    (lambda: rgb.Split([1, 2]).inverse([np.ones(2), np.ones(2)]), r"sizes \[2, 2\].*\[1, 2\]"),
    (lambda: rgb.Split(2).inverse([np.ones(2), np.ones(3)]), r"must be equal; got \[2, 3\]"),
    (lambda: rgb.Split(2).forward(np.ones(3)), r"3 elements.*cannot be split into 2 equal"),
    (lambda: rgb.Split([1, 1]).forward(np.ones(3)), r"3 elements.*sizes \[1, 1\]"),
    (lambda: rgb.Split([2, 2, -1]).forward(np.ones(3)), r"do not match the sizes"),
    (lambda: rgb.Split(2).forward_event_shape((3,)), r"cannot be split"),
    (lambda: rgb.Split(2).forward_event_shape(()), r"fewer than 1 dimensions"),
    (lambda: rgb.Blockwise([rgb.Exp()], [1, 2]), r"1 bijectors need as many block_sizes"),
    (lambda: rgb.Blockwise([rgb.Transpose([1, 0])], [2]), r"only scalar and vector bijectors"),
    (lambda: rgb.Blockwise([rgb.Split(2)], [2]), r"several inputs or outputs"),
    (lambda: rgb.JointMap([]), r"at least one"),
    (lambda: rgb.Split([1, -1, -1]), r"at most one of them -1"),
    (lambda: rgb.Split(0), r"at least one piece"),
    (lambda: rgb.Split(2, axis=0), r"axis must be negative"),
])
def test_what_does_not_fit_is_refused_and_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("call", [
    lambda: rgb.Chain([rgb.Exp(), 3]), lambda: rgb.Chain(rgb.Exp()), lambda: rgb.Invert(rgb.Exp),
    lambda: rgb.JointMap({"a": np.exp}), lambda: rgb.Blockwise([None], [1])])
def test_only_bijectors_can_be_composed(call):
    with pytest.raises(TypeError, match=r"expected .*bijector"):
        call()


def test_blockwise_of_parts_that_change_their_size():
    blockwise = rgb.Blockwise([rgb.Pad(((0, 2),)), rgb.Exp()], [1, 2])
    assert blockwise.block_sizes == [1, 2] and blockwise.inverse_block_sizes == [3, 2]
    y = blockwise.forward(np.array([7.0, 0.0, 0.0]))
    assert y.tolist() == [7, 0, 0, 1, 1]
    assert blockwise.inverse(y).tolist() == [7, 0, 0]
    assert blockwise.forward_event_shape((3,)) == (5,)
    assert blockwise.inverse_event_shape((5,)) == (3,)


def test_an_empty_chain_is_the_identity():
    chain = rgb.Chain([])
    assert chain.name == "identity" and chain.bijectors == []
    x = np.ones((2, 3))
    assert np.array_equal(chain.forward(x), x) and np.array_equal(chain.inverse(x), x)
    assert chain.forward_log_det_jacobian(x, 1).tolist() == [0, 0]
    assert flatten(0, chain.forward_event_ndims(2)) == [2]
