"""The report of a design study, with the headings of a simulation report: aims, data-generating mechanisms, estimands,
methods, performance (ADEMP: Morris, White & Crowther 2019), and planning, implementation and limits (OCTAVE: Lee et al.
2026).

Aims, data-generating mechanisms, estimands and designs, methods, performance: every number with its Monte Carlo error,
every table with the command that gives it. HTML stands alone; Markdown is for those who go on writing.
"""

from __future__ import annotations

import html
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from equipoise.design.examples import chosen, command_of, told
from equipoise.design.result import Cell, DesignResult
from equipoise.design.study import BASE, CLAIM, DECIDE, FIXED, Design
from equipoise.render.plots import Plot, assurance_parts, frontier, success_curves, success_table
from equipoise.render.plots.assurance import PARTS

ROWS_IN_A_TABLE = 60
"""Designs of one table of the report; ``cells.csv`` has them all."""


@dataclass(frozen=True)
class Part:
    """A heading, what is said under it, a table (its columns first) and drawings."""

    title: str
    said: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plots: tuple[tuple[str, Plot], ...] = ()


def _told(value: object) -> str:
    """A value of a world in a table."""
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def drawings(made: DesignResult) -> dict[str, Plot]:
    """The drawings of a study by name: success by weeks, its price, and all designs in all worlds."""
    study = made.study
    label = {name: world.label for name, world in study.worlds.items()}
    note = f"Bars: 95 % Monte Carlo interval; {_replicates(made)} virtual trials a cell"
    out: dict[str, Plot] = {}
    if len(study.factors.weeks) > 1:
        for place, cells in _groups(made):
            rows = [{**_shares(c), "weeks": c.design.weeks, "world": label[c.world]} for c in cells]
            title = _place(made, place)
            out["weeks-" + _file(title)] = success_curves(rows, target=study.target, title=title, note=note)
    if study.weighed and len({c.design for c in made.cells}) <= ROWS_IN_A_TABLE:
        out["assurance"] = promises(made)
    out |= prices(made)
    if len({c.design for c in made.cells}) <= ROWS_IN_A_TABLE:
        out["all"] = everywhere(made)
    return out


def promises(made: DesignResult) -> Plot:
    """Assurance and its parts, a bar a design."""
    rows = [
        {"design": b.design.label, **{k: v.value for k, v in vars(b).items() if k in PARTS}} for b in made.assurance()
    ]
    return assurance_parts(rows, title="Assurance: what designs promise", note="The line: the drug works")


def prices(made: DesignResult) -> dict[str, Plot]:
    """Success and its price in each world in which the drug works, where there is more than one design."""
    study, out = made.study, {}
    for name, world in study.worlds.items():
        if world.no_effect or len(made.of(name)) < 2:
            continue
        rows = [
            {
                **_shares(c),
                "patient_weeks": c.patient_weeks,
                "primary": study.primaries[c.design.primary].label,
                "design": c.design.label,
            }
            for c in made.of(name)
        ]
        out[f"price-{_file(name)}"] = frontier(
            rows, target=study.target, label="design", title=f"Success and its price: {world.label}"
        )
    return out


def everywhere(made: DesignResult) -> Plot:
    """Success of every design in every world, as a table in colours."""
    label = {name: world.label for name, world in made.study.worlds.items()}
    rows = [{"success": c.success, "design": c.design.label, "world": label[c.world]} for c in made.cells]
    return success_table(rows, target=made.study.target, title="Success of every design in every world")


