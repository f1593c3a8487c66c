"""Files from strangers' folders: regular ones, of a bounded length; JSON; digests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from refglow.regular_file import require_regular

_MOST_TEXT = 2**22  # bytes


def small_content(path: Path) -> bytes:
    """The bytes of a regular file that is not too long for what is read here.

    Raises:
      OSError: if it is something else; a pipe or a device is not opened.
      ValueError: if it is too long.
    """
    require_regular(path)
    with path.open("rb") as file:
        content = file.read(_MOST_TEXT + 1)
    if len(content) > _MOST_TEXT:
        raise ValueError(f"{path.name} is longer than {_MOST_TEXT} bytes.")
    return content


def sha256_of(path: Path) -> str:
    """The digest of a regular file, of any length, in hexadecimal.

    Raises:
      OSError: if it is something else; a pipe or a device is not opened.
    """
    require_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parsed_json(path: Path) -> Any:
    """What a small JSON file holds.

    Raises:
      OSError, ValueError: as `small_content`, and if it is not JSON.
    """
    content = small_content(path)
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from None


def json_bytes(value: Any) -> bytes:
    """JSON that people can read too."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
