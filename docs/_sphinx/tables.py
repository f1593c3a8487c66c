"""Tables of the package's records, as notebooks show them: errata, dialects."""

from dataclasses import asdict
from typing import Any

from markdown_cells import cell, code

_COMPARED = ("squeeze", "step_order", "actnorm", "factors", "affine", "scale", "latents")


def errata() -> Any:
    """Every erratum, with what refglow's demonstration of it shows now."""
    from IPython.display import Markdown

    from refglow.backend import use_backend
    from refglow.validation.errata import ERRATA
    with use_backend("spec"):
        return Markdown("\n\n".join(_erratum(one, one.check()) for one in ERRATA))


def _erratum(one: Any, ours: Any) -> str:
    if not ours.holds:
        raise AssertionError(f"refglow does not behave as {one.identifier} says: {ours.observed}")
    return (f"**{cell(one.title)}** ({code(one.identifier)}; {cell(one.where)})\n"
            f": *Documented:* {cell(one.documented)}\n\n  *TFP 0.25:* {cell(one.tfp_does)}\n\n"
            f"  *refglow:* {cell(one.refglow_does)} It follows "
            f"{'neither' if one.follows == 'neither' else 'the ' + one.follows}.\n\n"
            f"  *Seen in this build:* {cell(ours.observed)}")


def dialects() -> Any:
    """A row for each dialect, with the questions on which they differ most."""
    from IPython.display import Markdown

    from refglow.validation.dialects.dialect import FIELDS
    from refglow.validation.dialects.known import KNOWN
    rows = ["| " + " | ".join(["", *map(code, _COMPARED)]) + " |",
            "|---" * (1 + len(_COMPARED)) + "|"]
    rows += ["| " + " | ".join([code(name), *(cell(str(getattr(known.dialect, field)))
                                              for field in _COMPARED)]) + " |"
             for name, known in KNOWN.items()]
    asked = [f"- {code(field)}: {cell(FIELDS[field].question)}" for field in _COMPARED]
    return Markdown("\n".join([*rows, "", "The columns are these questions:", "", *asked]))


def dialect_answers() -> Any:
    """For each dialect, what it answers differently from TFP, and what no answer can say."""
    from IPython.display import Markdown

    from refglow.validation.dialects.dialect import FIELDS, Dialect
    from refglow.validation.dialects.known import KNOWN
    usual = asdict(Dialect())
    parts = []
    for name, known in KNOWN.items():
        answers = {field: answer for field, answer in asdict(known.dialect).items()
                   if answer != usual[field]}
        rows = [f"**{cell(known.title)}** ({code(name)})", ""]
        if answers:
            rows += ["| question | its answer | TFP's |", "|---|---|---|"]
            rows += [f"| {cell(FIELDS[field].question)} | {cell(str(answer))} | "
                     f"{cell(str(usual[field]))} |" for field, answer in answers.items()]
        else:
            rows.append("Answers all questions as TFP does.")
        parts.append("\n".join(rows) + (f"\n\nBeyond these: {cell(known.beyond)}."
                                        if known.beyond else ""))
    return Markdown("\n\n".join(parts))

