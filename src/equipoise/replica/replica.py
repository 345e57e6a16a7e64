"""The replica: what was published beside what the rebuilt trial gives, and what that says in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from equipoise.plan.key import Key

AnswerKind = Literal[
    "works",
    "nothing",
    "longer works",
    "longer nothing",
    "as it happened",
    "null",
    "test",
    "tests differ",
    "external",
    "formal",
]
"""What an answer is about. The first five are of the primary end point: in a fresh trial if the drug works as fitted
or does nothing, the same in a longer one, and in this trial with its arms as unlike as they happened to be. ``null``:
how often a drug that does nothing shows what was published. ``test``, ``tests differ``: which test would have called
the end point significant, and how often two of them disagree. ``external``: another trial of the drug. ``formal``:
the tests in their planned order."""


@dataclass(frozen=True)
class ReplicaRow:
    """One quantity, published and simulated; ``key`` says which, and ``id`` is the key as text.

    ``scale`` is ``difference``, ``ratio``, ``hazard_ratio``, ``mean`` (an arm's mean change), ``gmr`` (an arm's
    geometric mean ratio to baseline), ``percent``, ``median`` (time by which half have had an event, infinite where
    not reached), ``baseline``, ``correlation``, ``p`` or ``se``. Ratios are compared
    on the log scale: ``published_se`` and ``z`` = (simulated - published) / published standard error are on that scale.
    ``position`` is the share of replicates below the published value. ``simulated`` is the mean over replicates, of P
    values the median; ``simulated_low`` and ``simulated_high`` bound 95 % of single replicates; ``n_estimable`` counts
    the replicates that gave a value. ``use`` is ``fit``, ``set`` (a count copied into the scenario), ``same period``
    (not fitted, but a restatement of what was) or ``check`` (after the randomised period, never seen by the fit).
    """

    id: str
    quantity: str
    outcome: str
    analysis_set: str
    arm: str | None
    week: float | None
    method: str
    unit: str
    scale: str
    published: float
    published_low: float | None
    published_high: float | None
    published_se: float | None
    source: str
    place: str
    confidence: str
    result: str | None
    simulated: float
    simulated_low: float
    simulated_high: float
    mc_error: float
    n_estimable: int
    used_in_fit: bool
    position: float
    z: float | None
    key: Key
    use: str = "check"
    external: bool = False
    """Whether it is of another trial of the drug."""

    @property
    def within_one_se(self) -> bool | None:
        """Whether the simulated mean lies within one published standard error; None where none was published."""
        return None if self.z is None else abs(self.z) <= 1.0


@dataclass(frozen=True)
class Answer:
    """A question to the replica, its probability with Monte Carlo error, and the answer as a sentence.

    ``short`` is the question where a heading has said already what kind it is of.
    """

    id: str
    kind: AnswerKind
    question: str
    probability: float
    mc_error: float
    replicates: int
    sentence: str
    command: str
    short: str | None = None


@dataclass(frozen=True)
class Band:
    """Mean over replicates and the 95 % range of single replicates, per visit of one arm in one analysis set.

    ``event`` : the end point, where it is the share of patients free of it.
    """

    outcome: str
    analysis: str
    analysis_set: str
    arm: str
    weeks: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    event: str | None = None


@dataclass(frozen=True)
class MechanismRow:
    """What one mechanism of action, fitted to the randomised period alone, foretells for a held-out result.

    ``misfit`` is the sum of squared distances, in published standard errors, of the ``n_targets`` targets used in
    its fit. ``mean``, ``low`` and ``high`` are of the simulated contrast; ``at_least`` is the share of replicates
    whose contrast is at least as far in the drug's favour as the published one. ``held``: no fit has seen it.
    """

    mechanism: str
    misfit: float | None
    n_targets: int | None
    id: str
    quantity: str
    result: str | None
    published: float
    mean: float
    low: float
    high: float
    mc_error: float
    at_least: float
    at_least_mc_error: float
    replicates: int
    key: Key
    scale: str = "difference"
    held: bool | None = None


@dataclass(frozen=True)
class Replica:
    """A published trial rebuilt: the table, the answers and the simulated bands.

    ``on_function`` : whether a mechanism acts on function, and not on events alone. ``tally`` : how many published
    numbers it meets, in a sentence. ``notes`` : how it was fitted. ``effect`` : what the drug does under the main
    mechanism, by the names of the scenario, where it does anything. ``assumed`` : those of them that were not fitted.
    """

    record: str
    scenario: str
    mechanism: str
    seed: int
    replicates: int
    imputations: int
    version: str
    command: str
    seconds: float
    rows: tuple[ReplicaRow, ...]
    answers: tuple[Answer, ...]
    bands: tuple[Band, ...]
    mechanisms: tuple[MechanismRow, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    on_function: bool = True
    tally: str = ""
    effect: dict[str, float] = field(default_factory=dict)
    assumed: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as written by ``equipoise replicate --json``."""
        data = _finite(asdict(self))
        for row, plain in zip(self.rows, data["rows"], strict=True):
            plain["within_one_se"] = row.within_one_se
        return dict(data)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Replica:
        """The inverse of :meth:`to_dict`; every part is checked for its kind.

        Raises
        ------
        ValueError : something is missing or of another kind; it says where.
        """
        try:
            plain = dict(data)
            made = {
                **plain,
                "rows": tuple(_row(row) for row in plain["rows"]),
                "bands": tuple(
                    {k: tuple(v) if isinstance(v, list) else v for k, v in b.items()} for b in plain["bands"]
                ),
                **{name: tuple(plain[name]) for name in ("answers", "mechanisms", "notes")},
            }
        except KeyError as error:
            raise ValueError(f"no {error}") from None
        except (TypeError, AttributeError, ValueError):
            raise ValueError("a list or a mapping is something else") from None
        try:
            return _checked().validate_python(made)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in first["loc"])
            raise ValueError(f"{where}: {first['msg']}") from None


@cache
def _checked() -> TypeAdapter[Replica]:
    """What a saved replica has to look like, made of the fields of the classes here."""
    return TypeAdapter(Replica)


def _row(plain: Mapping[str, Any]) -> dict[str, Any]:
    may_be_missing = ("simulated", "simulated_low", "simulated_high", "mc_error", "position")
    values: dict[str, Any] = {k: v for k, v in plain.items() if k != "within_one_se"}
    # a median that was not reached is infinite, and JSON has no word for that either
    unknown = math.inf if values["scale"] == "median" and values["n_estimable"] else math.nan
    values.update({k: unknown for k in ("simulated", "simulated_low", "simulated_high") if values[k] is None})
    values.update({k: math.nan for k in may_be_missing if values[k] is None})
    return values


def _finite(value: Any) -> Any:
    """Numbers JSON has no word for (not estimable: NaN) become null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


FINE = 0.003
"""A Monte Carlo error of at most this leaves a tenth of a percentage point something to say."""


def share_places(share: float, error: float) -> int:
    """Decimals of a share in percent: one near nought and near all, where its Monte Carlo error allows it; else none.

    >>> share_places(0.014, 0.0026), share_places(0.09, 0.009), share_places(0.95, 0.005)
    (1, 0, 0)
    """
    return int((share < 0.095 or share > 0.995) and error <= FINE)
