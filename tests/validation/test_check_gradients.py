"""check_gradients: passes what is right, in any number type, and names what is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refglow.validation import check_gradients
from refglow.validation.cases import CASES

RNG = np.random.default_rng(0)
TREE = {"x": RNG.standard_normal((5, 4)), "layer": {"W": RNG.standard_normal((4, 3)),
                                                  "b": RNG.standard_normal(3)}}
Tree = dict[str, Any]


def hidden(t: Tree) -> np.ndarray:
    return t["x"] @ t["layer"]["W"] + t["layer"]["b"]


def f(t: Tree) -> tuple[np.ndarray, np.ndarray]:
    return np.tanh(hidden(t)), 1e-5 * (hidden(t) ** 2).sum(axis=1)


def back(t: Tree, hidden_bar: np.ndarray) -> Tree:
    return {"x": hidden_bar @ t["layer"]["W"].T,
            "layer": {"W": t["x"].T @ hidden_bar, "b": hidden_bar.sum(axis=0)}}


def vjp(t: Tree) -> Any:
    y = f(t)
    second = np.asarray(2e-5, dtype=y[0].dtype) * hidden(t)
    return y, lambda bars: back(t, bars[0] * (1 - y[0] ** 2) + second * bars[1][:, None])


def jvp(t: Tree, dot: Tree) -> Any:
    moved = (dot["x"] @ t["layer"]["W"] + t["x"] @ dot["layer"]["W"] + dot["layer"]["b"])
    y = f(t)
    return y, ((1 - y[0] ** 2) * moved, 2e-5 * (hidden(t) * moved).sum(axis=1))


def cast(t: Any, dtype: type) -> Any:
    return {k: cast(v, dtype) for k, v in t.items()} if isinstance(t, dict) else t.astype(dtype)


BOTH = pytest.mark.parametrize("coordinates", [128, 1], ids=["each coordinate", "directions"])


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_a_right_gradient_passes(dtype: type, coordinates: int) -> None:
    report = check_gradients(f, vjp, cast(TREE, dtype), jvp, coordinates=coordinates)
    report.require()
    assert report.method == "complex step"
    assert {row.array for row in report.rows} >= {"x", "layer.W", "layer.b"}
    limit = {np.float32: 1e-3, np.float64: 1e-10}.get(dtype, 1e-10)
    assert max(row.tolerance.relative for row in report.rows) < limit
    assert "All agree" in str(report)


@BOTH
def test_functions_that_take_no_complex_numbers_are_differenced(coordinates: int) -> None:
    def strict(t: Tree) -> Any:
        assert all(v.dtype == np.float32 for v in (t["x"], *t["layer"].values()))
        return f(t)
    report = check_gradients(strict, vjp, cast(TREE, np.float32), coordinates=coordinates)
    report.require()
    assert "does not take complex numbers" in report.method

    def silent(t: Tree) -> Any:  # an imaginary part would be lost without a word
        return np.abs(hidden(t))

    def silent_vjp(t: Tree) -> Any:
        return silent(t), lambda bar: back(t, bar * np.sign(hidden(t)))
    report = check_gradients(silent, silent_vjp, TREE, coordinates=coordinates)
    report.require()
    assert "not analytic" in report.method
    assert max(row.tolerance.relative for row in report.rows) < 1e-9
    wrong = check_gradients(silent, lambda t: (silent(t), lambda bar: back(t, bar)), TREE,
                            coordinates=coordinates)
    assert not wrong.passed


def test_a_framework_s_function_in_float32() -> None:
    torch = pytest.importorskip("torch")

    def evaluate(x: np.ndarray) -> Any:
        return torch.log_softmax(torch.tensor(x), dim=-1).numpy()

    def autograd(x: np.ndarray) -> Any:
        leaf = torch.tensor(x, requires_grad=True)
        y = torch.log_softmax(leaf, dim=-1)
        return y.detach().numpy(), lambda bar: torch.autograd.grad(
            y, leaf, torch.tensor(bar), retain_graph=True)[0].numpy()
    x = RNG.standard_normal((3, 5)).astype(np.float32)
    check_gradients(evaluate, autograd, x).require()
    assert not check_gradients(evaluate, lambda v: (autograd(v)[0], lambda bar: bar), x).passed


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("forward", [True, False])
def test_a_bijector_with_its_parameters(forward: bool, dtype: type) -> None:
    """refglow's own, by its public methods: through a model built anew for each number type."""
    case = next(case for case in CASES if case.name == "GlowBlock")
    bijector, x, _ = case.make(3, dtype)
    twin, _, _ = case.make(3, np.complex128)
    fixed = {name: v for name, v in bijector.state_dict().items() if v.dtype.kind != "f"}
    tree = {"x": x if forward else bijector.forward(x),
            "parameters": {k: v for k, v in bijector.state_dict().items() if k not in fixed}}

    def model_for(t: Tree) -> Any:
        dtypes = [np.asarray(v).dtype for v in (t["x"], *t["parameters"].values())]
        model = bijector if all(d == dtype for d in dtypes) else twin
        model.load_state_dict(fixed | t["parameters"])
        return model

    def evaluate(t: Tree) -> Any:
        model = model_for(t)
        value = t["x"] if model is bijector else t["x"].astype(np.complex128)
        results = (model.forward_and_log_det if forward else model.inverse_and_log_det)(value)
        real = model is twin and t["x"].dtype.kind == "f"
        return [r.real for r in results] if real else list(results)

    def pull(t: Tree) -> Any:
        model = model_for(t)
        results, pullback = (model.forward_vjp if forward else model.inverse_vjp)(t["x"])
        def back(bars: Any) -> Tree:
            value_bar, parameter_bars = pullback(*bars)
            return {"x": value_bar, "parameters": parameter_bars}
        return list(results), back

    def push(t: Tree, dot: Tree) -> Any:
        model = model_for(t)
        results, dots = (model.forward_jvp if forward else model.inverse_jvp)(
            t["x"], dot["x"], dot["parameters"])
        return list(results), list(dots)
    report = check_gradients(evaluate, pull, tree, push, coordinates=40)
    report.require()
    assert report.method == "complex step"