def parts_of(made: DesignResult) -> list[Part]:
    """The report as headed parts."""
    study = made.study
    plots = drawings(made)
    f = study.factors
    command = f"equipoise design {study.name} --replicates {study.replicates} --seed {study.seed}"
    worlds = tuple(
        (
            name,
            w.label,
            w.mechanism,
            w.kind,
            "; ".join(f"{k} = {_told(v)}" for k, v in {**w.effect, **w.disease}.items()) or "as fitted",
            "success is an error" if w.no_effect else "",
        )
        for name, w in study.worlds.items()
    )
    factors = (
        ("weeks randomised", ", ".join(f"{w:g}" for w in f.weeks)),
        ("patients", ", ".join(map(str, f.patients))),
        ("control : active", ", ".join(f.ratio) or "as the scenario has it"),
        ("weeks of extension", ", ".join(f"{w:g}" for w in f.extension)),
        ("who is recruited", "; ".join(f"{n}: {study.enrichments[n].label}" for n in f.enrichment)),
        ("primary analysis", "; ".join(f"{n}: {study.primaries[n].label}" for n in f.primary)),
        *(
            (what, "; ".join(f"{n}: {own[n].label if n in own else always}" for n in names))
            for what, names, own, always in (
                ("arms", f.treatments, study.treatments, "those of the scenario"),
                ("looks", f.adaptation, study.adaptations, "none"),
            )
            if names != (BASE,) and names != (FIXED,)
        ),
    )
    least = min(c.replicates for c in made.cells)
    return [
        Part("Answer", tuple(line.strip() for line in made.summary().splitlines()[1:])),
        Part("Aims", (study.question, f"Success wanted where the drug works: {100 * study.target:g} %.")),
        Part(
            "Data-generating mechanisms: the worlds",
            (
                f"Virtual patients, disease and drug are those of the scenario {study.base}; a world changes the "
                "mechanism or its numbers. Replicate r has the same random patients in every design.",
            ),
            ("world", "in words", "mechanism", "kind", "numbers", ""),
            worlds,
        ),
        Part("Designs", ("Every combination is a design.",), ("factor", "levels"), factors),
        Part(
            "Estimands and methods of analysis",
            (
                "Success is as the primary analysis says. The true effect is the mean difference at the end of the "
                "randomised period in those on active, with the drug and without, when nobody leaves, dies or misses a "
                "visit, and the scale ends where it ends; bias and coverage are against it."
                if study.undisturbed
                else "Success is as the primary analysis says. No true effect was asked for.",
            ),
        ),
        Part(
            "Planning: replicates and seed",
            (
                f"{_replicates(made)} virtual trials a cell, seed {study.seed}. " + _meaning(least),
                f"Trials whose analysis failed count as not successful: {sum(c.failures for c in made.cells)} in all.",
            ),
        ),
        *_belief(made, plots),
        Part("Performance: success by weeks", plots=tuple(p for p in plots.items() if p[0].startswith("weeks-"))),
        Part("Performance: success and its price", plots=tuple(p for p in plots.items() if p[0].startswith("price-"))),
        Part("Performance: all designs", plots=tuple(p for p in plots.items() if p[0] == "all")),
        *(_table(made, name) for name in study.worlds),
        *_looks(made),
        *_sensitivity(made),
        _examples(made),
        Part(
            "Limits",
            (
                "The worlds are as good as the scenario: what the published trial did not show it cannot show. "
                "Probabilities of single worlds say nothing of how likely those worlds are.",
                "Recruitment is a steady stream; the months are no forecast."
                if study.accrual is None
                else "Recruitment goes by the rates that the study assumes; the months are no forecast.",
            ),
        ),
        Part(
            "How to repeat it",
            (
                command,
                f"equipoise {made.version}; "
                + ", ".join(f"{n} {version(n)}" for n in ("numpy", "scipy", "numba"))
                + f"; Python {platform.python_version()}",
            ),
        ),
    ]


