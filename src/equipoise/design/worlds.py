"""Truths: mechanisms with their numbers, as points, as grids, or as draws from a file."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, ValidationError, model_validator

from equipoise.errors import ScenarioError
from equipoise.files import Frozen, PlaceError
from equipoise.simulate import Scenario, Simulator
from equipoise.simulate.scenario import describe_problems
from equipoise.trial import Trials
from equipoise.types import FloatArray

DRAWS = 8
"""The purpose of the streams of random numbers, beside those of :mod:`equipoise.numerics.random`."""

KINDS = {"none": "none", "harm": "none", "symptomatic": "symptomatic"}
"""What a delayed-start rule should call a mechanism; any other is disease-modifying."""

PARTS = ("effect", "disease", "groups")

KEPT = 256
"""Draws that are kept ready to simulate."""


class Draws(Frozen):
    """Draws of parameters from a file, one a replicate.

    file : Parquet or CSV, a row a draw; the columns are parameters by their paths (``effect.lag``,
    ``disease.residual.sd``, ``groups.ALL.mean``), or ``columns`` says which is which (column -> path), and others are
    left alone, as are those without any value. weights : the column of weights; default equal ones. mechanism : only
    rows in which the column ``mechanism`` says so. digest : of the file when the study was read.
    """

    file: str
    columns: dict[str, str] = Field(default_factory=dict)
    weights: str | None = None
    mechanism: str | None = None
    digest: str = ""

    @model_validator(mode="before")
    @classmethod
    def _as_read(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("file"), str):
            return raw
        content = _content(Path(raw["file"]))
        digest = hashlib.sha256(content).hexdigest()[:16]
        if raw.get("digest") not in (None, "", digest):
            raise PlaceError(f"{raw['file']} has changed since the study was begun", "file")
        return {**raw, "digest": digest}

    @model_validator(mode="after")
    def _has_what_is_named(self) -> Self:
        table = self.table()
        for name in (*self.columns, *((self.weights,) if self.weights else ())):
            if name not in table.columns:
                raise PlaceError(f"{self.file} has no column {name!r}; it has {', '.join(table.columns)}", "columns")
        if not self.paths:
            raise PlaceError(
                f"no column of {self.file} is a parameter: {', '.join(table.columns)}; name them effect.PARAMETER, "
                "disease.PARAMETER or groups.GROUP.PARAMETER, or say so in columns",
                "columns",
            )
        if not len(self.values):
            raise PlaceError(f"{self.file} has no draws", "file")
        if not np.isfinite(self.values).all():  # a missing value among others
            raise PlaceError(f"{self.file} holds values that are missing or infinite", "file")
        weights = self.weight
        if not np.isfinite(weights).all() or (weights < 0.0).any() or weights.sum() <= 0.0:
            raise PlaceError(f"{self.weights} of {self.file}: weights are 0 or more, and not all 0", "weights")
        return self

    def table(self) -> pl.DataFrame:
        """The rows of the file, of this mechanism."""
        path = Path(self.file)
        try:
            table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise PlaceError(f"{self.file} cannot be read ({type(error).__name__})", "file") from None
        if self.mechanism is not None and "mechanism" in table.columns:
            table = table.filter(pl.col("mechanism") == self.mechanism)
        return table

    @cached_property
    def paths(self) -> dict[str, str]:
        """Column -> the path of its parameter; a column without any value is of another mechanism."""
        table = self.table()
        wanted = self.columns or {c: c for c in _parameters(table)}
        there = list(filter(_told(table), wanted))
        return {c: wanted[c] for c in there}

    @cached_property
    def values(self) -> FloatArray:
        """(draw, parameter) in the order of :attr:`paths`."""
        try:
            return self.table().select(list(self.paths)).cast(pl.Float64).to_numpy()
        except pl.exceptions.PolarsError:
            raise PlaceError(f"{self.file}: a parameter is no number", "columns") from None

    @cached_property
    def weight(self) -> FloatArray:
        """(draw,) weights as they are."""
        if self.weights is None:
            return np.ones(len(self.values))
        return self.table()[self.weights].cast(pl.Float64).to_numpy()

    def row(self, seed: int, replicate: int) -> int:
        """The draw of a replicate; it depends on ``(seed, replicate)`` alone, so that designs share it."""
        u = np.random.Generator(np.random.Philox(key=[seed, DRAWS], counter=[0, 0, 0, replicate])).random()
        total = np.cumsum(self.weight)
        return int(np.searchsorted(total, u * total[-1], side="right"))

    def parts(self, row: int) -> dict[str, dict[str, Any]]:
        """What a draw puts in place of the scenario's: ``effect``, ``disease``, ``groups``."""
        out: dict[str, dict[str, Any]] = {}
        for path, value in zip(self.paths.values(), self.values[row], strict=True):
            _put(out, path, float(value))
        return out


def _parameters(table: pl.DataFrame) -> list[str]:
    """Columns whose names are paths of parameters."""
    return [c for c in table.columns if c.partition(".")[0] in PARTS and "." in c]


