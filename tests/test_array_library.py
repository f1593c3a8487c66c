"""CuPy arrays in, CuPy arrays out, by the specification; a strict stand-in is CuPy here.

What kernels do with them is in kernels/cuda/test_cuda_whole_glow.py.
"""

import copy
import pickle

import numpy as np
import pytest
from strict_cupy import strict_gpu

import refglow as rg
from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.array_library import asarray, is_array, is_on_gpu, require_one_place, to_host, zeros
from refglow.kernels.cuda.stand_ins import RecordingDevice
from refglow.structure import iterate, map_structure
from refglow.training.optimizer import Adam
from refglow.validation.cases import CASES, NON_INJECTIVE


@pytest.fixture
def cupy():
    with strict_gpu(RecordingDevice()) as module, rg.use_backend("spec"):
        yield module


def on_gpu(cupy, value):
    return map_structure(value, cupy.asarray, value)


def results(bijector, x, event_ndims, ones):
    """All that a bijector computes at x, by name."""
    y_ndims = bijector.forward_event_ndims(event_ndims)
    (y, fldj), pullback = bijector.forward_vjp(x, event_ndims)
    x_bar, bars = pullback(y, ones(fldj))
    (x_again, ildj), undo = bijector.inverse_vjp(y, y_ndims)
    y_bar, inverse_bars = undo(x_again, ones(ildj))
    found = {
        "y": y, "fldj": fldj, "x_bar": x_bar, "x": x_again, "ildj": ildj, "y_bar": y_bar,
        "forward": bijector.forward(x), "inverse": bijector.inverse(y),
        "forward_jvp": bijector.forward_jvp(x, x, event_ndims=event_ndims),
        "inverse_jvp": bijector.inverse_jvp(y, y, event_ndims=y_ndims),
        "bars": bars, "inverse_bars": inverse_bars,
        "reversible": bijector.inverse_vjp(y, y_ndims, "reversible")[1](x_again, ones(ildj))}
    return dict(iterate(found))


def one_in_each(log_det):
    return np.ones_like(log_det)


# Pad is NumPy's pad, whose modes CuPy has too; its gradient counts places with a host array.
@pytest.mark.parametrize("case", [case for case in CASES if case.name != "Pad"],
                         ids=lambda case: case.name.replace(" ", "-"))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_bijector_computes_on_the_gpu(cupy, case, dtype):
    bijector, x, event_ndims = case.make(3, dtype)
    if case.parameter_batch_shape:
        x = map_structure(event_ndims, lambda part: np.broadcast_to(
            part, case.parameter_batch_shape + part.shape[1:]).copy(), x)
    expected = results(bijector, x, event_ndims, one_in_each)
    found = results(bijector, on_gpu(cupy, x), event_ndims, one_in_each)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        here = found[name]
        assert is_on_gpu(here), name
        assert (here.shape, here.dtype) == (value.shape, value.dtype), name
        np.testing.assert_allclose(here.get(), value, rtol=1e3 * np.finfo(dtype).eps,
                                   atol=1e2 * np.finfo(dtype).eps * np.abs(value).max(initial=0),
                                   err_msg=name)


def test_a_bijector_that_is_not_injective_computes_on_the_gpu(cupy):
    bijector, x, _ = NON_INJECTIVE[0].make(3, np.float64)
    y = bijector.forward(cupy.asarray(x))
    np.testing.assert_array_equal(y.get(), np.abs(x))
    for part, expected in zip(bijector.inverse(y), (-np.abs(x), np.abs(x)), strict=True):
        np.testing.assert_array_equal(part.get(), expected)


def test_numbers_with_a_type_are_written_on_the_gpu(cupy):
    x = cupy.asarray(np.zeros(3))
    cupy.transfers.clear()
    log_prob = tfd.Normal(np.float64(0), np.float64(1)).log_prob(x)
    assert not cupy.transfers.to_gpu and is_on_gpu(log_prob)


def test_lists_of_numbers_are_brought_to_the_gpu(cupy):
    x = cupy.asarray(np.zeros((3, 2), np.float32))
    assert tfb.Shift([1.0, 2.0]).forward(x).get().tolist() == [[1.0, 2.0]] * 3


def test_evaluations_transfer_nothing_once_parameters_are_there(cupy):
    case, = (case for case in CASES if case.name == "Glow")
    glow, x, event_ndims = case.make(3, np.float32)
    x = cupy.asarray(x)
    glow.forward_and_log_det(x)
    assert len(cupy.transfers.to_gpu) == 1 + sum(
        not name.endswith("initialized") for name in glow.state_dict())
    cupy.transfers.clear()
    (y, fldj), pullback = glow.forward_vjp(x, event_ndims, memory="checkpoint")
    pullback(y, fldj)
    glow.inverse(y)
    assert not cupy.transfers.to_gpu and not cupy.transfers.to_host
    _, pullback = glow.forward_vjp(x, event_ndims, memory="reversible")
    pullback(y, fldj)  # the drift is known to the host, which may have to warn
    assert not cupy.transfers.to_gpu and cupy.transfers.to_host == [(2,)]


