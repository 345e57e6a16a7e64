"""How should the next trial be designed? The stored results of a shipped design study on this trial's scenario.

Every figure is printed by the command behind it; the whole study is simulated again by the command in the caption.
"""

from __future__ import annotations

import math
from typing import Any

from equipoise.appraise.context import Context
from equipoise.appraise.numbers import in_percent, number
from equipoise.design import stored
from equipoise.document.charts import CurvePanel, Curves, Series
from equipoise.document.document import (
    Block,
    Computed,
    Figure,
    Fold,
    Inline,
    Inlines,
    Listing,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
)

STUDIES = ("next-als",)
"""Shipped design studies with stored results, each on one scenario."""

PRIMARY, EVERYONE = "ancova", "all"
_PRINT = 'python -c "from equipoise.design.stored import {call}"'
_WHAT = "success of designs in worlds, with Monte Carlo errors"


def longer_or_larger(ctx: Context) -> Inlines:
    """What more weeks, and what more patients, would have given."""
    told = _told(ctx)
    return () if told is None else told.answer()


def smallest_designs(ctx: Context) -> Inlines:
    """The smallest design that reaches the success wanted, truth by truth."""
    told = _told(ctx)
    return () if told is None else told.smallest()


def designs_in_error(ctx: Context) -> Inlines:
    """How often designs succeed where the drug does nothing, harms, or only relieves symptoms."""
    told = _told(ctx)
    return () if told is None else told.errors()


def _told(ctx: Context) -> _Told | None:
    name = next((n for n in STUDIES if stored.stored(n)["base"] == ctx.record.id), None)
    return None if name is None else _Told(ctx, name)


def build(ctx: Context) -> Section | None:
    """The section, for a trial on whose scenario a design study with stored results rests."""
    told = _told(ctx)
    if told is None:
        return None
    blocks: list[Block] = [
        Paragraph(told.answer(), lead=True),
        told.figure(),
        Fold(
            "f-next-smallest",
            ctx.writer.words("The smallest designs, and how often they err"),
            (Paragraph(told.smallest()), Paragraph(told.errors())),
        ),
        Fold("f-next-primary", ctx.writer.words("Which primary analysis, and whom to recruit?"), told.choices()),
        Fold("f-next-bias", ctx.writer.words("What the estimate would say"), told.bias()),
        Fold("f-next-limits", ctx.writer.words("What this rests on, and what it cannot say"), told.limits()),
    ]
    return Section("next-trial", ctx.writer.words("How should the next trial be designed?"), tuple(blocks))


