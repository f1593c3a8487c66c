"""from_normflows: GlowBlocks with every option, random weights everywhere, both directions."""

import numpy as np
import pytest
from adapting import LIMIT, apart, deprecated, log_prob, randomize

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nf = pytest.importorskip("normflows", reason="normflows is not installed")

from refglow.validation.adapters import NotRepresentableError, from_normflows  # noqa: E402
from refglow.validation.dialects.conversion import RE_INDEXED, REPARAMETRISED  # noqa: E402


def build(levels=2, steps=2, shape=(8, 12, 3), merge="channel", base=None, blocks=(), **options):
    """A MultiscaleFlow in float64 with random weights, its ActNorms initialised."""
    height, width, channels = shape
    bases, merges, flows = [], [], []
    torch.manual_seed(0)
    # normflows 1.7 factors its matrices by a function that PyTorch has renamed.
    with deprecated("torch.lu is deprecated"):
        for i in range(levels):
            depth = levels - i
            acting = channels * 2 ** (depth + 1)
            each = list(blocks) or [{}] * steps
            flows.append([nf.flows.GlowBlock(acting, 5, init_zeros=False, **(options | extra))
                          for extra in each] + [nf.flows.Squeeze()])
            if i > 0:
                merges.append(nf.flows.Merge(merge))
            size = (acting if i == 0 else acting // 2, height >> depth, width >> depth)
            bases.append((base or nf.distributions.DiagGaussian)(size, trainable=False))
    model = nf.MultiscaleFlow(bases, flows, merges, class_cond=False).double()
    with torch.no_grad():
        model.inverse_and_log_det(images(shape))
    randomize(model, torch)
    return model


def images(shape=(8, 12, 3), seed=1):
    height, width, channels = shape
    noise = np.random.default_rng(seed).random((3, channels, height, width)) - 0.5
    return torch.tensor(noise)


def error(model, shape=(8, 12, 3)):
    x = images(shape)
    with torch.no_grad():
        z, log_det = model.inverse_and_log_det(x)
        back, log_det_back = model.forward_and_log_det(z)
        expected = model.log_prob(x, None).numpy()
    imported = from_normflows(model)
    latents = torch.cat([part.flatten(1) for part in z], 1).numpy()
    assert log_prob(imported, x) == pytest.approx(expected, rel=LIMIT)
    return apart(imported, x, latents, log_det.numpy(), back, log_det_back.numpy())


@pytest.mark.parametrize("options", [
    {}, {"scale": False}, {"scale_map": "exp"}, {"scale_map": "sigmoid_inv"},
    {"split_mode": "channel_inv"}, {"merge": "channel_inv"}, {"leaky": 0.1}, {"use_lu": False},
    {"net_actnorm": True, "leaky": 0.01}, {"levels": 3, "steps": 1, "shape": (8, 16, 1)},
    {"levels": 1, "steps": 3, "scale_map": "exp", "use_lu": False}],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()) or "defaults")
def test_every_option_is_reproduced(options):
    assert error(build(**options), options.get("shape", (8, 12, 3))) < LIMIT


def test_affine_and_additive_blocks_and_both_kinds_of_convolution_in_one_model():
    model = build(blocks=({"scale": False}, {"use_lu": False}, {"leaky": 0.0}))
    assert error(model) < LIMIT
    imported = from_normflows(model)
    assert imported.glow.dialect.factors == "full matrix"
    assert ("factors", REPARAMETRISED) in [(c.field, c.label) for c in imported.conversions]


def test_what_was_done_is_said():
    said = {c.field: c for c in from_normflows(build(steps=1)).conversions}
    assert said["factors"].label == REPARAMETRISED and "exp(log_S)" in said["factors"].reason
    assert said["kernel"].label == RE_INDEXED


def test_float32_stays_float32():
    model = build(steps=1).float()
    imported = from_normflows(model)
    z, _ = imported.glow.inverse(np.moveaxis(images().float().numpy(), 1, -1))
    assert z.dtype == np.float32
    assert {value.dtype.name for name, value in imported.glow.arrays.items()
            if not name.endswith("permutation")} == {"float32"}


@pytest.mark.parametrize(("options", "message"), [
    ({"split_mode": "checkerboard", "shape": (8, 16, 3)}, "not pixels"),
    ({"leaky": 0.07}, "activation 'leaky relu 0.07'"),
    ({"blocks": ({"leaky": 0.1}, {"leaky": 0.2})}, "one answer for the whole model"),
    ({"blocks": ({"scale_map": "exp"}, {})}, "one answer for the whole model")])
def test_what_no_dialect_has_is_refused(options, message):
    with pytest.raises(NotRepresentableError, match=message):
        from_normflows(build(**options))


def test_an_actnorm_that_has_not_seen_data_is_refused():
    model = build(steps=1)
    model.flows[1][0].flows[-1].data_dep_init_done.zero_()
    with pytest.raises(NotRepresentableError, match="has not seen data"):
        from_normflows(model)


def test_other_base_distributions_are_refused_unless_the_flow_alone_is_wanted():
    model = build(steps=1)
    x = images()
    with torch.no_grad():
        model.q0[0].loc.add_(1)
        z, log_det = model.inverse_and_log_det(x)
    with pytest.raises(NotRepresentableError, match=r"without_base=True"):
        from_normflows(model)
    latents = torch.cat([part.flatten(1) for part in z], 1).numpy()
    assert apart(from_normflows(model, without_base=True), x, latents, log_det.numpy()) < LIMIT


def test_a_level_without_squeeze_is_refused():
    model = build(steps=1)
    model.flows[0] = torch.nn.ModuleList(list(model.flows[0])[:-1])
    with pytest.raises(NotRepresentableError, match=r"flows\[0\].*not a Squeeze"):
        from_normflows(model)


def test_a_network_whose_forward_does_more_is_refused():
    class Residual(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x) + x.sum()
    model = build(steps=1)
    coupling = model.flows[0][0].flows[0].flows[1]
    coupling.param_map = Residual(coupling.param_map)
    with pytest.raises(NotRepresentableError, match="forward does something else"):
        from_normflows(model)