# ---- distributions ----------------------------------------------------------------------------


def density_of(loc, scale):
    normal = tfd.Normal(loc, scale)
    exp = tfb.Exp()
    return exp(tfd.Sample(tfd.Independent(normal, 1), (2,)))


def test_densities_and_draws_on_the_gpu(cupy):
    loc = rg.Variable(np.array([0.5, -1.0, 2.0]), "loc")
    scale = rg.Variable(np.array([0.5, 1.5, 1.0]), "scale")
    distribution = density_of(loc, scale)
    y = np.random.default_rng(0).uniform(0.5, 2, size=(4, 2, 3))
    expected, expected_bars = distribution.log_prob_and_grad(y)
    here, bars = distribution.log_prob_and_grad(cupy.asarray(y))
    np.testing.assert_allclose(here.get(), expected, rtol=1e-14)
    assert bars.keys() == expected_bars.keys()
    for name, bar in expected_bars.items():
        np.testing.assert_allclose(bars[name].get(), bar, rtol=1e-14)
    _, dot = distribution.log_prob_jvp(cupy.asarray(y), cupy.asarray(y))
    _, expected_dot = distribution.log_prob_jvp(y, y)
    np.testing.assert_allclose(dot.get(), expected_dot, rtol=1e-14)


def test_draws_are_the_same_numbers_everywhere(cupy):
    distribution = density_of(rg.Variable(np.zeros(3)), 1.0)
    expected = distribution.sample(5, seed=1)
    cupy.transfers.clear()
    with rg.use_backend("cuda"):
        draws, log_prob = distribution.sample_and_log_prob(5, seed=1)
        assert cupy.transfers.to_gpu == [(5, 2, 3), (3,)]  # the random numbers, and loc once
        _, pullback = distribution.sample_vjp(5, seed=1)
        assert all(map(is_on_gpu, [draws, log_prob, *pullback(draws).values()]))
        assert not cupy.transfers.to_host
    np.testing.assert_allclose(draws.get(), expected, rtol=1e-14)
    np.testing.assert_allclose(log_prob.get(), distribution.log_prob(expected), rtol=1e-13)


def test_an_optimizer_takes_gradients_from_the_gpu(cupy):
    gradient = np.array([0.5, -2.0])
    here, there = (rg.Variable(np.ones(2), "w") for _ in range(2))
    Adam().step([here], {"w": gradient})
    Adam().step([there], {"w": cupy.asarray(gradient)})
    np.testing.assert_array_equal(there.numpy(), here.numpy())


# ---- Variables --------------------------------------------------------------------------------


def test_a_variable_keeps_a_copy_for_each_gpu_until_it_is_assigned(cupy):
    variable = rg.Variable([1.0, 2.0])
    host, x = np.zeros(2), cupy.asarray(np.zeros(2))
    with cupy.cuda.Device(1):
        other = cupy.asarray(np.zeros(2))
    cupy.transfers.clear()
    assert variable.value_for(host) is variable.numpy()
    first = variable.value_for(x)
    assert variable.value_for(x) is first and first.device.id == 0
    assert variable.value_for(other).device.id == 1
    assert variable.renamed("again").value_for(x) is first
    assert cupy.transfers.to_gpu == [(2,)] * 2
    variable.assign([3.0, 4.0])
    assert variable.value_for(x).get().tolist() == [3.0, 4.0]
    assert variable.value_for(other).get().tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match="shape"):
        variable.assign([1.0])
    cupy.transfers.clear()
    variable.value_for(x)
    assert not cupy.transfers.to_gpu


def test_variables_take_cupy_arrays_and_compute_with_them(cupy):
    variable = rg.Variable(cupy.asarray(np.array([1.0, 2.0])))
    assert type(variable.numpy()) is np.ndarray
    variable.assign(cupy.asarray(np.array([3.0, 5.0])))
    x = cupy.asarray(np.array([10.0, 20.0]))
    for result in (variable + x, x + variable, np.add(x, variable)):
        assert is_on_gpu(result) and result.get().tolist() == [13.0, 25.0]
    glow = tfb.ActivationNormalization(2, dtype=np.float64)
    glow.load_state_dict({"shift": x, "log_scale": x, "initialized": np.asarray(True)})
    assert glow.shift.numpy().tolist() == [10.0, 20.0]


def test_copies_of_a_variable_leave_the_gpu_behind(cupy):
    variable = rg.Variable([1.0, 2.0], "weights")
    variable.value_for(cupy.asarray(np.zeros(2)))
    for duplicate in (copy.deepcopy(variable), pickle.loads(pickle.dumps(variable))):
        assert not duplicate._cell.copies and duplicate.numpy().tolist() == [1.0, 2.0]


