"""TransformedDistribution: change of variables, batches, several preimages, parts, composition."""

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from refglow import Variable
from refglow import bijectors as tfb
from refglow import distributions as tfd

Y = np.array([0.2, 0.9, 1.7, 4.0])


def rng(seed=0):
    return np.random.default_rng(seed)


def random_lu(size, seed=0, dtype=np.float64, batch=()):
    lower_upper = rng(seed).standard_normal((*batch, size, size)) * 0.3
    lower_upper[..., range(size), range(size)] = rng(seed + 1).uniform(0.5, 2, (*batch, size))
    permutation = np.broadcast_to(np.roll(np.arange(size), 1), (*batch, size))
    return tfb.ScaleMatvecLU(lower_upper.astype(dtype), permutation)


# ---- change of variables ----------------------------------------------------------------------

def test_log_normal_agrees_with_scipy():
    log_normal = tfd.TransformedDistribution(tfd.Normal(0.3, 0.8), tfb.Exp())
    expected = scipy.stats.lognorm.logpdf(Y, 0.8, scale=np.exp(0.3))
    np.testing.assert_allclose(log_normal.log_prob(Y), expected, rtol=1e-14)
    np.testing.assert_allclose(log_normal.prob(Y), np.exp(expected), rtol=1e-13)
    draws = log_normal.sample(4000, seed=1)
    assert scipy.stats.kstest(draws, "lognorm", (0.8, 0, np.exp(0.3))).pvalue > 0.01


def test_affine_map_of_a_vector_agrees_with_scipy():
    base = tfd.Sample(tfd.Normal(0.0, np.float64(1.3)), 3)
    lu, shift = random_lu(3), rng(5).standard_normal(3)
    distribution = tfb.Shift(shift)(lu(base))
    matrix = lu.forward(np.eye(3)).T
    y = rng(2).standard_normal((5, 3))
    expected = scipy.stats.multivariate_normal(shift, 1.3**2 * matrix @ matrix.T).logpdf(y)
    np.testing.assert_allclose(distribution.log_prob(y), expected, rtol=1e-12)
    assert distribution.event_shape == (3,) and distribution.batch_shape == ()
    covariance = np.cov(distribution.sample(20000, seed=0).T)
    np.testing.assert_allclose(covariance, 1.3**2 * matrix @ matrix.T, atol=0.25)


def test_extra_event_dimensions_count():
    """An event of 2 x 3 numbers through a map of vectors: the log-det counts twice."""
    base = tfd.Sample(tfd.Normal(0.0, 1.0), (2, 3))
    lu = random_lu(3)
    y = rng(1).standard_normal((4, 2, 3))
    matrix = lu.forward(np.eye(3)).T
    rows = scipy.stats.multivariate_normal(np.zeros(3), matrix @ matrix.T).logpdf(y)
    np.testing.assert_allclose(lu(base).log_prob(y), rows.sum(-1), rtol=1e-12)


@pytest.mark.parametrize("make", [
    lambda: tfb.Exp()(tfd.Normal(np.float64(0.3), 0.8)),
    lambda: random_lu(3)(tfd.Sample(tfd.Normal(0.0, 1.0), (2, 3))),
    lambda: tfb.Scale(rng(3).standard_normal((4, 1)))(tfd.Normal(0.0, 1.0)),
    lambda: tfb.Reshape((2, 3), (6,))(tfb.Sigmoid()(tfd.Sample(tfd.Normal(0.0, 1.0), 6))),
    lambda: random_lu(3, batch=(4,))(tfd.Sample(tfd.Normal(0.0, 1.0), 3)),
    lambda: tfd.Independent(tfb.Scale(rng(3).standard_normal((4, 5)))(tfd.Normal(0.0, 1.0)), 1),
    lambda: tfd.Sample(tfb.Scale(rng(3).standard_normal((4, 5)))(tfd.Normal(0.0, 1.0)), 2),
])
def test_sample_and_log_prob_is_sample_and_its_log_prob(make):
    distribution = make()
    y, log_prob = distribution.sample_and_log_prob((6, 2), seed=3)
    assert y.shape == (6, 2, *distribution.batch_shape, *distribution.event_shape)
    assert log_prob.shape == (6, 2, *distribution.batch_shape)
    np.testing.assert_array_equal(y, distribution.sample((6, 2), seed=3))
    np.testing.assert_allclose(log_prob, distribution.log_prob(y), rtol=1e-5 if (
        y.dtype == np.float32) else 1e-11)


# ---- batches ----------------------------------------------------------------------------------