# ---- what must fail ---------------------------------------------------------------------------

def changed(path: str, change: Callable[[np.ndarray], Any]) -> Callable[[Tree], Any]:
    """The vjp with one cotangent changed."""
    def wrong(t: Tree) -> Any:
        y, pullback = vjp(t)

        def pull(bars: Any) -> Tree:
            result = pullback(bars)
            where, key = (result["layer"], path[-1]) if "." in path else (result, path)
            where[key] = change(where[key])
            return result
        return y, pull
    return wrong


def one_wrong(bar: np.ndarray) -> np.ndarray:
    bar = bar.copy()
    bar[(*[0] * (bar.ndim - 1), -1)] *= 1.03 if bar.dtype == np.float32 else 1 + 1e-8
    return bar


def with_nan(bar: np.ndarray) -> np.ndarray:
    bar = bar.copy()
    bar.flat[1] = np.nan
    return bar


MUTATIONS = {  # what is done to a cotangent, and what the message says of it
    "zero": (np.zeros_like, "zero everywhere"),
    "nan": (with_nan, "nan"),
    "sign": (np.negative, "expected"),
    "mean": (lambda bar: bar / 5, "expected"),
    "one number": (one_wrong, "index"),
    "shape": (lambda bar: bar[None], "shape"),
    "dtype": (lambda bar: bar.astype(np.float16), "float16"),
    "none": (lambda bar: None, "missing"),
}


@BOTH
@pytest.mark.parametrize("path", ["x", "layer.W", "layer.b"])
@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_wrong_gradient_is_named(mutation: str, path: str, coordinates: int,
                                   dtype: type) -> None:
    change, said = MUTATIONS[mutation]
    report = check_gradients(f, changed(path, change), cast(TREE, dtype), coordinates=coordinates)
    wrong = [row for row in report.rows if not row.passed]
    assert wrong and {row.array for row in wrong} == {path}
    with pytest.raises(AssertionError, match=rf"{path}, .*{said}"):
        report.require()
    assert "WRONG" in str(report) and said in str(report)


