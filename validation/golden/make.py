"""Write the golden files with live TFP: `python -m refglow.validation.golden.make DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from safetensors.numpy import save

from refglow.dtypes import Array
from refglow.structure import iterate
from refglow.validation.cases import ALL_CASES, Case
from refglow.validation.evaluate import evaluate, forget_data
from refglow.validation.golden import DTYPES, photographs
from refglow.validation.tfp import tfp_twin

SEED = 20240501
PATCH = 32


def main(directory: Path) -> None:
    """Write photographs.safetensors and one file for each number type into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "photographs.safetensors").write_bytes(save({"patches": _patches()}))
    for dtype in DTYPES:
        arrays: dict[str, Array] = {}
        cases = [case for case in ALL_CASES if case.tfp]
        for case in track(cases, description=f"TFP, {dtype}"):
            arrays |= {f"{case.name}/{key}": np.asarray(value, order="C")
                       for key, value in record(case, dtype).items()}
        (directory / f"{dtype}.safetensors").write_bytes(save(arrays, metadata=_metadata(dtype)))


def record(case: Case, dtype: str) -> dict[str, Array]:
    """A case's parameters, inputs and TFP's results."""
    bijector, x, event_ndims = case.make(SEED, np.dtype(dtype))
    twin = tfp_twin(bijector, dtype)
    y: Any = x
    if case.photographs:
        y = photographs(bijector.forward_event_shape(case.event_shape), dtype)
        x = np.asarray(twin.inverse(y))
    elif not case.first_use:
        y = _as_numpy(twin.forward(x))
    arrays = {f"state/{name}": value for name, value in bijector.state_dict().items()}
    for name, value in (("x", x), ("y", y)):
        arrays |= {f"{name}/{path}" if path else name: leaf for path, leaf in iterate(value)}
    results = evaluate(twin, x, y, event_ndims, forget_data if case.first_use else None)
    for prop, values in results.items():
        if not np.isfinite(values).all():
            raise ValueError(f"TFP's {prop} of {case.name!r} is not finite: it would show nothing.")
    return arrays | results


def _as_numpy(structure: Any) -> Any:
    if isinstance(structure, (list, tuple)):
        return [_as_numpy(part) for part in structure]
    return np.asarray(structure)


def _metadata(dtype: str) -> dict[str, str]:
    import tensorflow
    import tensorflow_probability
    return {"tensorflow_probability": tensorflow_probability.__version__,
            "tensorflow": tensorflow.__version__, "numpy": np.__version__, "seed": str(SEED),
            "dtype": dtype}


def _patches() -> Array:
    """Patches of 32 x 32 pixels, chosen for detail, from pictures that ship with scikit-image."""
    from skimage import data
    corners = {"astronaut": (96, 192), "chelsea": (96, 128), "coffee": (128, 288),
               "rocket": (272, 304)}
    return np.stack([getattr(data, name)()[row:row + 2 * PATCH:2, column:column + 2 * PATCH:2, :3]
                     for name, (row, column) in corners.items()])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
