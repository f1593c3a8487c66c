"""refglow against the installed TFP on random architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from refglow.json_text import with_finite_numbers
from refglow.validation.campaigns.campaign import Json
from refglow.validation.live import by_property, live_configuration, sections_of
from refglow.validation.row import Row, worst_of
from refglow.validation.table import ratios_pass
from refglow.validation.tfp.framework import tfp_version

_NUMBERS = ("ulps", "relative", "tolerance", "condition")


@dataclass(frozen=True)
class TfpCampaign:
    """What `refglow validate --live tfp` compares, one architecture an item.

    Attributes:
      architectures: how many; the k-th depends on `seed` and k alone.
      seed: of architectures, weights and images.
      tfp: TFP's version.
    """

    architectures: int
    seed: int
    tfp: str
    items: ClassVar[str] = "architectures"

    def __len__(self) -> int:
        """The number of architectures."""
        return self.architectures

    def require_possible(self) -> None:
        """Nothing: the version of TFP is known."""

    def run(self, index: int) -> Json:
        """Compare on one architecture.

        Raises:
          ValueError: if this worker has another TFP.
        """
        if tfp_version() != self.tfp:
            raise ValueError(f"this worker has TFP {tfp_version()}; the campaign compares with "
                             f"{self.tfp}")
        found = live_configuration(self.seed, index)
        return {"whole": _plain(worst_of(found.whole)), "layers": _plain(worst_of(found.layers)),
                "float32_error_ratio": found.error_ratio}

    def report(self, results: Mapping[int, Json]) -> Json:
        """The worst rows of all, float32's errors, and which architectures differ."""
        whole = [row for result in results.values() for row in rows_from(result["whole"])]
        layers = [row for result in results.values() for row in rows_from(result["layers"])]
        ratios = by_property(result["float32_error_ratio"] for result in results.values())
        wrong = [index for index, result in results.items()
                 if not all(row.passed for row in rows_from(result["whole"] + result["layers"]))]
        return {"against": f"TFP {self.tfp} (live)", "differ": wrong,
                "sections": {title: _plain(rows)
                             for title, rows in sections_of(whole, layers).items()},
                "float32_error_ratio": ratios,
                "passed": bool(whole) and not wrong and all(map(ratios_pass, ratios.values()))}


def rows_from(plain: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows from what `_plain` made of them."""
    return [Row(**{**row, **{name: float(row[name]) for name in _NUMBERS}}) for row in plain]


def _plain(rows: Sequence[Row]) -> list[Json]:
    """Rows for JSON."""
    return [with_finite_numbers(asdict(row)) for row in rows]
