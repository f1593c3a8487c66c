"""The process of an implementation: `python -m refglow.validation.implementations.child`.

It reads requests, one line of JSON each, from its standard input and answers on standard output:

    {"do": "start"}                 -> {}: it runs
    {"do": "import", "place": ..., "name": ..., "is_file": ...}
                                    -> {}, or {"failed": why}; {"missing": which} if the name is not
                                       there
    {"do": "build", "file": PATH}   -> {"offered": [...]}, or {"failed": why}
    {"do": "call", "name": ..., "file": PATH, "answer": PATH}
                                    -> {}, its arrays in the answer's file; or {"failed": why}

Before a stranger's code runs, both are moved where it will not find them: it reads an empty
standard input, and what it prints goes to standard error. Where the process that started it is
killed, it ends by itself, with all that it started, even in the middle of a call.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Protocol

from refglow.validation.implementations.calls import reason_of
from refglow.validation.implementations.exchange import read_arrays, write_found
from refglow.validation.implementations.found import NotAResultError, read
from refglow.validation.implementations.offerings import built, offered
from refglow.validation.implementations.source import NoSuchNameError, Source, imported, named

_LOOK = 1.0  # seconds between two looks at whether the process that started this one is there


class _Host:
    """The implementation, as far as it has come."""

    def __init__(self) -> None:
        self._target: Any = None
        self._implementation: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked."""
        if request["do"] == "start":
            return {}
        if request["do"] == "import":
            source = Source(request["place"], request["name"], request["is_file"])
            self._target = named(imported(source), source)
            return {}
        arrays, values = read_arrays(Path(request["file"]))
        if request["do"] == "build":
            self._implementation = built(self._target, values["architecture"], arrays)
            return {"offered": list(offered(self._implementation))}
        name = request["name"]
        result = getattr(self._implementation, name)(arrays["argument"])
        write_found(Path(request["answer"]), read(name, result))
        return {}


def _end_without(parent: int) -> None:
    """End this process and the group that it leads once another one is its parent."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


class Host(Protocol):
    """What is asked."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request says; what goes wrong is raised."""
        ...


def serve(host: Host) -> None:
    """Answer requests until there are no more."""
    threading.Thread(target=_end_without, args=(os.getppid(),), daemon=True).start()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(2, 1)
    sys.dont_write_bytecode = True
    for line in requests:
        try:
            found = host.answer(json.loads(line))
        except NoSuchNameError as error:
            found = {"missing": str(error)}
        except BaseException as error:  # SystemExit too: a stranger's code may raise anything
            if not isinstance(error, NotAResultError):  # which no code of the stranger's raised
                traceback.print_exc()
            found = {"failed": reason_of(error), "exhausted": isinstance(error, MemoryError)}
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    serve(_Host())
