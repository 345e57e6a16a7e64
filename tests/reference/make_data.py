"""The synthetic data that ``categorical.R`` analyses: python tests/reference/make_data.py writes them beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent


def patients() -> pl.DataFrame:
    """One row a patient: two arms, three sites, answers of every kind."""
    g = np.random.default_rng(20261129)
    n = 160
    arm = np.arange(n) % 2
    site = g.integers(0, 3, n)
    base = np.round(g.normal(0.0, 1.0, n), 3)
    eta = -0.5 + 0.8 * arm + 0.4 * base + np.array([-0.3, 0.0, 0.4])[site]
    latent = eta + g.logistic(size=n)
    weeks = np.round(g.uniform(4.0, 52.0, n), 1)
    rate = np.exp(-2.0 - 0.5 * arm + 0.3 * base) * g.gamma(1.5, 1 / 1.5, n)
    before = (eta + g.logistic(size=n) > 0.6).astype(int)
    return pl.DataFrame(
        {
            "ID": [f"P{i:03d}" for i in range(n)],
            "ARM": np.array(["a", "b"])[arm],
            "DOSE": np.array(["0", "low", "high"])[g.integers(0, 3, n)],
            "SITE": np.array(["x", "y", "z"])[site],
            "BASE": base,
            "RESP": (latent > 0.0).astype(int),
            "BEFORE": before,
            "GRADE": np.digitize(latent, [-1.0, 0.3, 1.6]) + 1,
            "EVENTS": g.poisson(rate * weeks),
            "WEEKS": weeks,
            "RARE": ((arm == 1) & (g.random(n) < 0.06)).astype(int),
        }
    )


def visits() -> pl.DataFrame:
    """Thirty patients, four visits, some missed: an answer of yes or no, a count, a measurement."""
    g = np.random.default_rng(7)
    rows = []
    for i in range(30):
        arm, own, x = i % 2, g.normal(0.0, 1.0), round(float(g.normal()), 3)
        for v in range(1, 5):
            miss = g.random() < 0.1
            eta = -0.2 + 0.5 * arm + 0.15 * v + 0.3 * x + own
            yes, many, value = int(eta + g.logistic() > 0), int(g.poisson(np.exp(0.3 * eta))), eta + g.normal()
            if not miss:
                rows.append((f"P{i:02d}", "ab"[arm], v, x, yes, many, round(value, 3)))
    return pl.DataFrame(rows, schema=["ID", "ARM", "VISIT", "X", "YES", "MANY", "VALUE"], orient="row")


def recurrences() -> pl.DataFrame:
    """Eighty patients with repeated events, as intervals (START, STOP]."""
    g = np.random.default_rng(11)
    rows = []
    for i in range(80):
        arm, frailty, end = i % 2, g.gamma(2.0, 0.5), round(float(g.uniform(10.0, 52.0)), 1)
        x, t = round(float(g.normal()), 3), 0.0
        while True:
            step = round(float(g.exponential(1.0 / (0.06 * frailty * np.exp(-0.5 * arm + 0.3 * x)))), 1) + 0.1
            stop = round(t + step, 1)
            if stop >= end:
                rows.append((f"P{i:02d}", "ab"[arm], x, t, end, 0))
                break
            rows.append((f"P{i:02d}", "ab"[arm], x, t, stop, 1))
            t = stop
    return pl.DataFrame(rows, schema=["ID", "ARM", "X", "START", "STOP", "EVENT"], orient="row")


if __name__ == "__main__":
    patients().write_csv(HERE / "patients.csv")
    visits().write_csv(HERE / "visits.csv")
    recurrences().write_csv(HERE / "recurrences.csv")
