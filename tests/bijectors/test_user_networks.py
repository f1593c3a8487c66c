"""A user's own networks in Glow and RealNVP: what takes part in a gradient, and what is said."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.networks import Conv2D, Dense, ReLU, Sequential
from refglow.structure import iterate, map_structure
from refglow.validation import check_gradients
from refglow.validation.random_models import randomize_weights
from refglow.variable import Variable

F64 = np.float64
DIRECTION = pytest.mark.parametrize("forward", [True, False], ids=["forward", "inverse"])
MODES = pytest.mark.parametrize("memory", ["store", "checkpoint", "reversible"])


class PixelNetwork:
    """A stranger's affine network of each pixel: z = tanh(x A + a) B + b, written by hand.

    Args:
      shape: (h, w, inputs).
      outputs: how many channels it gives.
      seed, dtype: of the weights.
    """

    def __init__(self, shape: Any, outputs: int, seed: int, dtype: Any = F64) -> None:
        rng = np.random.default_rng(seed)
        self.held = {name: Variable(rng.standard_normal(size) / 2, name, dtype=dtype)
                     for name, size in [
            ("A", (shape[-1], 6)), ("a", (6,)), ("B", (6, outputs)), ("b", (outputs,))]}

    def named_variables(self) -> Any:
        return iter(self.held.items())

    def _layers(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        values = {name: v.numpy() for name, v in self.held.items()}
        h = np.tanh(x @ values["A"] + values["a"])
        return h, h @ values["B"] + values["b"]

    def __call__(self, x: Any) -> np.ndarray:
        return self._layers(x)[1]

    def vjp(self, x: Any) -> Any:
        h, output = self._layers(x)
        a, b = self.held["A"].numpy(), self.held["B"].numpy()

        def pullback(output_bar: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            z_bar = output_bar @ b.T * (1 - h**2)
            rows = [v.reshape(-1, v.shape[-1]) for v in (x, h, output_bar, z_bar)]
            return z_bar @ a.T, {"A": rows[0].T @ rows[3], "a": rows[3].sum(0),
                                 "B": rows[1].T @ rows[2], "b": rows[2].sum(0)}
        return output, pullback

    def jvp(self, x: Any, x_dot: Any, param_dots: Mapping[str, Any]) -> Any:
        h, output = self._layers(x)
        dots = {name: param_dots.get(name, np.zeros(v.shape)) for name, v in self.held.items()}
        h_dot = (1 - h**2) * (x_dot @ self.held["A"].numpy() + x @ dots["A"] + dots["a"])
        return output, h_dot @ self.held["B"].numpy() + h @ dots["B"] + dots["b"]


class ReLUPixels(PixelNetwork):
    """The same with a ReLU, so that refglow's own layers make it too."""

    def _layers(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        values = {name: v.numpy() for name, v in self.held.items()}
        h = np.maximum(x @ values["A"] + values["a"], 0)
        return h, h @ values["B"] + values["b"]

    def vjp(self, x: Any) -> Any:
        h, output = self._layers(x)
        a, b = self.held["A"].numpy(), self.held["B"].numpy()

        def pullback(output_bar: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            z_bar = output_bar @ b.T * (h > 0)
            rows = [v.reshape(-1, v.shape[-1]) for v in (x, h, output_bar, z_bar)]
            return z_bar @ a.T, {"A": rows[0].T @ rows[3], "a": rows[3].sum(0),
                                 "B": rows[1].T @ rows[2], "b": rows[2].sum(0)}
        return output, pullback


def own_layers(shape: Any, outputs: int, seed: int) -> Sequential:
    """`ReLUPixels` of refglow's layers, with the same weights."""
    network = Sequential({"A": Dense(shape[-1], 6, dtype=F64), "r": ReLU(),
                          "B": Dense(6, outputs, dtype=F64)})
    weights = dict(ReLUPixels(shape, outputs, seed).named_variables())
    for (_, variable), name in zip(network.named_variables(), "AaBb", strict=True):
        variable.assign(weights[name].numpy())
    return network


def glow_of(coupling: Any, exit_: Any, dtype: Any = F64, steps: int = 1) -> tfb.Glow:
    """One block and an exit, and random weights outside the networks, which have theirs."""
    glow = tfb.Glow((4, 4, 1), 1, steps, coupling, exit_, grab_after_block=(0.5,), seed=0,
                    dtype=dtype)
    rng = np.random.default_rng(1)
    for variable in glow.trainable_variables:
        if "coupling" not in variable.name and "exit" not in variable.name:
            variable.assign(variable.numpy() + 0.1 * rng.standard_normal(variable.shape))
    for module in glow.submodules:
        if isinstance(module, ActivationNormalization):
            module.mark_initialized()
    return glow


def latents_or_images(forward: bool) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 16) if forward else (3, 4, 4, 1))


