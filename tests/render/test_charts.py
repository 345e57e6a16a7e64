"""Charts: sound SVG in the page's colours, nothing lost at the edges."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from equipoise.document.document import CurvePanel, Curves, Dot, DotPanel, Dots, Forest, ForestPanel, Interval, Series
from equipoise.render.page.charts import _log_domain, svgs, themed

SVG = "{http://www.w3.org/2000/svg}"


def forest(*intervals: Interval, log: bool = False) -> Forest:
    panel = ForestPanel("Score", "points", 1.0 if log else 0.0, log, "worse", "better", intervals)
    return Forest((panel,))


def drawn(chart: Forest | Curves | Dots) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for _, svg in svgs(chart, "fig", "A title", "A description")]


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]


def test_title_description_and_role() -> None:
    (root,) = drawn(forest(Interval("All", "1.2 (0.1 to 2.3)", 1.2, 0.1, 2.3, "primary")))
    assert root.get("role") == "img"
    assert [root[0].tag, root[1].tag] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == "A title"
    assert root[1].text == "A description Score, points. All: 1.2 (0.1 to 2.3). No effect is at 0."
    assert root.get("aria-labelledby") == "fig-1-t fig-1-d"


def test_labels_and_numbers_of_a_forest_are_drawn() -> None:
    (root,) = drawn(
        forest(Interval("All <b>", "1.2 (0.1 to 2.3)", 1.2, 0.1, 2.3), Interval("Some", "2", 2.0, None, None))
    )
    found = texts(root)
    assert {"All <b>", "1.2 (0.1 to 2.3)", "Some", "2", "← worse", "better →"} <= set(found)


def test_an_interval_beyond_the_axis_ends_in_an_arrow() -> None:
    (within,) = drawn(forest(Interval("a", "x", 0.5, 0.3, 0.9), log=True))
    (beyond,) = drawn(forest(Interval("a", "x", 0.5, 0.01, 40.0), log=True))

    def paths(root: ElementTree.Element) -> int:
        return len([p for p in root.iter(f"{SVG}path") if p.get("d")])

    assert paths(beyond) == paths(within) + 2


def test_colours_are_variables_and_no_mark_is_left() -> None:
    (root,) = drawn(forest(Interval("All", "1.2", 1.2, 0.1, 2.3, "post_hoc"), Interval("All", "1", 1.0, 0.0, 2.0)))
    text = ElementTree.tostring(root, encoding="unicode")
    assert "#0a000" not in text
    assert "var(--ink" in text
    assert not [e for e in root.iter() if "font-family" in e.attrib]


@pytest.mark.parametrize("log", [False, True])
def test_curves_with_gaps_and_single_points(log: bool) -> None:
    weeks = (2.0, 4.0, 8.0)
    published = Series("Drug", "published", "active", weeks, (0.9, 0.8, 0.7), (None, 0.7, 0.6), (None, 0.9, None))
    lone = Series("None", "published", "control", (8.0,), (1.0,), (0.9,), (1.1,))
    band = Series("Drug", "simulated", "active", weeks, (0.9, 0.8, 0.7), (0.8, 0.7, 0.6), (1.0, 0.9, 0.8))
    panel = CurvePanel("Marker", "ratio", 1.0 if log else 0.0, log, (published, lone, band))
    (root,) = drawn(Curves((panel,), "Drug", "None"))
    assert "weeks" in texts(root)


def test_dots_are_clipped_to_the_reach_of_the_axis() -> None:
    panel = DotPanel("Score", (Dot("far", 40.0, 35.0, 45.0, True), Dot("near", 0.2, -1.0, 1.4, False)))
    (root,) = drawn(Dots((panel,)))
    assert {"far", "near"} <= set(texts(root))
    assert float(root.get("width", "0")) < 360


def test_every_panel_fits_a_phone(full_page: object) -> None:
    from equipoise.document.document import Figure, walk

    for figure in (n for n in walk(full_page) if isinstance(n, Figure)):
        for _, svg in svgs(figure.chart, figure.id, "t", "d"):
            assert float(ElementTree.fromstring(svg).get("width", "0")) <= 352


def test_log_axes_hold_the_null_and_some_ticks() -> None:
    for low, high in ((0.3, 0.9), (0.9, 1.1), (0.01, 50.0), (1.2, 7.0)):
        bottom, top, ticks = _log_domain(low, high, 1.0)
        assert bottom < 1.0 < top
        assert 1.0 in ticks
        assert len(ticks) >= 2
        assert all(bottom <= t <= top for t in ticks)


def test_curves_say_what_the_axis_is() -> None:
    series = Series("Drug", "published", "active", (0.0, 4.0), (1.0, 0.8), (None, 0.7), (None, 0.9))
    root = drawn(Curves((CurvePanel("Marker", "ratio to baseline", 1.0, True, (series,)),), "Drug", "Nothing"))[0]
    assert "ratio to baseline, logarithmic" in texts(root)


def test_panels_of_one_span_have_one_scale() -> None:
    def ticks(*values: float, span: tuple[float, float] | None = None) -> set[str]:
        series = Series("Drug", "simulated", "active", (4.0, 8.0), values, values, values)
        (root,) = drawn(Curves((CurvePanel("One", "%", 0.0, False, (series,), span=span),), "Drug", "Nothing"))
        return set(texts(root))

    assert ticks(3.0, 5.0) != ticks(60.0, 90.0)
    assert ticks(3.0, 5.0, span=(0.0, 100.0)) == ticks(60.0, 90.0, span=(0.0, 100.0)) >= {"0", "100"}


def test_each_panel_is_described_by_what_it_shows() -> None:
    def panel(title: str, value: float) -> CurvePanel:
        return CurvePanel(
            title,
            "points",
            0.0,
            False,
            (Series("Drug", "published", "active", (2.0, 4.0), (0.5, value), (None,) * 2, (None,) * 2),),
        )

    first, second = drawn(Curves((panel("One", -1.5), panel("Other", 2.0)), "Early start", "Delayed start"))
    assert first[1].text == (
        "A description One, points. Early start, published: 0.5 at week 2, \N{MINUS SIGN}1.5 at week 4."
    )
    assert second[1].text == "Other, points. Early start, published: 0.5 at week 2, 2 at week 4."


def test_ids_of_two_charts_do_not_meet() -> None:
    raw = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"><clipPath id="clip0"/>'
        '<g clip-path="url(#clip0)"/></svg>'
    )
    one, two = themed(raw, "a-1", "t", "d"), themed(raw, "b-1", "t", "d")
    assert 'id="a-1-clip0"' in one
    assert "url(#a-1-clip0)" in one
    assert "a-1" not in two
