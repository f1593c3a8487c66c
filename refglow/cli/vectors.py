"""`refglow vectors`: reference values for everyone, and how far they can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say
from refglow.cli.progress import tracked
from refglow.cli.vector_certify import certify
from refglow.cli.vector_errors import errors

vectors = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@vectors.callback()
def _vectors() -> None:
    """True values for implementations in any language, certified to the last bit."""


vectors.command()(certify)
vectors.command()(errors)


@vectors.command()
def export(
    folder: Annotated[Path, typer.Argument(help="The folder; made if it is missing.")],
    only: Annotated[str | None, typer.Option(
        help="Only vectors whose name begins so, e.g. --only glow-.")] = None,
) -> None:
    """Write the golden vectors for any language: a JSON manifest and a safetensors file each.

    Beside them stand an index, the manifest's schema, an explanation, and the generator of the few
    arrays that are made instead of kept, in Python, C and Julia.
    """
    from refglow.validation.vectors.catalogue import beginning_with
    from refglow.validation.vectors.folder import write_rest, write_vector
    from refglow.validation.vectors.kept import kept_vectors

    chosen = beginning_with(only)
    with kept_vectors() as kept:
        for vector in tracked(chosen, len(chosen), "writing vectors"):
            write_vector(folder, vector, kept)
    write_rest(folder)
    say(f"{len(chosen)} vectors in {folder}; README.md there explains them.")


@vectors.command()
def check(
    folder: Annotated[Path, typer.Argument(help="As `refglow vectors export` writes it.")],
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Check that a folder's vectors are refglow's: every manifest, every number.

    The exit code is 0 if they are, 1 if one is not, 2 if it could not run.
    """
    require_writable(json)
    from refglow.validation.vectors.folder import checked_folder
    from refglow.validation.vectors.kept import kept_vectors

    total = len(list((folder / "vectors").glob("*.json")))
    with kept_vectors() as kept:
        found = list(tracked(checked_folder(folder, kept), total, "checking vectors"))
    wrong = [one for one in found if one.problems]
    vectors_found = len(found) - 1  # and what stands beside them
    to_stderr = is_standard_output(json)
    for one in wrong:
        for problem in one.problems:
            say(f"{one.name}: {problem}", to_stderr=to_stderr)
    say(f"Not all is as refglow has it: {len(wrong)} of {len(found)} places." if wrong else
        f"All {vectors_found} vectors are refglow's.", to_stderr=to_stderr)
    write_json(json, {"command": "vectors check", "passed": not wrong,
                      "vectors": {one.name: list(one.problems) for one in found}})
    raise typer.Exit(1 if wrong else 0)
