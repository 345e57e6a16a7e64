"""Keys made from text, and texts compared: the one home of both, so that two different texts never become one.

A key is made by :class:`Keys`: the same text has the same key, another text has another. Texts from two tables are
matched by :func:`matched`: word by word first, then by :func:`alike`, which forgives spelling and keeps every sign that
tells a dose, a range or a limit from another; a match that is not the only one is no match, and is told.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"(?:(?<![\w.])[-+.])?\d+(?:[.:/^-]\d+)*|[^\W\d_]+|[%<>=+/#±×&*≤≥~^°]|\d", re.UNICODE)


def exact(text: str) -> str:
    """A text as its words: case, width and blanks do not matter.

    >>> exact(" Drug  10 mg") == exact("drug 10 MG")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def parts(text: str) -> tuple[str, ...]:
    """The words, numbers and telling signs of a text, in order; dashes, brackets and commas between words fall away.

    >>> parts("Dapa 1.0mg/day, Part-A")
    ('dapa', '1.0', 'mg', '/', 'day', 'part', 'a')
    """
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", exact(text)).replace("−", "-").replace("–", "-")
    plain = re.sub(r"(?<=\d)\s*-\s*(?=\d)", "-", plain)
    return tuple(_WORD.findall(plain))


def alike(text: str) -> str:
    """A key under which spellings of one title agree, and titles that differ in a number or a sign do not.

    >>> alike("Dapa 10mg") == alike("Dapa 10 mg"), alike("Drug 1.0 mg") == alike("Drug 10 mg")
    (True, False)
    """
    found = parts(text)
    out = ""
    for i, part in enumerate(found):
        # two numbers side by side stay two; a word and its number may be written together
        out += (" " if i and out[-1].isdigit() and part[0].isdigit() else "") + part
    return out or exact(text)


def names(text: str, phrase: str) -> bool:
    """Whether a text names a phrase, as whole words: "week 12" does not name "week 1".

    >>> names("at week 12 only", "Week 12"), names("at week 12 only", "Week 1")
    (True, False)
    """
    inner, outer = parts(phrase), parts(text)
    n = len(inner)
    return bool(inner) and any(outer[i : i + n] == inner for i in range(len(outer) - n + 1))


class Keys:
    """Makes keys from texts: letters, digits and underscores, beginning with a letter, none twice.

    >>> keys = Keys("arm")
    >>> keys.of("Drug 10 mg"), keys.of("Drug (10) mg"), keys.of("Drug 10 mg"), keys.new("Drug 10 mg")
    ('drug_10_mg', 'drug_10_mg_2', 'drug_10_mg', 'drug_10_mg_3')
    """

    def __init__(self, start: str = "x", *, longest: int = 28, upper: bool = False, taken: Iterable[str] = ()) -> None:
        self.start, self.longest, self.upper = start, longest, upper
        self._by_text: dict[str, str] = {}
        self._taken = {t.lower() for t in taken}

    def of(self, text: str) -> str:
        """The key of a text: the same one each time it is asked for, and that of no other text."""
        known = exact(text)
        if known not in self._by_text:
            self._by_text[known] = self.new(text)
        return self._by_text[known]

    def new(self, text: str, start: str | None = None) -> str:
        """A key that was not given before, even for a text met before; ``start`` leads one that has no letter first."""
        base = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[: self.longest].strip("_") or start or self.start
        if not base[0].isalpha():
            base = f"{start or self.start}_{base}"
        key, n = base, 1
        while key in self._taken:
            n += 1
            key = f"{base}_{n}"
        self._taken.add(key)
        return key.upper() if self.upper else key


def matched(titles: Sequence[str], known: Sequence[str]) -> tuple[list[int | None], list[tuple[int, int]]]:
    """Which of ``known`` each of ``titles`` is, each at most once; None for none of them. And the near misses.

    A title is the known one of the same words (of several, the first that is left), else the only one alike where no
    other title here is alike too. The second result lists pairs (title, known) that are alike and were kept apart.

    >>> matched(["Drug 10mg", "Placebo"], ["Placebo", "Drug 10 mg", "Drug 1.0 mg"])
    ([1, 0], [])
    """
    out: list[int | None] = [None] * len(titles)
    free = list(range(len(known)))
    for i, title in enumerate(titles):
        if (same := next((k for k in free if exact(known[k]) == exact(title)), None)) is not None:
            out[i] = same
            free.remove(same)
    keys = [alike(t) for t in titles]
    near = []
    for i, key in enumerate(keys):
        if out[i] is not None:
            continue
        found = [k for k in range(len(known)) if alike(known[k]) == key]
        rivals = [j for j, other in enumerate(keys) if j != i and other == key]
        if len(found) == 1 and found[0] in free and not rivals:
            out[i] = found[0]
            free.remove(found[0])
        else:
            near += [(i, k) for k in found]
    return out, near
