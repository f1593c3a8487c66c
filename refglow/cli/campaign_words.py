"""What a campaign's report says, in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

if TYPE_CHECKING:
    from rich.console import Console

    from refglow.validation.campaigns.campaign import Campaign

_MOST_GROUPS, _MOST_NUMBERS = 20, 8


def implementation_words(campaign: Any, report: dict[str, Any], folder: Path,
                         out: Console) -> None:
    """How many architectures agree, what explains the others, and how to look at the smallest.

    Args:
      campaign: an ImplementationCampaign.
      report: its report.
      folder: of the campaign, which gets the smallest model that differs.
      out: where to print.
    """
    from refglow.model_file import save

    groups = report["groups"]
    if groups:
        out.print("[bold]What explains those that differ[/]")
    for group in groups[:_MOST_GROUPS]:
        out.print(f"  [bold]{len(group['indices'])}[/] (number {_numbers(group['indices'])})"
                  f"{escape(_only_with(group['only_with']))}; of number {group['smallest']}:")
        for paragraph in group["words"]:
            out.print(f"    - {escape(paragraph)}")
    if len(groups) > _MOST_GROUPS:
        out.print(f"  and {len(groups) - _MOST_GROUPS} more kinds of difference")
    if report["smallest"] is not None:
        model = folder / "smallest.safetensors"
        save(model, campaign.model(report["smallest"]))
        out.print(f"The smallest that differs is number {report['smallest']}. Alone:")
        out.print("  " + shlex.join(campaign.rerun(model)), markup=False, soft_wrap=True)
    differ = len(report["differ"])
    verdict = (f"[bold red]{differ} of {report['agree'] + differ} architectures differ[/]"
               if differ else f"[bold green]All {report['agree']} architectures agree[/]"
               if report["agree"] else "[bold red]Nothing was compared[/]")
    out.print(f"{verdict}: {report['compared']} arrays compared.")


def tfp_words(campaign: Any, report: dict[str, Any], folder: Path, out: Console) -> None:
    """The tables of `refglow validate --live tfp`, and which architectures differ."""
    from refglow.validation.campaigns.of_tfp import rows_from
    from refglow.validation.table import comparison_table, ratio_table

    sections = {title: rows_from(rows) for title, rows in report["sections"].items()}
    for title, rows in sections.items():
        out.print(comparison_table(title, rows, out.width))
    out.print(ratio_table(report["float32_error_ratio"]))
    comparisons = sum(row.count for rows in sections.values() for row in rows)
    differ = report["differ"]
    verdict = ("[bold green]All agree[/]" if report["passed"] else
               f"[bold red]{len(differ)} architectures differ[/] (number {_numbers(differ)})"
               if differ else "[bold red]Not all was compared, or less accurate than TFP[/]")
    out.print(f"{verdict}: {comparisons} comparisons with {report['against']}.")


def bits_per_dim_words(campaign: Any, report: dict[str, Any], folder: Path, out: Console) -> None:
    """The line of `refglow bpd`; no number of a part of the images passes for that of all."""
    if not report["complete"]:
        out.print(f"[bold red]No bits/dim[/]: {report['images']} of {campaign.images} images could "
                  "be evaluated.")
        return
    lost = f"; log p is not finite for {report['not_finite']}" if report["not_finite"] else ""
    out.print(f"{float(report['bits_per_dim']):.4f} +- {float(report['standard_error']):.4f} "
              f"bits/dim over {report['images']} {campaign.part} images{lost} "
              f"({campaign.data}, {campaign.n_bits} bits).", markup=False)
    if len(report["computed_on"]) > 1:
        out.print("Machines of several kinds computed it, so its last digits may differ from those "
                  f"of one machine alone: {'; '.join(report['computed_on'])}.", markup=False)


def failed_words(campaign: Campaign, report: dict[str, Any], out: Console) -> None:
    """What could not be computed, by reason."""
    reasons: dict[str, list[int]] = {}
    for one in report["failed"]:
        reasons.setdefault(one["reason"], []).append(one["index"])
    for reason, indices in list(reasons.items())[:_MOST_GROUPS]:
        out.print(f"[bold red]{len(indices)} {campaign.items} could not be computed[/] (number "
                  f"{_numbers(indices)}): {escape(reason)}.")
    if len(reasons) > _MOST_GROUPS:
        out.print(f"and {len(reasons) - _MOST_GROUPS} more reasons")


def _numbers(indices: Sequence[int]) -> str:
    more = "" if len(indices) <= _MOST_NUMBERS else ", ..."
    return ", ".join(map(str, indices[:_MOST_NUMBERS])) + more


def _only_with(features: dict[str, Any]) -> str:
    if not features:
        return ""
    return ", all and none that agrees with " + ", ".join(
        f"{name} = {value}" for name, value in features.items())
