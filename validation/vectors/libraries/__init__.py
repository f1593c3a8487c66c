"""What other libraries compute for a golden vector in float32, each in its own arithmetic.

    results_of(vector, inputs) -> {name of a result: array}        values, log-dets and gradients

`LackingError` says why a library has nothing for a vector.
"""

from refglow.validation.vectors.libraries.lacking_error import LackingError as LackingError