def test_the_base_is_lifted_to_the_bijectors_batch():
    distribution = tfb.Shift([-1.0, 0.0, 1.0])(tfd.Normal(0.0, 1.0))
    assert distribution.batch_shape == (3,) and distribution.event_shape == ()
    draws = distribution.sample(5, seed=0)
    assert draws.shape == (5, 3)
    noise = draws - [-1, 0, 1]
    assert len(np.unique(np.round(noise, 4))) == 15  # no number drawn once and used three times
    assert distribution.sample(seed=0).shape == (3,)
    np.testing.assert_allclose(distribution.log_prob(np.float64(0.5)),
                               scipy.stats.norm.logpdf(0.5, [-1, 0, 1]), rtol=1e-14)


def test_batches_broadcast_both_ways():
    loc, shift = rng(0).standard_normal((2, 1)), rng(1).standard_normal((4, 1, 3))
    distribution = tfb.Shift(shift)(tfd.Normal(loc, 1.0))
    assert distribution.batch_shape == (4, 2, 3)
    assert distribution.batch_shape_tensor().tolist() == [4, 2, 3]
    draws = distribution.sample(3000, seed=0)
    assert draws.shape == (3000, 4, 2, 3)
    np.testing.assert_allclose(draws.mean(0), loc + shift, atol=0.08)
    correlation = np.corrcoef(draws.reshape(3000, -1).T) - np.eye(24)
    assert np.abs(correlation).max() < 0.1
    y = rng(2).standard_normal((5, 4, 2, 3))
    np.testing.assert_allclose(distribution.log_prob(y),
                               scipy.stats.norm.logpdf(y, loc + shift), rtol=1e-13)


def test_event_parameters_are_no_batch():
    distribution = tfb.Shift(np.zeros((4, 3)))(tfd.Sample(tfd.Normal(0.0, 1.0), 3))
    assert distribution.batch_shape == (4,) and distribution.event_shape == (3,)
    assert distribution.sample(2, seed=0).shape == (2, 4, 3)
    assert distribution.log_prob(np.zeros(3)).shape == (4,)
    wide = tfd.Sample(distribution, 5)
    assert wide.batch_shape == (4,) and wide.event_shape == (5, 3)
    assert wide.sample(2, seed=0).shape == (2, 4, 5, 3)


# ---- several preimages ------------------------------------------------------------------------

def test_folded_normal():
    folded = tfb.AbsoluteValue()(tfd.Normal(0.7, 1.3))
    expected = scipy.stats.foldnorm.logpdf(Y, 0.7 / 1.3, scale=1.3)
    np.testing.assert_allclose(folded.log_prob(Y), expected, rtol=1e-13)
    np.testing.assert_allclose(folded.prob(Y), np.exp(expected), rtol=1e-13)
    total, _ = scipy.integrate.quad(lambda y: float(folded.prob(np.float64(y))), 0, np.inf)
    assert abs(total - 1) < 1e-8
    y, log_prob = folded.sample_and_log_prob(3000, seed=0)
    assert scipy.stats.kstest(y, "foldnorm", (0.7 / 1.3, 0, 1.3)).pvalue > 0.01
    np.testing.assert_array_equal(log_prob, folded.log_prob(y))


def test_folded_normal_far_out_does_not_underflow():
    folded = tfb.AbsoluteValue()(tfd.Normal(0.0, 1.0))
    expected = scipy.stats.norm.logpdf(60.0) + np.log(2)  # a density of 1e-782
    np.testing.assert_allclose(folded.log_prob(np.float64(60)), expected, rtol=1e-15)
    for loc in (50.0, -50.0):
        one_sided = tfb.AbsoluteValue()(tfd.Normal(loc, 1.0))
        for dtype in (np.float64, complex):
            np.testing.assert_allclose(one_sided.log_prob(np.array(49, dtype)),
                                       scipy.stats.norm.logpdf(1.0), rtol=1e-15)


@pytest.mark.parametrize("convert", [
    lambda y: y.astype(np.longdouble), lambda y: y.astype(complex),
    lambda y: np.array([mpmath.mpf(v) for v in y], dtype=object)])
def test_folded_normal_in_other_number_types(convert):
    folded = tfb.AbsoluteValue()(tfd.Normal(0.7, 1.3))
    for result in (folded.log_prob(convert(Y)), np.log(folded.prob(convert(Y)).astype(complex))):
        np.testing.assert_allclose(result.astype(complex).real, folded.log_prob(Y), rtol=1e-13)
    step = folded.log_prob(Y + 1e-30j).imag / 1e-30
    h = 1e-6
    np.testing.assert_allclose(step, (folded.log_prob(Y + h) - folded.log_prob(Y - h)) / (2 * h),
                               rtol=1e-7)


