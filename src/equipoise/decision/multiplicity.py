"""Several hypotheses, one family-wise error: graphs and gates.

A graph gives every hypothesis a share of alpha and says to whom the share goes once the hypothesis is rejected (Bretz,
Maurer, Brannath & Posch 2009; Burman, Sonesson & Guilbaud 2009). Holm, fixed sequence, fallback and Bonferroni-based
gatekeeping are graphs. The procedure is a shortcut to the closed test of weighted Bonferroni tests, so the family-wise
error is at most alpha whatever the dependence between the tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from equipoise.errors import ScenarioError
from equipoise.estimate.fit import Fit, aligned, number, p_value
from equipoise.estimate.result import Estimate
from equipoise.types import BoolArray, FloatArray, IntArray

REFERENCES = (
    "Bretz, Maurer, Brannath & Posch 2009, Stat Med 28:586",
    "Burman, Sonesson & Guilbaud 2009, Stat Med 28:739",
)
GATES = "Dmitrienko, Offen & Westfall 2003, Stat Med 22:2387"

_SLACK = 1e-12


@dataclass(frozen=True, eq=False)
class Graph:
    """A graphical multiple test procedure.

    names : hypotheses. weights : (hypothesis,) shares of alpha, at most 1 together. transitions : (from, to) the part
    of a rejected hypothesis's share that each other gets; zero diagonal, rows at most 1 together.

    Examples
    --------
    >>> graph = Graph.holm(["function", "survival"])
    >>> graph.test({"function": 0.03, "survival": 0.02}, alpha=0.05).rejected
    ('survival', 'function')
    """

    names: tuple[str, ...]
    weights: FloatArray
    transitions: FloatArray

    def __post_init__(self) -> None:
        names = tuple(self.names)
        w, g = np.asarray(self.weights, dtype=np.float64), np.asarray(self.transitions, dtype=np.float64)
        m = len(names)
        if m == 0 or len(set(names)) != m:
            raise ScenarioError(f"hypotheses {list(names)}", hint="give each hypothesis a name of its own")
        if w.shape != (m,) or g.shape != (m, m):
            raise ScenarioError(
                f"{m} hypotheses, weights of shape {w.shape}, transitions of shape {g.shape}",
                hint="give one weight a hypothesis and a square matrix of transitions",
            )
        if not (w >= 0.0).all() or w.sum() > 1.0 + 1e-9 or w.sum() == 0.0:
            raise ScenarioError(f"weights {w.tolist()}", hint="weights are 0 or more and at most 1 together, not all 0")
        if not (g >= 0.0).all() or (np.diag(g) != 0.0).any() or (g.sum(axis=1) > 1.0 + 1e-9).any():
            raise ScenarioError(
                "transitions are not a part of what a hypothesis has",
                hint="entries are 0 or more, the diagonal 0, and each row at most 1 together",
            )
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "weights", w)
        object.__setattr__(self, "transitions", g)

    @classmethod
    def of(cls, weights: Mapping[str, float], transitions: Mapping[str, Mapping[str, float]]) -> Graph:
        """A graph in words: shares of alpha, and for each hypothesis where its share goes."""
        names = tuple(weights)
        g = np.zeros((len(names), len(names)))
        for source, row in transitions.items():
            for target, part in row.items():
                for name in (source, target):
                    if name not in weights:
                        raise ScenarioError(f"unknown hypothesis {name!r}", hint="hypotheses are " + ", ".join(names))
                g[names.index(source), names.index(target)] = part
        return cls(names, np.array(list(weights.values()), dtype=np.float64), g)

    @classmethod
    def holm(cls, names: Sequence[str]) -> Graph:
        """Bonferroni-Holm: equal shares, passed on equally."""
        m = len(names)
        g = (np.ones((m, m)) - np.eye(m)) / max(m - 1, 1)
        return cls(tuple(names), np.full(m, 1.0 / max(m, 1)), g)

    @classmethod
    def fixed_sequence(cls, names: Sequence[str]) -> Graph:
        """Each at full alpha, as long as all before it were rejected."""
        return cls.fallback(names, [1.0, *[0.0] * (len(names) - 1)])

    @classmethod
    def fallback(cls, names: Sequence[str], weights: Sequence[float]) -> Graph:
        """Shares in an order, each passed to the next on rejection (Wiens 2003)."""
        return cls(tuple(names), np.asarray(weights, dtype=np.float64), np.eye(len(names), k=1))

    @classmethod
    def parallel_gatekeeping(cls, families: Sequence[Sequence[str]]) -> Graph:
        """A family opens as soon as one hypothesis of the family before it is rejected (Bonferroni gates, Holm in the
        last family). A share won in one family is passed to the next in equal parts.
        """
        families = [tuple(f) for f in families]
        if not families or not all(families):
            raise ScenarioError("an empty family of hypotheses", hint="give at least one hypothesis a family")
        names = [n for f in families for n in f]
        m, first = len(names), len(families[0])
        w, g = np.zeros(m), np.zeros((m, m))
        w[:first] = 1.0 / first
        offset = 0
        for here, following in zip(families, [*families[1:], ()], strict=True):
            own = slice(offset, offset + len(here))
            offset += len(here)
            if following:
                g[own, offset : offset + len(following)] = 1.0 / len(following)
            elif len(here) > 1:
                g[own, own] = (1.0 - np.eye(len(here))) / (len(here) - 1)
        return cls(tuple(names), w, g)

    def without(self, name: str) -> Graph:
        """The graph once a hypothesis is rejected: its share and its edges passed on."""
        if name not in self.names:
            raise ScenarioError(f"unknown hypothesis {name!r}", hint="hypotheses are " + ", ".join(self.names))
        if len(self.names) == 1:
            raise ScenarioError(f"{name!r} is the only hypothesis", hint="nothing is left to test")
        j = self.names.index(name)
        many_w, many_g = _passed_on(self.weights[None], self.transitions[None], np.array([j]))
        w, g = many_w[0], many_g[0]
        keep = [i for i in range(len(self.names)) if i != j]
        if w[keep].sum() == 0.0:
            raise ScenarioError(f"{name!r} keeps all of alpha", hint="give it transitions to the others")
        return Graph(tuple(self.names[i] for i in keep), w[keep], g[np.ix_(keep, keep)])

    def adjusted(self, p: FloatArray) -> FloatArray:
        """(..., hypothesis) adjusted P values of raw ones; at most alpha exactly where the graph rejects at alpha.

        A missing P value (a test that could not be done) counts as 1.
        """
        raw = np.asarray(p, dtype=np.float64)
        if raw.shape[-1:] != (len(self.names),) or (raw < 0.0).any() or (raw > 1.0).any():
            raise ScenarioError(
                f"P values of shape {raw.shape} for {len(self.names)} hypotheses",
                hint="give P values between 0 and 1, one a hypothesis",
            )
        flat = np.where(np.isnan(raw), 1.0, raw).reshape(-1, len(self.names))
        return _adjusted(flat, self.weights, self.transitions).reshape(raw.shape)

    def rejections(self, p: FloatArray, alpha: float = 0.025) -> BoolArray:
        """(..., hypothesis) rejections of many sets of P values, for simulation."""
        return np.asarray(self.adjusted(p) <= _level(alpha) * (1.0 + _SLACK), dtype=np.bool_)

    def test(self, p: Mapping[str, float], alpha: float = 0.025) -> GraphResult:
        """Test all hypotheses: ``p`` by name, of the sidedness that ``alpha`` has."""
        level = _level(alpha)
        absent = [n for n in self.names if n not in p]
        unknown = [n for n in p if n not in self.names]
        if absent or unknown:
            raise ScenarioError(
                f"no P value for {absent}" if absent else f"P values of unknown hypotheses {unknown}",
                hint="hypotheses are " + ", ".join(self.names),
            )
        raw = np.array([p[n] for n in self.names], dtype=np.float64)
        made = self.adjusted(raw)
        w, g = self.weights[None], self.transitions[None]
        left = list(range(len(self.names)))
        values = np.where(np.isnan(raw), 1.0, raw)
        order: list[str] = []
        while left:
            ratio = [float(values[i] / w[0, i]) if w[0, i] > 0.0 else math.inf for i in left]
            if not min(ratio) <= level * (1.0 + _SLACK):
                break
            j = left[int(np.argmin(ratio))]
            order.append(self.names[j])
            w, g = _passed_on(w, g, np.array([j]))
            left.remove(j)
        return GraphResult(
            tuple(order),
            dict(zip(self.names, map(float, made), strict=True)),
            {self.names[i]: float(level * w[0, i]) for i in left},
            level,
        )


@dataclass(frozen=True, repr=False)
class GraphResult(Fit):
    """What a graph allows to be said.

    rejected : in the order of rejection. adjusted : P values to hold against ``alpha``. levels : of those not rejected,
    the level each was tested at in the end.
    """

    rejected: tuple[str, ...]
    adjusted: Mapping[str, float]
    levels: Mapping[str, float]
    alpha: float

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The test of every hypothesis with its adjusted p-value; ``n`` is 0 for not known."""
        return tuple(
            Estimate.of_test(name, "graphical procedure, adjusted p-value", p, 0) for name, p in self.adjusted.items()
        )

    def _keys(self) -> Sequence[dict[str, Any]]:
        return [{"rejected": name in self.rejected, "level": self.levels.get(name, math.nan)} for name in self.adjusted]

    def _rows(self, level: float | None = None) -> list[dict[str, Any]]:
        return [{**row, "n": None} for row in super()._rows(level)]

    def _title(self) -> str:
        return f"Several hypotheses at a family-wise {100 * self.alpha:g} %"

    def _told(self) -> Iterator[str]:
        yield self._title()
        body = [
            (
                name,
                p_value(p),
                "rejected" if name in self.rejected else "not rejected",
                number(self.levels[name]) if name in self.levels else "",
            )
            for name, p in self.adjusted.items()
        ]
        yield from aligned(("", "adjusted p", "verdict", "tested at"), body)

    def __repr__(self) -> str:
        return f"<GraphResult: {self.to_sentence().rstrip('.')}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.summary())}</pre>"

    def to_sentence(self) -> str:
        """The result in words."""
        said = ", ".join(f"{n} (adjusted P = {self.adjusted[n]:.4f})" for n in self.rejected) or "none"
        rest = ", ".join(f"{n} (adjusted P = {self.adjusted[n]:.4f})" for n in self.levels)
        return f"Rejected at a family-wise {100 * self.alpha:g} %: {said}" + (f"; not: {rest}." if rest else ".")


