"""The interface that TFP documents for every bijector, held against live TFP."""

import numpy as np
import pytest

import refglow as rg
from refglow.structure import broadcast_structure, flatten, iterate

rgb, rgd = rg.bijectors, rg.distributions

# Each builds the same bijector from refglow's or from TFP's module, with an event shape that fits.
BUILDERS = {
    "identity": (lambda b: b.Identity(), (3, 4)),
    "shift": (lambda b: b.Shift(np.array([1.0, 2.0, 3.0])), (2, 3)),
    "scale": (lambda b: b.Scale(np.array([1.0, -2.0, 3.0])), (3,)),
    "log_scale": (lambda b: b.Scale(log_scale=0.5), (3,)),
    "exp": (lambda b: b.Exp(), (3,)),
    "log": (lambda b: b.Log(), (3,)),
    "reciprocal": (lambda b: b.Reciprocal(), (3,)),
    "sigmoid": (lambda b: b.Sigmoid(), ()),
    "sigmoid_interval": (lambda b: b.Sigmoid(low=-1.0, high=2.0), (3,)),
    "softplus": (lambda b: b.Softplus(), (3,)),
    "tanh": (lambda b: b.Tanh(), (3,)),
    "absolute_value": (lambda b: b.AbsoluteValue(), (3,)),
    "reshape": (lambda b: b.Reshape([2, 3], [3, 2]), (3, 2)),
    "reshape_vector": (lambda b: b.Reshape([2, -1]), (6,)),
    "reshape_to_scalar": (lambda b: b.Reshape([], [1]), (1,)),
    "transpose": (lambda b: b.Transpose([2, 0, 1]), (2, 3, 4)),
    "transpose_rightmost": (lambda b: b.Transpose(rightmost_transposed_ndims=2), (5, 2, 3)),
    "permute": (lambda b: b.Permute([2, 0, 1]), (3,)),
    "permute_axis": (lambda b: b.Permute([2, 0, 1], axis=-2), (3, 4)),
    "split": (lambda b: b.Split(3), (6,)),
    "split_sizes_axis": (lambda b: b.Split([1, -1, 2], axis=-2), (6, 2)),
    "scale_matvec_lu": (lambda b: b.ScaleMatvecLU(np.array([[2.0, 1.0], [0.5, 3.0]]),
                                                  np.array([1, 0])), (2,)),
    "invert": (lambda b: b.Invert(b.Reshape([2, 3], [6])), (2, 3)),
    "chain": (lambda b: b.Chain([b.Exp(), b.Reshape([2, 3], [6]), b.Scale(2.0)]), (6,)),
    "chain_empty": (lambda b: b.Chain([]), (3,)),
    "joint_map": (lambda b: b.JointMap([b.Exp(), b.Scale(2.0)]), [(3,), (4,)]),
    "joint_map_dict": (lambda b: b.JointMap({"a": b.Exp(), "b": b.Reshape([3, 2], [6])}),
                       {"a": (3,), "b": (6,)}),
    "blockwise": (lambda b: b.Blockwise([b.Exp(), b.Permute([1, 0])], [3, 2]), (5,)),
    "real_nvp": (lambda b: b.RealNVP(2, shift_and_log_scale_fn=lambda x, n, **_: (None, None)),
                 (5,)),
}
ALL = pytest.mark.parametrize("name", BUILDERS)


def plain(value):
    """TFP's and refglow's shapes, dtypes and structures, as tuples, names, lists and dicts."""
    if hasattr(value, "as_list"):
        return tuple(value.as_list())
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple) and all(s is None or isinstance(s, int) for s in value):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if hasattr(value, "as_numpy_dtype"):
        return np.dtype(value.as_numpy_dtype)
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return tuple(array.tolist()) if array.ndim else array.item()
    return value


def more(ndims, extra):
    if isinstance(ndims, dict):
        return {key: more(part, extra) for key, part in ndims.items()}
    return [more(n, extra) for n in ndims] if isinstance(ndims, list) else ndims + extra