def test_folded_vectors_are_folded_number_by_number():
    normal = tfd.Normal(0.7, 1.3)
    with pytest.raises(NotImplementedError, match=r"Sample\(bijector\(distribution\), shape\)"):
        tfb.AbsoluteValue()(tfd.Sample(normal, 2)).log_prob(np.ones(2))
    folded = tfd.Sample(tfb.AbsoluteValue()(normal), 2)
    total, _ = scipy.integrate.dblquad(
        lambda a, b: float(folded.prob(np.array([a, b]))), 0, 8, 0, 8, epsabs=1e-4)
    assert abs(total - 1) < 1e-3


# ---- structured values ------------------------------------------------------------------------

def test_split_vector():
    base = tfd.Sample(tfd.Normal(0.5, 2.0), 5)
    parts = tfb.Split([2, 3])(base)
    assert parts.event_shape == [(2,), (3,)] and parts.batch_shape == ()
    assert [shape.tolist() for shape in parts.event_shape_tensor()] == [[2], [3]]
    y = parts.sample(4, seed=0)
    assert [part.shape for part in y] == [(4, 2), (4, 3)]
    assert [part.dtype for part in y] == [np.float32, np.float32]
    x = rng(0).standard_normal((4, 5))
    np.testing.assert_allclose(parts.log_prob([x[:, :2], x[:, 2:]]), base.log_prob(x), rtol=1e-14)
    with pytest.raises(ValueError, match=r"\[4, 3\].*\(2,\)"):
        parts.log_prob([x[:, 2:], x[:, :2]])


def test_structures_pass_through_further_bijectors():
    base = tfd.Sample(tfd.Normal(0.5, np.float64(2.0)), 5)
    parts = tfd.TransformedDistribution(base, tfb.Split([2, 3]))
    joint = tfb.JointMap([tfb.Exp(), tfb.Scale(np.full(3, 3.0))])
    mapped = tfd.TransformedDistribution(parts, joint)
    joined = tfd.TransformedDistribution(mapped, tfb.Invert(tfb.Split([2, 3])))
    assert mapped.dtype == [np.float64, np.float64] and "float64" in repr(mapped)
    assert joined.event_shape == (5,) and joined.dtype == np.float64
    y, log_prob = joined.sample_and_log_prob(6, seed=0)
    x = np.concatenate([np.log(y[:, :2]), y[:, 2:] / 3], axis=1)
    expected = base.log_prob(x) - np.log(y[:, :2]).sum(1) - 3 * np.log(3)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-13)
    np.testing.assert_allclose(joined.log_prob(y), expected, rtol=1e-13)
    np.testing.assert_allclose(mapped.log_prob([y[:, :2], y[:, 2:]]), expected, rtol=1e-13)


# ---- composition, arguments -------------------------------------------------------------------

def test_transforming_again_composes_the_bijectors():
    first = tfb.Scale(np.float64(2.0))(tfd.Normal(0.0, 1.0), validate_args=True)
    second = tfb.Shift(np.float64(1.0))(first)
    assert second.distribution is first.distribution and second.validate_args
    assert isinstance(second.bijector, tfb.Chain) and len(second.bijector.bijectors) == 2
    assert first.name == "scaleNormal" and second.name == "chain_of_shift_of_scaleNormal"
    nested = tfd.TransformedDistribution(first, tfb.Shift(np.float64(1.0)))
    for distribution in (second, nested):
        np.testing.assert_allclose(distribution.log_prob(Y), scipy.stats.norm.logpdf(Y, 1, 2),
                                   rtol=1e-14)
        np.testing.assert_array_equal(distribution.sample(3, seed=0), second.sample(3, seed=0))
    assert tfb.Exp()(first, name="mine").name == "mine"


class Conditional(tfd.Distribution):
    """A point far from 0 unless `at` says where: makes visible what reaches the base."""

    def __init__(self):
        super().__init__(dtype=None, event_shape=(), batch_shape=(), name="conditional")

    def _log_prob(self, value, at=0.0):
        return -np.abs(value - at)

    def _sample(self, sample_shape, batch_shape, rng, dtype, at=0.0):
        return np.full(sample_shape + batch_shape, at, dtype)


class ConditionalShift(tfb.Bijector):
    def __init__(self):
        super().__init__(forward_min_event_ndims=0)

    def _forward_and_log_det(self, x, by=0.0):
        return x + by, np.zeros((), x.dtype)

    def _inverse_and_log_det(self, y, by=0.0):
        return y - by, np.zeros((), y.dtype)


