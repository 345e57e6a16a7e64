"""Every number of every reference case of R's mmrm."""

from __future__ import annotations

import mmrm_cases
import pytest

from equipoise.estimate.mmrm import mmrm


def _all() -> list[object]:
    out = []
    for source in ("fixtures", "shared"):
        for name, case in mmrm_cases.cases(source).items():
            for key in case["results"]:
                out.append(pytest.param(source, name, key, id=f"{name}-{key.replace(' | ', '-')}"))
    return out


@pytest.mark.parametrize(("source", "name", "key"), _all())
def test_reference_mmrm(source: str, name: str, key: str) -> None:
    compared = list(mmrm_cases.compare(mmrm_cases.cases(source)[name], key))
    wrong = [c for c in compared if not c.passed]
    assert not wrong, "\n".join(
        f"{c.quantity}: {c.ours!r} here, {c.reference!r} in R, difference {c.difference:.2e} > {c.tolerance:.0e}"
        for c in wrong
    )
    assert len(compared) >= 20


def test_reference_cases_are_present() -> None:
    assert len(mmrm_cases.cases("fixtures")) == 12
    if not mmrm_cases.cases("shared"):
        pytest.skip(f"no reference/mmrm.json in {mmrm_cases.SHARED}: set EQUIPOISE_SHARED")
    assert len(mmrm_cases.cases("shared")) == 28


def test_reference_sas_cdiscpilot01() -> None:
    """Change of ADAS-Cog in the CDISC pilot study, the MMRM of its analysis plan: SAS prints -2 residual log-likelihood
    3087.8430 (efficacy set, observed records, one a visit)."""
    path = mmrm_cases.SHARED / "data" / "cdiscpilot01" / "adam" / "adadas.xpt"
    if not path.exists():
        pytest.skip(f"no {path}: set EQUIPOISE_SHARED")
    pyreadstat = pytest.importorskip("pyreadstat")
    d, _ = pyreadstat.read_xport(str(path))
    d = d[(d["PARAMCD"] == "ACTOT") & (d["EFFFL"] == "Y") & (d["ANL01FL"] == "Y") & (d["DTYPE"] == "")]
    d = d[d["AVISIT"].isin(["Week 8", "Week 16", "Week 24"])]
    fit = mmrm("CHG ~ TRTP * AVISIT + SITEGR1 + BASE * AVISIT + us(AVISIT | USUBJID)", d)
    assert round(-2.0 * fit.loglik, 4) == 3087.8430
    assert fit.converged


def test_reference_public_table_is_current() -> None:
    """docs/parity/mmrm.md has every block of every case, and its numbers are today's up to the tolerance."""
    if not mmrm_cases.cases("shared"):
        pytest.skip(f"no reference/mmrm.json in {mmrm_cases.SHARED}: set EQUIPOISE_SHARED")

    def rows(text: str) -> list[list[str]]:
        return [
            line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ") and "here" not in line
        ]

    committed, now = rows(mmrm_cases.PAGE.read_text()), rows(mmrm_cases.public_table())
    assert [r[:2] for r in committed] == [r[:2] for r in now]
    for old in committed:
        assert float(old[4]) <= float(old[5]), old