def unknown_sizes(shape):
    if isinstance(shape, dict):
        return {key: unknown_sizes(part) for key, part in shape.items()}
    if isinstance(shape, list):
        return [unknown_sizes(part) for part in shape]
    return (*shape[:-1], None) if shape else ()


@ALL
@pytest.mark.tfp
def test_attributes_are_tfps(name, tfb):
    build, _ = BUILDERS[name]
    ours, theirs = build(rgb), build(tfb)
    for attribute in ("name", "forward_min_event_ndims", "inverse_min_event_ndims",
                      "is_constant_jacobian", "validate_args"):
        assert plain(getattr(ours, attribute)) == plain(getattr(theirs, attribute)), attribute
    assert ours.has_static_min_event_ndims  # documented; TFP 0.25 no longer has it
    assert list(ours.graph_parents) == list(theirs.graph_parents) == []
    assert ours.is_injective == theirs._is_injective
    assert ours.is_permutation == theirs._is_permutation
    documented = set(theirs.parameters) - {"self", "__class__", "parameters"}
    assert documented - {"experimental_use_kahan_sum", "parameters"} <= set(ours.parameters)


@ALL
@pytest.mark.tfp
def test_event_ndims_are_tfps(name, tfb):
    build, _ = BUILDERS[name]
    ours, theirs = build(rgb), build(tfb)
    for extra in (0, 1, 3):
        x = more(plain(theirs.forward_min_event_ndims), extra)
        y = more(plain(theirs.inverse_min_event_ndims), extra)
        assert ours.forward_event_ndims(x) == plain(theirs.forward_event_ndims(x))
        assert ours.inverse_event_ndims(y) == plain(theirs.inverse_event_ndims(y))


@ALL
@pytest.mark.tfp
def test_event_shapes_are_tfps(name, tfb):
    build, shape = BUILDERS[name]
    ours, theirs = build(rgb), build(tfb)
    y_shape = ours.forward_event_shape(shape)
    for mine, its in zip(flatten(ours.inverse_min_event_ndims, plain(y_shape)), flatten(
            ours.inverse_min_event_ndims, plain(theirs.forward_event_shape(shape))), strict=True):
        assert its == mine or None in its  # refglow works out what a -1 in Reshape stands for
    assert plain(ours.inverse_event_shape(y_shape)) == shape
    for mine, its in [(ours.forward_event_shape_tensor(shape),
                       theirs.forward_event_shape_tensor(shape)),
                      (ours.inverse_event_shape_tensor(y_shape),
                       theirs.inverse_event_shape_tensor(plain(y_shape)))]:
        assert plain(mine) == plain(its) or -1 in plain(its)  # TFP leaves Reshape's -1 as it is
    first = next(iter(flatten(ours.inverse_min_event_ndims,
                                                    ours.forward_event_shape_tensor(shape))))
    assert first.dtype == np.int32


@ALL
@pytest.mark.tfp
def test_partly_known_event_shapes_are_no_vaguer_than_tfps(name, tfb):
    """refglow may know more sizes than TFP (a Reshape whose output is fixed); never less."""
    build, shape = BUILDERS[name]
    ours, theirs = build(rgb), build(tfb)
    partly = unknown_sizes(shape)
    mine = flatten(ours.inverse_min_event_ndims,
                                         ours.forward_event_shape(partly))
    its = flatten(ours.inverse_min_event_ndims,
                                        plain(theirs.forward_event_shape(partly)))
    for a, b in zip(mine, its, strict=True):
        assert len(a) == len(b)
        assert all(s == t for s, t in zip(a, b, strict=True) if t is not None)


@ALL
@pytest.mark.tfp
def test_dtypes_are_tfps(name, tfb):
    """Two departures: Python numbers fix no dtype here, and TFP's ScaleMatvecLU says float32."""
    build, _ = BUILDERS[name]
    ours, theirs = build(rgb), build(tfb)
    for method, template in [("forward_dtype", ours.forward_min_event_ndims),
                             ("inverse_dtype", ours.inverse_min_event_ndims)]:
        mine, its = getattr(ours, method)(), getattr(theirs, method)()
        if not isinstance(theirs, tfb.Split):  # whose dtypes have no structure
            for a, b in zip(flatten(template, mine), flatten(template, its), strict=True):
                assert a is None or a == plain(b) or (name, a) == ("scale_matvec_lu", np.float64)
        given = broadcast_structure(template, np.float64)
        assert all(d == np.float64 for _, d in iterate(getattr(ours, method)(given)))


