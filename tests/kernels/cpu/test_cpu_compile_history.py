"""The kernels' bits are the same in the process that compiles them and in one that loads them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from refglow.kernels.cpu import ACCELERATED


def digests_with_cache(folder):
    """What bits_of_kernels.py prints, with Numba's compiled code in that folder."""
    script = Path(__file__).with_name("bits_of_kernels.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False,
                          env=os.environ | {"NUMBA_CACHE_DIR": str(folder)})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compiled_code(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.nbc")}


@pytest.mark.slow
def test_bits_do_not_depend_on_who_compiled(tmp_path):
    compiling = digests_with_cache(tmp_path)
    code = compiled_code(tmp_path)
    assert code
    loading = digests_with_cache(tmp_path)
    assert compiled_code(tmp_path) == code, "the second process compiled something itself"
    assert compiling.keys() == {*ACCELERATED, "training"}
    assert {name for name in compiling if compiling[name] != loading[name]} == set()