@pytest.mark.parametrize("coordinates", [10**4, 50])
def test_the_wrong_coordinate_of_a_large_array_is_found(coordinates: int) -> None:
    x = RNG.standard_normal((20, 30))

    def wrong(v: np.ndarray) -> Any:
        def pull(bar: np.ndarray) -> np.ndarray:
            result = np.cos(v) * bar
            result[13, 7] += 1e-8
            return result
        return np.sin(v), pull
    with pytest.raises(AssertionError, match=r"x, gradient: at index \(13, 7\)"):
        check_gradients(np.sin, wrong, x, coordinates=coordinates).require()


@pytest.mark.parametrize("change", [lambda d: d | {"c": np.zeros(3)},
                                    lambda d: {k: v for k, v in d.items() if k != "layer"},
                                    lambda d: None, lambda d: (d["x"], d["layer"])])
def test_missing_and_extra_arrays(change: Callable[[Any], Any]) -> None:
    def wrong(t: Tree) -> Any:
        y, pullback = vjp(t)
        return y, lambda bars: change(pullback(bars))
    with pytest.raises(AssertionError, match=r"no such array|missing"):
        check_gradients(f, wrong, TREE).require()


def test_each_array_of_y_is_judged_by_itself() -> None:
    """f's second result is 1e-5 of the first; its gradient is wrong, and that is what is named."""
    def wrong(t: Tree) -> Any:
        y, _ = vjp(t)
        return y, lambda bars: back(t, bars[0] * (1 - y[0] ** 2))
    report = check_gradients(f, wrong, TREE)
    assert {row.of for row in report.rows if not row.passed} >= {"gradient of 1"}
    assert not any(row.of == "gradient of 0" for row in report.rows if not row.passed)


def test_values_and_tangents_are_held_against_f() -> None:
    def other_value(t: Tree) -> Any:
        y, pullback = vjp(t)
        return (y[0], 1.000001 * y[1]), pullback
    with pytest.raises(AssertionError, match="1, value by vjp"):
        check_gradients(f, other_value, TREE).require()

    def wrong_tangent(t: Tree, dot: Tree) -> Any:
        still = {"x": dot["x"], "layer": {"W": 0 * dot["layer"]["W"], "b": dot["layer"]["b"]}}
        return jvp(t, still)
    report = check_gradients(f, vjp, TREE, wrong_tangent)
    assert {row.array for row in report.rows if not row.passed} == {"layer.W", "all arrays"}
    with pytest.raises(AssertionError, match="tangent of 0"):
        check_gradients(f, vjp, TREE, lambda t, dot: (f(t), (jvp(t, dot)[1][1],) * 2)).require()


def test_a_pullback_that_works_once_or_overwrites() -> None:
    def used_up(x: np.ndarray) -> Any:
        kept = 2 * x

        def pull(bar: np.ndarray) -> np.ndarray:
            result = kept * bar
            kept[:] = 0
            return result
        return x**2, pull
    assert not check_gradients(np.square, used_up, np.arange(1.0, 4.0)).passed

    def overwrites(x: np.ndarray) -> Any:
        def pull(bar: np.ndarray) -> np.ndarray:
            bar *= 2 * x
            return bar
        return x**2, pull
    with pytest.raises(AssertionError, match="overwrites"):
        check_gradients(np.square, overwrites, np.arange(1.0, 4.0)).require()


# ---- zeros and scales -------------------------------------------------------------------------

def normalised(t: Tree) -> np.ndarray:
    """A bias before a normalisation: its gradient is zero, up to rounding."""
    h = t["x"] + t["b"]
    return np.tanh((h - h.mean(axis=0)) * t["c"])


def normalised_vjp(b_bar: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tree], Any]:
    def pull_of(t: Tree) -> Any:
        y = normalised(t)
        h = t["x"] + t["b"]

        def pull(bar: np.ndarray) -> Tree:
            inner = bar * (1 - y**2)
            h_bar = inner * t["c"]
            h_bar = h_bar - h_bar.mean(axis=0)
            return {"x": h_bar, "b": b_bar(h_bar.sum(axis=0)),
                    "c": (inner * (h - h.mean(axis=0))).sum(axis=0)}
        return y, pull
    return pull_of


