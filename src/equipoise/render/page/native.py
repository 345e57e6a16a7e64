"""Forest plots and curves as charts of PowerPoint's own: their numbers, marks and words can be edited there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from equipoise.document.charts import CurvePanel, Curves, Forest, ForestPanel, Interval, Series

_INK, _MUTED, _GRID = "1C2427", "566064", "D9D8D1"
_ACTIVE, _CONTROL = "0B6B70", "9A3412"
_TONES = (
    ("Primary analysis", ("primary",), "DIAMOND", True),
    ("Planned, or not stated", ("main", "check"), "SQUARE", True),
    ("Not pre-specified", ("post_hoc",), "SQUARE", False),
)
_LETTERS = 10.0


def add_charts(slide: Any, chart: Forest | Curves, places: Sequence[tuple[float, float, float, float]]) -> list[Any]:
    """One chart for each panel at (left, top, width, height) in inches; the frames that hold them.

    A forest plot is a scatter of estimates with horizontal error bars for their intervals, each point labelled with
    its analysis and numbers; a panel of curves is a scatter by week with vertical ones, simulated means as lines and
    their ranges dashed.
    """
    if isinstance(chart, Forest):
        return [_forest(slide, panel, place) for panel, place in zip(chart.panels, places, strict=True)]
    names = {"active": chart.active, "control": chart.control}
    return [_curves(slide, panel, names, place) for panel, place in zip(chart.panels, places, strict=True)]


def _forest(slide: Any, panel: ForestPanel, place: tuple[float, float, float, float]) -> Any:
    from pptx.chart.data import XyChartData
    from pptx.enum.chart import XL_LABEL_POSITION
    from pptx.util import Pt

    n = len(panel.intervals)
    rows = [(n - i, interval) for i, interval in enumerate(panel.intervals)]
    data, groups = XyChartData(), []
    for name, tones, marker, filled in _TONES:
        group = [(y, i) for y, i in rows if i.tone in tones]
        if group:
            series = data.add_series(name)
            for y, i in group:
                series.add_data_point(i.estimate, y)
            groups.append((group, marker, filled))
    line = data.add_series("No effect")
    line.add_data_point(panel.null, 0.4)
    line.add_data_point(panel.null, n + 0.9)
    frame = _added(slide, data, place)
    made = frame.chart
    drawn = list(made.plots[0].series)
    for series, (group, marker, filled) in zip(drawn[:-1], groups, strict=True):
        _mark(series, marker, _INK, filled)
        ends = [_ends(i) for _, i in group]
        _error_bars(series, "x", [low for low, _ in ends], [high for _, high in ends], _INK)
        for k, (_, interval) in enumerate(group):
            label = series.points[k].data_label
            label.position = XL_LABEL_POSITION.ABOVE
            label.text_frame.text = f"{interval.label}: {interval.shown}"
            label.text_frame.paragraphs[0].runs[0].font.size = Pt(_LETTERS - 1)
    _line(drawn[-1], _MUTED, dashed=True)
    across, up = made.category_axis, made.value_axis
    up.visible, up.minimum_scale, up.maximum_scale, up.has_major_gridlines = False, 0.4, n + 0.9, False
    shown = [x for i in panel.intervals for x in (i.estimate, i.low, i.high) if x is not None]
    _axis(across, [*shown, panel.null], panel.log)
    across.has_major_gridlines = False
    _title(across, _words(panel))
    return frame


def _words(panel: ForestPanel) -> str:
    sides = [f"← {panel.better_low}" if panel.better_low else "", f"{panel.better_high} →" if panel.better_high else ""]
    return "   ".join(part for part in (sides[0], panel.axis, sides[1]) if part)


def _ends(interval: Interval) -> tuple[float, float]:
    """How far an interval reaches below and above its estimate; nothing where an end is open or was not printed."""
    low, high = interval.low, interval.high
    return (
        0.0 if low is None else max(interval.estimate - low, 0.0),
        0.0 if high is None else max(high - interval.estimate, 0.0),
    )


def _curves(slide: Any, panel: CurvePanel, names: dict[str, str], place: tuple[float, float, float, float]) -> Any:
    from pptx.chart.data import XyChartData

    data = XyChartData()
    parts: list[tuple[Series, str]] = []

    def add(s: Series, kind: str, values: Sequence[float | None]) -> None:
        if any(v is None for v in values):
            return
        added = data.add_series(f"{names[s.arm]}, {kind}")
        for week, value in zip(s.weeks, values, strict=True):
            added.add_data_point(week, value)
        parts.append((s, kind))

    for s in panel.series:
        if s.kind == "simulated":
            add(s, "simulated", s.values)
            add(s, "simulated, lower end of the range", s.low)
            add(s, "simulated, upper end of the range", s.high)
    for s in panel.series:
        if s.kind == "published":
            add(s, "published", s.values)
    frame = _added(slide, data, place)
    made = frame.chart
    for series, (s, kind) in zip(made.plots[0].series, parts, strict=True):
        colour = _ACTIVE if s.arm == "active" else _CONTROL
        if kind != "published":
            _line(series, colour, dashed=kind != "simulated")
            continue
        _mark(series, "CIRCLE" if s.arm == "active" else "SQUARE", colour, True)
        minus = [0.0 if x is None else max(v - x, 0.0) for v, x in zip(s.values, s.low, strict=True)]
        plus = [0.0 if x is None else max(x - v, 0.0) for v, x in zip(s.values, s.high, strict=True)]
        _error_bars(series, "y", minus, plus, colour)
    across, up = made.category_axis, made.value_axis
    shown = [x for s in panel.series for part in (s.values, s.low, s.high) for x in part if x is not None]
    _axis(up, [*shown, panel.null], panel.log)
    across.has_major_gridlines = False
    across.minimum_scale = 0
    _plain_axis(across)
    _title(across, "Week")
    _title(up, panel.axis)
    return frame


# -- marks, lines and axes -----------------------------------------------------------------------------------------


def _added(slide: Any, data: Any, place: tuple[float, float, float, float]) -> Any:
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches, Pt

    frame = slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, *(Inches(x) for x in place), data)
    frame.chart.has_legend = False
    frame.chart.has_title = False
    frame.chart.font.size = Pt(_LETTERS)
    frame.chart.font.color.rgb = RGBColor.from_string(_INK)
    return frame


def _mark(series: Any, marker: str, colour: str, filled: bool) -> None:
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_MARKER_STYLE

    series.format.line.fill.background()
    series.marker.style = getattr(XL_MARKER_STYLE, marker)
    series.marker.size = 9 if marker == "DIAMOND" else 7
    series.marker.format.fill.solid()
    series.marker.format.fill.fore_color.rgb = RGBColor.from_string(colour if filled else "FFFFFF")
    series.marker.format.line.color.rgb = RGBColor.from_string(colour)


def _line(series: Any, colour: str, *, dashed: bool) -> None:
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_MARKER_STYLE
    from pptx.enum.dml import MSO_LINE_DASH_STYLE
    from pptx.util import Pt

    series.marker.style = XL_MARKER_STYLE.NONE
    series.format.line.color.rgb = RGBColor.from_string(colour)
    series.format.line.width = Pt(1.0 if dashed else 2.0)
    if dashed:
        series.format.line.dash_style = MSO_LINE_DASH_STYLE.DASH


def _error_bars(series: Any, direction: str, minus: Sequence[float], plus: Sequence[float], colour: str) -> None:
    """Error bars of given lengths, which python-pptx cannot write: ECMA-376, part 1, 21.2.2.55 (``errBars``)."""
    from pptx.oxml import parse_xml
    from pptx.oxml.ns import nsdecls, qn

    def numbers(tag: str, values: Sequence[float]) -> str:
        points = "".join(f'<c:pt idx="{i}"><c:v>{v:.10g}</c:v></c:pt>' for i, v in enumerate(values))
        count = f'<c:formatCode>General</c:formatCode><c:ptCount val="{len(values)}"/>'
        return f"<c:{tag}><c:numLit>{count}{points}</c:numLit></c:{tag}>"

    bars = parse_xml(
        f'<c:errBars {nsdecls("c", "a")}><c:errDir val="{direction}"/><c:errBarType val="both"/>'
        f'<c:errValType val="cust"/><c:noEndCap val="1"/>{numbers("plus", plus)}{numbers("minus", minus)}'
        f'<c:spPr><a:ln w="15875"><a:solidFill><a:srgbClr val="{colour}"/></a:solidFill></a:ln></c:spPr></c:errBars>'
    )
    series._element.find(qn("c:xVal")).addprevious(bars)


def _axis(axis: Any, shown: Sequence[float], log: bool) -> None:
    """An axis that holds what is shown, logarithmic to the base of two where the chart is."""
    from pptx.oxml import parse_xml
    from pptx.oxml.ns import nsdecls, qn

    _plain_axis(axis)
    low, high = min(shown), max(shown)
    if log and low > 0:
        axis._element.find(qn("c:scaling")).insert(0, parse_xml(f'<c:logBase {nsdecls("c")} val="2"/>'))
        axis.minimum_scale = 2.0 ** math.floor(math.log2(low))
        axis.maximum_scale = 2.0 ** math.ceil(math.log2(high))
        axis.tick_labels.number_format = "0.##"
    else:
        step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
        step = step / 2 if (high - low) / step < 5 else step
        axis.minimum_scale, axis.maximum_scale = math.floor(low / step) * step, math.ceil(high / step) * step
        axis.tick_labels.number_format = "General"
    axis.tick_labels.number_format_is_linked = False


def _plain_axis(axis: Any) -> None:
    from pptx.dml.color import RGBColor
    from pptx.enum.chart import XL_TICK_LABEL_POSITION

    axis.tick_label_position = XL_TICK_LABEL_POSITION.LOW
    axis.format.line.color.rgb = RGBColor.from_string(_MUTED)
    if axis.has_major_gridlines:
        axis.major_gridlines.format.line.color.rgb = RGBColor.from_string(_GRID)


def _title(axis: Any, text: str) -> None:
    from pptx.util import Pt

    axis.has_title = True
    axis.axis_title.text_frame.text = text
    font = axis.axis_title.text_frame.paragraphs[0].runs[0].font
    font.size, font.bold = Pt(_LETTERS), False
