"""Sample and Independent: shapes, the order of dimensions, sums over the event and nothing else."""

import math

import numpy as np
import pytest
import scipy.stats

from refglow import Variable
from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.distributions.independent import joint_log_prob

LOC = np.random.default_rng(0).standard_normal((2, 3, 4))
SCALE = np.random.default_rng(1).random((3, 1)) + 0.5
BATCH = tfd.Normal(LOC, SCALE)


@pytest.mark.parametrize("ndims", [0, 1, 2, 3, None])
def test_independent_sums_the_last_batch_dimensions(ndims):
    independent = tfd.Independent(BATCH, ndims)
    ndims = 2 if ndims is None else ndims  # by default all but the first
    assert independent.reinterpreted_batch_ndims == ndims
    assert independent.batch_shape == (2, 3, 4)[:3 - ndims]
    assert independent.event_shape == (2, 3, 4)[3 - ndims:]
    x = independent.sample(5, seed=0)
    assert x.shape == (5, 2, 3, 4)
    terms = scipy.stats.norm.logpdf(x, LOC, SCALE)
    expected = terms.sum(axis=tuple(range(4 - ndims, 4)))
    actual = independent.log_prob(x)
    assert actual.shape == (5, *independent.batch_shape)
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


@pytest.mark.parametrize("shape", [(), (5,), (5, 6), (1, 5, 1)])
@pytest.mark.parametrize("reinterpreted", [0, 1, 3])
def test_sample_repeats_the_distribution(shape, reinterpreted):
    base = tfd.Independent(BATCH, reinterpreted)
    sample = tfd.Sample(base, shape)
    batch, event = (2, 3, 4)[:3 - reinterpreted], (2, 3, 4)[3 - reinterpreted:]
    assert sample.batch_shape == batch and sample.event_shape == shape + event
    assert sample.event_shape_tensor().tolist() == list(shape + event)
    x = sample.sample((7, 2), seed=0)
    assert x.shape == (7, 2, *batch, *shape, *event)
    # One loop over the draws of an event, each scored by itself.
    flat = x.reshape(7, 2, *batch, -1, *event)
    expected = sum(base.log_prob(flat[(slice(None),) * (2 + len(batch)) + (k,)])
                   for k in range(flat.shape[2 + len(batch)]))
    np.testing.assert_allclose(sample.log_prob(x), expected, rtol=1e-13)


def test_sample_draws_keep_batch_and_event_apart():
    sample = tfd.Sample(tfd.Normal([0.0, 100.0, 200.0], 1.0), (4, 5))
    x = sample.sample(6, seed=0)
    assert x.shape == (6, 3, 4, 5)
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), [0, 100, 200], atol=0.5)
    assert len(np.unique(x)) == x.size
    np.testing.assert_array_equal(sample.mean()[:, 2, 3], [0, 100, 200])
    assert sample.mean().shape == sample.stddev().shape == (3, 4, 5)


def test_batch_dimensions_of_a_value_broadcast():
    sample = tfd.Sample(tfd.Normal(np.array([[0.0], [1.0]]), np.array([1.0, 2.0, 3.0])), 4)
    x = np.random.default_rng(0).standard_normal((3, 4))
    full = np.broadcast_to(x, (2, 3, 4))
    for value in (x, x[0], x[:, None, None, :]):
        shape = np.broadcast_shapes(value.shape[:-1], (2, 3))
        expected = sample.log_prob(np.array(np.broadcast_to(value, (*shape, 4))))
        assert sample.log_prob(value).shape == shape
        np.testing.assert_allclose(sample.log_prob(value), expected, rtol=1e-14)
    terms = scipy.stats.norm.logpdf(full, [[[0.0]], [[1.0]]], [[[1.0], [2.0], [3.0]]])
    np.testing.assert_allclose(sample.log_prob(x), terms.sum(-1), rtol=1e-14)


@pytest.mark.parametrize("order", ["C", "F"])
def test_long_sums_lose_no_digits(order):
    """float32 is rounded once; float64 is added pairwise (in turn, it would be off by 5 to 20)."""
    terms = scipy.stats.norm.logpdf(np.random.default_rng(0).standard_normal((50, 32, 32, 3)))
    for dtype, ulps in [(np.float32, 0.51), (np.float64, 2)]:
        given = terms.astype(dtype, order=order)
        exact = np.array([math.fsum(row) for row in given.reshape(50, -1)])
        total = joint_log_prob(given, 3)
        assert total.dtype == dtype
        assert (np.abs(total - exact) <= ulps * np.spacing(np.abs(total))).all()


