"""Variables: handles that are arrays wherever an array is wanted, and change only by assign."""

import numpy as np
import pytest

import refglow as rg
from refglow.variable import adopt


def test_a_handle_says_what_it_is():
    variable = rg.Variable(np.ones((2, 3)), "weights", dtype=np.float32)
    assert (variable.name, variable.shape, variable.dtype) == ("weights", (2, 3), np.float32)
    assert (variable.ndim, variable.size, len(variable), variable.trainable) == (2, 6, 2, True)
    assert "weights" in repr(variable) and "(2, 3)" in repr(variable)


def test_a_handle_stands_for_its_array():
    array = np.arange(6.0).reshape(2, 3)
    variable = rg.Variable(array)
    assert np.array_equal(np.asarray(variable), array)
    assert np.asarray(variable, dtype=np.float32).dtype == np.float32
    for result, expected in [(variable + 1, array + 1), (2 * variable, 2 * array),
                             (variable - variable, array * 0), (-variable, -array),
                             (array / (variable + 1), array / (array + 1)),
                             (variable @ array.T, array @ array.T),
                             (np.exp(variable), np.exp(array)), (variable[1], array[1]),
                             (variable[:, ::2], array[:, ::2]), (variable > 2, array > 2),
                             (variable == array, array == array), (np.sum(variable), array.sum()),
                             (np.concatenate([variable, variable]), np.concatenate([array] * 2))]:
        assert np.array_equal(result, expected)
        assert not isinstance(result, rg.Variable)
    assert [row.tolist() for row in variable] == array.tolist()


def test_scalars_convert_like_numpy_scalars():
    assert float(rg.Variable(2.5)) == 2.5
    assert int(rg.Variable(3)) == 3
    assert not rg.Variable(False)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(rg.Variable([1.0, 2.0]))


def test_values_are_copies_in_both_directions():
    source = np.zeros(3)
    variable = rg.Variable(source)
    before = variable.numpy()
    source[0] = 7
    assert variable[0] == 0
    new = np.ones(3)
    variable.assign(new)
    new[0] = 7
    assert variable.numpy().tolist() == [1, 1, 1]
    assert before.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        variable.numpy()[0] = 5
    with pytest.raises(TypeError, match="assign"):
        variable += 1


def test_handles_share_their_storage():
    variable = rg.Variable(np.zeros(2), "inner")
    outer = variable.renamed("outer.inner")
    assert outer.assign([1.0, 2.0]) is outer
    assert (outer.name, variable.name) == ("outer.inner", "inner")
    assert variable.numpy().tolist() == [1, 2]


def test_name_scopes_go_in_front():
    with rg.bijectors.Shift(1.0, name="moved").name_scope:
        assert rg.Variable(0.0, "by").name == "moved/by"
    assert rg.Variable(0.0, "by").name == "by"


@pytest.mark.parametrize(("held", "value", "stored"), [
    (np.float32([0, 0]), [1, 2], [1, 2]), (np.float32([0, 0]), np.float64([0.5, 2]), [0.5, 2]),
    (np.complex128([0, 0]), np.float32([1, 2]), [1, 2]),
    (np.int32([0, 0]), np.int64([5, 6]), [5, 6]),
    (np.asarray([0, 0], object), [1.5, 2.5], [1.5, 2.5]),
    (np.float64([0, 0]), rg.Variable([3.0, 4.0]), [3, 4])])
def test_assign_casts_to_the_variables_type(held, value, stored):
    variable = rg.Variable(held)
    variable.assign(value)
    assert variable.dtype == held.dtype and variable.numpy().tolist() == stored


def test_nan_and_infinity_can_be_assigned():
    variable = rg.Variable(np.zeros(2))
    variable.assign([np.nan, np.inf])
    assert np.isnan(variable[0]) and np.isinf(variable[1])


@pytest.mark.parametrize(("held", "value", "message"), [
    (np.float64([0, 0]), [1.0, 2.0, 3.0], r"has shape \(2,\).*of shape \(3,\)"),
    (np.float64([0, 0]), 1.0, "shape"),
    (np.float64([0, 0]), np.complex128([1, 2]), "holds float64; cannot assign complex128"),
    (np.float64([0, 0]), np.asarray([1, 2], object), "cannot assign object"),
    (np.float64([0, 0]), ["a", "b"], "cannot assign <U1"),
    (np.int32([0, 0]), [0.5, 1.0], "holds int32; cannot assign float64"),
    (np.int32([0, 0]), [2**40, 0], "out of its range"),
    (np.asarray(False), 1, "holds bool; cannot assign int64")])
def test_assign_refuses_what_would_lose_numbers(held, value, message):
    variable = rg.Variable(held, "v")
    with pytest.raises(ValueError, match=message):
        variable.assign(value)
    assert np.array_equal(variable.numpy(), held)


@pytest.mark.parametrize("make", [
    lambda p: rg.bijectors.Permute(p),
    lambda p: rg.bijectors.ScaleMatvecLU(np.eye(3), p)])
def test_a_permutation_stays_one(make):
    permutation = rg.Variable(np.int32([2, 0, 1]), "p", trainable=False)
    make(permutation)
    with pytest.raises(ValueError, match=r"each of 0\.\.n-1 once"):
        permutation.assign([0, 0, 1])
    with pytest.raises(ValueError, match=r"each of 0\.\.n-1 once"):
        permutation.renamed("another").assign([0, 1, 3])
    assert permutation.numpy().tolist() == [2, 0, 1]
    permutation.assign([1, 2, 0])
    assert permutation.numpy().tolist() == [1, 2, 0]


def test_adopt_takes_the_array_itself_for_all_handles_and_locks_it():
    variable = rg.Variable(np.zeros(3, np.float32), "v")
    other, before, array = variable.renamed("w"), variable.numpy(), np.ones(3, np.float32)
    adopt(variable, array)
    assert variable.numpy() is array and other.numpy() is array
    assert before.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 2


def test_adopt_takes_a_scalar_for_a_variable_without_dimensions():
    variable = rg.Variable(np.float32(1), "v")
    adopt(variable, np.float32(2) * variable.numpy())
    assert variable.numpy().shape == () and variable.dtype == np.float32 and float(variable) == 2
    assert not variable.numpy().flags.writeable


@pytest.mark.parametrize("array", [np.zeros(2), np.zeros((3, 1)), np.zeros(3, np.float32),
                                   np.zeros(3, int), np.float64(0), np.zeros(3, ">f8")],
                         ids=lambda a: f"{a.dtype.str}{list(a.shape)}")
def test_adopt_refuses_another_shape_or_number_type(array):
    variable = rg.Variable(np.ones(3), "v")
    with pytest.raises(ValueError, match=r"'v' has shape \(3,\) and holds float64; cannot adopt"):
        adopt(variable, array)
    assert variable.numpy().tolist() == [1, 1, 1]
    assert array.flags.writeable or not array.shape


def test_adopt_refuses_what_fails_what_is_required():
    permutation = rg.Variable(np.int32([2, 0, 1]), "p", trainable=False)
    rg.bijectors.Permute(permutation)
    with pytest.raises(ValueError, match=r"each of 0\.\.n-1 once"):
        adopt(permutation, np.int32([0, 0, 1]))
    assert permutation.numpy().tolist() == [2, 0, 1]
