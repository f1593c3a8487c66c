"""The numerics of a trained Glow: how it amplifies errors, where, and what survives of its numbers.

A flow is inverted exactly in mathematics, not in numbers. Between an image and its latents each
layer multiplies errors by up to the largest singular value of its Jacobian, in the direction of
sampling by up to the inverse of the smallest; scales near 0, channels that are constant in the
data, and nearly singular matrices make that huge, until sampling gives infinities and NaN while
training, which goes the other way, looks fine.

Source: Behrmann, Vicol, Wang, Grosse & Jacobsen 2021, "Understanding and mitigating exploding
inverses in invertible neural networks" (arXiv 2006.09347).
"""

from refglow.validation.audit.audited import audit as audit
from refglow.validation.audit.report import Audit as Audit