def _belief(made: DesignResult, plots: Mapping[str, Plot]) -> list[Part]:
    """Assurance, what a trial would teach and what it is worth, where the study weighs worlds and gains."""
    out = []
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    if made.study.weighed:
        found = made.assurance()[:ROWS_IN_A_TABLE]
        said = (
            "Success averaged over the worlds by their weights. It cannot exceed the weight of the worlds in which the "
            "drug works. Errors are Monte Carlo errors; how well the weights themselves are known they do not say.",
        )
        columns = (
            "design",
            "assurance",
            "at most",
            "works and shown",
            "works and missed",
            "does nothing and shown",
            "does nothing and not shown",
            "works, if shown",
        )
        rows = tuple(
            (
                b.design.label,
                str(b.assurance),
                f"{100 * b.works:.1f} %",
                str(b.works_and_shown),
                str(b.works_and_missed),
                str(b.nothing_and_shown),
                str(b.nothing_and_not_shown),
                str(b.works_if_shown) if math.isfinite(b.works_if_shown.value) else "",
            )
            for b in found
        )
        drawn = tuple((n, p) for n, p in plots.items() if n == "assurance")
        out.append(Part("Assurance: success over all worlds", said, columns, rows, drawn))
        taught = made.teaches()[:ROWS_IN_A_TABLE]
        if taught and len(taught[0].mechanisms) > 1:
            said = (
                "The weight of each mechanism before the trial and, on average, after it, if that mechanism is the "
                "truth, by Bayes' theorem on the trial's estimates; and the information about the mechanism, a lower "
                "bound.",
            )
            names = taught[0].mechanisms
            rows = tuple(
                (
                    t.design.label,
                    *(f"{100 * t.before[k]:.0f} to {100 * t.after[k, k]:.0f} %" for k in range(len(names))),
                    f"{t.bits:.2f} ± {t.bits_error:.2f} of {t.entropy:.2f} bits",
                    t.on,
                )
                for t in taught
            )
            columns = ("design", *(f"weight of {m}, if true" for m in names), "information", "from")
            out.append(Part("What the trial would teach", said, columns, rows))
    if made.study.stakes is not None:
        worth = made.worth()[:ROWS_IN_A_TABLE]
        first = worth[0]
        said = (
            f"In {first.unit}, by the stakes that the study states. Deciding now, the best is to "
            f"{'give it' if first.give else 'leave it'}, which gains {first.now:.4g}; certainty would add "
            f"{first.evpi:.4g}.",
        )
        rows = tuple(
            (
                x.design.label,
                f"{x.evsi:.4g} ± {x.evsi_error:.2g}",
                f"{x.by_rule:.4g} ± {x.by_rule_error:.2g}",
                f"{x.cost:.4g}",
                f"{x.net:.4g}",
            )
            for x in worth
        )
        columns = ("design", "the trial adds, at best", "if given after a success alone", "it costs", "net")
        out.append(Part("What the trial is worth", said, columns, rows))
    return out


_TARGETS = (0.7, 0.8, 0.9)


def _sensitivity(made: DesignResult) -> list[Part]:
    """How the answer moves with the success that is wanted, and with how worlds are weighed."""
    study = made.study
    rows = []
    for name, world in study.worlds.items():
        if not world.no_effect:
            best = [made.smallest(name, target) for target in _TARGETS]
            rows.append((world.label, *("none of them" if c is None else c.design.label for c in best)))
    parts = []
    if rows:
        said = (
            "The smallest design that reaches other targets: a choice that hangs on the target's last points is none."
        )
        columns = ("if the truth is", *(f"{100 * t:g} %" for t in _TARGETS))
        parts.append(Part("Sensitivity: what is wanted", (said,), columns, tuple(rows)))
    working = [n for n, w in study.worlds.items() if not w.no_effect]
    if len(working) > 1:
        shares = {d: [c.success for c in made.cells if c.design == d and c.world in working] for d in _designs(made)}
        order = sorted(shares, key=lambda d: -min(shares[d]))[:10]
        said = "The designs that lose least in the worst world in which the drug works, and what they do in the best."
        table = tuple(
            (
                d.label,
                f"{100 * min(shares[d]):.1f} %",
                f"{100 * sum(shares[d]) / len(shares[d]):.1f} %",
                f"{100 * max(shares[d]):.1f} %",
            )
            for d in order
        )
        parts.append(Part("Sensitivity: which world", (said,), ("design", "worst world", "mean", "best world"), table))
    return parts


def _designs(made: DesignResult) -> list[Design]:
    return list(dict.fromkeys(c.design for c in made.cells))