def test_dtypes_travel_through_compositions():
    shift, wide = rgb.Shift(np.float32([1, 2])), rgb.Shift(np.float64([1, 2]))
    chain = rgb.Chain([rgb.Exp(), shift])
    assert chain.dtype == chain.forward_dtype() == chain.inverse_dtype(None) == np.float32
    assert chain.forward_dtype("float32") == np.float32
    with pytest.raises(TypeError, match="computes in float32, not in float64"):
        chain.forward_dtype(np.float64)
    with pytest.raises(ValueError, match="different dtypes: float32, float64"):
        rgb.Chain([shift, wide])
    assert rgb.Invert(wide).forward_dtype() == np.float64
    assert rgb.Split(2).forward_dtype(np.float32) == [np.float32, np.float32]
    assert rgb.Split(2).inverse_dtype([np.float32, np.float32]) == np.float32
    with pytest.raises(ValueError, match="different dtypes"):
        rgb.Split(2).inverse_dtype([np.float32, np.float64])
    assert rgb.Exp().forward_dtype() is None and rgb.Exp().forward_dtype(np.float16) == np.float16


@pytest.mark.tfp
def test_glow_attributes_and_names_are_tfps(tfb):
    arguments = dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=1)
    theirs = tfb.Glow(coupling_bijector_fn=lambda s: tfb.GlowDefaultNetwork(s, 3),
                      exit_bijector_fn=tfb.GlowDefaultExitNetwork, **arguments)
    ours = rgb.Glow(coupling_bijector_fn=lambda s: rgb.GlowDefaultNetwork(s, 3), **arguments)
    assert tree(ours) == tree(theirs)
    for attribute in ("name", "blockwise_splits", "forward_min_event_ndims",
                      "inverse_min_event_ndims", "is_constant_jacobian", "validate_args",
                      "validate_event_size"):
        assert plain(getattr(ours, attribute)) == plain(getattr(theirs, attribute)), attribute
    assert ours.has_static_min_event_ndims  # documented; TFP 0.25 no longer has it
    assert ours.graph_parents == theirs.graph_parents == []
    documented = {"output_shape", "num_glow_blocks", "num_steps_per_block",
                  "coupling_bijector_fn", "exit_bijector_fn", "grab_after_block", "use_actnorm",
                  "seed", "validate_args", "name"}
    assert documented <= set(theirs.parameters)
    assert set(ours.parameters) == documented | {"dtype"}
    assert [b.name for b in ours.bijectors] == [b.name for b in theirs.bijectors]
    assert len(ours.trainable_variables) == len(theirs.trainable_variables)
    assert len(ours.variables) == len(theirs.variables)
    assert sorted(v.shape for v in ours.trainable_variables) == sorted(
        tuple(v.shape) for v in theirs.trainable_variables)
    assert ours.dtype == ours.forward_dtype() == ours.inverse_dtype() == np.float32
    assert plain(theirs.forward_dtype()) == plain(theirs.inverse_dtype()) == np.float32
    for ndims in (1, 2, 4):
        assert ours.forward_event_ndims(ndims) == theirs.forward_event_ndims(ndims) == ndims + 2
        assert ours.inverse_event_ndims(ndims + 2) == ndims
    assert ours.forward_event_shape((64,)).as_list() == [4, 8, 2]
    assert theirs.forward_event_shape((64,)).as_list() == [4, 8, 2]
    assert ours.inverse_event_shape_tensor((4, 8, 2)).tolist() == [64]
    assert ours.forward_event_shape_tensor([64]).tolist() == [4, 8, 2]


