"""The process in which a learner's kernel runs: `python -m refglow.lessons.puzzles.worker`.

It is started with Numba's CUDA simulator chosen, and serves as an implementation's process does
(refglow.validation.implementations.child):

    {"do": "start"}                  -> {}: it runs
    {"do": "run", "kernel": PATH, "arguments": PATH, "answer": PATH}
                                     -> {}, the recording in the answer's file; or {"stopped": why},
                                        what the kernel raised

The kernel is pickled: it is this user's own code on its way to another process of theirs.
"""

from __future__ import annotations

import pickle
import re
import traceback
import warnings
from pathlib import Path
from typing import Any

from refglow.lessons.puzzles.simulated import NotInPuzzlesError, record
from refglow.validation.implementations.child import serve
from refglow.validation.implementations.exchange import read_arrays, write_arrays


class _Simulating:
    """Runs kernels."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked."""
        if request["do"] == "start":
            return {}
        arrays, values = read_arrays(Path(request["arguments"]))
        kernel = pickle.loads(Path(request["kernel"]).read_bytes())
        arguments = {name: arrays[name] if name in arrays else values["numbers"][name]
                     for name in values["order"]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy's arithmetic: a GPU gives infinities quietly
            try:
                recording = record(kernel, tuple(values["grid"]), tuple(values["block"]), arguments)
            except Exception as error:  # whatever a learner's code raises is told
                return {"stopped": _told(error, kernel)}
        memories = [[memory.name, memory.shape, memory.itemsize, memory.block]
                    for memory in recording.memories]
        write_arrays(Path(request["answer"]),
                     {"table": recording.table,
                      **{f"result {name}": array for name, array in recording.results.items()}},
                     {"memories": memories})
        return {}


# The simulator puts "tid=[0, 0, 0] ctaid=[0, 0, 0]: " in front of what a thread raised.
_INDICES = re.compile(r"tid=\[(.*?)\] ctaid=\[(.*?)\](?:: )?")


def _told(error: Exception, kernel: Any) -> str:
    found = _INDICES.match(str(error))
    text = _INDICES.sub("", str(error), count=1)
    if not isinstance(error, NotInPuzzlesError):
        text = f"{type(error).__name__}: {text}"
    code = kernel.__code__
    lines = [frame.lineno - code.co_firstlineno + 1
             for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == code.co_filename and frame.lineno is not None]
    who = f"thread ({found[1]}) of block ({found[2]})" if found else "the launch"
    return f"{who}{f', in line {lines[-1]} of the kernel' if lines else ''}: {text}"


if __name__ == "__main__":
    serve(_Simulating())