def _told(table: pl.DataFrame) -> Callable[[str], bool]:
    """Whether a column holds any value."""
    return lambda c: not table[c].cast(pl.Float64, strict=False).fill_nan(None).is_null().all()


def _content(path: Path) -> bytes:
    if path.suffix not in (".parquet", ".csv"):
        raise PlaceError(f"{path.name}: draws are a .parquet or .csv file", "file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise PlaceError(f"{path} cannot be read ({error.strerror})", "file") from None


def _put(out: dict[str, Any], path: str, value: Any) -> None:
    keys = path.split(".")
    for key in keys[:-1]:
        out = out.setdefault(key, {})
    out[keys[-1]] = value


def _kind(mechanism: str) -> str:
    return KINDS.get(mechanism, "disease-modifying")


class World(Frozen):
    """A truth: a mechanism of the scenario, with what differs from it.

    kind : what a delayed-start rule should call it; default what the mechanism is. effect, disease : what stands in
    place of the scenario's, a part of a part too; groups : the same, by group. draws : the same from a file, a draw a
    replicate. no_effect : success is an error here. weight : of this world in an average over worlds. A world with a
    ``grid`` (path -> values) is read as one world for each combination.
    """

    label: str
    mechanism: str
    kind: Literal["none", "symptomatic", "disease-modifying"]
    effect: dict[str, Any] = Field(default_factory=dict)
    disease: dict[str, Any] = Field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = Field(default_factory=dict)
    draws: Draws | None = None
    lag: float | None = Field(default=None, description="weeks until the effect begins, for drawings")
    no_effect: bool = False
    weight: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _kind_of(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "kind" not in raw and isinstance(raw.get("mechanism"), str):
            return {**raw, "kind": _kind(raw["mechanism"])}
        return raw

    @property
    def truth(self) -> str:
        """What a lesson calls it: its mechanism, or its label where that is turned into another kind (a harm)."""
        return self.mechanism if self.kind == _kind(self.mechanism) else self.label


def expanded(worlds: Any) -> Any:
    """The worlds of a study with grids, and draws of several mechanisms, as one world each.

    >>> list(expanded({"slow": {"label": "s", "mechanism": "lagged", "grid": {"effect.lag": [4, 8]}}}))
    ['slow-lag-4', 'slow-lag-8']
    """
    if not isinstance(worlds, Mapping):
        return worlds
    out: dict[str, Any] = {}
    for name, world in worlds.items():
        if not isinstance(world, dict):
            out[name] = world
        elif "grid" in world:
            out |= _over_grid(str(name), world)
        elif isinstance(world.get("draws"), dict) and "mechanism" not in world:
            out |= _by_mechanism(str(name), world)
        else:
            out[name] = world
    return out


def _over_grid(name: str, world: dict[str, Any]) -> dict[str, Any]:
    grid = world["grid"]
    if not isinstance(grid, Mapping) or not grid:
        raise PlaceError("is path -> values, such as effect.lag: [4, 8]", "worlds", name, "grid")
    for path, values in grid.items():
        if not isinstance(values, list | tuple) or not values:
            raise PlaceError(f"give a list of values, not {values!r}", "worlds", name, "grid", path)
        if path != "mechanism" and (str(path).partition(".")[0] not in PARTS or "." not in str(path)):
            raise PlaceError(
                "a path is mechanism, or begins with effect., disease. or groups.GROUP.", "worlds", name, "grid", path
            )
    cells = list(itertools.product(*grid.values()))
    out: dict[str, Any] = {}
    for values in cells:
        made = {k: v for k, v in world.items() if k != "grid"}
        told, called = [], [name]
        for path, value in zip(grid, values, strict=True):
            made = _with_path(made, str(path), value)
            last = str(path).rpartition(".")[2]
            shown = f"{value:g}" if isinstance(value, int | float) else str(value)
            told.append(f"{last.replace('_', ' ')} {shown}")
            called.append(f"{last}-{shown}")
            if path == "effect.lag":
                made.setdefault("lag", value)
        made["label"] = f"{world.get('label', name)}, {', '.join(told)}"
        made["weight"] = world.get("weight", 1.0) / len(cells)
        out["-".join(called)] = made
    return out


def _with_path(world: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    if not rest:
        return {**world, first: value}
    return {**world, first: _with_path(dict(world.get(first) or {}), rest, value)}


def _by_mechanism(name: str, world: dict[str, Any]) -> dict[str, Any]:
    """Draws whose column ``mechanism`` names several: one world each, weighed as the draws weigh it."""
    given = world["draws"]
    path = Path(str(given.get("file")))
    _content(path)
    try:
        table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise PlaceError(f"{path} cannot be read ({type(error).__name__})", "worlds", name, "draws", "file") from None
    if "mechanism" not in table.columns:
        raise PlaceError(f"is not said, and {path} has no column of that name", "worlds", name, "mechanism")
    weights = given.get("weights")
    if weights is not None and weights not in table.columns:
        raise PlaceError(f"{path} has no column {weights!r}", "worlds", name, "draws", "weights")
    own = table.with_columns((pl.lit(1.0) if weights is None else pl.col(weights).cast(pl.Float64)).alias("__w"))
    shares = own.group_by("mechanism", maintain_order=True).agg(pl.col("__w").sum())
    total = float(shares["__w"].sum())
    out: dict[str, Any] = {}
    parameters = [c for c in given.get("columns") or _parameters(table) if c in table.columns]
    for mechanism, weight in shares.iter_rows():
        rows = table.filter(pl.col("mechanism") == mechanism)
        own_draws = {**given, "mechanism": str(mechanism)} if any(map(_told(rows), parameters)) else None
        out[f"{name}-{mechanism}"] = {
            **world,
            "mechanism": str(mechanism),
            "label": f"{world.get('label', name)}: {mechanism}",
            "draws": own_draws,  # a mechanism without a parameter of its own is as the scenario has it
            "weight": world.get("weight", 1.0) * float(weight) / total,
            "no_effect": world.get("no_effect", mechanism in ("none", "harm")),
        }
    return out


def drawn_worlds(path: Path, label: str, others: Mapping[str, World]) -> dict[str, Any]:
    """Worlds of a file of draws, as a study writes them: weighed by its column ``weight`` where it has one.

    A file without a column ``mechanism`` is of the one mechanism that works in the study's ``others``.

    Raises
    ------
    ScenarioError : the file cannot be read, or its mechanism cannot be told.
    """
    try:
        _content(path)
        columns = (pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path)).collect_schema().names()
    except (PlaceError, OSError, pl.exceptions.PolarsError) as error:
        said = error if isinstance(error, PlaceError) else f"{path} cannot be read ({type(error).__name__})"
        raise ScenarioError(str(said), hint="draws are a .parquet or .csv file, a row a draw") from None
    draws: dict[str, Any] = {"file": str(path)}
    if "weight" in columns:
        draws["weights"] = "weight"
    world: dict[str, Any] = {"label": label, "draws": draws}
    if "mechanism" not in columns:
        working = list(dict.fromkeys(w.mechanism for w in others.values() if not w.no_effect))
        if len(working) != 1:
            raise ScenarioError(
                f"{path} has no column mechanism, and the study has {', '.join(working) or 'none'}",
                hint="name the mechanism of each draw in a column mechanism",
            )
        world["mechanism"] = working[0]
    return {"posterior": world}


@dataclass(frozen=True, eq=False)
class DrawnSimulator(Simulator):
    """A scenario whose parameters differ from replicate to replicate, as a file draws them.

    effect : False: every drug without an effect, the disease as drawn. options : of the disease's engine.
    still : numbers of the disease that no draw moves.
    """

    draws: Draws
    effect: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    still: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def prepared(cls, scenario: Scenario, mechanism: Any, *, imbalance: bool, **options: Any) -> Self:
        """As :meth:`Simulator.prepared`; ``draws``, ``effect`` and ``options`` of the engine are its options."""
        return cls(scenario, mechanism, imbalance, **options)

    def settings(self) -> tuple[str, ...]:
        """What the draws are."""
        return (self.draws.model_dump_json(), str(self.effect), *self._simulator(0).settings())

    def block(self, seed: int, first: int, n_trials: int) -> Trials:
        """Each replicate with its own draw."""
        trials = [self._simulator(self.draws.row(seed, r)).block(seed, r, 1) for r in range(first, first + n_trials)]
        return Trials.joined(trials)

    @cached_property
    def _ready(self) -> dict[int, Simulator]:
        return {}

    def _simulator(self, row: int) -> Simulator:
        found = self._ready.get(row)
        if found is None:
            if len(self._ready) >= KEPT:
                self._ready.clear()
            found = self._ready[row] = self._prepared(row)
        return found

    def _prepared(self, row: int) -> Simulator:
        hypothesis = self.scenario.mechanisms[self.mechanism]
        parts = self.draws.parts(row)
        try:
            effect = type(hypothesis.effect).model_validate(
                {**hypothesis.effect.model_dump(exclude_none=True), **parts.get("effect", {})}
                if self.effect
                else {"mechanism": "none"}
            )
            own = hypothesis.model_copy(
                update={
                    "effect": effect,
                    "disease": _merged(_merged(hypothesis.disease, parts.get("disease", {})), self.still),
                    "groups": _merged(hypothesis.groups, parts.get("groups", {})),
                }
            )
            scenario = self.scenario.model_copy(update={"mechanisms": {self.mechanism: own}})
            return Simulator.of(scenario, self.mechanism, imbalance=self.imbalance, **self.options)
        except (ValidationError, TypeError) as error:
            said = describe_problems(error) if isinstance(error, ValidationError) else str(error)
            raise ScenarioError(
                f"{self.draws.file}: row {row + 1} cannot be simulated: {said}",
                hint="columns are parameters of the disease, by their paths",
            ) from None


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(common)
    for key, value in own.items():
        inner = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if inner else value
    return out