def tree(bijector):
    """(name, its parts' trees), the way a user walks down from Glow."""
    if hasattr(bijector, "bijectors"):
        return bijector.name, [tree(part) for part in bijector.bijectors]
    inner = getattr(bijector, "bijector", None)
    is_invert = type(bijector).__name__.lstrip("_") == "Invert"
    return bijector.name, [tree(inner)] if is_invert else []


def test_shapes_answer_as_list_and_are_tuples():
    shape = rgb.Exp().forward_event_shape((2, None, 3))
    assert isinstance(shape, tuple) and shape == (2, None, 3)
    assert shape.as_list() == [2, None, 3]
    assert shape.rank == 3 and not shape.is_fully_defined() and shape.num_elements() is None
    with pytest.raises(ValueError, match="only partly known"):
        rgb.Exp().forward_event_shape_tensor((2, None, 3))
    known = rgb.Reshape((2, 3), (6,)).forward_event_shape([6])
    assert known.is_fully_defined() and known.num_elements() == 6
    assert rgb.Exp().forward_event_shape(4) == (4,)


@pytest.mark.tfp
def test_shapes_accept_the_frameworks_own(tfb):
    import tensorflow as tf
    shape = rgb.Reshape((2, 3), (6,)).inverse_event_shape(tf.TensorShape([2, 3]))
    assert shape == (6,)
    assert rgb.Exp().forward_event_shape(tf.TensorShape([None, 3])) == (None, 3)
    assert rgb.Glow(tf.TensorShape([2, 2, 1]), 1, 1).inverse_event_shape((2, 2, 1)) == (4,)


def test_unknown_event_ndims_stay_unknown():
    assert rgb.Reshape((2, 3), (6,)).forward_event_ndims(None) is None
    assert rgb.Split(2).forward_event_ndims(None) == [None, None]


# ---- __call__ -----------------------------------------------------------------------------------

def test_call_on_an_array_is_forward():
    for value in ([-1.0, 0.0, 1.0], np.array([-1.0, 0.0, 1.0], np.float32), 0.5):
        assert np.array_equal(rgb.Exp()(value), rgb.Exp().forward(value))
    np.testing.assert_allclose(rgb.Exp()([-1.0, 0.0, 1.0]), np.exp([-1, 0, 1]), rtol=1e-6)


def test_call_passes_keyword_arguments_to_forward():
    nvp = rgb.RealNVP(1, bijector_fn=lambda x, n, by=0.0: rgb.Shift(by))
    assert nvp(np.zeros(2), by=3.0).tolist() == [0, 3]


@pytest.mark.tfp
def test_call_on_bijectors_chains_as_tfp_does(tfb):
    def documented(b):
        return b.Reciprocal()(b.Shift(1.0)(b.Exp()(b.Scale(-1.0))))
    ours, theirs = documented(rgb), documented(tfb)
    assert type(ours) is rgb.Chain
    assert [p.name for p in ours.bijectors] == [p.name for p in theirs.bijectors] == [
        "reciprocal", "shift", "exp", "scale"]
    assert ours.name == theirs.name
    x = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(ours.forward(x), rgb.Sigmoid().forward(x), rtol=1e-14)
    np.testing.assert_allclose(ours.forward_log_det_jacobian(x, 0),
                               rgb.Sigmoid().forward_log_det_jacobian(x, 0), rtol=1e-13)
    for b in (rgb, tfb):
        inner = b.Chain([b.Exp()], validate_args=True, name="inner")
        extended = b.Scale(2.0)(inner)
        assert (extended.name, extended.validate_args) == ("inner", True)
        assert b.Scale(2.0)(inner, name="outer", validate_args=False).name == "outer"
        assert not b.Scale(2.0)(inner, validate_args=False).validate_args
        assert [p.name for p in inner(b.Exp()).bijectors] == ["inner", "exp"]
        assert b.Scale(2.0)(b.Exp(), name="named").name == "named"