def pulled(model: tfb.Bijector, value: Any, forward: bool, **kwargs: Any) -> list[np.ndarray]:
    """All results and cotangents, in order, for the same random cotangents of the results."""
    results, pullback = (model.forward_vjp if forward else model.inverse_vjp)(value, **kwargs)
    rng = np.random.default_rng(5)
    bars = map_structure(results, lambda v: rng.standard_normal(v.shape), results)
    value_bar, parameter_bars = pullback(*bars)
    return [leaf for _, leaf in iterate([*results, value_bar, list(parameter_bars.values())])]


def check_whole(build: Callable[[Any], tfb.Bijector], value: np.ndarray, forward: bool,
                memory: str = "store", **kwargs: Any) -> None:
    """check_gradients on build(dtype), in its input and all its parameters."""
    models = {"f": build(F64), "c": build(np.complex128)}

    def loaded(t: dict[str, Any]) -> tfb.Bijector:
        kind = np.result_type(t["value"], *t["parameters"].values()).kind
        for variable in models[kind].trainable_variables:
            variable.assign(t["parameters"][variable.name])
        return models[kind]

    def evaluate(t: dict[str, Any]) -> Any:
        model = loaded(t)
        return (model.forward_and_log_det if forward else model.inverse_and_log_det)(
            t["value"], **kwargs)

    def pull(t: dict[str, Any]) -> Any:
        model = loaded(t)
        results, pullback = (model.forward_vjp if forward else model.inverse_vjp)(
            t["value"], memory=memory, **kwargs)
        return results, lambda bars: dict(zip(("value", "parameters"), pullback(*bars),
                                              strict=True))

    def push(t: dict[str, Any], dot: dict[str, Any]) -> Any:
        model = loaded(t)
        return (model.forward_jvp if forward else model.inverse_jvp)(
            t["value"], dot["value"], dot["parameters"], **kwargs)
    tree = {"value": value,
            "parameters": {v.name: v.numpy() for v in models["f"].trainable_variables}}
    report = check_gradients(evaluate, pull, tree, push, coordinates=12)
    report.require()
    assert report.method == "complex step"


# ---- objects with vjp and jvp -----------------------------------------------------------------

@DIRECTION
@MODES
def test_a_strangers_network_in_glow_is_that_of_refglows_layers(forward: bool,
                                                                memory: str) -> None:
    theirs = glow_of(lambda shape: ReLUPixels(shape, 2 * shape[-1], 3),
                     lambda shape, output_chan: ReLUPixels(shape, 2 * output_chan, 4), steps=3)
    ours = glow_of(lambda shape: own_layers(shape, 2 * shape[-1], 3),
                   lambda shape, output_chan: own_layers(shape, 2 * output_chan, 4), steps=3)
    value = latents_or_images(forward)
    found, expected = (pulled(m, value, forward, memory=memory) for m in (theirs, ours))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(1.0, np.abs(b).max()))


