"""The page as an immutable document: sections of blocks, blocks of inline runs, a register of where numbers are from.

The one rule of the model: **prose holds no number**. :class:`Text` refuses every digit and every number word from
three upwards (:class:`UncitedNumberError`), so a number can enter a document only as

* :class:`Cited` - a published number, tied to entries of ``Document.citations`` (source, place, confidence),
* :class:`Computed` - a number worked out here, tied to an entry of ``Document.computations`` (the command that gives
  it),
* :class:`Name` - a proper name or label that happens to hold a digit (``SOD1``, ``NCT02623699``, ``week 28``). Every
  name must be in ``Document.names``, which the builder draws from the record's own labels and a short glossary; it can
  never be a bare number.

:func:`check` walks a document and raises on a name that is not registered, on a link, citation or computation that
leads nowhere, on ids used twice, and on a drawing that holds more than shapes and words; a :class:`Document` runs it
when it is built, so that one which exists is sound.

Everything is frozen and made of tuples and strings; :func:`to_dict` and :func:`from_dict` are inverse to each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

from equipoise.document.charts import Chart as Chart
from equipoise.document.charts import CurvePanel as CurvePanel
from equipoise.document.charts import Curves as Curves
from equipoise.document.charts import Densities as Densities
from equipoise.document.charts import DensityPanel as DensityPanel
from equipoise.document.charts import Dot as Dot
from equipoise.document.charts import DotPanel as DotPanel
from equipoise.document.charts import Dots as Dots
from equipoise.document.charts import Drawing as Drawing
from equipoise.document.charts import Forest as Forest
from equipoise.document.charts import ForestPanel as ForestPanel
from equipoise.document.charts import Interval as Interval
from equipoise.document.charts import Series as Series
from equipoise.document.shapes import beyond_shapes

_WORDS = (
    "three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen"
)
NUMBER_WORD = re.compile(r"\b(?:" + "|".join(_WORDS.split()) + r")s?(?:-\w+)?\b", re.IGNORECASE)
"""A number word from three upwards, with what is hyphenated to it (``twenty-eight``)."""
_DIGIT = re.compile(r"[0-9]")
_ID = re.compile(r"^[A-Za-z][A-Za-z0-9_.:-]*$")


class UncitedNumberError(ValueError):
    """A number was written into prose without a citation or a computation."""


class DocumentError(ValueError):
    """A document is not sound: a link leads nowhere, an id is used twice, a name is not registered."""


def bare_number(text: str) -> str | None:
    """The first digit or number word (three and upwards) of ``text``, or None if it holds none."""
    if text.isascii():
        if digit := _DIGIT.search(text):
            return digit.group(0)
    else:
        for c in text:
            if (not c.isascii() and unicodedata.category(c) in {"Nd", "Nl", "No"}) or "0" <= c <= "9":
                return c
    match = NUMBER_WORD.search(text)
    return match.group(0) if match else None


# -- inline runs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """Plain words; raises :class:`UncitedNumberError` if they hold a number."""

    text: str

    def __post_init__(self) -> None:
        if found := bare_number(self.text):
            raise UncitedNumberError(f"{found!r} stands in prose without a source or a command: {self.text!r}")


@dataclass(frozen=True, slots=True)
class Name:
    """A proper name or label that holds a digit. It must hold a letter too, and be listed in ``Document.names``."""

    text: str

    def __post_init__(self) -> None:
        if not any(c.isalpha() for c in self.text):
            raise UncitedNumberError(f"{self.text!r} is a bare number, not a name")


@dataclass(frozen=True, slots=True)
class Cited:
    """A published number (or short fact) as shown, with the ids of its citations, main source first.

    ``quiet``: traced like any other, but set without a link, because it is a word that is a number (the weeks of a
    trial, a phase, a level) or because the same link stands beside it.
    """

    text: str
    refs: tuple[str, ...]
    quiet: bool = False

    def __post_init__(self) -> None:
        if not self.text.strip() or not self.refs:
            raise UncitedNumberError(f"a cited value needs text and a citation: {self.text!r}")


@dataclass(frozen=True, slots=True)
class Computed:
    """A number worked out here, as shown, with the id of the computation that gives it; ``quiet`` as of a citation."""

    text: str
    computation: str
    quiet: bool = False

    def __post_init__(self) -> None:
        if not self.text.strip() or not self.computation:
            raise UncitedNumberError(f"a computed value needs text and a computation: {self.text!r}")


@dataclass(frozen=True, slots=True)
class Code:
    """A command, an address or a code; the only run in which digits are free."""

    text: str


@dataclass(frozen=True, slots=True)
class Strong:
    """Strong emphasis."""

    content: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Emphasis:
    """Light emphasis."""

    content: tuple[Inline, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link to an id of this document (``#id``) or to an http(s) address."""

    content: tuple[Inline, ...]
    target: str


