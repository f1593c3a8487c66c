"""Whether a path is a file that can be read to its end."""

from __future__ import annotations

import errno
import os
import stat

from refglow.atomic_file import AnyPath


def require_regular(path: AnyPath) -> None:
    """Check that there is a file that can be read; of a pipe or device, reading may never end.

    Raises:
      OSError: if there is not; names the path.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "It is a directory, not a file", os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is not a regular file", os.fspath(path))
    with open(path, "rb"):  # for Python's own error if it is not readable
        pass
