"""Every case of the registry through every check that any bijector must pass."""

import mpmath
import numpy as np
import pytest

from refglow.structure import iterate, map_structure
from refglow.validation import checks
from refglow.validation.against_golden import conditions_of
from refglow.validation.cases import CASES, NON_INJECTIVE, Case
from refglow.validation.compare import difference
from refglow.validation.evaluate import evaluate
from refglow.validation.tolerances import Tolerance, agreement, rounding_layers

ALL = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
EVEN_ABS = pytest.mark.parametrize("case", CASES + NON_INJECTIVE,
                                   ids=lambda case: case.name.replace(" ", "-"))
SEED = 7


def conditioned(case: Case, dtype: type) -> tuple:
    """The case's bijector and inputs, and the tolerance for a trip there and back."""
    bijector, x, event_ndims = case.make(SEED, dtype)
    wide, wide_x, _ = case.make(SEED, np.float64)
    conditions = conditions_of(wide, wide_x, wide.forward(wide_x), event_ndims)
    worst = max(conditions["forward"] * conditions["inverse"],
                conditions["inverse_log_det_jacobian"], conditions["forward_log_det_jacobian"])
    return bijector, x, event_ndims, agreement(dtype, rounding_layers(bijector), worst)


@ALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_round_trip_and_opposite_log_dets(case: Case, dtype: type) -> None:
    bijector, x, event_ndims, tolerance = conditioned(case, dtype)
    checks.check_round_trip(bijector, x, tolerance)
    checks.check_log_dets_are_opposite(bijector, x, event_ndims, tolerance)


@ALL
def test_log_det_against_dense_jacobian(case: Case) -> None:
    bijector, x, event_ndims = case.make(SEED, np.float64)
    checks.check_log_det_against_dense_jacobian(bijector, x, event_ndims)


@pytest.mark.parametrize("case", [c for c in CASES if not c.parameter_batch_shape],
                         ids=lambda case: case.name.replace(" ", "-"))
def test_log_det_is_per_example(case: Case) -> None:
    bijector, x, event_ndims = case.make(SEED, np.float64)
    checks.check_log_det_is_per_example(bijector, x, event_ndims)


@ALL
def test_log_dets_are_not_trivial_where_they_should_not_be(case: Case) -> None:
    """A check of log-dets that are zero by construction shows little: know which those are."""
    bijector, x, event_ndims = case.make(SEED, np.float64)
    volume_preserving = bijector.is_permutation or case.bijector_name in ("Shift", "Pad") or (
        case.name in ("RealNVP additive", "ExitBijector additive", "ExitBijector large additive"))
    fldj = bijector.forward_log_det_jacobian(x, event_ndims)
    assert np.all(fldj == 0) == volume_preserving


@EVEN_ABS
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble, np.complex128, object])
def test_dtype_is_kept(case: Case, dtype: type) -> None:
    bijector, x, event_ndims = case.make(SEED, dtype)
    y = bijector.forward(x)
    results = [y, bijector.inverse(y)]
    if bijector.is_injective:
        results.append(bijector.forward_log_det_jacobian(x, event_ndims))
    for _, leaf in iterate(results):
        assert isinstance(leaf, np.ndarray)
        assert leaf.dtype == dtype


@EVEN_ABS
@pytest.mark.parametrize("dtype", [np.longdouble, np.complex128])
def test_wider_types_agree_with_float64(case: Case, dtype: type) -> None:
    """The same numbers in another type give the same results, to float64 rounding."""
    bijector, x, event_ndims = case.make(SEED, np.float64)
    y = bijector.forward(x)
    wide, _, _ = case.make(SEED, dtype)
    wide.load_state_dict({name: bijector.state_dict()[name].astype(variable.dtype)
                          for name, variable in wide.named_variables()})
    cast = lambda value: map_structure(_template(value), lambda v: v.astype(dtype), value)  # noqa: E731
    conditions = conditions_of(bijector, x, y, event_ndims)
    found = evaluate(wide, cast(x), cast(y), event_ndims)
    for prop, expected in evaluate(bijector, x, y, event_ndims).items():
        tolerance = agreement(np.float64, rounding_layers(bijector), conditions[prop])
        _require(found[prop].real.astype(np.float64), expected, tolerance, prop)


@ALL
def test_arbitrary_precision_agrees_with_float64(case: Case) -> None:
    """The specification in 30 digits (mpmath numbers in object arrays)."""
    bijector, x, event_ndims = case.make(SEED, np.float64)
    exact, _, _ = case.make(SEED, object)
    to_mpf = np.frompyfunc(mpmath.mpf, 1, 1)
    with mpmath.workdps(30):
        exact.load_state_dict({
            name: np.asarray(to_mpf(value), dtype=object) if value.dtype.kind == "f" else value
            for name, value in bijector.state_dict().items()})
        cast = lambda v: np.asarray(to_mpf(v), dtype=object)  # noqa: E731
        y = bijector.forward(x)
        found = evaluate(exact, map_structure(_template(x), cast, x),
                         map_structure(_template(y), cast, y), event_ndims)
    conditions = conditions_of(bijector, x, y, event_ndims)
    for prop, expected in evaluate(bijector, x, y, event_ndims).items():
        tolerance = agreement(np.float64, rounding_layers(bijector), conditions[prop])
        _require(expected, found[prop].astype(np.float64), tolerance, prop)


@ALL
@pytest.mark.parametrize("dtype", [np.float64, object])
@pytest.mark.parametrize("batch_shape", [(), (3,), (2, 1, 3), (0,)])
def test_any_batch_shape(case: Case, batch_shape: tuple[int, ...], dtype: type) -> None:
    """Leading dimensions are independent examples; an empty batch gives empty results."""
    bijector, _, event_ndims = case.make(SEED, dtype)
    rng = np.random.default_rng(3)
    template = bijector.forward_min_event_ndims
    full = batch_shape + case.parameter_batch_shape
    x = map_structure(template, lambda shape: case.draw(rng, full + tuple(shape)).astype(dtype),
                      case.event_shape)
    _, fldj = bijector.forward_and_log_det(x, event_ndims)
    assert fldj.shape == full
    for index in np.ndindex(*batch_shape):
        example = map_structure(template, lambda v, i=index: v[i], x)
        alone = bijector.forward_log_det_jacobian(example, event_ndims)
        np.testing.assert_allclose(np.asarray(fldj[index], dtype=np.float64),
                                   alone.astype(np.float64), rtol=1e-12, atol=1e-12)


@ALL
def test_further_event_dimensions_add_up(case: Case) -> None:
    """event_ndims + 1 sums the log-det over one more dimension of what was the batch."""
    bijector, x, event_ndims = case.make(SEED, np.float64)
    template = bijector.forward_min_event_ndims
    one_more = map_structure(template, lambda n: n + 1, event_ndims)
    fldj = bijector.forward_log_det_jacobian(x, event_ndims)
    total = bijector.forward_log_det_jacobian(x, one_more)
    assert total.shape == ()
    np.testing.assert_allclose(total, fldj.sum(), rtol=1e-12, atol=1e-12)


def _template(value: object) -> object:
    return [0] * len(value) if isinstance(value, (list, tuple)) else 0


def _require(actual: np.ndarray, expected: np.ndarray, tolerance: Tolerance, what: str) -> None:
    if not np.abs(expected).max():
        assert np.abs(actual).max() <= tolerance.relative, what
    else:
        assert difference(actual, expected).relative <= tolerance.relative, what