@pytest.mark.tfp
def test_call_on_distributions_transforms_as_tfp_does(tfb):
    tfd = pytest.importorskip("tensorflow_probability").distributions
    for b, d in ((rgb, rgd), (tfb, tfd)):
        once = b.Exp()(d.Normal(0.0, 1.0))
        assert type(once).__name__.lstrip("_") == "TransformedDistribution"
        assert once.name == "expNormal"
        twice = b.Scale(2.0)(once)
        assert [p.name for p in twice.bijector.bijectors] == ["scale", "exp"]
        assert type(twice.distribution).__name__ == "Normal"
        assert b.Scale(2.0)(once, name="renamed").name == "renamed"
        thrice = b.Shift(1.0)(twice)
        assert [p.name for p in thrice.bijector.bijectors] == ["shift", "scale", "exp"]
    ours = rgb.Shift(1.0)(rgb.Scale(2.0)(rgb.Exp()(rgd.Normal(0.0, 1.0))))
    theirs = tfb.Shift(1.0)(tfb.Scale(2.0)(tfb.Exp()(tfd.Normal(0.0, 1.0))))
    y = np.float32([1.5, 2.0, 9.0])
    np.testing.assert_allclose(ours.log_prob(y), theirs.log_prob(y), rtol=1e-5)


def test_call_does_not_change_what_it_is_called_on():
    chain = rgb.Chain([rgb.Exp()])
    rgb.Scale(2.0)(chain)
    assert [p.name for p in chain.bijectors] == ["exp"]
    distribution = rgb.Exp()(rgd.Normal(0.0, 1.0))
    rgb.Scale(2.0)(distribution)
    assert distribution.bijector.name == "exp"


# ---- equality -----------------------------------------------------------------------------------

@ALL
def test_equal_to_another_of_the_same_arguments(name):
    build, _ = BUILDERS[name]
    first, second = build(rgb), build(rgb)
    if name != "real_nvp":  # two lambdas are two functions
        assert first == second and hash(first) == hash(second)
    assert first == first and first != rgb.Pad() and first != 3 and first != name


def test_different_functions_are_not_equal():
    different = [rgb.Shift(1.0), rgb.Shift(2.0), rgb.Shift(np.array([1.0])), rgb.Scale(1.0),
                 rgb.Scale(log_scale=1.0), rgb.Exp(), rgb.Exp(validate_args=True),
                 rgb.Exp(name="e"), rgb.Chain([rgb.Exp()]), rgb.Invert(rgb.Exp()), rgb.Log(),
                 rgb.Permute([0, 1]), rgb.Permute([1, 0]), rgb.JointMap([rgb.Exp()]),
                 rgb.Shift(np.array([1.0], np.float32))]
    for i, a in enumerate(different):
        for j, b in enumerate(different):
            assert (a == b) == (i == j), (a, b)


def test_equality_sees_the_values_of_variables():
    first = rgb.OneByOneConv(3, seed=0)
    second = rgb.OneByOneConv(3, seed=0)
    assert first == second and hash(first) == hash(second)
    second.trainable_variables[0].assign(second.trainable_variables[0] + 1)
    assert first != second


# ---- variables, modules, name scopes ------------------------------------------------------------

def test_variables_are_named_by_where_they_are():
    inner = rgb.Shift(rg.Variable(np.zeros(2), "anything", dtype=np.float32))
    outer = rgb.Invert(rgb.Chain([rgb.Exp(), rgb.Chain([inner, rgb.Scale(2.0)])]))
    (variable,) = outer.variables
    assert variable.name == "1.0.shift"
    assert list(outer.state_dict()) == ["1.0.shift"]
    joint = rgb.JointMap({"left": inner, "right": [rgb.Exp(), rgb.OneByOneConv(2, seed=0)]})
    assert [v.name for v in joint.variables] == [
        "left.shift", "right.1.lower_upper", "right.1.permutation"]
    assert [v.name for v in joint.trainable_variables] == ["left.shift", "right.1.lower_upper"]


def test_a_shared_parameter_is_trained_once():
    tied = rgb.Scale(rg.Variable(np.array(2.0)))
    chain = rgb.Chain([rgb.Invert(tied), rgb.Exp(), tied])
    assert [v.name for v in chain.trainable_variables] == ["0.scale"]
    assert set(chain.state_dict()) == {"0.scale", "2.scale"}
    chain.trainable_variables[0].assign(3.0)
    assert chain.state_dict()["2.scale"] == 3
    equal = rgb.Chain([rgb.Scale(rg.Variable(np.array(2.0))) for _ in range(2)])
    assert len(equal.trainable_variables) == 2


