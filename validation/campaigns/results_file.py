"""Results on disk: one line of JSON for each item, added as it comes.

    {"index": 17, "result": {...}, "check": "1f0c5a7e"}
    {"index": 18, "failed": "raised ValueError: ...", "check": "..."}

"check" is the CRC-32 of the line without it, begun at that of the campaign's settings: a line from
another campaign's file is as good as damaged. A line is written by one call and forced to the disk.
A process that is killed leaves at most an unfinished last line; that, and any line that was damaged
later, is as if it had never been there: the item is computed again. Of two lines with one index the
later counts.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from refglow.regular_file import require_regular
from refglow.validation.campaigns.campaign import Json, Outcome


class ResultsFile:
    """The file; it is made when the first result comes."""

    def __init__(self, path: Path, settings: Json) -> None:
        """Name the file; nothing is read or written yet.

        Args:
          path: the file.
          settings: of the campaign whose results they are.
        """
        self.path = path
        self._start = zlib.crc32(_text(settings))

    @property
    def is_begun(self) -> bool:
        """Whether the file holds anything, be it damaged."""
        return self.path.exists() and self.path.stat().st_size > 0

    def read(self) -> tuple[dict[int, Outcome], int]:
        """The results by index, and how many lines are damaged."""
        found: dict[int, Outcome] = {}
        damaged = 0
        for line in self._lines():
            outcome = _outcome(line, self._start)
            if outcome is None:
                damaged += 1
            else:
                found[outcome.index] = outcome
        return found, damaged

    def append(self, outcome: Outcome) -> None:
        """Add a result, so that it survives whatever happens next.

        Raises:
          OSError: if it cannot be written; names the file.
        """
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                _write_all(descriptor, _line(outcome, self._start))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OSError(error.errno, f"Cannot write the results ({error.strerror})",
                          str(self.path)) from error

    def drop_unfinished(self) -> None:
        """Take off what follows the last whole line, to which nothing could be added.

        Raises:
          OSError: if the file cannot be written.
        """
        if not self.path.exists():
            return
        whole = sum(len(line) for line in self._lines() if line.endswith(b"\n"))
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)

    def _lines(self) -> Iterator[bytes]:
        if not self.path.exists():
            return
        require_regular(self.path)
        with open(self.path, "rb") as file:
            yield from file


def _line(outcome: Outcome, start: int) -> bytes:
    told = {"failed": outcome.failed} if outcome.result is None else {"result": outcome.result}
    body = {"index": outcome.index, **told}
    return _text(body | {"check": _check(body, start)}) + b"\n"


def _outcome(line: bytes, start: int) -> Outcome | None:
    """What a line says; None if it is not whole."""
    try:
        entry = json.loads(line)
        check = entry.pop("check")
        is_whole = line.endswith(b"\n") and check == _check(entry, start) and (
            type(entry["index"]) is int)
    except (ValueError, RecursionError, KeyError, AttributeError, TypeError):
        return None
    if not is_whole or not (isinstance(entry.get("result"), dict)
                            or isinstance(entry.get("failed"), str)):
        return None
    return Outcome(entry["index"], entry.get("result"), entry.get("failed", ""))


def _check(body: Json, start: int) -> str:
    return f"{zlib.crc32(_text(body), start):08x}"


def _text(body: Json) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content):]
