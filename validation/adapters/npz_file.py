"""Arrays of an .npz file from a stranger.

An .npz file is a zip archive of .npy files. What is declared is compared with what is there before
anything is read: a member's size with its array's, and all together with what fits the file.
"""

from __future__ import annotations

import math
import os
import zipfile
from typing import IO

import numpy as np

from refglow.dtypes import Array

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # NumPy's
_SUFFIX = ".npy"
_MOST_BYTES = 2**30  # that a smaller file may unpack to
_MOST_TIMES = 20  # as large as itself a larger one may unpack to


def arrays_of_npz(path: str) -> dict[str, Array]:
    """Every array by its name; none is unpickled.

    Args:
      path: the file.

    Raises:
      OSError: if it cannot be read.
      ValueError: if it is no such file, a damaged one, holds other things than plain numbers, or
        would unpack to more than 2^30 bytes and 20 times its size.
    """
    with open(path, "rb") as raw:
        limit = max(_MOST_BYTES, _MOST_TIMES * os.fstat(raw.fileno()).st_size)
        try:
            with zipfile.ZipFile(raw) as archive:
                _check_sizes(archive, limit)
                return {member.filename.removesuffix(_SUFFIX): _array(archive, member)
                        for member in archive.infolist()}
        except Exception as error:  # whatever zipfile and NumPy trip over in foreign bytes
            raise ValueError(str(error) or type(error).__name__) from error


def _check_sizes(archive: zipfile.ZipFile, limit: int) -> None:
    """Raise ValueError if unpacking takes another method than NumPy's, or much more memory."""
    for member in archive.infolist():
        if member.compress_type not in _METHODS:
            raise ValueError(f"{member.filename!r} is packed by another method than NumPy's")
    total = sum(member.file_size for member in archive.infolist())
    if total > limit:
        raise ValueError(f"it would unpack to {total} bytes; at most {limit} are read")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    with archive.open(member) as file:
        shape, is_fortran, dtype = _header(file)
        if dtype.hasobject or dtype.names or dtype.kind not in "biufc":
            raise ValueError(f"{member.filename!r} holds {dtype}, not plain numbers")
        count = math.prod(shape)
        content = file.read()
    if min(shape, default=0) < 0 or len(content) != count * dtype.itemsize:
        raise ValueError(f"{member.filename!r} declares {dtype}{list(shape)}, and holds "
                         f"{len(content)} bytes")
    if dtype.kind == "b" and content.strip(b"\0\1"):
        raise ValueError(f"{member.filename!r} is boolean, and holds bytes other than 0 and 1")
    flat = np.frombuffer(content, dtype)
    array = flat.reshape(shape[::-1]).T if is_fortran else flat.reshape(shape)
    return np.array(array, dtype.newbyteorder("="))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """(shape, whether its order is Fortran's, dtype) of an .npy file."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of .npy files is not read")
    shape, is_fortran, dtype = read(file)
    return shape, is_fortran, dtype
