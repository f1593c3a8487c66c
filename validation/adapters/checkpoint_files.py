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
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.safetensors_file import naming, open_safetensors
from refglow.validation.vectors.stranger import one_line

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
    with naming(path):
        if name.endswith(".safetensors"):
            with open_safetensors(path) as file:
                found = {key: file.array(key) for key in file.kinds}
        elif name.endswith(".npz"):
            found = _of_npz(name)
        else:
            found = dict(_flattened(_loaded(name), ""))
        if not found:
            raise ValueError("it holds no arrays.")
    return found


def _of_npz(path: str) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError("it is not an .npz file of plain arrays: "
                         f"{one_line(str(error))}") from error


def _loaded(path: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"Reading {path} needs PyTorch, but {error}. "
                          'Install it with: pip install "refglow[torch]"') from error
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


def _flattened(value: Any, name: str) -> Iterator[tuple[str, Array]]:
    """(name, array) of the tensors in nested dicts and lists; other values are left out."""
    import torch
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        if str(tensor.dtype) in _WIDENED:
            tensor = tensor.float()
        yield name, tensor.numpy()
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flattened(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)):
        for k, inner in enumerate(value):
            yield from _flattened(inner, f"{name}.{k}" if name else str(k))
