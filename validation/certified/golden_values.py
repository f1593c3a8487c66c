"""The golden cases' true results, and the file that keeps them beside TFP's.

`certified.safetensors` holds CASE/INPUTS/PROPERTY/TYPE: for the inputs and parameters of the golden
file of the number type INPUTS, the true value of the property, correctly rounded to TYPE. Its
metadata says how many bits of precision decided each case. Numbers that a case itself has for
parameters, such as 0.7 in "Scale by a number", are the float64 numbers for either INPUTS.
"""

from __future__ import annotations

import json
from importlib import resources
from importlib.metadata import version
from typing import Any

import numpy as np
from safetensors.numpy import save

from refglow.bijectors.activation_normalization import channel_statistics
from refglow.dtypes import Array
from refglow.elementary import log
from refglow.safetensors_file import open_safetensors
from refglow.validation.cases import Case
from refglow.validation.certified.ball import Ball, balls
from refglow.validation.certified.certified_results import Certified
from refglow.validation.certified.certify import FIRST_BITS, Results, certified
from refglow.validation.evaluate import evaluate
from refglow.validation.golden import Golden

FILE = "certified.safetensors"


def certified_case(case: Case, golden: Golden, first_bits: int = FIRST_BITS) -> Certified:
    """The true properties of a case at the inputs and parameters of a golden file."""
    bijector, _, event_ndims = case.make(int(golden.metadata["seed"]), object)
    x, y = (_as_balls(golden.input(case.name, name)) for name in ("x", "y"))
    state = {name: balls(value) if value.dtype.kind == "f" else value
             for name, value in golden.state(case.name).items()}

    def compute() -> Results:
        if case.first_use:
            epsilon = 10 * Ball(float(np.finfo(golden.metadata["dtype"]).eps))
            return _after_first_use(bijector, x, y, event_ndims, epsilon)
        bijector.load_state_dict(state)
        return evaluate(bijector, x, y, event_ndims)
    return certified(compute, first_bits)


def _after_first_use(actnorm: Any, x: Any, y: Any, event_ndims: Any, epsilon: Any) -> Results:
    """The properties of an ActNorm that each input initialises, in the input's own number type.

    10 eps, which are added to the deviations, are part of the definition: those of the golden
    file's number type, which Balls do not know. So the parameters are set here.
    """
    found: Results = {}
    for inverse, batch in ((False, x), (True, y)):
        mean, deviation = channel_statistics(batch, epsilon)
        log_deviation = log(deviation)
        actnorm.load_state_dict({"shift": -mean if inverse else mean / deviation,
                                 "log_scale": -log_deviation if inverse else log_deviation,
                                 "initialized": np.array(True)})
        results = evaluate(actnorm, x, y, event_ndims)
        found |= {prop: values for prop, values in results.items()
                  if prop.startswith("inverse") == inverse}
    return found


def _as_balls(value: Any) -> Any:
    return [balls(part) for part in value] if isinstance(value, list) else balls(value)


class CertifiedValues:
    """The file of certified values."""

    def __init__(self) -> None:
        """Read the file that is part of the package."""
        with (resources.as_file(resources.files("refglow.validation.golden") / FILE) as path,
              open_safetensors(path) as file):
            self._arrays = {name: file.array(name) for name in file.kinds}
            self._bits: dict[str, int] = json.loads(file.metadata["bits"])

    def of(self, case: str, inputs: str) -> Certified | None:
        """The certified results of a case at the golden inputs of a number type; None if absent."""
        prefix = f"{case}/{inputs}/"
        values: dict[str, dict[str, Array]] = {}
        for key, array in self._arrays.items():
            if key.startswith(prefix):
                prop, dtype = key.removeprefix(prefix).split("/")
                values.setdefault(prop, {})[dtype] = array
        return Certified(values, self._bits[prefix[:-1]]) if values else None


def file_content(found: dict[tuple[str, str], Certified]) -> bytes:
    """The file's bytes.

    Args:
      found: by (case, number type of the inputs).
    """
    arrays = {f"{case}/{inputs}/{prop}/{dtype}": array
              for (case, inputs), one in found.items()
              for prop, by_type in one.values.items() for dtype, array in by_type.items()}
    bits = {f"{case}/{inputs}": one.bits for (case, inputs), one in found.items()}
    return save(arrays, metadata={"bits": json.dumps(bits),
                                  "python-flint": version("python-flint")})