def test_submodules_are_all_that_is_inside():
    conv = rgb.OneByOneConv(3, seed=0)
    chain = rgb.Chain([rgb.Exp(), rgb.Invert(conv)])
    kinds = [type(m).__name__ for m in chain.submodules]
    assert kinds == ["Exp", "Invert", "OneByOneConv", "ScaleMatvecLU"]
    glow = rgb.Glow((2, 2, 2), 1, 2, coupling_bijector_fn=lambda s: rgb.GlowDefaultNetwork(s, 2))
    kinds = [type(m).__name__ for m in glow.submodules]
    for kind, count in [("ActivationNormalization", 2), ("OneByOneConv", 2), ("RealNVP", 2),
                        ("GlowBlock", 1), ("ExitBijector", 1), ("Conv2D", 6), ("Expand", 1),
                        ("GlowDefaultNetwork", 2)]:
        assert kinds.count(kind) == count, kind
    assert len({id(m) for m in glow.submodules}) == len(glow.submodules)


def test_with_name_scope_names_variables_after_the_object():
    class Lazy(rgb.Bijector):
        def __init__(self):
            super().__init__(forward_min_event_ndims=0, name="lazy")

        @rgb.Bijector.with_name_scope
        def build(self, size):
            """Makes it."""
            with rgb.Exp(name="inner").name_scope as scope:
                assert scope == "lazy/inner/"
            return rg.Variable(np.zeros(size), "w")

        @rgb.Bijector.with_name_scope
        def fail(self):
            raise KeyError("lost")

    lazy = Lazy()
    assert lazy.build(2).name == "lazy/w"
    assert Lazy.build.__doc__ == "Makes it."
    with pytest.raises(KeyError):
        lazy.fail()
    assert rg.Variable(0.0, "w").name == "w"
    assert lazy.name_scope.name == "lazy"


def test_names_can_be_chosen_and_default_to_the_class():
    class MyOwnMap(rgb.Bijector):
        def __init__(self):
            super().__init__(forward_min_event_ndims=0)

    assert MyOwnMap().name == "my_own_map"
    assert rgb.Exp(name="mine").name == "mine"
    assert "mine" in repr(rgb.Exp(name="mine"))
    with pytest.raises(NotImplementedError, match="implement _forward_and_log_det"):
        MyOwnMap().forward(1.0)
    with pytest.raises(NotImplementedError, match="implement _inverse_and_log_det"):
        MyOwnMap().inverse(1.0)


def test_parameters_are_a_copy():
    exp = rgb.Exp()
    exp.parameters["name"] = "changed"
    assert exp.parameters == {"validate_args": False, "name": "exp"}


def test_one_pass_methods_give_what_separate_calls_give():
    rng = np.random.default_rng(0)
    for build, shape in BUILDERS.values():
        bijector = build(rgb)
        if not bijector.is_injective or isinstance(shape, (list, dict)) or (
                isinstance(bijector, rgb.Split)):
            continue
        x = rng.uniform(0.2, 0.8, (2, *shape))
        y, fldj = bijector.forward_and_log_det(x)
        assert np.array_equal(y, bijector.forward(x))
        assert np.array_equal(fldj, bijector.forward_log_det_jacobian(x))
        back, ildj = bijector.inverse_and_log_det(y)
        assert np.array_equal(back, bijector.inverse(y))
        assert np.array_equal(ildj, bijector.inverse_log_det_jacobian(y))
        assert bijector.forward(x, name="op") is not None
        assert bijector.inverse(y, name="op") is not None


def test_event_ndims_defaults_to_the_least():
    x = np.ones((2, 3))
    assert rgb.Exp().forward_log_det_jacobian(x).shape == (2, 3)
    assert rgb.Exp().forward_log_det_jacobian(x, np.int64(1)).shape == (2,)
    assert rgb.Exp().forward_log_det_jacobian(x, event_ndims=2).shape == ()
