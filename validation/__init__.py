"""Tools that hold an implementation of Glow against the reference.

It depends on refglow; refglow never depends on it. TFP and other frameworks are imported only
inside the functions that run them.
"""

from refglow.validation.gradients import check_gradients as check_gradients
