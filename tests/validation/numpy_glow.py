"""Glow in plain NumPy, nothing of refglow's in it, as a user would bring it: float64, float32."""

import math

import numpy as np


class NumpyGlow:
    """Offers all but gradients."""

    def __init__(self, architecture, parameters):
        self.a, self.p = architecture, parameters

    def inverse(self, x):
        return self.inverse_and_log_det(x)[0]

    def inverse_log_det_jacobian(self, x):
        return self.inverse_and_log_det(x)[1]

    def forward(self, z):
        return self.forward_and_log_det(z)[0]

    def forward_log_det_jacobian(self, z):
        return self.forward_and_log_det(z)[1]

    def log_prob(self, x):
        z, ildj = self.inverse_and_log_det(x)
        return (-0.5 * (z**2).sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi) + ildj).astype(
            x.dtype)

    def bits_per_dim(self, x):
        return -self.log_prob(x) / (x[0].size * math.log(2)) + 8

    def layers(self, x):
        for i, (leave, grab, _) in reversed(list(enumerate(self.a["blockwise_splits"]))):
            x = self.squeeze(x)
            yield f"block{i}.squeeze", x, np.zeros(len(x), x.dtype)
            for j in reversed(range(self.a["num_steps_per_block"])):
                for kind in ("actnorm", "conv", "coupling"):
                    name = f"block{i}.step{j}.{kind}"
                    x, log_det = getattr(self, kind)(name, x)
                    yield name, x, np.broadcast_to(log_det, len(x)).astype(x.dtype)
            if leave and grab:
                x, log_det = self.exit(f"block{i}.exit", x, leave)
                yield f"block{i}.exit", x, log_det
            x = x[..., :leave]

    def inverse_and_log_det(self, x):
        exited, found = None, {n: (y, ld) for n, y, ld in self.layers(x)}
        for i, (leave, grab, _) in reversed(list(enumerate(self.a["blockwise_splits"]))):
            last = (f"block{i}.exit" if leave and grab else f"block{i}.step0.coupling")
            y = found[last][0]
            exited = y[..., leave:] if exited is None else np.concatenate(
                [y[..., leave:], self.squeeze(exited)], -1)
        ildj = sum(log_det for _, log_det in found.values())
        whole = np.concatenate([y[..., :leave], exited], -1)
        return whole.reshape(len(x), -1), ildj

    def forward_and_log_det(self, z):
        h, w, c = self.a["output_shape"]
        n = self.a["num_glow_blocks"]
        x, fldj = z.reshape(-1, h // 2**n, w // 2**n, c * 4**n), np.zeros(len(z), z.dtype)
        for i, (leave, grab, _) in enumerate(self.a["blockwise_splits"]):
            y, rest = x[..., :leave + grab], x[..., leave + grab:]
            if leave and grab:
                raw, t = np.split(self.network(f"block{i}.exit", y[..., :leave]), 2, -1)
                y = np.concatenate([y[..., :leave], (y[..., leave:] - t) * np.exp(-raw - 2)], -1)
                fldj = fldj - (raw + 2).sum((1, 2, 3))
            for j in range(self.a["num_steps_per_block"]):
                y, log_det = self.step_back(f"block{i}.step{j}", y)
                fldj = fldj - log_det
            x = self.unsqueeze(np.concatenate([y, rest], -1))
        return x, fldj.astype(z.dtype)

    def step_back(self, name, y):
        half, pixels = y.shape[-1] // 2, y.shape[1] * y.shape[2]
        s, log_s, t = self.scale_and_shift(name + ".coupling", y[..., :half])
        y = np.concatenate([y[..., :half], (y[..., half:] - t) / s], -1)
        w, log_det = self.matrix(name + ".conv")
        y = y @ np.linalg.inv(w).T.astype(y.dtype)
        m, v = self.p[name + ".actnorm.shift"], self.p[name + ".actnorm.log_scale"]
        return y * np.exp(-v) - m, log_s.sum((1, 2, 3)) + pixels * (log_det + v.sum())

    def initialize(self, x):
        """The start from data: each ActNorm normalises what reaches it."""
        copy, found = NumpyGlow(self.a, dict(self.p)), {}
        plain = copy.actnorm

        def actnorm(name, y):
            scale = y.std((0, 1, 2)) + 10 * np.finfo(y.dtype).eps
            copy.p[name + ".shift"] = -y.mean((0, 1, 2))
            copy.p[name + ".log_scale"] = -np.log(scale)
            found.update({name + end: copy.p[name + end] for end in (".shift", ".log_scale")})
            return plain(name, y)
        copy.actnorm = actnorm
        list(copy.layers(x))
        return found

    # ---- layers, from image to latent ------------------------------------------------------------

    def squeeze(self, x):
        b, h, w, c = x.shape
        tiles = x.reshape(b, h // 2, 2, w // 2, 2, c)
        return tiles.transpose(0, 1, 3, 5, 2, 4).reshape(b, h // 2, w // 2, 4 * c)

    def unsqueeze(self, x):
        b, h, w, c = x.shape
        return x.reshape(b, h, w, c // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(
            b, 2 * h, 2 * w, c // 4)

    def actnorm(self, name, x):
        m, v = self.p[name + ".shift"], self.p[name + ".log_scale"]
        return (x + m) * np.exp(v), x.shape[1] * x.shape[2] * v.sum()

    def conv(self, name, x):
        w, log_det = self.matrix(name)
        return x @ w.T, x.shape[1] * x.shape[2] * log_det

    def coupling(self, name, x):
        half = x.shape[-1] // 2
        s, log_s, t = self.scale_and_shift(name, x[..., :half])
        return (np.concatenate([x[..., :half], s * x[..., half:] + t], -1),
                log_s.sum((1, 2, 3)))

    def exit(self, name, x, leave):
        raw, t = np.split(self.network(name, x[..., :leave]), 2, -1)
        return (np.concatenate([x[..., :leave], np.exp(raw + 2) * x[..., leave:] + t], -1),
                (raw + 2).sum((1, 2, 3)))

    # ---- parts -----------------------------------------------------------------------------------

    def matrix(self, name):
        packed = self.p[name + ".lower_upper"]
        lower = np.tril(packed, -1) + np.eye(len(packed), dtype=packed.dtype)
        w = np.empty_like(packed)
        w[self.p[name + ".permutation"]] = lower @ np.triu(packed)
        return w, np.log(np.abs(np.diag(packed))).sum()

    def scale_and_shift(self, name, a):
        raw, t = np.split(self.network(name, a), 2, -1)
        log_s = -np.log1p(np.exp(-raw - 2))
        return np.exp(log_s), log_s, t

    def network(self, name, x):
        layers = [k for k in ("conv1", "conv2", "conv3") if f"{name}.{k}.kernel" in self.p]
        for k in layers:
            x = self.convolution(x, self.p[f"{name}.{k}.kernel"]) + self.p[f"{name}.{k}.bias"]
            if k != layers[-1]:
                x = np.maximum(x, 0)
        return x

    def convolution(self, x, kernel):
        size = len(kernel)
        padded = np.pad(x, ((0, 0), (size // 2, size // 2), (size // 2, size // 2), (0, 0)))
        return sum(padded[:, i:i + x.shape[1], j:j + x.shape[2]] @ kernel[i, j]
                   for i in range(size) for j in range(size))
