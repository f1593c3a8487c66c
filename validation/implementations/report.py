"""What was found of an implementation, for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from refglow.validation.implementations.conformance import Conformance
from refglow.validation.implementations.layer_by_layer import ALONE
from refglow.validation.implementations.own_consistency import OWN
from refglow.validation.row import Row, worst_first

LABELS = {"inverse_log_det_jacobian": "inverse log-det", "forward_log_det_jacobian":
          "forward log-det", "inverse_and_log_det": "inverse and log-det",
          "forward_and_log_det": "forward and log-det", "layers": "layers, on the way",
          "bits_per_dim": "bits per dimension", ALONE: ALONE}
_MOST_LISTED = 12


def conformance_table(found: Sequence[Conformance]) -> Table:
    """A line for each thing compared and number type: its largest error and the verdict."""
    table = Table(title="Your implementation against refglow", title_justify="left",
                  header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("compared", overflow="fold")
    table.add_column("type", no_wrap=True)
    for header in ("arrays", "error", "toler."):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    lines: dict[str, dict[str, list[Row]]] = {}
    for one in found:
        for row in one.rows:
            lines.setdefault(label_of(row), {}).setdefault(one.dtype, []).append(row)
        for call in one.failed:
            lines.setdefault(LABELS.get(call.offering, call.offering), {}).setdefault(
                one.dtype, [])
    for label, by_dtype in lines.items():
        for k, (dtype, rows) in enumerate(by_dtype.items()):
            broken = any(LABELS.get(call.offering, call.offering) == label
                         for one in found if one.dtype == dtype for call in one.failed)
            table.add_row("" if k else escape(label), dtype.replace("float", "f"),
                          *_figures(rows, broken))
    return table


def label_of(row: Row) -> str:
    """What a row is a comparison of, in words."""
    return row.prop if row.bijector == OWN else LABELS.get(row.bijector, row.bijector)


def _figures(rows: list[Row], broken: bool) -> tuple[str, str, str, str]:
    """How many arrays, the worst one's error and tolerance, the verdict."""
    wrong = sum(not row.passed for row in rows)
    verdict = "[bold red]FAIL[/]" if wrong or broken else "[green]ok[/]"
    if not rows:
        return "0", "", "", verdict
    worst = max(rows, key=worst_first)
    style = "[bold red]" if wrong else ""
    return (f"{len(rows)}" if not wrong else f"{wrong} of {len(rows)}",
            f"{style}{worst.relative:.1e}", f"{worst.tolerance:.0e}", verdict)


def details(found: Sequence[Conformance]) -> list[str]:
    """What the table leaves out, a line each, with rich's markup: failures, layers, what is absent.

    What both number types say is said once.
    """
    lines: list[str] = []
    for one in found:
        for call in one.failed[:_MOST_LISTED]:
            printed = f" Printed: {call.output}" if call.output else ""
            lines.append(f"[bold red]failed[/]  {escape(f'{call.offering}, {call.dtype}: ')}"
                         f"{escape(call.reason.rstrip('.') + '.' + printed)}")
        if len(one.failed) > _MOST_LISTED:
            lines.append(f"        and {len(one.failed) - _MOST_LISTED} more")
        layer = one.first_wrong_layer
        if layer is not None:
            lines.append(f"[bold red]layers[/]  {one.dtype}: the first that differs, from the "
                         f"image, is [bold]{layer}[/]: {of_layer(one, layer)}.")
        gradients = [row for row in one.rows if row.bijector == "gradients" and not row.passed]
        if gradients:
            worst = max(gradients, key=lambda row: row.relative)
            lines.append(f"[bold red]gradients[/]  {one.dtype}: {len(gradients)} differ, the most "
                         f"{escape(worst.prop)}.")
    for title, texts in (("not offered", [", ".join(one.absent) for one in found if one.absent]),
                         ("skipped", [text for one in found for text in one.skipped]),
                         ("remark", [text for one in found for text in one.remarks])):
        unique = list(dict.fromkeys(texts))
        lines += [f"[dim]{title}[/]  {escape(text)}" for text in unique[:_MOST_LISTED]]
        if len(unique) > _MOST_LISTED:
            lines.append(f"[dim]{title}[/]  and {len(unique) - _MOST_LISTED} more (--json lists "
                         "all)")
    return lines


def of_layer(one: Conformance, name: str) -> str:
    """What is wrong with a layer, in words."""
    [layer] = [layer for layer in one.layers if layer.name == name]
    if layer.wrong_alone:
        wrong = [row for row in layer.alone if not row.passed]
        what = " and ".join(f"{row.prop.rpartition('/')[2]} by {row.relative:.1e}" for row in wrong)
        return f"with the input that it got, {what}"
    if layer.broken:
        return "it cannot be compared"
    wrong = [row for row in layer.cumulative if not row.passed]
    return " and ".join(f"{row.prop.rpartition('/')[2]} by {row.relative:.1e}" for row in wrong)
