"""from_nflows: the Glow of nflows' images experiment, random weights, both directions."""

import numpy as np
import pytest
from adapting import LIMIT, apart, deprecated, randomize

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("nflows", reason="nflows is not installed")

from nflows import transforms as nft  # noqa: E402
from nflows.nn.nets import ConvResidualNet  # noqa: E402
from nflows.utils import torchutils  # noqa: E402

from refglow.validation.adapters import NotRepresentableError, from_nflows  # noqa: E402

nn = torch.nn
MID = torchutils.create_mid_split_binary_mask


class Net(nn.Module):
    """The experiment's network of convolutions: a Sequential, and a context that is not used."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(inputs, 5, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 1),
            nn.ReLU(inplace=True), nn.Conv2d(4, outputs, 3, padding=1))

    def forward(self, x, context=None):
        return self.net(x)


class FunctionalNet(nn.Module):
    """The same with functions between the layers, and with other paddings."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = nn.Conv2d(inputs, 5, 3, padding="same", padding_mode="replicate")
        self.last = nn.Conv2d(5, outputs, 1)

    def forward(self, x, context):
        return self.last(torch.tanh(self.first(x)))


def step(channels, net, mask, affine, actnorm):
    coupling = nft.AffineCouplingTransform if affine else nft.AdditiveCouplingTransform
    return nft.CompositeTransform([
        *([nft.ActNorm(channels)] if actnorm else []), nft.OneByOneConvolution(channels),
        coupling(mask(channels), net)])


def build(shape=(8, 12, 3), levels=2, steps=2, net=Net, mask=MID, affine=True, actnorm=True,
          closing=True, in_front=False):
    height, width, channels = shape
    torch.manual_seed(0)
    multiscale = nft.MultiscaleCompositeTransform(levels)
    size = (channels, height, width)
    for _ in range(levels):
        squeeze = nft.SqueezeTransform()
        size = squeeze.get_output_shape(*size)
        level = [squeeze, *(step(size[0], net, mask, affine, actnorm) for _ in range(steps))]
        if closing:
            level.append(nft.OneByOneConvolution(size[0]))
        size = multiscale.add_transform(nft.CompositeTransform(level), size) or size
    model = multiscale
    if in_front:
        model = nft.CompositeTransform([nft.PointwiseAffineTransform(-0.5, 1 / 256), multiscale])
    return prepared(model, shape, 256 if in_front else 1)


def prepared(model, shape, largest=1):
    model = model.double()
    with torch.no_grad():
        model(images(shape, largest))
    randomize(model, torch, gain=0.05)
    return model


def images(shape=(8, 12, 3), largest=1):
    height, width, channels = shape
    noise = np.random.default_rng(1).random((3, channels, height, width))
    return torch.tensor(largest * noise)


def error(model, shape=(8, 12, 3), largest=1, **arguments):
    x = images(shape, largest)
    # nflows 0.14 solves triangular systems by a function that PyTorch has renamed.
    with torch.no_grad(), deprecated("torch.triangular_solve is deprecated"):
        z, log_det = model(x)
        back, log_det_back = model.inverse(z)
    return apart(from_nflows(model, **arguments), x, z.flatten(1).numpy(), log_det.numpy(), back,
                 log_det_back.numpy())


@pytest.mark.parametrize("options", [
    {}, {"affine": False}, {"actnorm": False, "closing": False}, {"net": FunctionalNet},
    {"mask": torchutils.create_alternating_binary_mask}, {"levels": 3, "shape": (16, 8, 1)},
    {"levels": 1, "steps": 1},
    {"mask": lambda channels: 1 - MID(channels)}],
    ids=["experiment", "additive", "bare", "functional net", "alternating", "three levels", "small",
         "other half"])
def test_every_architecture_is_reproduced(options):
    assert error(build(**options), options.get("shape", (8, 12, 3))) < LIMIT


def test_the_affine_map_in_front_is_a_step_of_its_own():
    model = build(in_front=True)
    assert error(model, largest=256) < LIMIT
    imported = from_nflows(model)
    assert imported.glow.structure.steps == (3, 4)
    assert "step_order" in {conversion.field for conversion in imported.conversions}


def test_levels_without_exits_need_the_image_shape():
    torch.manual_seed(0)
    model = prepared(nft.CompositeTransform([
        nft.SqueezeTransform(), step(12, Net, MID, True, True), nft.ReversePermutation(12),
        nft.SqueezeTransform(), step(48, Net, MID, True, True)]), (8, 12, 3))
    with pytest.raises(ValueError, match=r"image_shape=\(H, W, C\)"):
        from_nflows(model)
    assert error(model, image_shape=(8, 12, 3)) < LIMIT


def test_its_residual_network_is_refused_with_the_reason():
    with pytest.raises(NotRepresentableError, match="add their input to their output"):
        from_nflows(build(net=lambda i, o: ConvResidualNet(i, o, 4)))


def test_a_mask_that_is_no_half_is_refused():
    with pytest.raises(NotRepresentableError, match="it conditions on channels"):
        from_nflows(build(mask=lambda channels: torch.tensor([0, 1, 1, 0] * (channels // 4))))


def test_an_actnorm_in_training_that_has_not_seen_data_is_refused_and_in_eval_mode_is_not():
    model = build(steps=1)
    actnorm = next(module for module in model.modules() if isinstance(module, nft.ActNorm))
    actnorm.initialized.fill_(False)
    with pytest.raises(NotRepresentableError, match="has not seen data"):
        from_nflows(model)
    model.eval()
    assert error(model) < LIMIT


def test_other_transforms_are_refused():
    model = nft.CompositeTransform([nft.SqueezeTransform(), nft.BatchNorm(12)])
    with pytest.raises(NotRepresentableError, match="a BatchNorm, cannot"):
        from_nflows(model, (8, 12, 3))
    with pytest.raises(NotRepresentableError, match="no squeeze comes before"):
        from_nflows(nft.CompositeTransform([nft.OneByOneConvolution(3)]), (8, 12, 3))
