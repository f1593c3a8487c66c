"""Optimizers against PyTorch's and Keras's; clipping, moving averages, the warm-up."""

import math
import tracemalloc

import numpy as np
import pytest

from refglow.training import optimizer as optimizers
from refglow.training.clipping import clip_by_global_norm, global_norm
from refglow.training.moving_average import MovingAverage
from refglow.training.optimizer import (
    Adam,
    Adamax,
    AdamW,
    adam_update,
    adamax_update,
    adamw_update,
)
from refglow.training.schedule import warm_up
from refglow.variable import Variable

SHAPES = {"block0.step1.conv.lower_upper": (6, 6), "coupling.kernel": (3, 1, 4, 5), "bias": (5,),
          "scalar": (), "empty": (0, 3)}
ARGUMENTS = {
    Adam: dict(learning_rate=0.05, beta_1=0.85, beta_2=0.97, epsilon=1e-3),
    AdamW: dict(learning_rate=0.05, beta_1=0.85, beta_2=0.97, epsilon=1e-3, weight_decay=0.3),
    Adamax: dict(learning_rate=0.05, beta_1=0.85, beta_2=0.97, epsilon=1e-3)}
CLASSES = pytest.mark.parametrize("cls", ARGUMENTS)


def arrays(rng, dtype=np.float64):
    """One random array for each name; from 1e2 to 1e-4 by place, so that epsilon matters in some.

    One number in ten is zero.
    """
    return {name: (rng.normal(size=shape) * np.logspace(2, -4, math.prod(shape)).reshape(shape)
                   * (rng.random(shape) < 0.9)).astype(dtype) for name, shape in SHAPES.items()}


def variables_of(values):
    return [Variable(value, name) for name, value in values.items()]


def values_of(variables):
    return {variable.name: variable.numpy() for variable in variables}


def assert_close(found, expected, relative):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=relative,
                                   atol=relative * np.abs(array).max(initial=0), err_msg=name)


