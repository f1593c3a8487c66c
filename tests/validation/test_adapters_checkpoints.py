"""from_openai, from_rosinality, from_chaiyujin against the projects' formulas, written here again.

The formulas are computed with PyTorch's convolutions on arrays drawn at random, by the names that
the projects' checkpoints have. Latents are whitened, so their standard normal density and the
log-det give log p as the projects have it.
"""

import math

import numpy as np
import pytest
from adapting import LIMIT, nhwc

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from refglow.validation.adapters import (  # noqa: E402
    NotRepresentableError,
    from_chaiyujin,
    from_openai,
    from_rosinality,
)
from refglow.validation.compare import difference  # noqa: E402

F = torch.nn.functional
LEVELS, STEPS, HIDDEN = 2, 2, 5


class Drawn(dict):
    """Arrays drawn when they are first asked for; later calls give the same."""

    def __init__(self, seed=0):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def draw(self, name, *shape, scale=0.2, mean=0.0):
        if name not in self:
            self[name] = mean + scale * self.rng.standard_normal(shape)
        return torch.tensor(self[name])

    def kernel(self, name, *shape, inputs):
        return self.draw(name, *shape, scale=1 / math.sqrt(inputs * 9))

    def factors(self, names, channels):
        """P, L, U, sign, log|s| and their product W."""
        p, lower, upper, sign, log_s = names
        if p not in self:
            self[p] = np.eye(channels)[self.rng.permutation(channels)]
            self[sign] = np.where(self.rng.random(channels) < 0.5, -1.0, 1.0)
        left = torch.tril(self.draw(lower, channels, channels, scale=0.1), -1) + torch.eye(channels)
        right = torch.triu(self.draw(upper, channels, channels, scale=0.1), 1)
        right = right + torch.diag(torch.tensor(self[sign])
                                   * torch.exp(self.draw(log_s, channels)))
        return torch.tensor(self[p]) @ left @ right

    def matrix(self, name, channels):
        if name not in self:
            noise = self.rng.standard_normal((channels, channels))
            self[name] = np.linalg.qr(noise)[0] + 0.05 * noise
        return torch.tensor(self[name])


def squeezed(x):
    """Channel-major: [B, C, 2 h, 2 w] -> [B, C a b, h, w]."""
    return F.pixel_unshuffle(x, 2)


def log_det_of(matrix, x):
    return torch.linalg.slogdet(matrix)[1] * x.shape[2] * x.shape[3]


def normal_log_p(x, mean, log_scale):
    square = (x - mean)**2 / torch.exp(2 * log_scale)
    terms = -0.5 * math.log(2 * math.pi) - log_scale - square / 2
    return terms.sum(dim=(1, 2, 3))


def held(imported, x, log_p, latents):
    """The largest relative error of log p, of latents by scale, finest first, and the way back."""
    glow = imported.glow
    results = list(glow.towards_latent(nhwc(x)))
    scales = glow.scales(results)
    errors = [difference(glow.log_prob(scales, glow.total(results)), log_p.numpy()).relative]
    errors += [difference(ours, nhwc(theirs)).relative
               for ours, theirs in zip(scales[::-1], latents, strict=True)]
    if glow.dialect.latents != "only the coarsest":
        z, _ = glow.inverse(nhwc(x))
        errors.append(difference(glow.forward(z)[0], nhwc(x)).relative)
    return max(errors)


def image(height=8, width=12, channels=3):
    return torch.tensor(np.random.default_rng(9).random((3, channels, height, width)) - 0.5)


# ---- rosinality ---------------------------------------------------------------------------------


def zero_conv(arrays, place, x, outputs):
    kernel = arrays.kernel(f"{place}.conv.weight", outputs, x.shape[1], 3, 3, inputs=x.shape[1])
    y = F.conv2d(F.pad(x, [1] * 4, value=1), kernel, arrays.draw(f"{place}.conv.bias", outputs))
    return y * torch.exp(3 * arrays.draw(f"{place}.scale", 1, outputs, 1, 1, scale=0.05))