def _level(alpha: float) -> float:
    if not 0.0 < alpha < 1.0:
        raise ScenarioError(f"alpha = {alpha!r}", hint="give a level between 0 and 1")
    return float(alpha)


def _passed_on(w: FloatArray, g: FloatArray, j: IntArray) -> tuple[FloatArray, FloatArray]:
    """(set, hypothesis) weights and (set, from, to) transitions after hypothesis ``j`` (set,) is gone (Bretz et al.
    2009, algorithm 1).
    """
    row = np.arange(w.shape[0])
    out, back = g[row, j], g[row, :, j]  # from j, and to j
    weights = w + w[row, j][:, None] * out
    loop = back * out
    open_ended = loop < 1.0 - _SLACK
    made = (g + back[:, :, None] * out[:, None, :]) / np.where(open_ended, 1.0 - loop, 1.0)[:, :, None]
    made[~open_ended] = 0.0
    made[row, j, :] = made[row, :, j] = 0.0
    diagonal = np.arange(w.shape[1])
    made[:, diagonal, diagonal] = 0.0
    weights[row, j] = 0.0
    return weights, made


def _adjusted(p: FloatArray, weights: FloatArray, transitions: FloatArray) -> FloatArray:
    """(set, hypothesis) adjusted P values (Bretz et al. 2009, algorithm 2), all sets at once."""
    n, m = p.shape
    w = np.tile(weights, (n, 1))
    g = np.tile(transitions, (n, 1, 1))
    left = np.ones((n, m), np.bool_)
    out = np.ones((n, m))
    largest = np.zeros(n)
    row = np.arange(n)
    for _ in range(m):
        share = np.where(left & (w > 0.0), w, 1.0)
        ratio = np.where(left & (w > 0.0), p / share, np.inf)
        j = ratio.argmin(axis=1)
        largest = np.minimum(1.0, np.maximum(largest, ratio[row, j]))
        out[row, j] = np.where(left[row, j], largest, out[row, j])
        left[row, j] = False
        w, g = _passed_on(w, g, j)
    return out


