"""The PyTorch oracle computes refglow's Glow, and a wrong formula in either is seen."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from refglow import bijectors as rgb  # noqa: E402
from refglow.networks import Dense  # noqa: E402
from refglow.validation import torch_oracle  # noqa: E402
from refglow.validation.against_golden import conditions_of  # noqa: E402
from refglow.validation.cases import additive_network, small_network  # noqa: E402
from refglow.validation.compare import difference  # noqa: E402
from refglow.validation.live import random_glow  # noqa: E402
from refglow.validation.random_models import (  # noqa: E402
    random_architecture,
    random_images,
    randomize_weights,
)
from refglow.validation.tolerances import agreement, rounding_layers  # noqa: E402
from refglow.validation.torch_oracle import (  # noqa: E402
    torch_forward,
    torch_inverse,
    torch_log_prob,
    torch_parameters,
)

BATCH = 3
FLOAT64 = 1e-12


def model(seed, **arguments):
    """A Glow with random weights, images, and latents of other images."""
    rng = np.random.default_rng(seed)
    if arguments:
        glow = rgb.Glow(**arguments, seed=rng, dtype=np.float64)
        randomize_weights(glow, rng, gain=0.5)
    else:
        glow = random_glow(random_architecture(rng), rng, np.float64)
    shape = glow.parameters["output_shape"]
    images, others = (random_images(rng, BATCH, shape) for _ in range(2))
    return glow, images, glow.inverse(others)


def errors(glow, images, z):
    """How far apart refglow and the oracle are: forward, inverse and both log-dets."""
    parameters = torch_parameters(glow, requires_grad=False)
    found = (*torch_forward(glow, parameters, z), *torch_inverse(glow, parameters, images))
    expected = (*glow.forward_and_log_det(z), *glow.inverse_and_log_det(images))
    assert all(tensor.dtype == torch.float64 for tensor in found)
    return [difference(tensor.numpy(), array).relative
            for tensor, array in zip(found, expected, strict=True)]


def tolerances(glow, images, z):
    """What roundings explain, in the order of `errors`."""
    conditions = conditions_of(glow, z, images, 1)
    return [agreement(np.float64, rounding_layers(glow), conditions[prop]).relative
            for prop in ("forward", "forward_log_det_jacobian", "inverse",
                         "inverse_log_det_jacobian")]


def agree(glow, images, z):
    return all(error <= tolerance for error, tolerance
               in zip(errors(glow, images, z), tolerances(glow, images, z), strict=True))


UNUSUAL = {
    "exits of any fraction": dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=2,
                                  grab_after_block=(0.3, 0.8), coupling_bijector_fn=small_network),
    "all exit": dict(output_shape=(4, 4, 1), num_glow_blocks=2, num_steps_per_block=1,
                     grab_after_block=(0.75, 1.0), coupling_bijector_fn=small_network),
    "one channel decides for two": dict(
        output_shape=(4, 4, 1), num_glow_blocks=1, num_steps_per_block=2, grab_after_block=(0.25,),
        coupling_bijector_fn=small_network, exit_bijector_fn=additive_network),
    "no steps": dict(output_shape=(4, 4, 1), num_glow_blocks=2, num_steps_per_block=0),
    "kernels of 5": dict(
        output_shape=(8, 4, 1), num_glow_blocks=1, num_steps_per_block=1,
        coupling_bijector_fn=lambda shape, dtype: rgb.GlowDefaultNetwork(shape, 4, 5, dtype)),
}


@pytest.mark.parametrize("seed", range(12))
def test_values_on_random_architectures(seed):
    assert agree(*model(seed))


@pytest.mark.parametrize("arguments", UNUSUAL.values(), ids=UNUSUAL)
def test_values_on_unusual_architectures(arguments):
    assert agree(*model(0, **arguments))


def test_log_prob_is_that_of_refglow_s_distribution():
    from refglow import distributions as tfd
    glow, images, z = model(1)
    px = glow(tfd.Sample(tfd.Normal(np.float64(0), np.float64(1)), [z.shape[1]]))
    found = torch_log_prob(glow, torch_parameters(glow), images)
    assert difference(found.detach().numpy(), px.log_prob(images)).relative < FLOAT64


SMALL = dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=2,
             coupling_bijector_fn=small_network)


def slightly_scaled_coupling(original):
    """s and log s of sigmoid(r + 2), both wrong by 1e-9 of themselves, consistently."""
    def coupling(*arguments):
        scale, log_scale, shift = original(*arguments)
        return scale * (1 + 1e-9), log_scale + np.log1p(1e-9), shift
    return coupling


def inverted_permutation(original):
    """W = P^T L U in place of P L U, which is invertible too and has the same log-det."""
    def factors(*arguments):
        lower, upper, permutation = original(*arguments)
        return lower, upper, permutation.argsort()
    return factors


def halves_exchanged(original):
    """[t | r] in place of [r | t] at the exits."""
    def network(network, name, *arguments):
        output = original(network, name, *arguments)
        return torch.cat(output.chunk(2, dim=1)[::-1], dim=1) if name.endswith("exit") else output
    return network


@pytest.mark.parametrize(("name", "bug"), [
    ("_coupling", slightly_scaled_coupling), ("_factors", inverted_permutation),
    ("torch_network", halves_exchanged)])
def test_a_difference_is_seen_in_both_directions(monkeypatch, name, bug):
    glow, images, z = model(3, **SMALL)
    limits = tolerances(glow, images, z)
    monkeypatch.setattr(torch_oracle, name, bug(getattr(torch_oracle, name)))
    found = errors(glow, images, z)
    assert found[0] > limits[0] and found[2] > limits[2]


def directional_derivative(glow, parameters, names, images, directions, h):
    """d/dt log p(images; parameters + t directions) by central differences."""
    values = []
    for t in (h, -h):
        moved = parameters | {name: parameters[name].detach() + t * torch.tensor(directions[name])
                              for name in names}
        values.append(float(torch_log_prob(glow, moved, images).detach().sum()))
    return (values[0] - values[1]) / (2 * h)


def test_autograd_reaches_every_trainable_parameter_and_no_other():
    glow, images, _ = model(2, **SMALL)
    rng, parameters = np.random.default_rng(0), torch_parameters(glow)
    names = [variable.name for variable in glow.trainable_variables]
    torch_log_prob(glow, parameters, images).sum().backward()
    followed = [name for name, tensor in parameters.items() if tensor.requires_grad]
    assert followed == names
    directions = {name: rng.standard_normal(parameters[name].shape) for name in names}
    for name in names:
        slope = float((parameters[name].grad * torch.tensor(directions[name])).sum())
        assert slope != 0
        assert slope == pytest.approx(directional_derivative(
            glow, parameters, [name], images, directions, 1e-6), rel=1e-5, abs=1e-6)


def test_parameters_are_copies_in_the_type_asked_for():
    glow, _, _ = model(2)
    before = glow.state_dict()
    parameters = torch_parameters(glow, np.float32, requires_grad=False)
    name = glow.trainable_variables[0].name
    assert parameters[name].dtype == torch.float32 and not parameters[name].requires_grad
    parameters[name].add_(1.0)
    assert np.array_equal(glow.state_dict()[name], before[name])


def test_a_parameter_at_two_places_is_one_tensor():
    network = additive_network((4, 4, 2), dtype=np.float64)
    glow = rgb.Glow((8, 8, 1), 1, 2, lambda shape: network, seed=0, dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(0))
    parameters = torch_parameters(glow)
    first, second = (parameters[f"block0.step{j}.coupling.conv1.bias"] for j in range(2))
    assert first is second


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match=r"block0\.step0\.actnorm\.initialized is false"):
        torch_parameters(rgb.Glow((4, 4, 1), 2, 1, small_network, seed=0))
    dense = rgb.Glow((4, 4, 1), 1, 1, lambda shape: Dense(shape[-1], shape[-1], dtype=np.float64),
                     use_actnorm=False, seed=0, dtype=np.float64)
    with pytest.raises(TypeError, match=r"block0\.step0\.coupling: .* has no Dense"):
        torch_inverse(dense, torch_parameters(dense), np.zeros((1, 4, 4, 1)))