def test_keyword_arguments_reach_the_parts():
    distribution = ConditionalShift()(Conditional())
    kwargs = dict(distribution_kwargs={"at": 3.0}, bijector_kwargs={"by": 10.0})
    assert distribution.log_prob(14.0, **kwargs) == -1
    assert distribution.sample(seed=0, **kwargs) == 13
    assert distribution.sample_and_log_prob(2, **kwargs)[0].tolist() == [13, 13]
    np.testing.assert_allclose(distribution.prob(14.0, **kwargs), np.exp(-1), rtol=1e-6)
    assert tfd.Sample(distribution, 2).log_prob([14.0, 12.0], **kwargs) == -2
    assert tfd.Independent(distribution, 0).sample(**kwargs) == 13
    with pytest.raises(TypeError, match="bijector_kwarg'"):
        distribution.log_prob(14.0, bijector_kwarg={})
    mine = tfd.TransformedDistribution(Conditional(), ConditionalShift(),
                                       kwargs_split_fn=lambda kwargs: ({}, kwargs))
    assert mine.sample(by=2.0) == 2
    folded = tfb.AbsoluteValue()(Conditional())
    np.testing.assert_allclose(folded.prob(2.0, distribution_kwargs={"at": 2.0}), 1 + np.exp(-4))


def test_number_types():
    weak = tfb.Exp()(tfd.Normal(0.0, 1.0))
    assert weak.dtype is None and weak.sample(2).dtype == np.float32
    for dtype in (np.float32, np.float64, np.longdouble, np.complex128):
        assert weak.log_prob(Y.astype(dtype)).dtype == dtype
    by_bijector = tfb.Shift(np.float64(1.0))(tfd.Sample(tfd.Normal(0.0, 1.0), 3))
    assert by_bijector.dtype == np.float64
    draws, log_prob = by_bijector.sample_and_log_prob(2, seed=0)
    assert draws.dtype == log_prob.dtype == np.float64
    assert (draws != draws.astype(np.float32)).all()  # drawn in float64, not cast to it
    assert by_bijector.log_prob([1.0, 2.0, 3.0]).dtype == np.float64
    with pytest.raises(TypeError, match=r"value\.astype\('float64'\)"):
        by_bijector.log_prob(np.zeros(3, np.float32))
    by_base = tfb.Exp()(tfd.Normal(np.float64(0.0), 1.0))
    assert by_base.dtype == np.float64 and by_base.sample(2).dtype == np.float64
    with pytest.raises(TypeError, match=r"float64.*float32|float32.*float64"):
        tfb.Shift(np.float32(1.0))(tfd.Normal(np.float64(0.0), 1.0))


def test_objects_keep_their_digits():
    log_normal = tfb.Exp()(tfd.Normal(0.25, 1.5))
    with mpmath.workdps(50):
        y = mpmath.mpf("1.7")
        x = mpmath.log(y)
        expected = mpmath.log(mpmath.npdf(x, mpmath.mpf(0.25), mpmath.mpf(1.5))) - x
        actual = log_normal.log_prob(np.array([y, y], dtype=object))
        assert all(abs(a - expected) < mpmath.mpf(10) ** -47 for a in actual)


def test_bad_arguments():
    with pytest.raises(TypeError, match="refglow distribution"):
        tfd.TransformedDistribution(tfb.Exp(), tfb.Exp())
    with pytest.raises(TypeError, match="refglow bijector"):
        tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), np.exp)
    with pytest.raises(ValueError, match="Sample and Independent add event dimensions"):
        random_lu(3)(tfd.Normal(np.zeros(3), 1.0))
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        tfb.Shift(np.zeros(3))(tfd.Normal(np.zeros(2), 1.0))
    with pytest.raises(ValueError, match="acts on events of"):
        tfb.JointMap([tfb.Exp(), tfb.Exp()])(tfd.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match=r"\[4\].*\(3,\)"):
        random_lu(3)(tfd.Sample(tfd.Normal(0.0, 1.0), 3)).log_prob(np.zeros(4))
    checked = tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), tfb.Exp(), validate_args=True)
    with pytest.raises(ValueError, match="NaN"):
        checked.log_prob(np.nan)
    with pytest.raises(NotImplementedError, match="average over samples"):
        checked.mean()
    with pytest.raises(NotImplementedError):
        checked.stddev()


def test_parts_and_variables():
    shift = Variable(np.zeros(3), "shift")
    distribution = tfb.Shift(shift)(tfd.Sample(tfd.Normal(Variable(0.0, "loc"), 1.0), 3))
    assert [v.name for v in distribution.trainable_variables] == ["distribution.distribution.loc",
                                                                  "bijector.shift"]
    assert [part.name for part in distribution.submodules] == ["SampleNormal", "Normal", "shift"]
    assert distribution.parameters.keys() == {"distribution", "bijector", "kwargs_split_fn",
                                              "validate_args", "name"}
    assert repr(distribution) == ('refglow.distributions.TransformedDistribution('
                                  '"shiftSampleNormal", batch_shape=(), event_shape=(3,), '
                                  "dtype=float64)")