@DIRECTION
@MODES
def test_a_strangers_network_in_glow(forward: bool, memory: str) -> None:
    def build(dtype: Any) -> tfb.Bijector:
        return glow_of(lambda shape: PixelNetwork(shape, 2 * shape[-1], 3, dtype),
                       lambda shape, output_chan: PixelNetwork(shape, output_chan, 4, dtype), dtype)
    check_whole(build, latents_or_images(forward), forward, memory)


class Pair(PixelNetwork):
    """A `shift_and_log_scale_fn`."""

    def __call__(self, x: Any, units: int) -> Any:
        return self._halves(super().__call__(x))

    def vjp(self, x: Any, units: int) -> Any:
        output, pullback = super().vjp(x)
        return self._halves(output), lambda bars: pullback(np.concatenate(bars, axis=-1))

    def jvp(self, x: Any, units: int, x_dot: Any, param_dots: Any) -> Any:
        return tuple(map(self._halves, super().jvp(x, x_dot, param_dots)))

    @staticmethod
    def _halves(output: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.split(output, 2, axis=-1))


@DIRECTION
@MODES
def test_a_strangers_pair_in_real_nvp(forward: bool, memory: str) -> None:
    def build(dtype: Any) -> tfb.Bijector:
        return tfb.RealNVP(num_masked=2, shift_and_log_scale_fn=Pair((2,), 6, 0, dtype))
    assert len(build(F64).trainable_variables) == 4
    check_whole(build, np.random.default_rng(0).standard_normal((4, 5)), forward, memory)


# ---- plain callables --------------------------------------------------------------------------

def plain_network(x: Any) -> np.ndarray:
    return np.concatenate([np.sin(x), np.cos(x)], axis=-1)


def test_a_plain_callable_gives_values_and_says_why_no_gradients() -> None:
    glow = tfb.Glow((4, 4, 2), 1, 1, lambda shape: plain_network, seed=0, use_actnorm=False,
                    dtype=F64)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 2))
    z = glow.inverse(x)
    np.testing.assert_allclose(glow.forward(z), x, rtol=1e-12)
    for attempt, method in ((lambda: glow.inverse_vjp(x), "vjp"),
                            (lambda: glow.forward_vjp(z), "vjp"),
                            (lambda: glow.forward_jvp(z, z), "jvp"),
                            (lambda: glow.inverse_jvp(x, x), "jvp")):
        with pytest.raises(TypeError, match=f"network 'plain_network' has no method {method}"):
            attempt()

    def pair_network(x: Any, units: int) -> Any:
        return np.sin(x[..., :units]), None
    model = tfb.RealNVP(num_masked=2, shift_and_log_scale_fn=pair_network)
    for vjp in (model.forward_vjp, model.inverse_vjp):
        with pytest.raises(TypeError, match="network 'pair_network' has no method vjp"):
            vjp(np.ones((2, 4)))


# ---- networks that return a bijector ----------------------------------------------------------