def _examples(made: DesignResult) -> Part:
    """Three trials that can be looked at, each with the command that writes it."""
    found = chosen(made)
    rows = tuple(
        (e.kind.replace("-", " "), c.design.label, told(e, made, c), command_of(made.study, c, e)) for c, e in found
    )
    said = (
        "Single virtual trials, each written as ADaM data sets and as a page by its command. None was chosen to please."
    )
    return Part("Example trials", (said,) if rows else (), ("trial", "design", "what it is", "command"), rows)


def _meaning(replicates: int) -> str:
    if replicates >= CLAIM:
        return "Enough to claim a type I error."
    what = "Enough to choose a design" if replicates >= DECIDE else "Enough to look around"
    return f"{what}; error rates are explored, not claimed (that takes {CLAIM})."


def _table(made: DesignResult, world: str) -> Part:
    cells = made.of(world)
    first = cells[0]
    columns = (
        "design",
        "success",
        "against the first",
        "failures",
        "effect",
        "true",
        "bias",
        "coverage",
        "named rightly",
        "patient-weeks",
        "on control",
        "deaths",
        "months",
    )
    rows = tuple(_row(made, c, first) for c in cells[:ROWS_IN_A_TABLE])
    said = [made.study.worlds[world].label + "."]
    if len(cells) > ROWS_IN_A_TABLE:
        said.append(f"The first {ROWS_IN_A_TABLE} of {len(cells)} designs; cells.csv has all.")
    return Part(f"Performance in the world {world}", tuple(said), columns, rows)


def _looks(made: DesignResult) -> list[Part]:
    """What happened at each look of each design, where designs have some."""
    rows = []
    for cell in made.cells:
        for k, look in enumerate(cell.seen.looks if cell.seen is not None else (), start=1):
            assert cell.seen is not None
            last = k == len(cell.seen.looks)
            rows.append(
                (
                    cell.design.label,
                    made.study.worlds[cell.world].label,
                    "end" if last else str(k),
                    f"{100 * look.held:.1f} %",
                    f"{100 * look.efficacy:.1f} %",
                    "" if last else f"{100 * look.futility:.1f} %",
                    "" if last else f"{100 * look.gate:.1f} %",
                    f"{100 * look.mc_error:.1f}",
                    _number(look.information if math.isfinite(look.information) else None),
                    _number(look.month if math.isfinite(look.month) else None),
                    f"{cell.seen.patients:.0f}" if last else "",
                    f"{100 * cell.seen.regardless:.1f} ± {100 * cell.seen.regardless_error:.1f} %" if last else "",
                )
            )
    if not rows:
        return []
    said = ["Shares of all trials that stopped there. Futility is followed; the last column ignores it."]
    if len(rows) > ROWS_IN_A_TABLE:
        said.append(f"The first {ROWS_IN_A_TABLE} of {len(rows)} rows; cells.csv has all.")
    columns = (
        "design",
        "world",
        "look",
        "came so far",
        "efficacy",
        "futility",
        "another test",
        "error of what stopped",
        "information",
        "month",
        "patients, mean",
        "rejects if futility is ignored",
    )
    return [Part("Looks", tuple(said), columns, tuple(rows[:ROWS_IN_A_TABLE]))]