def serial_gatekeeping(families: Sequence[Mapping[str, float]], alpha: float = 0.025) -> GraphResult:
    """Holm's test within each family, a family being tested only once all of the family before it is rejected.

    families : P values by name, a mapping a family, in order.

    Examples
    --------
    >>> serial_gatekeeping([{"a": 0.01, "b": 0.02}, {"c": 0.001}], alpha=0.025).rejected
    ('a', 'b', 'c')
    """
    level = _level(alpha)
    if not families or not all(families):
        raise ScenarioError("an empty family of hypotheses", hint="give at least one hypothesis a family")
    names = [n for f in families for n in f]
    if len(set(names)) != len(names):
        raise ScenarioError("a hypothesis is in two families", hint="give each hypothesis a name of its own")
    adjusted: dict[str, float] = {}
    levels: dict[str, float] = {}
    order: list[str] = []
    gate = 0.0
    for family in families:
        own = Graph.holm(list(family)).test(family, level)
        adjusted.update({n: max(gate, v) for n, v in own.adjusted.items()})
        if gate <= level * (1.0 + _SLACK):
            order += own.rejected
            levels.update(own.levels)
        else:
            levels.update(dict.fromkeys(family, 0.0))
        gate = max(gate, *own.adjusted.values())
    return GraphResult(tuple(order), adjusted, levels, level)