class ScalesAndShifts:
    """Returns Scale(log_scale=tanh(xa)), then Shift(xa), then a Shift by a Variable of its own.

    Args:
      shared: whether scale and shift are one array.
    """

    def __init__(self, shape: Any, outputs: int, seed: int, dtype: Any,
                 shared: bool = False) -> None:
        rng = np.random.default_rng(seed)
        self.kernel = Variable(rng.standard_normal((shape[-1], outputs)) / 2, "kernel",
                               dtype=dtype)
        self.own = Variable(rng.standard_normal(outputs), "own", dtype=dtype)
        self.shared = shared

    def named_variables(self) -> Any:
        yield "kernel", self.kernel
        yield "own", self.own

    def _bijector(self, x: Any) -> tuple[np.ndarray, tfb.Bijector]:
        t = np.tanh(x @ self.kernel.numpy())
        shift = t if self.shared else np.sin(t)
        return t, tfb.Chain([tfb.Shift(self.own), tfb.Shift(shift), tfb.Scale(log_scale=t)])

    def __call__(self, x: Any, *units: int) -> tfb.Bijector:
        return self._bijector(x)[1]

    def vjp(self, x: Any, *units: int) -> Any:
        t, bijector = self._bijector(x)
        shift_name, scale_name = self._names(bijector)

        def pullback(bars: Mapping[str, np.ndarray]) -> Any:
            slope = 1.0 if self.shared else np.cos(t)
            h_bar = (bars[scale_name] + slope * bars[shift_name]) * (1 - t**2)
            return h_bar @ self.kernel.numpy().T, {
                "kernel": x.reshape(-1, x.shape[-1]).T @ h_bar.reshape(-1, h_bar.shape[-1])}
        return bijector, pullback

    def jvp(self, x: Any, *rest: Any) -> Any:
        x_dot, param_dots = rest[-2:]
        t, bijector = self._bijector(x)
        shift_name, scale_name = self._names(bijector)
        t_dot = (1 - t**2) * (x_dot @ self.kernel.numpy() + x @ param_dots["kernel"])
        return bijector, {scale_name: t_dot,
                          shift_name: t_dot if self.shared else np.cos(t) * t_dot}

    @staticmethod
    def _names(bijector: tfb.Bijector) -> list[str]:
        """The names of the computed shift and scale, as `state_dict` makes names."""
        from refglow.cotangents import named_arrays
        names = [name for name, _ in named_arrays(bijector)]
        assert len(names) == 2 and "shift" in names[0] and "log_scale" in names[1]
        return names


@DIRECTION
@MODES
@pytest.mark.parametrize("shared", [False, True], ids=["two arrays", "one array twice"])
def test_a_network_that_returns_a_bijector_in_real_nvp(forward: bool, memory: str,
                                                       shared: bool) -> None:
    def build(dtype: Any) -> tfb.Bijector:
        return tfb.RealNVP(num_masked=2, bijector_fn=ScalesAndShifts((2,), 3, 0, dtype, shared))
    check_whole(build, np.random.default_rng(0).standard_normal((4, 5)), forward, memory)


@DIRECTION
@MODES
def test_a_network_that_returns_a_bijector_in_glow(forward: bool, memory: str) -> None:
    def build(dtype: Any) -> tfb.Bijector:
        return glow_of(
            lambda shape: ScalesAndShifts(shape, shape[-1], 0, dtype),
            lambda shape, output_chan: ScalesAndShifts(shape, output_chan, 1, dtype), dtype)
    assert sum(name.endswith(".own") for name in build(F64).state_dict()) == 2
    check_whole(build, latents_or_images(forward), forward, memory)


# ---- conditioning -----------------------------------------------------------------------------

class Labelled(PixelNetwork):
    """A network that is told a label, which it adds to its input."""

    def __call__(self, x: Any, label: Any = 0.0) -> Any:
        return super().__call__(x + label)

    def vjp(self, x: Any, label: Any = 0.0) -> Any:
        return super().vjp(x + label)

    def jvp(self, x: Any, x_dot: Any, param_dots: Any, label: Any = 0.0) -> Any:
        return super().jvp(x + label, x_dot, param_dots)


class LabelledPair(Pair):
    """The same for RealNVP."""

    def __call__(self, x: Any, units: int, label: Any = 0.0) -> Any:
        return super().__call__(x + label, units)

    def vjp(self, x: Any, units: int, label: Any = 0.0) -> Any:
        return super().vjp(x + label, units)

    def jvp(self, x: Any, units: int, x_dot: Any, param_dots: Any, label: Any = 0.0) -> Any:
        return super().jvp(x + label, units, x_dot, param_dots)