def test_sums_over_a_batch_of_events_lose_no_digits():
    sample = tfd.Sample(tfd.Normal(np.full(4, 0.3), 0.7), 3072)
    x = sample.sample(20, seed=0)
    exact = scipy.stats.norm.logpdf(x.astype(np.longdouble), 0.3, np.longdouble(0.7)).sum(-1)
    np.testing.assert_allclose(sample.log_prob(x), exact.astype(float), rtol=6e-16)


def test_sample_and_log_prob_in_one_pass():
    for distribution in (tfd.Sample(BATCH, (5, 6)), tfd.Independent(BATCH, 2),
                         tfd.Independent(tfd.Sample(BATCH, 2), 1),
                         tfd.Sample(tfd.Independent(BATCH, 1), 3)):
        x, log_prob = distribution.sample_and_log_prob((2, 1), seed=4)
        np.testing.assert_array_equal(x, distribution.sample((2, 1), seed=4))
        np.testing.assert_allclose(log_prob, distribution.log_prob(x), rtol=1e-14)


def test_number_types_pass_through():
    for dtype in (np.float32, np.float64, np.longdouble, np.complex128, object):
        weak = tfd.Sample(tfd.Normal(0.0, 1.0), (2, 3))
        assert weak.dtype is None
        assert weak.log_prob(np.ones((4, 2, 3), dtype)).dtype == dtype
    assert tfd.Sample(BATCH, 2).dtype == np.float64
    with pytest.raises(TypeError, match=r"value\.astype\('float64'\)"):
        tfd.Sample(BATCH, 2).log_prob(np.zeros((2, 3, 4, 2), np.float32))


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 1, 5), (5, 3)])
def test_wrong_event_shapes_name_both(shape):
    for distribution in (tfd.Sample(tfd.Normal(0.0, 1.0), (3, 5)),
                         tfd.Independent(tfd.Normal(np.zeros((3, 5)), 1.0), 2)):
        with pytest.raises(ValueError, match=r"expected \[\.\.\., 3, 5\]") as error:
            distribution.log_prob(np.zeros(shape))
        assert str(list(shape)) in str(error.value) and "(3, 5)" in str(error.value)


def test_bad_arguments():
    with pytest.raises(TypeError, match="refglow distribution"):
        tfd.Sample(scipy.stats.norm(), 3)
    with pytest.raises(TypeError, match="refglow distribution"):
        tfd.Independent(3.0, 1)
    with pytest.raises(ValueError, match="from 0 to 3"):
        tfd.Independent(BATCH, 4)
    with pytest.raises(ValueError, match="from 0 to 3"):
        tfd.Independent(BATCH, -1)
    with pytest.raises(TypeError):
        tfd.Independent(BATCH, 1.5)
    with pytest.raises(ValueError, match="negative"):
        tfd.Sample(BATCH, (3, -1))
    with pytest.raises(TypeError, match="integers"):
        tfd.Sample(BATCH, (3, 1.5))
    structured = tfb.Split(2)(tfd.Sample(tfd.Normal(0.0, 1.0), 4))
    with pytest.raises(NotImplementedError, match="before the bijector"):
        tfd.Sample(structured, 3)


def test_parts_and_names():
    loc = Variable(np.zeros(3), "loc")
    sample = tfd.Sample(tfd.Independent(tfd.Normal(loc, 1.0), 1), 2)
    assert sample.name == "SampleIndependentNormal"
    assert [v.name for v in sample.variables] == ["distribution.distribution.loc"]
    assert [part.name for part in sample.submodules] == ["IndependentNormal", "Normal"]
    assert sample.distribution.parameters["reinterpreted_batch_ndims"] == 1
    assert sample.sample_shape == (2,) and sample.distribution.distribution.loc is loc
    np.testing.assert_array_equal(sample.distribution.stddev(), np.ones(3))


def test_empty_events_and_batches():
    sample = tfd.Sample(tfd.Normal(0.0, 1.0), (0, 3))
    np.testing.assert_array_equal(sample.log_prob(np.zeros((2, 0, 3))), np.zeros(2))
    assert sample.log_prob(np.zeros((0, 0, 3))).shape == (0,)
