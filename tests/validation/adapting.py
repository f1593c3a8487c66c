"""What the tests of adapters share: how an imported Glow is held against the original.

A reference is the original's results as NumPy arrays in its own layout, NCHW.
"""

import contextlib
import warnings

import numpy as np

from refglow.validation.compare import difference

LIMIT = 1e-12  # float64, relative: values and log-dets, both directions


def nhwc(images):
    return np.moveaxis(np.asarray(images), 1, -1)


def apart(imported, images, latents, log_det, image_back=None, log_det_back=None):
    """The largest relative error of an imported Glow against the original's results.

    Args:
      images: [B, C, H, W].
      latents: the original's, [B, D], in its order.
      log_det: of image -> latent, [B].
      image_back, log_det_back: the original's image and log-det of latent -> image.
    """
    z, found = imported.glow.inverse(nhwc(images))
    errors = [difference(z, latents).relative, difference(found, log_det).relative]
    if image_back is not None:
        x, found = imported.glow.forward(np.asarray(latents))
        errors += [difference(x, nhwc(image_back)).relative,
                   difference(found, log_det_back).relative]
    return max(errors)


def log_prob(imported, images):
    """log p of images [B, C, H, W] by the imported Glow."""
    glow = imported.glow
    results = list(glow.towards_latent(nhwc(images)))
    return glow.log_prob(glow.scales(results), glow.total(results))


def randomize(model, torch, seed=0, gain=0.1):
    """Add noise to every trained parameter of a PyTorch model."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(gain * noise.to(parameter.dtype))


@contextlib.contextmanager
def deprecated(message):
    """Code in which PyTorch's deprecations named `message` are the library's own affair."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, UserWarning)
        yield
