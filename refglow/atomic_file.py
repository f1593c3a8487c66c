"""Writing a file so that at every moment the path holds the old file or the new one, whole.

The bytes go to a new file in the same directory (renaming is atomic only within a file system),
are forced to the disk, and only then take the name. If anything stops it before that, the old file
stands; an error also removes the unfinished one, a killed process leaves it behind under a name
that starts with ".refglow-" and can be deleted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable

AnyPath = str | os.PathLike[str]
Content = bytes | Iterable[bytes | memoryview]


def can_write_in(folder: AnyPath) -> bool:
    """Whether a new file can be made in a folder; found out by making one that has no name.

    Permissions alone do not tell: a file system may be read-only, or hold no files (/proc).

    Args:
      folder: an existing one, else the answer is no.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def write_atomically(path: AnyPath, content: Content) -> None:
    """Make `path` a file that holds `content`, or raise and leave it as it was.

    A symbolic link is followed; a replaced file's permissions are kept.

    Args:
      path: where to.
      content: the bytes, whole, or in pieces that follow one another (for what is too large to be
        held in memory twice).

    Raises:
      OSError: if it cannot be written; names the path.
    """
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".refglow-{secrets.token_hex(8)}.tmp")
    try:
        mode = _mode_of_replaceable(target)
        try:
            _write_new(temporary, content, mode)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _sync_directory(os.path.dirname(target))
    except OSError as error:
        raise OSError(error.errno, f"Cannot write the file ({error.strerror or error})",
                      os.fspath(path)) from error


def _mode_of_replaceable(target: str) -> int | None:
    """The permissions of the file at `target`, None if there is none.

    Raises:
      OSError: if something is there that is not a file, or that may not be written to.
    """
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "it is write-protected")
    return stat.S_IMODE(mode)


def _write_new(path: str, content: Content, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)
        file.flush()
        os.fsync(file.fileno())
    if mode is not None:
        os.chmod(path, mode)


def _sync_directory(directory: str) -> None:
    """Force the new name to the disk too; on systems that cannot open a directory, nothing."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
