"""A whole Glow written out with the host functions of CUDA kernels, one after the other.

It follows refglow.bijectors.glow: towards the latent, each block from the finest to the coarsest
squeezes, goes through its steps (ActNorm and 1x1 convolution as one, then the coupling) from the
last to the first, and lets part of the channels leave. All arrays stay on the device.
"""

import numpy as np

from refglow.bijectors import Glow, GlowDefaultNetwork
from refglow.kernels.cuda.conv2d import conv2d, conv2d_vjp
from refglow.kernels.cuda.coupling import (
    exp_coupling_forward,
    exp_coupling_forward_vjp,
    exp_coupling_inverse,
    sigmoid_coupling_forward,
    sigmoid_coupling_forward_vjp,
    sigmoid_coupling_inverse,
)
from refglow.kernels.cuda.coupling_network import (
    coupling_network,
    coupling_network_activations,
    coupling_network_vjp,
)
from refglow.kernels.cuda.expand import expand_forward, expand_inverse, expand_inverse_vjp
from refglow.kernels.cuda.normalized_conv import (
    normalized_conv_forward,
    normalized_conv_forward_vjp,
    normalized_conv_inverse,
)

_NETWORK = ("conv1.kernel", "conv1.bias", "conv2.kernel", "conv2.bias", "conv3.kernel",
            "conv3.bias")
_CONV = ("actnorm.shift", "actnorm.log_scale", "conv.lower_upper", "conv.permutation")


