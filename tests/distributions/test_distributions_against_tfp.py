"""Shapes, names and log densities against live TFP."""

import numpy as np
import pytest

import refglow as rg

pytestmark = pytest.mark.tfp

LOC = np.random.default_rng(0).standard_normal((2, 3, 4))
SCALE = np.random.default_rng(1).random((3, 1)) + 0.5
SHIFT = np.random.default_rng(2).standard_normal((5, 1, 4))
LU = np.random.default_rng(3).standard_normal((3, 4, 4)) * 0.3 + 2 * np.eye(4)
PERMUTATION = np.array([2, 0, 3, 1])

# d, b: the library's distributions and bijectors; a: its arrays (TFP's ScaleMatvecLU would make
# float32 of a NumPy float64 array).
CASES = {
    "normal": lambda d, b, a: d.Normal(LOC, SCALE),
    "independent": lambda d, b, a: d.Independent(d.Normal(LOC, SCALE), 2),
    "independent of none": lambda d, b, a: d.Independent(d.Normal(LOC, SCALE), 0),
    "sample": lambda d, b, a: d.Sample(d.Normal(LOC, SCALE), (5, 6)),
    "sample one size": lambda d, b, a: d.Sample(d.Normal(LOC, SCALE), 5),
    "sample of independent": lambda d, b, a: d.Sample(d.Independent(d.Normal(LOC, SCALE), 1), [5]),
    "independent of sample": lambda d, b, a: d.Independent(d.Sample(d.Normal(LOC, SCALE), 5), 2),
    "log normal": lambda d, b, a: b.Exp()(d.Normal(LOC, SCALE)),
    "shift adds a batch": lambda d, b, a: b.Shift(SHIFT)(d.Normal(LOC[0, 0, 0], SCALE)),
    "shift of vectors": lambda d, b, a: b.Shift(SHIFT)(d.Sample(d.Normal(LOC[0, :, 0], 1.5), 4)),
    "shift of its batch": lambda d, b, a: d.Independent(
        b.Shift(SHIFT[:, None])(d.Normal(LOC, SCALE)), 2),
    "scale chain": lambda d, b, a: b.Chain([b.Sigmoid(), b.Scale(SHIFT[:, None])])(
        d.Normal(LOC, SCALE)),
    "lu of matrices": lambda d, b, a: b.ScaleMatvecLU(a(LU[0]), PERMUTATION)(
        d.Sample(d.Normal(LOC[0, :, 0], 1.5), (2, 4))),
    "composed": lambda d, b, a: b.Reshape((2, 2), (4,))(b.Sigmoid()(b.ScaleMatvecLU(
        a(LU[0]), PERMUTATION)(d.Sample(d.Normal(LOC[0, 0, 0], SCALE[0, 0]), 4)))),
    "nested": lambda d, b, a: d.TransformedDistribution(
        d.TransformedDistribution(d.Normal(LOC, SCALE), b.Exp()), b.Shift(SHIFT[:, None])),
    "sample of transformed": lambda d, b, a: d.Sample(b.Exp()(d.Normal(LOC, SCALE)), 5),
    "folded": lambda d, b, a: b.AbsoluteValue()(d.Normal(LOC, SCALE)),
    "split": lambda d, b, a: b.Split([1, 3])(d.Sample(d.Normal(LOC[0, :, 0], 1.5), 4)),
}


@pytest.fixture(scope="module")
def tfp():
    return pytest.importorskip("tensorflow_probability")


@pytest.fixture(params=CASES)
def both(request, tfp):
    return build(request.param, tfp)


def build(name, tfp):
    tf = pytest.importorskip("tensorflow")
    return (CASES[name](rg.distributions, rg.bijectors, np.asarray),
            CASES[name](tfp.distributions, tfp.bijectors, tf.constant))


def shapes(event_shape):
    nested = event_shape if isinstance(event_shape, list) else [event_shape]
    return [shape.as_list() for shape in nested]


def test_shapes_and_names(both):
    ours, theirs = both
    assert ours.batch_shape.as_list() == theirs.batch_shape.as_list()
    assert shapes(ours.event_shape) == shapes(theirs.event_shape)
    np.testing.assert_array_equal(ours.batch_shape_tensor(), theirs.batch_shape_tensor())
    assert ours.name == theirs.name


def test_log_prob_and_prob_of_our_draws(both):
    ours, theirs = both
    for shape in ((), 2, (2, 3)):
        y = ours.sample(shape, seed=7)
        for method in ("log_prob", "prob"):
            actual, expected = getattr(ours, method)(y), getattr(theirs, method)(y).numpy()
            assert actual.shape == expected.shape and actual.dtype == expected.dtype
            np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=0)


def test_log_prob_and_shape_of_their_draws(both):
    ours, theirs = both
    if not getattr(ours, "bijector", rg.bijectors.Identity()).is_injective:
        with pytest.raises(AttributeError):  # TFP's own crash; ours is tested elsewhere
            theirs.experimental_sample_and_log_prob(2, seed=7)
        return
    for shape in ((), 2, (2, 3)):
        y, log_prob = theirs.experimental_sample_and_log_prob(shape, seed=7)
        parts = [p.numpy() for p in y] if isinstance(y, list) else y.numpy()
        mine, mine_log_prob = ours.experimental_sample_and_log_prob(shape, seed=7)
        for a, b in zip(mine if isinstance(y, list) else [mine],
                        parts if isinstance(y, list) else [parts], strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype
        assert mine_log_prob.shape == log_prob.shape
        np.testing.assert_allclose(ours.log_prob(parts), log_prob, rtol=1e-10, atol=1e-12)


def test_mean_and_stddev(tfp):
    for name in ("normal", "independent", "sample", "sample of independent"):
        ours, theirs = build(name, tfp)
        np.testing.assert_array_equal(ours.mean(), theirs.mean())
        np.testing.assert_array_equal(ours.stddev(), theirs.stddev())


@pytest.mark.filterwarnings("ignore")  # TFP deprecates the default
def test_independents_default(tfp):
    for shape in ((), (3,), (2, 3, 4)):
        ours = rg.distributions.Independent(rg.distributions.Normal(np.zeros(shape), 1.0))
        theirs = tfp.distributions.Independent(tfp.distributions.Normal(np.zeros(shape), 1.0))
        assert ours.batch_shape.as_list() == theirs.batch_shape.as_list()
        assert ours.event_shape.as_list() == theirs.event_shape.as_list()


def test_where_tfp_is_wrong(tfp):
    """The two departures that the modules state: TFP answers, with another density."""
    normal = tfp.distributions.Normal(np.float64(0), 1.0)
    one = tfp.distributions.Sample(normal, 1)
    assert np.isclose(one.log_prob(np.zeros(4)), 4 * normal.log_prob(0.0))
    folded = tfp.bijectors.AbsoluteValue()(tfp.distributions.Sample(normal, 3))
    number_by_number = tfp.distributions.Sample(tfp.bijectors.AbsoluteValue()(normal), 3)
    y = np.array([0.5, 1.0, 1.5])
    assert np.isclose(number_by_number.log_prob(y) - folded.log_prob(y), 2 * np.log(2))
    ours = rg.bijectors.AbsoluteValue()(rg.distributions.Normal(0.0, 1.0))
    ours = rg.distributions.Sample(ours, 3)
    assert np.isclose(ours.log_prob(y), number_by_number.log_prob(y))