# ---- what is refused --------------------------------------------------------------------------


def test_arrays_in_several_places_are_refused(cupy):
    host, x = np.ones((2, 3)), cupy.asarray(np.ones((2, 3)))
    with cupy.cuda.Device(1):
        elsewhere = cupy.asarray(host)
    exp = tfb.Exp()
    _, pullback = exp.forward_vjp(x)
    with pytest.raises(TypeError, match=r"exp: the cotangent of the value: .* given is on the "
                       r"host, what it belongs to is on GPU 0\. Convert all of them with cupy"):
        pullback(host, 0.0)
    with pytest.raises(ValueError, match=r"exp: the cotangent of the value is on GPU 1, and CuPy "
                       r"computes on GPU 0.*with cupy\.cuda\.Device\(1\)"):
        pullback(elsewhere, 0.0)
    with cupy.cuda.Device(1):
        assert exp.forward(elsewhere).device.id == 1
        with pytest.raises(ValueError, match="x is on GPU 0, and CuPy computes on GPU 1"):
            exp.forward(x)
    with pytest.raises(ValueError, match=r"a is on GPU 0, b is on GPU 1\. Bring them to one GPU"):
        require_one_place("nobody", a=x, b=elsewhere)
    _, pullback = exp.forward_vjp(host)
    with pytest.raises(TypeError, match="given is on GPU 0, what it belongs to is on the host"):
        pullback(x, 0.0)
    with pytest.raises(TypeError, match="parameter is on the host, input is on GPU 0"):
        tfb.Shift(host).forward(x)
    with pytest.raises(TypeError, match="parameter is on GPU 0, input is on the host"):
        tfb.Shift(x).forward(host)
    shift = tfb.Shift(rg.Variable(np.ones(3), "shift"))
    with pytest.raises(TypeError, match="tangent is on the host, parameter is on GPU 0"):
        shift.forward_jvp(x, x, {"shift": np.ones(3)})
    with rg.use_backend("auto"), pytest.raises(TypeError, match="array 1 is on the host"):
        rg.backend.implementation(tfb.exp.exp_forward, x, host)


def test_cpu_kernels_are_not_asked_for_cupy_arrays(cupy):
    with rg.use_backend("cpu"), pytest.raises(TypeError, match=r"NumPy arrays .* got cupy float32"):
        tfb.Squeeze((4, 6, 3)).forward(cupy.asarray(np.ones((4, 6, 3), np.float32)))


def test_a_wrong_number_type_is_refused_with_the_cast(cupy):
    actnorm = tfb.ActivationNormalization(3)
    with pytest.raises(TypeError, match=r"Cast it with y\.astype\('float32'\)"):
        actnorm.inverse(cupy.asarray(np.ones((2, 3))))


def test_a_check_of_values_says_which_is_wrong(cupy):
    x = np.ones((2, 3))
    x[1, 2] = np.nan
    exp = tfb.Exp(validate_args=True)
    with pytest.raises(ValueError, match=r"x holds 1 values .* the first is nan at index \(1, 2\)"):
        exp.forward(cupy.asarray(x))


# ---- the helpers ------------------------------------------------------------------------------


def test_helpers(cupy):
    x, scalar = cupy.asarray(np.ones(2, np.float32)), np.float32(3)
    assert asarray(x) is x and asarray(x, np.float64).dtype == np.float64
    assert type(asarray(scalar)) is np.ndarray
    assert is_on_gpu(zeros((3,), x)) and zeros((), x, np.float64).dtype == np.float64
    assert type(zeros((), scalar)) is np.ndarray and zeros((), scalar).dtype == np.float32
    assert is_array(x) and is_array(np.ones(2)) and not is_array(scalar) and not is_array([1])
    assert type(to_host(x)) is np.ndarray
    require_one_place("nobody", a=x, b=x)
    assert not {"ones", "full"} & cupy.asked  # `like=` hands them arguments that CuPy has not


def test_the_stand_in_is_strict(cupy):
    """Planted mistakes that NumPy would forgive and CuPy does not."""
    x = cupy.asarray(np.ones(3))
    for mistake in (lambda: np.asarray(x), lambda: x + np.ones(3), lambda: x * np.asarray(2.0),
                    lambda: np.ones(3) + x, lambda: np.full((), 1.0, like=x),
                    lambda: np.concatenate([x, np.ones(3)]),
                    lambda: np.where(x > 0, x, np.zeros(3)),
                    lambda: x.__setitem__(0, np.asarray(1.0))):
        with pytest.raises(TypeError):
            mistake()
    with pytest.raises(AttributeError):
        cupy.matrix_power_of_two(x)
    with pytest.raises(AssertionError, match="takes no"):
        x.sum(where=x > 0)
    assert cupy.transfers.to_host == []
    assert bool((x > 0).all()) and cupy.transfers.to_host == [()]