def _row(made: DesignResult, cell: Cell, first: Cell) -> tuple[str, ...]:
    apart = "" if cell is first else made.difference(cell, first)
    gap = "" if isinstance(apart, str) else f"{100 * apart.difference:+.1f} ± {100 * apart.mc_error:.1f}"
    bias = "" if cell.bias is None or cell.bias_error is None else f"{cell.bias:+.2f} ± {cell.bias_error:.2f}"
    return (
        cell.design.label,
        f"{100 * cell.success:.1f} ± {100 * cell.mc_error:.1f} %",
        gap,
        str(cell.failures),
        _number(cell.effect),
        _number(cell.true_effect),
        bias,
        _percent(cell.coverage),
        _percent(cell.named_rightly),
        f"{cell.patient_weeks:.0f}",
        f"{cell.control_weeks:.0f}",
        f"{cell.deaths:.1f}",
        f"{cell.months:.0f}",
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _shares(cell: Cell) -> dict[str, Any]:
    return {"success": cell.success, "mc_error": cell.mc_error}


def _groups(made: DesignResult) -> Iterable[tuple[tuple[Any, ...], list[Cell]]]:
    """Cells that differ in weeks and world alone."""
    out: dict[tuple[Any, ...], list[Cell]] = {}
    for c in made.cells:
        d = c.design
        place = (d.primary, d.patients, d.ratio, d.extension, d.enrichment, d.treatments, d.adaptation)
        out.setdefault(place, []).append(c)
    return out.items()


def _place(made: DesignResult, place: tuple[Any, ...]) -> str:
    primary, patients, ratio, extension, enrichment, treatments, adaptation = place
    words = [f"{patients} patients"]
    words += [str(ratio)] if ratio else []
    words += [f"then {extension:g} weeks open"] if len(made.study.factors.extension) > 1 and extension else []
    words += [enrichment] if len(made.study.factors.enrichment) > 1 else []
    words += [treatments] if len(made.study.factors.treatments) > 1 else []
    words += [adaptation] if len(made.study.factors.adaptation) > 1 else []
    return f"{primary}: {', '.join(words)}"


def _file(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-").replace("--", "-")


def _replicates(made: DesignResult) -> str:
    counts = sorted({c.replicates for c in made.cells})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def report_markdown(made: DesignResult) -> str:
    """The report as Markdown; drawings are the files beside it."""
    out = [f"# {made.study.name}"]
    for part in parts_of(made):
        if not (part.said or part.rows or part.plots):
            continue
        out += [f"## {part.title}", *part.said]
        if part.rows:
            out.append("\n".join(_markdown_table(part.columns, part.rows)))
        for name, plot in part.plots:
            out.append(f"![{plot.description}]({name}.svg)")
    return "\n\n".join(out) + "\n"


def _markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    return [line(columns), "|" + " --- |" * len(columns), *map(line, rows)]


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2427; --paper: #fff; --muted: #566064; --line: #d8d7d0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6df; --paper: #171d1f; --muted: #a5afb0; --line: #38434a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0 auto; max-width: 68rem; padding: 1rem; }
table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } th, td { text-align: left; padding: 0.25rem 0.7rem 0.25rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); } th { color: var(--muted); font-weight: 600; }
td { min-width: 4rem; max-width: 40rem; } th[scope=row] { white-space: nowrap; }
figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; background: #fff; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; }
@media print { body { max-width: none; } section { break-inside: auto; } }
"""


def _cells(row: Sequence[str]) -> str:
    first, *rest = map(html.escape, row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{c}</td>" for c in rest)


def report_html(made: DesignResult) -> str:
    """The report as one HTML file that needs nothing else."""
    e = html.escape
    body = [f"<h1>{e(made.study.name)}</h1>"]
    count = 0
    for part in parts_of(made):
        if not (part.said or part.rows or part.plots):
            continue
        body.append(f"<section><h2>{e(part.title)}</h2>")
        body += [f"<p>{e(line)}</p>" for line in part.said]
        if part.rows:
            head = "".join(f'<th scope="col">{e(c)}</th>' for c in part.columns)
            rows = "".join(f"<tr>{_cells(row)}</tr>" for row in part.rows)
            label = f'role="region" tabindex="0" aria-label="{e(part.title)}"'
            body.append(f'<div class="wide" {label}><table><thead><tr>{head}</tr></thead>')
            body.append(f"<tbody>{rows}</tbody></table></div>")
        if part.plots:
            body.append('<div class="plots">')
            for _, plot in part.plots:
                count += 1
                body.append(f"<figure>{plot.svg(id=f'plot{count}')}</figure>")
            body.append("</div>")
        body.append("</section>")
    inside = "\n".join(body)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>{e(made.study.name)}: design study</title>'
        f"<style>{_STYLE}</style></head><body><main>\n{inside}\n</main></body></html>\n"
    )
