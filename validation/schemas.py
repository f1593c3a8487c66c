"""JSON schemas that are part of the package, draft 2020-12, and what does not fit them."""

from __future__ import annotations

import json
from importlib import resources
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator


def schema_in(package: str, file: str) -> dict[str, Any]:
    """The schema that a file of a package holds."""
    schema: dict[str, Any] = json.loads((resources.files(package) / file).read_text("utf-8"))
    return schema


def misfits(value: Any, schema: dict[str, Any], whole: str, most: int) -> list[str]:
    """What does not fit, each as "its place: why"; empty if all does.

    Args:
      value: as parsed from JSON.
      schema: as `schema_in` gives it.
      whole: the place of the value itself.
      most: how many are told.
    """
    errors = Draft202012Validator(schema).iter_errors(value)
    return [f"{'/'.join(map(str, error.absolute_path)) or whole}: {error.message}"
            for error in islice(errors, most)]
