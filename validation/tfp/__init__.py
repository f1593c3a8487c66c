"""Glow between TensorFlow Probability and refglow, in both directions.

    from_tfp(tfp_bijector)            the refglow bijector with the same function
    to_tfp(glow, tfp_glow)            a refglow Glow's state assigned to an existing TFP Glow
    param_names(tfp_glow)             the state names of its trainable_variables, in their order
    tfp_twin(bijector)                a TFP bijector with the same function: the live oracle

Importing this package does not import TensorFlow; calling its functions does.
"""

from refglow.validation.tfp.assignment import param_names, to_tfp
from refglow.validation.tfp.conversion import from_tfp, tfp_twin

__all__ = ["from_tfp", "param_names", "tfp_twin", "to_tfp"]
