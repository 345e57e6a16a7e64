"""Figures of an analysis plan: from the rows that a method gives to drawings, for the page and as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from equipoise.errors import DataError
from equipoise.plan.results import Figure, Results
from equipoise.render import plots
from equipoise.render.plots import Plot

KINDS: dict[str, Callable[..., Plot]] = {
    "kaplan_meier": plots.kaplan_meier,
    "cumulative_incidence": plots.cumulative_incidence,
    "forest": plots.forest,
    "ls_means": plots.ls_means,
    "dropout": plots.dropout,
    "tipping_point": plots.tipping_point,
    "boundaries": plots.boundaries,
    "residuals": plots.residuals,
    "qq": plots.qq,
    "influence": plots.influence,
    "proportional_hazards": plots.proportional_hazards,
}
"""The function that draws each kind of figure."""


@dataclass(frozen=True)
class Drawn:
    """A figure with its number, its table, and its drawing; or why there is none."""

    name: str
    table: str
    caption: str
    plot: Plot | None
    reason: str = ""

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.svg"


def draw(figure: Figure) -> Plot:
    """The drawing of a figure.

    Raises
    ------
    DataError : there is nothing to draw.
    """
    options: Mapping[str, Any] = {k: v for k, v in figure.options.items() if v is not None}
    return KINDS[figure.kind]([dict(r) for r in figure.rows], **options)


def drawn(results: Results) -> tuple[Drawn, ...]:
    """All figures of the results in order. One that cannot be drawn says why; the others stand."""
    out = []
    for table in results.tables:
        figures = [f for block in table.blocks for f in block.figures]
        for number, figure in enumerate(figures, start=1):
            last = f"-{number}" if len(figures) > 1 else ""
            name = f"figure-{table.id}{last}"
            caption = f"Figure {table.id}{last}. {figure.caption}"
            try:
                out.append(Drawn(name, table.id, caption, draw(figure)))
            except DataError as error:
                out.append(Drawn(name, table.id, caption, None, error.message))
    return tuple(out)