class _Told:
    """Sentences, tables and the drawing of one stored study."""

    def __init__(self, ctx: Context, name: str) -> None:
        self.ctx, self.name, self.all = ctx, name, stored.stored(name)
        self.weeks = sorted({c["weeks"] for c in self.all["cells"]})
        self.patients = sorted({c["patients"] for c in self.all["cells"]})
        self.worlds: dict[str, str] = self.all["worlds"]
        self.working = [w for w in self.worlds if w not in self.all["no_effect"]]
        for label in (*self.worlds.values(), *self.all["primaries"].values(), *self.all["enrichments"].values()):
            ctx.writer.register(label)
            ctx.writer.register(_after(label))

    # -- numbers -------------------------------------------------------------------------------------------------------

    def _by(self, text: str, call: str) -> Computed:
        command = _PRINT.format(call=call)
        return self.ctx.writer.by_command(text, command, _WHAT, f"stored results of: {self.all['command']}")

    def _cells(self, world: str, **levels: Any) -> list[dict[str, Any]]:
        return stored.cells(self.name, world, **levels)

    def _listed(self, text: str, world: str | None, **levels: Any) -> Computed:
        """A figure that stands in the stored cells of a world with these levels."""
        given = "".join(f", {k}={v!r}" for k, v in levels.items())
        place = "" if world is None else f", {world!r}"
        return self._by(text, f"printed; print(printed({self.name!r}{place}{given}))")

    def _share(self, cell: dict[str, Any], key: str = "success") -> Inline:
        if cell[key] is None:
            return Text("–")
        levels = {k: cell[k] for k in ("primary", "enrichment")}
        return self._listed(f"{in_percent(cell[key])} %", cell["world"], **levels)

    def _one(self, world: str, **levels: Any) -> dict[str, Any]:
        (found,) = self._cells(world, **{"primary": PRIMARY, "enrichment": EVERYONE, **levels})
        return found

    def _week(self, weeks: float) -> Computed:
        return self._listed(f"{weeks:g}", None, primary=PRIMARY, enrichment=EVERYONE)

    def _people(self, patients: int) -> Computed:
        return self._listed(f"{patients}", None, primary=PRIMARY, enrichment=EVERYONE)

    # -- what is said --------------------------------------------------------------------------------------------------

    def late(self) -> list[str]:
        """Truths with a lag in which 52 weeks gain clearly more than twice the patients, and all with a longer lag.

        Clearly: by more than 1.96 Monte Carlo errors of the difference between the two shares of success.
        """
        found: list[str] = []
        for world in reversed([w for w in self.working if w.startswith("lag")]):
            longer = self._one(world, weeks=52.0, patients=self.patients[0])
            larger = self._one(world, weeks=28.0, patients=self.patients[-1])
            error = math.hypot(longer["mc_error"], larger["mc_error"])
            if longer["success"] - larger["success"] <= 1.96 * error:
                break
            found.insert(0, world)
        return found

    def answer(self) -> Inlines:
        """From which lag on weeks gain more than patients do, and the shares in the middle one of those truths."""
        late, writer = self.late(), self.ctx.writer
        world = late[len(late) // 2] if late else [w for w in self.working if w.startswith("lag")][-1]
        short, middle, long = (self._one(world, weeks=w, patients=self.patients[0]) for w in (28.0, 52.0, 76.0))
        more = self._one(world, weeks=28.0, patients=self.patients[-1])
        rule = writer.words("However late the drug acts, twice the patients gain as much as more weeks. ")
        if late:
            rule = writer.say(
                "If the drug slows the loss of function only {lag} or more, {w} weeks gain more than twice the "
                "patients; if sooner, twice the patients gain as much or more. ",
                lag=writer.label(_after(self.worlds[late[0]])),
                w=self._week(52.0),
            )
        shares = writer.say(
            "If {lag}, {n} patients meet the endpoint in {a} of repeats when randomised for {w1} weeks, in {b} at {w2} "
            "and in {c} at {w3}; twice the patients at {w1} weeks: {d}.",
            lag=writer.label(_after(self.worlds[world])),
            n=self._people(self.patients[0]),
            a=self._share(short),
            b=self._share(middle),
            c=self._share(long),
            d=self._share(more),
            w1=self._week(28.0),
            w2=self._week(52.0),
            w3=self._week(76.0),
        )
        return (*rule, *shares)

    def figure(self) -> Figure:
        """Success against weeks, a panel a world, with its numbers as a table."""
        writer = self.ctx.writer
        panels, rows = [], []
        for world in (*self.all["no_effect"], *self.working):
            series = []
            for arm, patients in (("active", self.patients[-1]), ("control", self.patients[0])):
                cells = [self._one(world, weeks=w, patients=patients) for w in self.weeks]
                shares = [100 * c["success"] for c in cells]
                errors = [196 * c["mc_error"] for c in cells]
                series.append(
                    Series(
                        label=f"{patients} patients",
                        kind="simulated",
                        arm=arm,  # type: ignore[arg-type]
                        weeks=tuple(self.weeks),
                        values=tuple(shares),
                        low=tuple(max(s - e, 0.0) for s, e in zip(shares, errors, strict=True)),
                        high=tuple(min(s + e, 100.0) for s, e in zip(shares, errors, strict=True)),
                    )
                )
                rows.append(
                    Row(
                        (
                            writer.label(self.worlds[world]),
                            (self._people(patients),),
                            *((self._share(c),) for c in cells),
                        )
                    )
                )
            target = 100 * self.all["target"]
            panels.append(CurvePanel(self.worlds[world], "success, %", target, False, tuple(series), span=(0.0, 100.0)))
        head = (writer.words("If the truth is"), writer.words("Patients"))
        table = Table(
            "t-next-weeks",
            writer.words("Trials that meet their primary endpoint, by weeks randomised."),
            (*head, *((self._week(w), Text(" weeks")) for w in self.weeks)),
            tuple(rows),
            (False, True, *(True for _ in self.weeks)),
        )
        people = [f"{n} patients" for n in self.patients]
        for label in people:
            writer.register(label)
        return Figure(
            "fig-next-weeks",
            writer.words("Success by weeks randomised, for each truth"),
            writer.words("Each panel is one truth; the dashed line is the success wanted. Bands: Monte Carlo error."),
            Curves(tuple(panels), active=people[-1], control=people[0]),
            writer.say(
                "Primary analysis: {p}; everyone recruited, then an open extension. {n} virtual trials a point. "
                "Simulate it again: {c}.",
                p=writer.label(_lower(self.all["primaries"][PRIMARY])),
                n=self._listed(f"{self.all['replicates']:,}", None, primary=PRIMARY, enrichment=EVERYONE),
                c=writer.label(self._command()),
            ),
            table,
        )

    def _command(self) -> str:
        command = str(self.all["command"])
        self.ctx.writer.register(command)
        return command

    def smallest(self) -> Inlines:
        """The smallest design that reaches the target, world by world."""
        writer = self.ctx.writer
        parts: list[Inline] = []
        for world in self.working:
            call = f"smallest; print(smallest({self.name!r}, {world!r}))"
            best = stored.smallest(self.name, world)
            label = writer.label(self.worlds[world])
            if best is None:
                said = writer.say("none of them", x=Text(""))
            else:
                said = writer.say(
                    "{w} weeks and {n} patients, {r}, by {p} ({s})",
                    r=writer.label(self.all["enrichments"][best["enrichment"]]),
                    w=self._by(f"{best['weeks']:g}", call),
                    n=self._by(str(best["patients"]), call),
                    p=writer.label(_short(self.all["primaries"][best["primary"]])),
                    s=self._by(f"{in_percent(best['success'])} %", call),
                )
            parts += [*(writer.words("; ") if parts else ()), *label, *writer.words(": "), *said]
        target = self._by(f"{in_percent(self.all['target'])} %", f"stored; print(stored({self.name!r})['target'])")
        lead = writer.say("The smallest design, by patients and then weeks, that reaches {t} success: ", t=target)
        return (*lead, *parts, Text("."))

    def errors(self) -> Inlines:
        """How often a drug that does nothing, or harms, succeeds, and how often relief of symptoms passes for more."""
        writer = self.ctx.writer

        def worst(world: str) -> Computed:
            """The highest share of success of any design."""
            most = max(c["success"] for c in self._cells(world))
            call = f"cells; print(max(c['success'] for c in cells({self.name!r}, {world!r})))"
            return self._by(f"{in_percent(most, 1)} %", call)

        relief = self._cells("symptomatic", primary="delayed_start")
        wrong = max(relief, key=lambda c: c["success"])
        seldom = wrong["success"] < 0.05
        how = "such a drug rarely passes" if seldom else "such a drug may well pass"
        return writer.say(
            "If the drug does nothing, no design succeeds in more than {x} of repeats; that is an error rate explored, "
            "not proven, and of so many designs the highest is high by chance. If it harms by as many points as the "
            "fitted drug relieves, harm is taken for benefit in no more than {h}. If it only relieves symptoms, the "
            "questions of a delayed start all say yes in at most {y}: " + how + " for one that changes the disease.",
            x=worst("none"),
            h=worst("harm"),
            y=self._share(wrong),
        )

    def choices(self) -> tuple[Block, ...]:
        """Primary analyses and enrichment at one length and size."""
        writer, weeks, patients = self.ctx.writer, 52.0, self.patients[-1]
        shown = [w for w in self.worlds if w in (*self.all["no_effect"], "symptomatic", "lag0", "lag13", "lag26")]
        rows = []
        for primary, label in self.all["primaries"].items():
            for who, words in self.all["enrichments"].items():
                cells = [self._one(w, weeks=weeks, patients=patients, primary=primary, enrichment=who) for w in shown]
                rows.append(Row((writer.label(label), writer.label(words), *((self._share(c),) for c in cells))))
        heads = (*writer.heads("Primary analysis", "Recruited"), *(writer.label(self.worlds[w]) for w in shown))
        table = Table(
            "t-next-primary",
            writer.say("Success at {w} weeks with {n} patients.", w=self._week(weeks), n=self._people(patients)),
            heads,
            tuple(rows),
            (False, False, *(True for _ in shown)),
        )
        named = [self._one("lag13", weeks=w, patients=patients, primary="delayed_start") for w in (28.0, 52.0, 76.0)]
        said = writer.say(
            "The questions of a delayed start name a slowing {lag} rightly in {a}, {b} and {c} of trials of {n} "
            "patients randomised for {w1}, {w2} and {w3} weeks.",
            lag=writer.label(_after(self.worlds["lag13"])),
            a=self._share(named[0], "named_rightly"),
            b=self._share(named[1], "named_rightly"),
            c=self._share(named[2], "named_rightly"),
            n=self._people(patients),
            w1=self._week(28.0),
            w2=self._week(52.0),
            w3=self._week(76.0),
        )
        return (table, Paragraph(said))

    def bias(self) -> tuple[Block, ...]:
        """Mean estimate beside the true effect."""
        writer, patients, world = self.ctx.writer, self.patients[-1], "lag0"
        rows = []
        for primary in (PRIMARY, "mmrm"):
            for weeks in self.weeks:
                c = self._one(world, weeks=weeks, patients=patients, primary=primary)
                levels = {"primary": primary, "enrichment": EVERYONE}
                cells = [
                    (self._listed(number(c[k], 1), world, **levels),) for k in ("effect", "true_effect", "bias")
                ] + [(self._share(c, "coverage"),)]
                rows.append(Row((writer.label(self.all["primaries"][primary]), (self._week(weeks),), *cells)))
        table = Table(
            "t-next-bias",
            writer.say(
                "Points on the scale of function, {n} patients, if the truth is: {t}.",
                n=self._people(patients),
                t=writer.label(self.worlds[world]),
            ),
            writer.heads("Analysis", "Weeks", "Mean estimate", "True effect", "Difference", "Intervals that hold it"),
            tuple(rows),
            (False, True, True, True, True, True),
        )
        said = writer.words(
            "The true effect is that on patients none of whom leaves or dies, on a scale that ends at zero. The longer "
            "the trial, the more of those on placebo would stand at zero, where a score can fall no further; analyses "
            "that take the missing scores from the course of those who stay follow that course below zero, and so "
            "overstate what the drug saves. At the longest length that is a large part of the effect. An effect of "
            "nothing stays nothing, so that no success is made by it; but the size of the estimate must not be taken "
            "at its word. Say in the estimand what a score after death or ventilation means."
        )
        return (table, Paragraph(said))

    def limits(self) -> tuple[Block, ...]:
        """The assumptions, one line each."""
        writer = self.ctx.writer
        lines = (
            "Patients, disease and drug are those of the rebuilt trial, whose drug predicts most of the later "
            "differences too weak. If the drug is stronger than that, every success rate here is too low.",
            "No truth is called likely: read across the rows that you believe in.",
            "Recruitment is an assumed, steady stream; how many would stay on placebo for longer than half a year when "
            "a drug can be had is not in these numbers.",
        )
        return (Listing(tuple(writer.words(line) for line in lines)),)


def _after(label: str) -> str:
    """ "slowing after N weeks" inside a sentence that speaks of slowing."""
    return label.removeprefix("slowing ")


def _lower(label: str) -> str:
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def _short(label: str) -> str:
    return _lower(label.partition(",")[0])
