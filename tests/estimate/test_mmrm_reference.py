"""Every number of every reference case of R's mmrm."""

from __future__ import annotations

import mmrm_cases
import pytest

import parity
from equipoise.estimate.linear.mmrm import mmrm


def _all() -> list[object]:
    out = []
    for source in ("fixtures", "shared"):
        for name, case in mmrm_cases.cases(source).items():
            for key in case["results"]:
                out.append(pytest.param(source, name, key, id=f"{name}-{key.replace(' | ', '-')}"))
    return out


@pytest.mark.parametrize(("source", "name", "key"), _all())
def test_reference_mmrm(source: str, name: str, key: str) -> None:
    parity.check(mmrm_cases.compare(source, name, key), at_least=20)


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