def rosinality(arrays, x, affine=True, lu=lambda b: True, prefix=""):
    """(log p in nats, whitened latents finest first) by rosinality's formulas."""
    total, latents = 0.0, []
    for b in range(LEVELS):
        x = squeezed(x)
        c = x.shape[1]
        for k in range(STEPS):
            place = f"{prefix}blocks.{b}.flows.{k}"
            scale = arrays.draw(f"{place}.actnorm.scale", 1, c, 1, 1, mean=-1.2)
            x = scale * (x + arrays.draw(f"{place}.actnorm.loc", 1, c, 1, 1))
            arrays[f"{place}.actnorm.initialized"] = np.array(1, np.uint8)
            total = total + x.shape[2] * x.shape[3] * torch.log(torch.abs(scale)).sum()
            if lu(b):
                w = arrays.factors([f"{place}.invconv.{n}" for n in (
                    "w_p", "w_l", "w_u", "s_sign", "w_s")], c)
                for name in ("u_mask", "l_mask", "l_eye"):
                    arrays[f"{place}.invconv.{name}"] = np.eye(c)
            else:
                w = arrays.matrix(f"{place}.invconv.weight", c)
                arrays[f"{place}.invconv.weight"] = w.numpy().reshape(c, c, 1, 1)
                w = w.reshape(c, c)
            x = F.conv2d(x, w[:, :, None, None])
            total = total + log_det_of(w, x)
            low, high = x.chunk(2, 1)
            net = f"{place}.coupling.net"
            h = F.relu(F.conv2d(low, arrays.kernel(f"{net}.0.weight", HIDDEN, c // 2, 3, 3,
                                                   inputs=c // 2),
                                arrays.draw(f"{net}.0.bias", HIDDEN), padding=1))
            h = F.relu(F.conv2d(h, arrays.draw(f"{net}.2.weight", HIDDEN, HIDDEN, 1, 1, scale=0.5),
                                arrays.draw(f"{net}.2.bias", HIDDEN)))
            out = zero_conv(arrays, f"{net}.4", h, c if affine else c // 2)
            if affine:
                log_s, t = out.chunk(2, 1)
                s = torch.sigmoid(log_s + 2)
                high = (high + t) * s
                total = total + torch.log(s).sum(dim=(1, 2, 3))
            else:
                high = high + out
            x = torch.cat([low, high], 1)
        prior = f"{prefix}blocks.{b}.prior"
        if b < LEVELS - 1:
            x, leaving = x.chunk(2, 1)
            mean, log_sd = zero_conv(arrays, prior, x, c).chunk(2, 1)
        else:
            leaving = x
            mean, log_sd = zero_conv(arrays, prior, torch.zeros_like(x), 2 * c).chunk(2, 1)
        total = total + normal_log_p(leaving, mean, log_sd)
        latents.append((leaving - mean) * torch.exp(-log_sd))
    return total, latents


@pytest.mark.parametrize(("affine", "lu", "prefix"), [
    (True, lambda b: True, ""), (False, lambda b: True, "module."),
    (True, lambda b: b == LEVELS - 1, "module."), (True, lambda b: False, "")],
    ids=["lu", "additive", "no_lu", "full"])
def test_rosinality(affine, lu, prefix):
    arrays, x = Drawn(), image()
    expected = rosinality(arrays, x, affine, lu, prefix)
    imported = from_rosinality(arrays, (8, 12, 3))
    assert held(imported, x, *expected) < LIMIT
    assert imported.glow.dialect.factors == ("P L U" if lu(0) else "full matrix")


def test_rosinality_s_failures_say_why():
    arrays = Drawn()
    rosinality(arrays, image())
    with pytest.raises(ValueError, match=r"image_shape is \(H, W, 3\)"):
        from_rosinality(arrays, (8, 12, 1))
    with pytest.raises(NotRepresentableError, match=r"1 arrays, 'blocks\.0\.extra'"):
        from_rosinality(arrays | {"blocks.0.extra": np.zeros(1)}, (8, 12, 3))
    with pytest.raises(NotRepresentableError, match="has not seen data"):
        from_rosinality(arrays | {"blocks.1.flows.0.actnorm.initialized": np.array(0, np.uint8)},
                        (8, 12, 3))
    with pytest.raises(ValueError, match=r"no array 'blocks.0.flows.0.coupling.net.0.bias'"):
        from_rosinality({name: a for name, a in arrays.items()
                         if name != "blocks.0.flows.0.coupling.net.0.bias"}, (8, 12, 3))
    with pytest.raises(ValueError, match="are not those of rosinality"):
        from_rosinality({"weight\x1b[0m": np.zeros(1)}, (8, 12, 3))


# ---- chaiyujin, y0ast ---------------------------------------------------------------------------


def zeros_conv(arrays, place, x, outputs, deeper):
    kernel = arrays.kernel(f"{place}.{deeper}weight", outputs, x.shape[1], 3, 3, inputs=x.shape[1])
    y = F.conv2d(x, kernel, arrays.draw(f"{place}.{deeper}bias", outputs), padding=1)
    return y * torch.exp(3 * arrays.draw(f"{place}.logs", outputs, 1, 1, scale=0.05))


def actnormed(arrays, place, x):
    c = x.shape[1]
    logs = arrays.draw(f"{place}.logs", 1, c, 1, 1)
    y = (x + arrays.draw(f"{place}.bias", 1, c, 1, 1)) * torch.exp(logs)
    return y, logs.sum() * x.shape[2] * x.shape[3]


def chaiyujin(arrays, x, y0ast=False, affine=True, lu=False, learn_top=True, prefix=""):
    """(log p, [the whitened latents finest first]) by the formulas of both projects."""
    deeper, net = ("conv.", "block") if y0ast else ("", "f")
    total, latents, k = 0.0, [], 0
    for level in range(LEVELS):
        x, k = squeezed(x), k + 1
        c = x.shape[1]
        for _ in range(STEPS):
            place = f"{prefix}flow.layers.{k}"
            x, log_det = actnormed(arrays, f"{place}.actnorm", x)
            names = ("p", "lower", "upper", "sign_s", "log_s") if y0ast else (
                "p", "l", "u", "sign_s", "log_s")
            w = arrays.factors([f"{place}.invconv.{n}" for n in names], c) if lu else (
                arrays.matrix(f"{place}.invconv.weight", c))
            x = F.conv2d(x, w[:, :, None, None])
            total = total + log_det + log_det_of(w, x)
            low, high = x[:, :c // 2], x[:, c // 2:]
            h = low
            for number, side in ((0, 3), (2, 1)):
                layer = f"{place}.{net}.{number}"
                kernel = arrays.kernel(f"{layer}.{deeper}weight", HIDDEN, h.shape[1], side, side,
                                       inputs=h.shape[1])
                h, _ = actnormed(arrays, f"{layer}.actnorm", F.conv2d(h, kernel, padding=side // 2))
                h = F.relu(h)
            out = zeros_conv(arrays, f"{place}.{net}.4", h, c if affine else c // 2, deeper)
            if affine:
                s = torch.sigmoid(out[:, 1::2] + 2)
                high = (high + out[:, 0::2]) * s
                total = total + torch.log(s).sum(dim=(1, 2, 3))
            else:
                high = high + out
            x, k = torch.cat([low, high], 1), k + 1
        if level < LEVELS - 1:
            x, leaving = x[:, :c // 2], x[:, c // 2:]
            out = zeros_conv(arrays, f"{prefix}flow.layers.{k}.conv", x, c, deeper)
            total = total + normal_log_p(leaving, out[:, 0::2], out[:, 1::2])
            latents.append((leaving - out[:, 0::2]) * torch.exp(-out[:, 1::2]))
            k += 1
    prior = torch.zeros(len(x), 2 * c, *x.shape[2:], dtype=x.dtype)
    arrays[f"{prefix}prior_h"] = prior[:1].numpy()
    if learn_top:
        top = prefix + ("learn_top_fn" if y0ast else "learn_top")
        prior = zeros_conv(arrays, top, prior, 2 * c, deeper)
    mean, logs = prior[:, :c], prior[:, c:]
    return total + normal_log_p(x, mean, logs), [*latents, (x - mean) * torch.exp(-logs)]


@pytest.mark.parametrize("options", [
    {}, {"affine": False, "prefix": "graph."}, {"lu": True, "learn_top": False},
    {"y0ast": True}, {"y0ast": True, "lu": True, "affine": False}],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()) or "defaults")
def test_chaiyujin_and_y0ast(options):
    arrays, x = Drawn(), image()
    expected = chaiyujin(arrays, x, **options)
    imported = from_chaiyujin(arrays)
    assert held(imported, x, *expected) < LIMIT
    assert imported.glow.structure.image_shape == (8, 12, 3)


def test_chaiyujin_s_failures_say_why():
    arrays = Drawn()
    chaiyujin(arrays, image())
    without = {name: a for name, a in arrays.items() if "invconv" not in name}
    with pytest.raises(NotRepresentableError, match="reversed or shuffled"):
        from_chaiyujin(without)
    with pytest.raises(NotRepresentableError, match="conditioned on classes"):
        from_chaiyujin(arrays | {"project_ycond.weight": np.zeros((2, 2))})
    without = {name: a for name, a in arrays.items() if name != "prior_h"}
    with pytest.raises(ValueError, match="no prior_h"):
        from_chaiyujin(without)
    assert from_chaiyujin(without, (8, 12, 3)).glow.structure.image_shape == (8, 12, 3)


# ---- openai -------------------------------------------------------------------------------------


def bordered_conv(arrays, name, x, outputs, side):
    """A convolution [kh, kw, in, out] of x, and of a channel that is 1 on the padding."""
    if side > 1:
        x = F.pad(torch.cat([x, torch.zeros_like(x[:, :1])], 1), [1] * 4)
        x[:, -1, 0], x[:, -1, -1], x[:, -1, :, 0], x[:, -1, :, -1] = 1, 1, 1, 1
    kernel = arrays.kernel(name, side, side, x.shape[1], outputs, inputs=x.shape[1])
    return F.conv2d(x, kernel.permute(3, 2, 0, 1))


def centred_and_scaled(arrays, place, x):
    logs = arrays.draw(f"{place}_scale/logs", 1, 1, 1, x.shape[1], scale=0.07).reshape(1, -1, 1, 1)
    b = arrays.draw(f"{place}_center/b", 1, 1, 1, x.shape[1]).reshape(1, -1, 1, 1)
    return (x + b) * torch.exp(3 * logs), 3 * logs.sum() * x.shape[2] * x.shape[3]


def bordered_zeros(arrays, place, x, outputs):
    y = bordered_conv(arrays, f"{place}/W", x, outputs, 3)
    y = y + arrays.draw(f"{place}/b", 1, 1, 1, outputs).reshape(1, -1, 1, 1)
    return y * torch.exp(3 * arrays.draw(f"{place}/logs", 1, outputs, scale=0.05)).reshape(
        1, -1, 1, 1)


def mixing(arrays, place, permutation, c):
    """W of y = x W."""
    if permutation == "lu":
        return arrays.factors([f"{place}/invconv/{n}" for n in (
            "P", "L", "U", "sign_S", "log_S")], c)
    if permutation == "invconv":
        return arrays.matrix(f"{place}/invconv/W", c)
    indices = np.arange(c)[::-1]
    if permutation == "shuffle":
        indices = arrays.setdefault(f"{place}/shuffle/indices", arrays.rng.permutation(c))
        arrays[f"{place}/shuffle/indices_inverse"] = np.argsort(indices)
    return torch.tensor(np.eye(c)[:, indices])


def openai(arrays, x, permutation="invconv", affine=True, learn_top=True):
    """(log p, eps finest first) by openai/glow's formulas."""
    total, latents = 0.0, []
    for i in range(LEVELS):
        x = squeezed(x)
        c = x.shape[1]
        for j in range(STEPS):
            place = f"model/{i}/{j}"
            x, log_det = centred_and_scaled(arrays, f"{place}/actnorm", x)
            w = mixing(arrays, place, permutation, c)
            x = torch.einsum("bihw,io->bohw", x, w)
            total = total + log_det + log_det_of(w, x)
            low, high = x[:, :c // 2], x[:, c // 2:]
            h = low
            for layer, side in ((1, 3), (2, 1)):
                h = bordered_conv(arrays, f"{place}/f1/l_{layer}/W", h, HIDDEN, side)
                h = F.relu(centred_and_scaled(arrays, f"{place}/f1/l_{layer}/actnorm", h)[0])
            out = bordered_zeros(arrays, f"{place}/f1/l_last", h, c if affine else c // 2)
            if affine:
                s = torch.sigmoid(out[:, 1::2] + 2)
                high = (high + out[:, 0::2]) * s
                total = total + torch.log(s).sum(dim=(1, 2, 3))
            else:
                high = high + out
            x = torch.cat([low, high], 1)
        if i < LEVELS - 1:
            x, leaving = x[:, :c // 2], x[:, c // 2:]
            out = bordered_zeros(arrays, f"model/pool{i}/conv", x, c)
            total = total + normal_log_p(leaving, out[:, 0::2], out[:, 1::2])
            latents.append((leaving - out[:, 0::2]) * torch.exp(-out[:, 1::2]))
    prior = torch.zeros(len(x), 2 * c, *x.shape[2:], dtype=x.dtype)
    if learn_top:
        prior = bordered_zeros(arrays, "model/prior/p", prior, 2 * c)
    mean, logs = prior[:, :c], prior[:, c:]
    return total + normal_log_p(x, mean, logs), [*latents, (x - mean) * torch.exp(-logs)]


@pytest.mark.parametrize("options", [
    {}, {"permutation": "lu", "affine": False}, {"permutation": "shuffle", "learn_top": False},
    {"permutation": "reverse"}],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()) or "defaults")
def test_openai(options):
    arrays, x = Drawn(), image()
    expected = openai(arrays, x, **options)
    assert held(from_openai(arrays, (8, 12, 3)), x, *expected) < LIMIT


def test_openai_s_averaged_weights_are_taken_where_there_are_no_others():
    arrays, x = Drawn(), image()
    expected = openai(arrays, x)
    averaged = {f"{name}/ExponentialMovingAverage": array for name, array in arrays.items()}
    assert held(from_openai(averaged, (8, 12, 3)), x, *expected) < LIMIT
    both = arrays | {name: array + 1 for name, array in averaged.items()}
    both["model/0/0/invconv/W_0_adam_m2"] = np.zeros(3)
    both["adam_t"] = np.ones(())
    assert held(from_openai(both, (8, 12, 3)), x, *expected) < LIMIT


def test_openai_s_classes_are_refused():
    arrays = Drawn()
    openai(arrays, image())
    with pytest.raises(NotRepresentableError, match="conditioned on classes"):
        from_openai(arrays | {"model/prior/y_emb/W": np.zeros((2, 2))}, (8, 12, 3))


def test_float32_stays_float32():
    arrays = Drawn()
    rosinality(arrays, image())
    small = {name: array.astype(np.float32) if array.dtype == np.float64 else array
             for name, array in arrays.items()}
    z, _ = from_rosinality(small, (8, 12, 3)).glow.inverse(nhwc(image()).astype(np.float32))
    assert z.dtype == np.float32