@DIRECTION
@MODES
def test_conditioning_reaches_the_derivatives(forward: bool, memory: str) -> None:
    def build(dtype: Any) -> tfb.Bijector:
        return tfb.RealNVP(num_masked=2, shift_and_log_scale_fn=LabelledPair((2,), 6, 0, dtype))
    value = np.random.default_rng(0).standard_normal((4, 5))
    label = np.array([[0.5], [1.0], [-2.0], [0.0]])
    check_whole(build, value, forward, memory, label=label)
    told, untold = (pulled(build(F64), value, forward, memory=memory, **kwargs)
                    for kwargs in ({"label": label}, {}))
    assert all(not np.allclose(a, b) for a, b in zip(told, untold, strict=True))


@DIRECTION
@MODES
def test_conditioning_reaches_the_derivatives_in_glow(forward: bool, memory: str) -> None:
    def build(dtype: Any) -> tfb.Bijector:
        return glow_of(lambda shape: Labelled(shape, 2 * shape[-1], 3, dtype),
                       lambda shape, output_chan: Labelled(shape, 2 * output_chan, 4, dtype), dtype)
    told = {"glow_block": {"invert_real_nvp": {"label": np.float64(0.5)}},
            "invert_exit_bijector": {"real_nvp": {"label": np.float64(-0.25)}}}
    value = latents_or_images(forward)
    check_whole(build, value, forward, memory, **told)
    with_label, without = (pulled(build(F64), value, forward, memory=memory, **kwargs)
                           for kwargs in (told, {}))
    assert not np.allclose(with_label[0], without[0])
    assert not np.allclose(with_label[2], without[2])


# ---- what a pullback may not do ---------------------------------------------------------------

class Misbehaving(PixelNetwork):
    """Whose pullback returns something else."""

    def __init__(self, change: Any) -> None:
        super().__init__((1, 1, 2), 4, 0)
        self.change = change

    def vjp(self, x: Any) -> Any:
        output, pullback = super().vjp(x)

        def pull(bar: Any) -> Any:
            x_bar, bars = pullback(bar)
            return x_bar, self.change(bars)
        return output, pull


@MODES
@pytest.mark.parametrize(("change", "said"), [
    (lambda bars: bars | {"C": bars["A"]}, r"cotangents for \['C'\].*'A', 'B', 'a', 'b'"),
    (lambda bars: bars | {"A": bars["A"].T}, r"'A' a cotangent of shape \(6, 2\).*\(2, 6\)"),
    (lambda bars: bars | {"a": bars["a"][0]}, r"'a' a cotangent of shape \(\)"),
])
def test_pullbacks_that_return_what_does_not_fit(change: Any, said: str, memory: str) -> None:
    block = tfb.GlowBlock((2, 3, 4), 1, lambda shape: Misbehaving(change), seed=0, dtype=F64)
    randomize_weights(block, np.random.default_rng(0))
    y = np.random.default_rng(1).standard_normal((2, 3, 4))
    _, pullback = block.inverse_vjp(y, memory=memory)
    with pytest.raises(ValueError, match=said):
        pullback(1.0, 1.0)


def test_networks_of_refglows_layers_inside_a_strangers() -> None:
    """A stranger's object may hand its work to a refglow network."""
    class Wrapped:
        def __init__(self, shape: Any, dtype: Any) -> None:
            self.inner = Sequential([Conv2D(shape[-1], 5, 3, seed=0, dtype=dtype), ReLU(),
                                     Conv2D(5, 2 * shape[-1], 1, seed=1, dtype=dtype)])

        def named_variables(self) -> Any:
            return self.inner.named_variables()

        def __call__(self, x: Any) -> Any:
            return self.inner(x)

        def vjp(self, x: Any) -> Any:
            return self.inner.vjp(x)

        def jvp(self, x: Any, x_dot: Any, param_dots: Any) -> Any:
            return self.inner.jvp(x, x_dot, param_dots)

    def build(dtype: Any) -> tfb.Bijector:
        block = tfb.GlowBlock((2, 3, 4), 2, Wrapped, seed=0, dtype=dtype)
        randomize_weights(block, np.random.default_rng(0))
        return block
    check_whole(build, np.random.default_rng(1).standard_normal((2, 3, 4)), forward=False)
