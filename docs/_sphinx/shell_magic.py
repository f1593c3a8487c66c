"""The cell magic `%%shell`: commands of a shell, whose output is shown as one piece.

How it is written:

    %%shell               each command must end with 0, or the build fails
    %%shell --expect 1    the last one must end with 1
"""

import subprocess
from typing import Any


def shell(line: str, cell: str) -> None:
    """Run the cell.

    Args:
      line: what stands after the name.
      cell: the commands.

    Raises:
      RuntimeError: if it ends with another exit code than expected.
    """
    expected = int(line.removeprefix("--expect").strip() or 0)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", cell], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    print("\n".join(text.rstrip() for text in done.stdout.rstrip().split("\n")))
    if done.returncode != expected:
        raise RuntimeError(f"the exit code is {done.returncode}, not {expected}")


def load_ipython_extension(ipython: Any) -> None:
    """Called by `%load_ext shell_magic`."""
    ipython.register_magic_function(shell, "cell")
