"""Planting bugs: a wrong function in place of one of an op's six."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest


def replace_op(patch: pytest.MonkeyPatch, module: ModuleType, op: str, **functions: Any) -> None:
    """Put `functions`, by their names in `Op`, into the module's constant called `op`.

    The functions that the op called before stay reachable by their own names.
    """
    patch.setattr(module, op, replace(getattr(module, op), **functions))