@BOTH
def test_where_the_gradient_is_zero(coordinates: int) -> None:
    tree = {"x": RNG.standard_normal((6, 4)), "b": RNG.standard_normal(4),
            "c": RNG.standard_normal(4)}
    for rounding in (lambda bar: bar, np.zeros_like, lambda bar: bar + 1e-16):
        check_gradients(normalised, normalised_vjp(rounding), tree,
                        coordinates=coordinates).require()
    report = check_gradients(normalised, normalised_vjp(lambda bar: bar + 1e-9), tree,
                             coordinates=coordinates)
    assert {row.array for row in report.rows if not row.passed} == {"b"}


@BOTH
def test_an_array_that_f_does_not_use(coordinates: int) -> None:
    tree = {"used": RNG.standard_normal(5), "unused": RNG.standard_normal(5), "n": np.arange(3)}

    def vjp_with(bar_of_unused: float) -> Callable[[Tree], Any]:
        return lambda t: (np.sin(t["used"]), lambda bar: {
            "used": np.cos(t["used"]) * bar, "unused": np.full(5, bar_of_unused)})
    check_gradients(lambda t: np.sin(t["used"]), vjp_with(0.0), tree,
                    coordinates=coordinates).require()
    report = check_gradients(lambda t: np.sin(t["used"]), vjp_with(1e-6), tree,
                             coordinates=coordinates)
    assert {row.array for row in report.rows if not row.passed} == {"unused"}


@BOTH
def test_a_small_gradient_is_not_taken_for_zero(coordinates: int) -> None:
    """y = 1e10 + 1e-6 x: tiny beside y, and still wrong to call it zero."""
    x = RNG.standard_normal(5)
    check_gradients(lambda v: 1e10 + 1e-6 * v, lambda v: (1e10 + 1e-6 * v, lambda bar: 1e-6 * bar),
                    x, coordinates=coordinates).require()
    with pytest.raises(AssertionError, match="zero everywhere"):
        check_gradients(lambda v: 1e10 + 1e-6 * v, lambda v: (1e10 + 1e-6 * v, np.zeros_like), x,
                        coordinates=coordinates).require()


@BOTH
@pytest.mark.parametrize("pull", [np.zeros_like, lambda bar: bar])
def test_what_cannot_be_told_does_not_pass(coordinates: int,
                                          pull: Callable[[np.ndarray], np.ndarray]) -> None:
    """In float32 x drowns in y = 1e8 + x; differences cannot see it, so neither answer passes."""
    def drowned(x: np.ndarray) -> np.ndarray:
        assert x.dtype == np.float32
        return x + np.float32(1e8)
    with pytest.raises(AssertionError, match="too inexact"):
        check_gradients(drowned, lambda x: (drowned(x), pull),
                        RNG.standard_normal(5).astype(np.float32),
                        coordinates=coordinates).require()


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e12])
def test_errors_are_relative_to_the_gradient(scale: float) -> None:
    tree = {"x": scale * RNG.standard_normal(6), "a": RNG.standard_normal(6) / scale}
    def product(t: Tree) -> np.ndarray:
        return t["x"] ** 2 * t["a"]
    def right(t: Tree, factor: float = 1.0) -> Any:
        return product(t), lambda bar: {"x": factor * 2 * t["x"] * t["a"] * bar,
                                        "a": factor * t["x"] ** 2 * bar}
    check_gradients(product, right, tree).require()
    report = check_gradients(product, lambda t: right(t, 1 + 1e-8), tree)
    assert {row.array for row in report.rows if not row.passed} == {"x", "a"}


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no floating numbers"):
        check_gradients(np.sin, lambda x: (np.sin(x), np.cos), np.arange(3))
    with pytest.raises(TypeError, match="real arrays"):
        check_gradients(np.sin, vjp, np.ones(3, dtype=complex))
    with pytest.raises(TypeError, match="must hold"):
        check_gradients(np.sin, vjp, "x")
    with pytest.raises(ValueError, match="not finite"):
        check_gradients(lambda x: x * np.inf, vjp, np.ones(3))
