"""Any Python implementation of Glow, held against the specification.

It offers some of these, as functions of NumPy arrays (NHWC, batch first, nats):

    inverse(x)                    z [B, H*W*C], the latents of images x [B, H, W, C]
    forward(z)                    x
    inverse_log_det_jacobian(x)   [B];                  forward_log_det_jacobian(z)
    inverse_and_log_det(x)        (z, ildj);            forward_and_log_det(z)
    log_prob(x)                   [B], the latents being standard normal
    gradients(x)                  {name: gradient of mean_b log_prob(x_b)} by the names of
                                  parameters in `glow.state_dict()`; "x" too, for the images
    layers(x)                     from image to latent: (name, output) or (name, output, log_det)
                                  for each, or {name: output or (output, log_det)}
    initialize(x)                 {name: shift or log_scale} of the ActNorms after a start from x
    bits_per_dim(x)               [B], for images of 8 bits scaled to [-1/2, 1/2)

The layers, for i = n-1..0 and j = K-1..0, in this order:

    block{i}.squeeze              [B, h, w, leave + grab]: the channels that have not exited
    block{i}.step{j}.actnorm, block{i}.step{j}.conv, block{i}.step{j}.coupling
    block{i}.exit                 [leave | grab], where both are more than 0

Results may be NumPy arrays or anything with `__array__` or `__dlpack__`. What is not offered is
listed, not held against it; what cannot be compared is one failed call, and the rest goes on.

    conformance(glow, implementation, images)        in this process
    refglow validate --implementation FILE.py:NAME   in a process of its own, with a time limit
    refglow validate --export DIR, --results DIR     by files, in any language
"""

from refglow.validation.implementations.conformance import (
    Conformance as Conformance,
)
from refglow.validation.implementations.conformance import (
    conformance as conformance,
)