def random_glow(shape, blocks, steps, hidden, dtype):
    """A Glow whose parameters are random in every layer, ActNorm's too."""
    glow = Glow(shape, blocks, steps, seed=0, dtype=dtype, coupling_bijector_fn=lambda s, dtype: (
        GlowDefaultNetwork(s, num_hidden=hidden, dtype=dtype)))
    rng = np.random.default_rng(1)
    state = glow.state_dict()
    for name, value in state.items():
        if name.endswith("initialized"):
            state[name] = np.asarray(True)
        elif value.dtype.kind == "f" and not name.endswith("lower_upper"):
            scale = 0.5 / np.sqrt(max(1, value.size // value.shape[-1]))
            state[name] = (scale * rng.standard_normal(value.shape)).astype(dtype)
    glow.load_state_dict(state)
    return glow


class DeviceGlow:
    """The maps of a Glow and the gradient of the one towards the latent."""

    def __init__(self, glow, shape, blocks, steps, on_device=lambda array: array):
        self._arrays = {name: on_device(value) for name, value in glow.state_dict().items()}
        self._shape, self._blocks, self._steps = shape, blocks, steps
        self._splits = glow.blockwise_splits

    def inverse_and_log_det(self, x):
        """(z, ildj), from images [N, H, W, C] to latents [N, H W C]."""
        (z, ildj), _ = self.inverse_vjp(x)
        return z, ildj

    def inverse_vjp(self, x):
        """((z, ildj), pullback): the pullback takes (z_bar, ildj_bar) to (x_bar, {name: bar})."""
        log_det, pullbacks = 0, []
        for block in reversed(range(self._blocks)):
            leave, grab, _ = self._splits[block]
            squeezed, _ = expand_inverse(x, 2)
            pullbacks.append(lambda bar, _, bars, y=squeezed: expand_inverse_vjp(y, 2, bar, 0))
            acting, rest = squeezed[..., :leave + grab], squeezed[..., leave + grab:]
            parts = [self._step(f"block{block}.step{step}.")
                     for step in reversed(range(self._steps))]
            if leave and grab:
                parts.append(self._exit(f"block{block}.exit.", leave))
            for part in parts:
                acting, part_log_det, pullback = part(acting)
                log_det = log_det + part_log_det
                pullbacks.append(_on_first(leave + grab, pullback))
            x = _joined(acting, rest)
        return (x.reshape(len(x), -1), log_det), self._pullback(pullbacks, x.shape)

    def _pullback(self, pullbacks, shape):
        def pullback(z_bar, ildj_bar):
            bar, bars = z_bar.reshape(shape), {}
            for step in reversed(pullbacks):
                bar = step(bar, ildj_bar, bars)
            return bar, bars
        return pullback

    def forward_and_log_det(self, z):
        """(x, fldj), from latents [N, H W C] to images [N, H, W, C]."""
        height, width, channels = self._shape
        n = 2**self._blocks
        x, log_det = z.reshape(len(z), height // n, width // n, channels * n * n), 0
        for block in range(self._blocks):
            leave, grab, _ = self._splits[block]
            acting, rest = x[..., :leave + grab], x[..., leave + grab:]
            if leave and grab:
                output = conv2d(acting[..., :leave], *self._exit_parameters(f"block{block}.exit."),
                                "same")
                acting, part = _images(exp_coupling_inverse, acting, output, leave)
                log_det = log_det + part
            for step in range(self._steps):
                prefix = f"block{block}.step{step}."
                half = acting.shape[-1] // 2
                output = coupling_network(acting[..., :half], *self._named(prefix + "coupling.",
                                                                          _NETWORK))
                acting, part = _images(sigmoid_coupling_inverse, acting, output, half)
                acting, pixel = normalized_conv_inverse(acting, *self._named(prefix, _CONV))
                log_det = log_det + part + pixel * _pixels(acting)
            x, _ = expand_forward(_joined(acting, rest), 2)
        return x, log_det

    def _step(self, prefix):
        conv, network = self._named(prefix, _CONV), self._named(prefix + "coupling.", _NETWORK)

        def step(x):
            mixed, pixel_log_det = normalized_conv_forward(x, *conv)
            half = mixed.shape[-1] // 2
            deciding = mixed[..., :half]
            output, h1, h2 = coupling_network_activations(deciding, *network)
            y, log_det = _images(sigmoid_coupling_forward, mixed, output, half)

            def pullback(y_bar, ildj_bar, bars):
                mixed_bar, output_bar = _images_vjp(sigmoid_coupling_forward_vjp, mixed, output,
                                                    half, y_bar, ildj_bar)
                deciding_bar, *network_bars = coupling_network_vjp(
                    deciding, h1, h2, *network[::2], output_bar)
                mixed_bar[..., :half] += deciding_bar
                x_bar, *conv_bars = normalized_conv_forward_vjp(
                    x, *conv, mixed_bar, ildj_bar.sum() * _pixels(x))
                bars.update(zip((prefix + name for name in _CONV[:3]), conv_bars, strict=True))
                bars.update(zip((prefix + "coupling." + name for name in _NETWORK), network_bars,
                                strict=True))
                return x_bar
            return y, log_det + pixel_log_det * _pixels(x), pullback
        return step

    def _exit(self, prefix, leave):
        kernel, bias = self._exit_parameters(prefix)

        def exit_(x):
            output = conv2d(x[..., :leave], kernel, bias, "same")
            y, log_det = _images(exp_coupling_forward, x, output, leave)

            def pullback(y_bar, ildj_bar, bars):
                x_bar, output_bar = _images_vjp(exp_coupling_forward_vjp, x, output, leave, y_bar,
                                                ildj_bar)
                deciding_bar, bars[prefix + "conv1.kernel"], bars[prefix + "conv1.bias"] = (
                    conv2d_vjp(x[..., :leave], kernel, output_bar, "same"))
                x_bar[..., :leave] += deciding_bar
                return x_bar
            return y, log_det, pullback
        return exit_

    def _exit_parameters(self, prefix):
        return self._named(prefix, ("conv1.kernel", "conv1.bias"))

    def _named(self, prefix, names):
        return tuple(self._arrays[prefix + name] for name in names)


def _pixels(x):
    return x.shape[1] * x.shape[2]


def _images(coupling, x, output, deciding):
    """A coupling of images [N, H, W, C] by a function of [N, P, C]."""
    y, log_det = coupling(_flattened(x), _flattened(output), deciding)
    return y.reshape(x.shape), log_det


def _images_vjp(coupling_vjp, x, output, deciding, y_bar, log_det_bar):
    x_bar, output_bar = coupling_vjp(_flattened(x), _flattened(output), deciding,
                                     _flattened(y_bar), log_det_bar)
    return x_bar.reshape(x.shape), output_bar.reshape(output.shape)


def _flattened(x):
    return x.reshape(len(x), _pixels(x), x.shape[-1])


def _joined(acting, rest):
    """The channels side by side; array modules share `concatenate`, found by the array itself."""
    return np.concatenate([acting, rest], axis=-1) if rest.shape[-1] else acting


def _on_first(channels, pullback):
    """A pullback of the first channels; the others pass."""
    def whole(bar, ildj_bar, bars):
        return _joined(pullback(bar[..., :channels], ildj_bar, bars), bar[..., channels:])
    return whole