@dataclass(frozen=True, slots=True)
class Bar:
    """An estimate with its interval, drawn small inside a cell on an axis that the rows of a table share.

    The numbers stand in words in another cell of the row, so that nothing is lost to those who cannot see it.
    """

    low_end: float
    high_end: float
    null: float | None
    estimate: float
    low: float | None = None
    high: float | None = None
    log: bool = False
    tone: Literal["main", "good", "bad"] = "main"


Inline: TypeAlias = Text | Name | Cited | Computed | Code | Strong | Emphasis | Link | Bar
Inlines: TypeAlias = tuple[Inline, ...]


# -- blocks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; ``lead`` sets it larger."""

    content: Inlines
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, numbered or not."""

    items: tuple[Inlines, ...]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Terms with what is said of them."""

    items: tuple[tuple[Inlines, Inlines], ...]


@dataclass(frozen=True, slots=True)
class Stat:
    """One key figure: what it is, its value, and a remark."""

    label: Inlines
    value: Inlines
    remark: Inlines = ()
    tone: Literal["plain", "good", "bad", "open"] = "plain"


@dataclass(frozen=True, slots=True)
class Stats:
    """A row of key figures."""

    items: tuple[Stat, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One table row; its first cell is the row's header. ``heading`` rows span the table and start a group.

    ``tags`` are what a :class:`Filter` of the page goes by, each ``group:value``.
    """

    cells: tuple[Inlines, ...]
    heading: bool = False
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table with caption; ``numeric`` says per column whether to align as numbers."""

    id: str
    caption: Inlines
    columns: tuple[Inlines, ...]
    rows: tuple[Row, ...]
    numeric: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if not row.heading and len(row.cells) != len(self.columns):
                raise DocumentError(f"table {self.id}: a row of {len(row.cells)} cells under {len(self.columns)}")


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with title, description for those who cannot see it, caption, and the same numbers as a table."""

    id: str
    title: Inlines
    description: Inlines
    chart: Chart
    caption: Inlines
    table: Table


@dataclass(frozen=True, slots=True)
class Note:
    """A remark set apart. ``illustration``: what follows from judgements that are one example, no finding."""

    tone: Literal["info", "caution", "key", "illustration"]
    title: Inlines
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer is hidden until asked for.

    ``roles`` (the first its home), ``specialties``, ``stage`` and ``level`` are keys of
    :mod:`equipoise.document.readers`; ``position`` is its place in the bank.
    """

    id: str
    question: Inlines
    answer: tuple[Block, ...]
    roles: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()
    stage: str | None = None
    level: str | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """Boxes to tick: rows of every table that carry a tag of ``group`` are shown only if their value is ticked."""

    id: str
    group: str
    title: Inlines
    options: tuple[tuple[str, Inlines], ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks kept out of the way until opened."""

    id: str
    title: Inlines
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One thing among several of its kind, such as a trial: a title, what is said of it, and a word on the outcome."""

    title: Inlines
    facts: tuple[tuple[Inlines, Inlines], ...]
    verdict: Inlines = ()
    tone: Literal["plain", "good", "bad", "open"] = "plain"


@dataclass(frozen=True, slots=True)
class Cards:
    """Cards side by side, in order."""

    items: tuple[Card, ...]


Block: TypeAlias = Paragraph | Listing | Facts | Stats | Table | Figure | Note | Question | Fold | Filter | Cards


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part; ``reader`` names the reader it is written for, if one.

    A section with a ``summary`` of one or two lines can be closed, and then shows that; ``open`` says whether it is
    open at first. ``notes`` are what a speaker says beside a slide.
    """

    id: str
    title: Inlines
    blocks: tuple[Block, ...]
    sections: tuple[Section, ...] = ()
    reader: str | None = None
    summary: Inlines = ()
    open: bool = False
    notes: tuple[Block, ...] = ()


# -- where numbers are from ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """A document that was read."""

    key: str
    title: str
    address: str | None = None
    what: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A place in a source, and how well the number was seen there."""

    id: str
    source: str
    place: str | None
    confidence: str
    note: str | None = None

    def __post_init__(self) -> None:
        if self.confidence == "recall":
            raise UncitedNumberError(f"{self.source} {self.place or ''}: a recalled number cannot be shown as fact")


@dataclass(frozen=True, slots=True)
class Computation:
    """How a computed number is had: what it is, by which method, and the command that prints it."""

    id: str
    what: str
    method: str
    command: str


@dataclass(frozen=True, slots=True)
class Document:
    """The page. Building one runs :func:`check`, so a document that exists is sound."""

    title: Inlines
    subtitle: Inlines
    record: str
    version: str
    audience: str | None
    sections: tuple[Section, ...]
    sources: tuple[Source, ...]
    citations: tuple[Citation, ...]
    computations: tuple[Computation, ...]
    names: tuple[str, ...]
    lang: str = "en-GB"
    kind: Literal["appraisal", "brief", "landscape", "slides"] = "appraisal"

    def __post_init__(self) -> None:
        check(self)

    def section(self, id: str) -> Section:
        """The section ``id``, at any depth; KeyError if there is none."""
        for node in walk(self):
            if isinstance(node, Section) and node.id == id:
                return node
        raise KeyError(id)


# -- walking and checking ------------------------------------------------------------------------------------------


def walk(node: Any) -> Iterator[Any]:
    """Yield ``node`` and every model object below it, in reading order."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(reversed(node))
        elif (names := _fields(type(node))) is not None:  # type: ignore[arg-type]
            yield node
            waiting.extend(getattr(node, name) for name in reversed(names))


@cache
def _fields(kind: type) -> tuple[str, ...] | None:
    """The names of a model's fields, kept since a walk asks at every node; None for what is no model."""
    return tuple(f.name for f in fields(kind)) if is_dataclass(kind) else None


_LINKED_IN = (Paragraph, Row, Stat, Question, Card)
"""What a reader takes in at once: within each, one link leads to one place."""


def linked_once(document: Document) -> Document:
    """The document with every link that repeats another close by made quiet.

    A place of a source is linked once in a paragraph, an item of a list or a row; a computation once in a table or
    figure, whose caption or first row carries the link. Every figure keeps its citation or computation.
    """

    def thin(node: Any, near: set[str], far: set[str]) -> Any:
        if isinstance(node, tuple):
            return tuple(thin(child, near, far) for child in node)
        if not is_dataclass(node) or isinstance(node, type):
            return node
        if isinstance(node, Cited | Computed):
            target = node.refs[0] if isinstance(node, Cited) else node.computation
            seen = near if isinstance(node, Cited) else far
            if node.quiet or target in seen:
                return replace(node, quiet=True)
            seen.add(target)
            return node
        if isinstance(node, Table | Figure):
            far = set()
        elif isinstance(node, _LINKED_IN):
            near, far = set(), far if isinstance(node, Row) else set()
        if isinstance(node, Listing):
            return replace(node, items=tuple(thin(item, set(), set()) for item in node.items))
        if isinstance(node, Facts):
            return replace(node, items=tuple(thin(item, set(), set()) for item in node.items))
        changed = {name: thin(getattr(node, name), near, far) for name in _fields(type(node)) or ()}
        same = all(child is getattr(node, name) for name, child in changed.items())
        return node if same else replace(node, **changed)

    return thin(document, set(), set())  # type: ignore[no-any-return]


def quiet(content: Inlines) -> Inlines:
    """The same runs without links: numbers stay traced, other links become their words.

    For places that are links or buttons themselves, such as the line that opens a section.
    """
    out: list[Inline] = []
    for run in content:
        if isinstance(run, Link):
            out.extend(quiet(run.content))
        elif isinstance(run, Cited | Computed):
            out.append(replace(run, quiet=True))
        elif isinstance(run, Strong | Emphasis):
            out.append(replace(run, content=quiet(run.content)))
        else:
            out.append(run)
    return tuple(out)


def plain(content: Inlines) -> str:
    """The words of inline runs, without marks."""
    out = []
    for run in content:
        if not isinstance(run, Bar):
            out.append(plain(run.content) if isinstance(run, Strong | Emphasis | Link) else run.text)
    return "".join(out)


def check(document: Document) -> None:
    """Raise :class:`DocumentError` or :class:`UncitedNumberError` if the document is not sound (see the module)."""
    ids: set[str] = set()
    for node in walk(document):
        id = getattr(node, "id", None)
        if id is None:
            continue
        if not _ID.match(id):
            raise DocumentError(f"{id!r} cannot be an anchor")
        if id in ids:
            raise DocumentError(f"the id {id!r} is used twice")
        ids.add(id)
    citations = {c.id for c in document.citations}
    computations = {c.id for c in document.computations}
    sources = {s.key for s in document.sources}
    names = set(document.names)
    for name in names:
        Name(name)
    for citation in document.citations:
        if citation.source not in sources:
            raise DocumentError(f"citation {citation.id} names the source {citation.source!r}, which is not listed")
    for node in walk((document.title, document.subtitle, document.sections)):
        if isinstance(node, Name) and node.text not in names:
            raise UncitedNumberError(f"{node.text!r} is not a registered name")
        if isinstance(node, Cited):
            for ref in node.refs:
                if ref not in citations:
                    raise DocumentError(f"{node.text!r} cites {ref!r}, which is not listed")
        if isinstance(node, Computed) and node.computation not in computations:
            raise DocumentError(f"{node.text!r} rests on {node.computation!r}, which is not listed")
        if isinstance(node, Link) and node.target.startswith("#") and node.target[1:] not in ids:
            raise DocumentError(f"a link leads to {node.target!r}, which does not exist")
        if isinstance(node, Drawing) and (found := beyond_shapes(node.svg)) is not None:
            raise DocumentError(f"a drawing holds {found}, and is to hold shapes and words alone")


# -- plain data ----------------------------------------------------------------------------------------------------

_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Text,
        Name,
        Cited,
        Computed,
        Code,
        Strong,
        Emphasis,
        Link,
        Bar,
        Interval,
        ForestPanel,
        Forest,
        Series,
        CurvePanel,
        Curves,
        Dot,
        DotPanel,
        Dots,
        DensityPanel,
        Densities,
        Drawing,
        Paragraph,
        Listing,
        Facts,
        Stat,
        Stats,
        Row,
        Table,
        Figure,
        Note,
        Question,
        Fold,
        Card,
        Cards,
        Filter,
        Section,
        Source,
        Citation,
        Computation,
        Document,
    )
}


def to_dict(node: Any) -> Any:
    """Plain data (dicts, lists, strings, numbers); every object says what it ``is``."""
    if isinstance(node, tuple):
        return [to_dict(child) for child in node]
    if is_dataclass(node) and not isinstance(node, type):
        return {"is": type(node).__name__, **{f.name: to_dict(getattr(node, f.name)) for f in fields(node)}}
    return node


def from_dict(data: Any) -> Any:
    """The inverse of :func:`to_dict`; raises :class:`DocumentError` on data that are not a document's."""
    if isinstance(data, list):
        return tuple(from_dict(child) for child in data)
    if isinstance(data, dict):
        kind = _KINDS.get(str(data.get("is")))
        if kind is None:
            raise DocumentError(f"unknown part {data.get('is')!r}")
        names = {f.name for f in fields(kind)}
        try:
            return kind(**{key: from_dict(value) for key, value in data.items() if key in names})
        except TypeError as error:
            raise DocumentError(f"{data['is']}: {error}") from None
    return data