def assert_same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def steps_in_torch(cls, dtype, count, **changes):
    """(weights, gradients of every step, weights after it) with torch.optim."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    a = ARGUMENTS[cls] | changes
    others = {"weight_decay": a["weight_decay"]} if "weight_decay" in a else {}
    weights = {name: torch.tensor(w, requires_grad=True) for name, w in start.items()}
    optimizer = getattr(torch.optim, cls.__name__)(
        weights.values(), lr=a["learning_rate"], betas=(a["beta_1"], a["beta_2"]),
        eps=a["epsilon"], foreach=False, **others)
    history = []
    for k in range(count):
        gradients = arrays(rng, dtype)
        optimizer.param_groups[0]["lr"] = a["learning_rate"] / (1 + k)
        for name, w in weights.items():
            w.grad = torch.tensor(gradients[name])
        optimizer.step()
        history.append((gradients, {n: w.detach().numpy().copy() for n, w in weights.items()}))
    return start, history


def compare_with_torch(cls, dtype, relative, count=50, **changes):
    start, history = steps_in_torch(cls, dtype, count, **changes)
    arguments = ARGUMENTS[cls] | changes
    optimizer, variables = cls(**arguments), variables_of(start)
    for k, (gradients, expected) in enumerate(history):
        optimizer.step(variables, gradients, arguments["learning_rate"] / (1 + k))
        assert_close(values_of(variables), expected, relative)
    moved = {n: np.abs(expected[n] - start[n]).max(initial=0) for n in SHAPES if n != "empty"}
    assert min(moved.values()) > 0.01


# ---- the updates --------------------------------------------------------------------------------


@CLASSES
@pytest.mark.parametrize(("dtype", "relative"), [(np.float64, 1e-14), (np.float32, 2e-6)])
def test_fifty_steps_as_in_torch(cls, dtype, relative):
    compare_with_torch(cls, dtype, relative)


@CLASSES
def test_the_defaults_are_torchs(cls):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, cls.__name__)([torch.zeros(1)]).defaults
    ours = cls().config()
    assert (ours["learning_rate"], ours["beta_1"], ours["beta_2"], ours["epsilon"]) == (
        theirs["lr"], *theirs["betas"], theirs["eps"])
    assert ours.get("weight_decay", 0) == theirs["weight_decay"]


def without_bias_correction(w, w_bar, m, v, step, *rest):
    return adam_update(w, w_bar, m, v, 10**6, *rest)


def counting_from_zero(w, w_bar, m, v, step, *rest):
    return adam_update(w, w_bar, m, v, max(1, step - 1), *rest)


def epsilon_inside_the_root(w, w_bar, m, v, step, rate, beta_1, beta_2, epsilon):
    _, m, v = adam_update(w, w_bar, m, v, step, rate, beta_1, beta_2, epsilon)
    m_hat, v_hat = m / (1 - beta_1**step), v / (1 - beta_2**step)
    return w - rate * m_hat / np.sqrt(v_hat + epsilon), m, v


def epsilon_as_in_keras(w, w_bar, m, v, step, rate, beta_1, beta_2, epsilon):
    return adam_update(w, w_bar, m, v, step, rate, beta_1, beta_2,
                       epsilon / math.sqrt(1 - beta_2**step))


def betas_exchanged(w, w_bar, m, v, step, rate, beta_1, beta_2, epsilon):
    return adam_update(w, w_bar, m, v, step, rate, beta_2, beta_1, epsilon)


def decay_into_the_gradient(w, w_bar, m, v, step, rate, beta_1, beta_2, epsilon, weight_decay):
    return adam_update(w, w_bar + weight_decay * w, m, v, step, rate, beta_1, beta_2, epsilon)


def decay_without_the_rate(w, w_bar, m, v, step, rate, beta_1, beta_2, epsilon, weight_decay):
    return adamw_update(w, w_bar, m, v, step, rate, beta_1, beta_2, epsilon, weight_decay / rate)


def adamax_without_bias_correction(w, w_bar, m, u, step, *rest):
    return adamax_update(w, w_bar, m, u, 10**6, *rest)


def adamax_without_absolute_value(w, w_bar, m, u, step, *rest):
    _, m, _ = adamax_update(w, w_bar, m, u, step, *rest)
    rate, beta_1, beta_2, epsilon = rest
    u = np.maximum(np.maximum(beta_2 * u, w_bar), epsilon)
    return w - rate * m / (1 - beta_1**step) / u, m, u


def adamax_epsilon_beside_u(w, w_bar, m, u, step, rate, beta_1, beta_2, epsilon):
    m, u = beta_1 * m + (1 - beta_1) * w_bar, np.maximum(beta_2 * u, np.abs(w_bar))
    return w - rate * m / (1 - beta_1**step) / (u + epsilon), m, u


@pytest.mark.parametrize(("cls", "name", "bug"), [
    (Adam, "adam_update", without_bias_correction), (Adam, "adam_update", counting_from_zero),
    (Adam, "adam_update", epsilon_inside_the_root), (Adam, "adam_update", epsilon_as_in_keras),
    (Adam, "adam_update", betas_exchanged), (AdamW, "adamw_update", decay_into_the_gradient),
    (AdamW, "adamw_update", decay_without_the_rate),
    (Adamax, "adamax_update", adamax_without_bias_correction),
    (Adamax, "adamax_update", adamax_without_absolute_value),
    (Adamax, "adamax_update", adamax_epsilon_beside_u)])
@pytest.mark.parametrize(("dtype", "relative"), [(np.float64, 1e-14), (np.float32, 2e-6)])
def test_the_comparison_finds_planted_bugs(cls, name, bug, dtype, relative, monkeypatch):
    monkeypatch.setattr(optimizers, name, bug)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        compare_with_torch(cls, dtype, relative)


@pytest.mark.tfp
def test_adam_as_in_keras_with_its_epsilon_converted(tf, keras):
    rng = np.random.default_rng(3)
    w = rng.normal(size=(3, 4))
    rate, beta_1, beta_2, epsilon_hat = 0.05, 0.85, 0.97, 1e-3
    theirs = tf.Variable(w)
    optimizer = keras.optimizers.Adam(rate, beta_1, beta_2, epsilon_hat)
    m = v = np.zeros_like(w)
    for t in range(1, 21):
        w_bar = rng.normal(size=w.shape) * 10.0**rng.uniform(-4, 0, size=w.shape)
        optimizer.apply_gradients([(tf.constant(w_bar), theirs)])
        w, m, v = adam_update(w, w_bar, m, v, t, rate, beta_1, beta_2,
                              epsilon_hat / math.sqrt(1 - beta_2**t))
        # Keras takes the learning rate and the betas as float32.
        np.testing.assert_allclose(w, theirs.numpy(), rtol=0, atol=1e-6)
    plain, _, _ = adam_update(w, w_bar, m, v, 1, rate, beta_1, beta_2, epsilon_hat)
    assert np.abs(plain - w).max() > 1e-3


@pytest.mark.parametrize("update", [adam_update, adamw_update, adamax_update])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_the_number_type_stays(update, dtype):
    w, w_bar = np.random.default_rng(0).normal(size=(2, 7)).astype(dtype)
    decay = (0.1,) if update is adamw_update else ()
    results = update(w, w_bar, np.zeros_like(w), np.zeros_like(w), 1, 1e-3, 0.9, 0.999, 1e-8,
                     *decay)
    assert [result.dtype for result in results] == [dtype] * 3


@pytest.mark.parametrize("update", [adam_update, adamax_update])
def test_the_first_update_is_the_learning_rate(update):
    w, w_bar = np.random.default_rng(1).normal(size=(2, 9))
    new, *_ = update(w, w_bar, np.zeros(9), np.zeros(9), 1, 1e-3, 0.9, 0.999, 0.0)
    np.testing.assert_allclose(w - new, 1e-3 * np.sign(w_bar), rtol=1e-11)


@CLASSES
def test_gradients_that_are_always_zero(cls):
    w = Variable(np.ones(3, np.float32), "w")
    optimizer = cls(epsilon=1e-8)
    for _ in range(3):
        optimizer.step([w], {"w": np.zeros(3, np.float32)})
    shrunk = (1 - 0.001 * 0.01)**3 if cls is AdamW else 1
    np.testing.assert_allclose(w.numpy(), shrunk, rtol=1e-6)


def test_numpys_learning_rates_leave_float32_alone():
    w = Variable(np.ones(3, np.float32), "w")
    optimizer = Adam(np.float64(0.1), epsilon=np.float64(1e-8))
    optimizer.step([w], {"w": np.ones(3, np.float32)}, np.float64(0.2))
    assert w.dtype == np.float32
    assert optimizer.state_dict()["first_moment.w"].dtype == np.float32
    np.testing.assert_allclose(w.numpy(), 0.8, rtol=1e-6)


@CLASSES
def test_arrays_in_other_memory_orders(cls):
    rng = np.random.default_rng(0)
    w, w_bar = rng.normal(size=(2, 4, 6))
    straight, turned = Variable(w, "w"), Variable(np.asfortranarray(w), "w")
    a, b = cls(), cls()
    for _ in range(3):
        a.step([straight], {"w": w_bar})
        b.step([turned], {"w": np.asfortranarray(w_bar)})
    assert np.array_equal(straight.numpy(), turned.numpy())


# ---- the state ----------------------------------------------------------------------------------


@CLASSES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loaded_state_goes_on_bit_for_bit(cls, dtype):
    rng = np.random.default_rng(2)
    a, variables = cls(**ARGUMENTS[cls]), variables_of(arrays(rng, dtype))
    for _ in range(3):
        a.step(variables, arrays(rng, dtype))
    b, others = cls(**a.config()), variables_of(values_of(variables))
    state = a.state_dict()
    b.load_state_dict(state)
    kept = {key: array.copy() for key, array in state.items()}
    for _ in range(3):
        gradients = arrays(rng, dtype)
        a.step(variables, gradients)
        b.step(others, gradients)
    assert_same_bits(values_of(others), values_of(variables))
    assert_same_bits(b.state_dict(), a.state_dict())
    assert a.iterations == b.iterations == 6
    assert_same_bits(state, kept)  # what was handed out has not changed
    fresh, third = cls(**a.config()), variables_of(values_of(others))
    fresh.step(third, gradients)
    b.step(others, gradients)
    assert values_of(third)["bias"].tobytes() != values_of(others)["bias"].tobytes()


@CLASSES
def test_the_states_names(cls):
    optimizer = cls()
    assert_same_bits(optimizer.state_dict(), {"step": np.array(0, np.int64)})
    variables = variables_of(arrays(np.random.default_rng(0), np.float32))
    optimizer.step(variables, values_of(variables))
    second = "infinity_norm" if cls is Adamax else "second_moment"
    state = optimizer.state_dict()
    assert state.keys() == {"step", *(f"{moment}.{name}" for name in SHAPES
                                      for moment in ("first_moment", second))}
    assert state["step"].dtype == np.int64 and state["step"].shape == () and state["step"] == 1
    for key, array in state.items():
        if key != "step":
            assert array.shape == SHAPES[key.partition(".")[2]] and array.dtype == np.float32
            assert not array.flags.writeable


def trained_adam():
    variables = [Variable(np.ones(3), "a"), Variable(np.ones((2, 2)), "b.c")]
    optimizer = Adam()
    optimizer.step(variables, values_of(variables))
    return optimizer, variables


@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.parametrize(("change", "message"), [
    (lambda s: s.pop("step"), '"step".*it is missing'),
    (lambda s: s.update(step=np.array(-1)), r"array\(-1\)"),
    (lambda s: s.update(step=np.array(1.0)), r"array\(1\.\)"),
    (lambda s: s.update(step=np.array([1])), r"array\(\[1\]\)"),
    (lambda s: s.update(step=np.array(0)), "unknown: 'first_moment.a'"),
    (lambda s: s.pop("second_moment.b.c"), "missing: 'second_moment.b.c'"),
    (lambda s: s.update(infinity_norm=s.pop("second_moment.a")),
     "(?s)missing: 'second_moment.a'.*unknown: 'infinity_norm'"),
    (lambda s: s.update({"second_moment.a": np.ones(4)}),
     r"misfit: 'second_moment.a' is float64\[4\], needs float64\[3\]"),
    (lambda s: s.update({"second_moment.a": np.ones(3, np.float32)}),
     r"misfit: 'second_moment.a' is float32\[3\], needs float64\[3\]")])
def test_a_state_that_does_not_fit_changes_nothing(change, message, knows):
    optimizer, _ = trained_adam()
    wrong = dict(optimizer.state_dict())
    change(wrong)
    target = optimizer if knows else Adam()
    before = target.state_dict()
    with pytest.raises(ValueError, match=message):
        target.load_state_dict(wrong)
    assert_same_bits(target.state_dict(), before)


def test_a_state_of_other_variables():
    optimizer, variables = trained_adam()
    other = Adam()
    other.load_state_dict(optimizer.state_dict())
    strange = [variables[0], Variable(np.ones(5), "d")]
    with pytest.raises(ValueError, match=r"(?s)state of Adam.*missing: 'd'.*unknown: 'b\.c'"):
        other.step(strange, values_of(strange))
    assert np.array_equal(strange[1].numpy(), np.ones(5)) and other.iterations == 1
    longer = [Variable(np.ones(4), "a"), variables[1]]
    with pytest.raises(ValueError, match="misfit: 'a' is"):
        other.step(longer, values_of(longer))
    swapped = {key.replace("second_moment", "infinity_norm"): array
               for key, array in optimizer.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit Adam;"):
        Adam().load_state_dict(swapped)


def test_a_state_of_no_steps_starts_anew():
    optimizer, variables = trained_adam()
    optimizer.load_state_dict(Adam().state_dict())
    assert optimizer.iterations == 0
    before = values_of(variables)
    optimizer.step(variables, before)
    np.testing.assert_allclose(variables[0].numpy(), before["a"] - 0.001, rtol=1e-10)


# ---- what is refused ----------------------------------------------------------------------------


def test_gradients_that_do_not_fit_change_nothing():
    optimizer, variables = trained_adam()
    before, state = values_of(variables), optimizer.state_dict()
    for gradients, message in [
            ({"a": np.ones(3)}, "missing: 'b.c'"), (before | {"z": np.ones(1)}, "unknown: 'z'"),
            (before | {"a": np.ones(4)}, r"misfit: 'a' is float64\[4\], needs float64\[3\]"),
            (before | {"a": np.ones(3, np.float32)}, r"misfit: 'a' is float32\[3\]")]:
        with pytest.raises(ValueError, match=f"(?s)gradients do not fit.*{message}"):
            optimizer.step(variables, gradients)
        with pytest.raises(ValueError, match=message):
            Adam().step(variables, gradients)
    assert_same_bits(values_of(variables), before)
    assert_same_bits(optimizer.state_dict(), state)


def test_two_variables_of_one_name():
    twins = [Variable(np.ones(3), "a"), Variable(np.zeros(3), "a")]
    with pytest.raises(ValueError, match="Two variables are called 'a'"):
        Adam().step(twins, {"a": np.ones(3)})
    with pytest.raises(ValueError, match="Two variables are called 'a'"):
        MovingAverage(twins, 0.9)


@CLASSES
@pytest.mark.parametrize(("name", "value"), [
    ("learning_rate", -1), ("learning_rate", math.nan), ("beta_1", 1.0), ("beta_2", -0.1),
    ("epsilon", math.inf)])
def test_arguments_out_of_range(cls, name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 0 and below"):
        cls(**{name: value})
    with pytest.raises(ValueError, match="learning_rate must be"):
        cls().step([], {}, -1.0)


def test_weight_decay_out_of_range():
    with pytest.raises(ValueError, match="weight_decay must be"):
        AdamW(weight_decay=-0.1)


def test_a_step_takes_no_memory_for_all_variables():
    variables = [Variable(np.ones(2**16), f"w{k}") for k in range(40)]
    gradients = values_of(variables)
    optimizer = Adam()
    optimizer.step(variables, gradients)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        optimizer.step(variables, gradients)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The first step's arrays were not traced, so the new ones all count: 3 for each variable.
    assert peak - before < (3 * 40 + 10) * 8 * 2**16


# ---- clipping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 30.0, 1e9])
def test_clipping_as_in_torch(max_norm):
    torch = pytest.importorskip("torch")
    gradients = arrays(np.random.default_rng(5))
    before = {name: gradient.copy() for name, gradient in gradients.items()}
    theirs = [torch.zeros(shape, dtype=torch.float64) for shape in SHAPES.values()]
    for w, gradient in zip(theirs, gradients.values(), strict=True):
        w.grad = torch.tensor(gradient)
    their_norm = float(torch.nn.utils.clip_grad_norm_(theirs, max_norm))
    clipped, norm = clip_by_global_norm(dict(gradients), max_norm)
    assert norm == pytest.approx(their_norm, rel=1e-14)
    # PyTorch divides by norm + 1e-6.
    ratio = (norm + 1e-6) / norm if norm > max_norm else 1.0
    assert (max_norm == 1e9) == (ratio == 1.0)
    assert_close(clipped, {name: w.grad.numpy() * ratio
                           for name, w in zip(SHAPES, theirs, strict=True)}, 1e-14)
    assert_same_bits(gradients, before)
    assert global_norm(clipped) == pytest.approx(min(norm, max_norm), rel=1e-14)


def test_the_norm_of_float32_is_added_up_in_float64():
    gradients = {"a": np.full(2**20, 1e-3, np.float32), "b": np.full((), 3e38, np.float32)}
    assert global_norm({"a": gradients["a"]}) == pytest.approx(
        1024 * float(np.float32(1e-3)), rel=1e-12)
    assert global_norm(gradients) == pytest.approx(3e38, rel=1e-6)
    assert global_norm({}) == 0.0
    clipped, _ = clip_by_global_norm(gradients, 1.0)
    assert clipped is gradients and clipped["b"].dtype == np.float32
    assert clipped["b"] == pytest.approx(1.0, rel=1e-6)


def test_one_array_under_two_names_is_scaled_once():
    shared = np.full(4, 2.0)
    clipped, norm = clip_by_global_norm({"a": shared, "b": shared[:]}, 1.0)
    assert norm == pytest.approx(math.sqrt(32)) and np.all(shared == 2.0)
    assert global_norm(clipped) == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_scales_nothing(bad):
    clipped, norm = clip_by_global_norm({"a": np.array([3.0, bad]), "b": np.ones(2)}, 1.0)
    assert not math.isfinite(norm)
    assert np.array_equal(clipped["b"], np.ones(2)) and clipped["a"][0] == 3.0


@pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan])
def test_a_largest_norm_that_is_none(max_norm):
    with pytest.raises(ValueError, match="max_norm must be positive"):
        clip_by_global_norm({}, max_norm)


# ---- averages and the warm-up -------------------------------------------------------------------


def test_the_moving_average_in_closed_form():
    rng = np.random.default_rng(4)
    history = [arrays(rng) for _ in range(12)]
    variables, decay = variables_of(history[0]), 0.8
    average = MovingAverage(variables, decay)
    assert_same_bits(average.state_dict(), history[0])
    for values in history[1:]:
        for variable in variables:
            variable.assign(values[variable.name])
        average.update(variables)
    n = len(history) - 1
    expected = {name: decay**n * history[0][name] + sum(
        (1 - decay) * decay**(n - k) * history[k][name] for k in range(1, n + 1))
        for name in SHAPES}
    assert_close(average.state_dict(), expected, 1e-14)


def test_a_loaded_average_goes_on_bit_for_bit():
    rng = np.random.default_rng(6)
    variables = variables_of(arrays(rng, np.float32))
    a = MovingAverage(variables, 0.9)
    for variable in variables:
        variable.assign(rng.normal(size=variable.shape))
    b = MovingAverage(variables, 0.9)
    a.update(variables)
    state = a.state_dict()
    kept = {name: array.copy() for name, array in state.items()}
    b.load_state_dict(state)
    a.update(variables)
    b.update(variables)
    assert_same_bits(b.state_dict(), a.state_dict())
    assert_same_bits(state, kept)
    assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}


def test_averages_that_do_not_fit():
    _, variables = trained_adam()
    average = MovingAverage(variables, 0.9)
    for wrong, message in [({"a": np.ones(3)}, "missing: 'b.c'"),
                           (values_of(variables) | {"a": np.ones(2)}, "misfit: 'a'"),
                           (values_of(variables) | {"z": np.ones(2)}, "unknown: 'z'")]:
        with pytest.raises(ValueError, match=message):
            average.load_state_dict(wrong)
        with pytest.raises(ValueError, match=message):
            average.update(variables_of(wrong))
    assert_same_bits(average.state_dict(), values_of(variables))
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1"):
        MovingAverage(variables, 1.0)


def test_the_warm_up():
    assert [warm_up(k, 0.8, 4) for k in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert warm_up(0, 0.8, 0) == warm_up(0, 0.8, 1) == warm_up(10**9, 0.8, 3) == 0.8
    for wrong in [(-1, 0.8, 3), (0, 0.8, -3)]:
        with pytest.raises(ValueError, match="0 or more"):
            warm_up(*wrong)
