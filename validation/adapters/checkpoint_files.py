"""Arrays of a checkpoint's file, without running anything from it.

    .safetensors   arrays only
    .npz           NumPy's arrays, read with allow_pickle=False
    anything else  torch.load(weights_only=True): tensors, numbers, texts and containers of them

A .pt file is a pickle, and a pickle is a program. PyTorch's restricted reader refuses what is not
data; a file that needs more is not read here.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.extras import from_extra
from refglow.regular_file import require_regular
from refglow.safetensors_file import naming, open_safetensors
from refglow.validation.adapters.npz_file import arrays_of_npz
from refglow.validation.strangers.text import one_line, shown

_MOST_VALUES = 100_000
_MOST_DEPTH = 100  # of containers in one another
_LONGEST_NAME = 1000  # characters
_WIDENED = ("torch.float16", "torch.bfloat16")  # exactly, to float32


def arrays_of_torch_file(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Every array of a checkpoint by its name, containers' names joined by points.

    Args:
      path: a file of torch.save, a .safetensors file or an .npz file. Half precision becomes
        float32, without rounding.

    Raises:
      OSError: if it cannot be read.
      ImportError: if PyTorch is needed and not installed.
      ValueError: if it is no such file, holds no array, or holds more than data.
    """
    name = os.fspath(path)
    require_regular(path)
    with naming(path):
        if name.endswith(".safetensors"):
            with open_safetensors(path) as file:
                found = {key: file.array(key) for key in file.kinds}
        elif name.endswith(".npz"):
            found = _of_npz(name)
        else:
            found = dict(_flattened(_loaded(name)))
        if not found:
            raise ValueError("it holds no arrays.")
    return found


def _of_npz(path: str) -> dict[str, Array]:
    try:
        return arrays_of_npz(path)
    except ValueError as error:
        raise ValueError("it is not an .npz file of plain arrays: "
                         f"{one_line(str(error))}") from error


def _loaded(path: str) -> Any:
    with from_extra("torch", f"What is in {path}"):
        import torch
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            "it holds more than arrays, numbers, texts and containers of them, and reading it "
            "would run code from it. Where you trust it, load it with PyTorch yourself, and save "
            f"model.state_dict() or pass that. PyTorch says: {one_line(str(error))}") from error
    except OSError:
        raise
    except Exception as error:  # whatever the reader's stack machine trips over in foreign bytes
        raise ValueError(f"it is not a file of torch.save: {one_line(str(error))}") from error


def _flattened(value: Any) -> Iterator[tuple[str, Array]]:
    """(name, array) of the tensors in nested dicts and lists; other values are left out.

    Raises:
      ValueError: if there are more values than a checkpoint has, deeper ones, or longer names: a
        file of a few bytes may hold a list that holds itself twice.
    """
    import torch
    waiting, seen = [("", value, 0)], 0
    while waiting:
        name, inner, depth = waiting.pop()
        seen += 1
        if seen > _MOST_VALUES or depth > _MOST_DEPTH or len(name) > _LONGEST_NAME:
            raise ValueError(f"it holds more than {_MOST_VALUES} values, or containers nested more "
                             f"than {_MOST_DEPTH} deep, or names of more than {_LONGEST_NAME} "
                             "characters.")
        if isinstance(inner, torch.Tensor):
            yield name, _array(name, inner)
        elif isinstance(inner, (Mapping, list, tuple)):
            items = inner.items() if isinstance(inner, Mapping) else enumerate(inner)
            waiting += [(f"{name}.{key}" if name else str(key), item, depth + 1)
                        for key, item in items
                        if isinstance(item, (torch.Tensor, Mapping, list, tuple))][::-1]


def _array(name: str, tensor: Any) -> Array:
    """A tensor's numbers, all of which are in the file.

    Raises:
      ValueError: if it is of a kind that NumPy has not, or repeats numbers without end.
    """
    try:
        stored = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() <= stored:
            plain = tensor.detach()
            return np.asarray((plain.float() if str(plain.dtype) in _WIDENED else plain).numpy())
    except (RuntimeError, TypeError, NotImplementedError) as error:  # sparse, meta, quantized, ...
        raise ValueError(f"{shown(name)} is no plain array: {one_line(str(error))}") from error
    raise ValueError(f"{shown(name)} declares {tensor.dtype}{list(tensor.shape)}, and the file "
                     f"holds {stored} bytes of it.")
