"""A small reader of HTML for the tests: elements with their attributes, text and ancestors."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input", "source", "wbr", "area", "base", "col", "embed", "track"}


@dataclass
class Element:
    tag: str
    attrs: dict[str, str]
    parents: tuple[Element, ...]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def inside(self, tag: str) -> bool:
        return any(p.tag == tag for p in self.parents)


class Page(HTMLParser):
    """Parses a page; raises AssertionError on tags that do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open, [e.tag for e in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {k: v or "" for k, v in attrs}, tuple(self._open))
        if self._open:
            self._open[-1].children.append(element)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attrs: str) -> list[Element]:
        wanted = {k.rstrip("_").replace("_", "-"): v for k, v in attrs.items()}
        return [
            e for e in self.elements if e.tag == tag and all(v in e.attrs.get(k, "").split() for k, v in wanted.items())
        ]

    @property
    def ids(self) -> list[str]:
        return [e.attrs["id"] for e in self.elements if "id" in e.attrs]


class _Visible(HTMLParser):
    """Gathers the text that a reader sees with every fold closed; see :func:`visible`."""

    def __init__(self, sections: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.sections = sections
        self.told: list[str] = []
        self._open: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append((tag, {k: v or "" for k, v in attrs}))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def _unfolded(self, i: int) -> bool:
        """Whether the details at depth ``i`` is open: as written, or because it is a section of the page itself."""
        part = "part" in self._open[i][1].get("class", "").split()
        whole = sum(tag == "section" for tag, _ in self._open[:i]) == 1
        named = next((a.get("id") for tag, a in self._open if tag == "section"), "")
        chosen = self.sections and part and whole and named not in ("sources", "computed")
        return "open" in self._open[i][1] or chosen

    def handle_data(self, data: str) -> None:
        for i, (tag, attrs) in enumerate(self._open):
            if tag in ("head", "script", "style", "title", "desc") or "hidden" in attrs:
                return
            summary = i + 1 < len(self._open) and self._open[i + 1][0] == "summary"
            if tag == "details" and not summary and not self._unfolded(i):
                return
            gist = any("gist" in a.get("class", "").split() for _, a in self._open[i:])
            if tag == "details" and summary and gist and self._unfolded(i):
                return  # the summary of an open section is not shown
        self.told.append(data)


def visible(html: str, *, sections: bool = False) -> str:
    """What a reader of a page sees, words of drawings included; with ``sections`` after opening every section, the
    list of sources and of commands apart. What is folded inside a section stays closed."""
    reader = _Visible(sections)
    reader.feed(html)
    reader.close()
    return " ".join(" ".join(reader.told).split())
