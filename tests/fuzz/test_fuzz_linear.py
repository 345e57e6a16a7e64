"""ANCOVA, repeated measures, slopes and the constrained model on degenerate data: no traceback, the contract holds.

Case ``k`` depends on ``k`` alone: ``run(k)`` repeats it. A case draws a small frame in which outcomes may be constant,
exact, rounded, tied, huge or missing, visits unseen, arms absent or aliased, and a function with options; what comes
back is estimates that keep the contract, or an error of ours.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from equipoise import ancova, clda, mmrm, slope
from equipoise.errors import EquipoiseError
from equipoise.estimate.result import Estimate
from equipoise.types import REASONS, Status

Draw = np.random.Generator
CASES = 10_000
SAMPLE = 300
STRUCTURES = ("us", "cs", "csh", "ar1", "ar1h", "toep", "toeph", "ad", "adh")
DF = ("kenward-roger-linear", "kenward-roger", "satterthwaite", "between-within", "residual")


def check(e: Estimate) -> None:
    """The contract of an estimate, said once more."""
    if e.status is Status.OK:
        assert all(math.isfinite(getattr(e, k)) for k in ("estimate", "se", "statistic", "p", "low", "high")), e
        assert e.se > 0.0, e
        assert e.df > 0.0, e
        assert 0.0 <= e.p <= 1.0, e
        assert e.low <= e.high, e
    else:
        assert e.reason, e
        assert e.reason != REASONS[Status.OK], e
        assert all(math.isnan(getattr(e, k)) for k in ("se", "df", "statistic", "p", "low", "high")), e
    assert "nan" not in e.to_sentence(), e


def outcome(g: Draw, frame: pd.DataFrame) -> Any:
    n = len(frame)
    kind = g.integers(0, 10)
    noise = g.normal(size=n) + g.normal(size=frame.ID.max() + 1 if n else 1)[frame.ID] if n else np.zeros(0)
    if kind == 0:
        return np.full(n, g.choice([0.0, 1.0, 0.1, -7e8]))
    if kind == 1:
        return 0.1 * frame.X + 3.0 * (frame.ARM == "b")
    if kind == 2:
        return g.integers(0, 2, n).astype(float)
    if kind == 3:
        return noise * 10.0 ** float(g.choice([-140, -12, 7, 60]))
    if kind == 4:
        return 1e8 + noise
    if kind == 5:  # nothing varies at one visit
        return np.where(g.integers(0, 3) == frame["T"], 2.0, noise)
    if kind == 6:  # visits that determine each other
        return noise[frame.ID] if n else noise
    return noise.round(int(g.integers(0, 6)))


def data_of(g: Draw) -> pd.DataFrame:
    n, m = int(g.choice([0, 1, 2, 3, 5, 8, 12, 20, 30, 40])), int(g.integers(1, 5))
    who, when = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    arms = g.choice([["a", "b"], ["a", "a"], ["a", "b", "c"]][g.choice([0, 0, 0, 0, 1, 2])] if n else ["a"], n)
    x = [g.normal(size=n), np.zeros(n), (arms == "b") * 1.0, 1e6 + g.integers(0, 2, n)][g.choice([0, 0, 0, 1, 2, 3])]
    site = [g.choice(["s", "t"], n), arms, np.array([f"p{i}" for i in range(n)], dtype=object)][
        g.choice([0, 0, 0, 0, 1, 2])
    ]
    frame = pd.DataFrame(
        {
            "ID": who,
            "T": when.astype(float),
            "V": [f"V{t}" for t in when],
            "ARM": arms[who],
            "X": x[who],
            "SITE": site[who],
        }
    )
    frame["Y"] = np.asarray(outcome(g, frame), dtype=np.float64)
    frame["W"] = g.choice([0.5, 1.0, 2.0], len(frame))
    seen = g.integers(0, 6)
    if seen == 0:  # nobody at both of two visits
        frame = frame[frame.ID % m == frame["T"]] if g.random() < 0.5 else frame[frame["T"] != frame.ID % 2]
    elif seen == 1:  # one or two at the last visit
        frame = frame[(frame["T"] < m - 1) | (g.integers(0, 4) > frame.ID)]
    elif seen == 2:
        frame.loc[g.random(len(frame)) < 0.3, "Y"] = np.nan
    elif seen == 3:
        frame.loc[g.random(len(frame)) < 0.1, "X"] = np.nan
    return frame.reset_index(drop=True)


def run(k: int) -> list[Estimate]:
    """Case ``k``."""
    g = np.random.default_rng([9, k])
    frame = data_of(g)
    more = str(g.choice(["", " + X", " + SITE", " + X + SITE", " + X * V"]))
    data: Any = frame if g.random() < 0.5 else pl.from_pandas(frame)
    df, structure = str(g.choice(DF)), str(g.choice(STRUCTURES))
    reml = bool(g.random() < 0.8) or df.startswith("kenward")
    kind = g.integers(0, 4)
    if kind == 0:
        fit: Any = ancova(
            f"Y ~ ARM{more}",
            data,
            vcov=str(g.choice(["model", "HC0", "HC1", "HC2", "HC3"])),
            weights=str(g.choice(["W"])) if g.random() < 0.2 else None,
        )
        made = fit.contrasts("ARM").estimates
        fit.lsmeans("ARM").to_frame()
        assert fit.left_out is not None
        return list(made)
    if kind == 1:
        ladder = ("ad", "cs") if g.random() < 0.3 else ()
        term = f"{structure}(V | ID)" if g.random() < 0.8 else f"{structure}(V | ARM / ID)"
        fit = mmrm(
            f"Y ~ ARM * V{more} + {term}",
            data,
            df=df,
            reml=reml,
            fallback=ladder,
            weights="W" if g.random() < 0.1 else None,
        )
    elif kind == 2:
        fit = slope(f"Y ~ ARM * T{more.replace(' * V', '')} + ({g.choice(['T', '1'])} | ID)", data, df=df, reml=reml)
        fit.summary()
        return list(fit.contrasts("ARM").estimates)
    else:
        right = more.removeprefix(" + ").replace(" * V", "")
        fit = clda(
            f"Y ~ {right + ' + ' if right else ''}{structure}(V | ID)", data, arm="ARM", baseline="V0", df=df, reml=reml
        )
    fit.summary()
    fit.lsmeans("ARM", by="V").to_frame()
    return list(fit.contrasts("ARM", by="V").estimates)


def attempt(k: int) -> str:
    """Run case ``k``: what became of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = run(k)
        except EquipoiseError:
            return "refused"
        except Exception as error:
            raise AssertionError(f"case {k}: {type(error).__name__}: {error}") from error
    try:
        for e in made:
            check(e)
    except AssertionError as error:
        raise AssertionError(f"case {k}: {error}") from error
    return "estimated" if any(e.status is Status.OK for e in made) else "not estimable"


def test_property_degenerate_data_keep_the_contract() -> None:
    found = [attempt(k) for k in range(SAMPLE)]
    assert min(found.count(what) for what in ("estimated", "not estimable", "refused")) > SAMPLE // 20


@pytest.mark.slow
def test_property_degenerate_data_keep_the_contract_10000() -> None:
    for k in range(SAMPLE, CASES):
        attempt(k)
