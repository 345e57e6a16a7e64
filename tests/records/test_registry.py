"""The registry door: what goes in comes out, and what does not is named."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from registry_study import first, outcome, study

from equipoise.errors import RecordError
from equipoise.records import coherence_notes, load_record
from equipoise.records.load import parse_record
from equipoise.records.registry import import_study, read_study, record_yaml
from equipoise.records.registry.reader import LONGEST, parse_number, values
from equipoise.records.registry.words import contrast_kind, family_of, parse_p, week_of

SHARED = Path(os.environ.get("EQUIPOISE_SHARED", Path(__file__).parents[3] / "shared"))
REAL = sorted((SHARED / "data" / "ctgov").glob("NCT*.json"))
needs_real = pytest.mark.skipif(not REAL, reason=f"no registry entries under {SHARED / 'data' / 'ctgov'}")
by_number = {p.stem: p for p in REAL}


def numbers(node: Any) -> Counter[float]:
    """Every number in a record."""
    found: Counter[float] = Counter()
    stack = [node]
    while stack:
        n = stack.pop()
        if isinstance(n, BaseModel):
            stack.extend(getattr(n, k) for k in type(n).model_fields)
        elif isinstance(n, dict):
            stack.extend(n.values())
        elif isinstance(n, tuple | list):
            stack.extend(n)
        elif isinstance(n, int | float) and not isinstance(n, bool):
            found[abs(float(n))] += 1
    return found


# -- the small entry --------------------------------------------------------------------------------------------------


def test_the_small_entry() -> None:
    done = import_study(study())
    r = done.record
    assert (r.id, r.origin, r.acronym, r.condition) == ("NCT01234567", "posted", None, "A disease")
    assert [(a.id, a.role, a.n.value) for a in r.arms] == [("drug_10_mg", "active", 40), ("placebo", "control", 20)]
    assert [g.label for g in r.groups] == ["Total"]
    assert r.design.phase.text == "phase 2, phase 3"
    assert r.design.masking.text == "double-blind (participant, investigator)"
    assert (r.design.n_actual.value, r.design.n_sites.value, r.design.n_countries.value) == (60, 2, 2)
    assert [(c.kind, c.text) for c in r.eligibility][-4:] == [
        ("inclusion", "Ill"),
        ("inclusion", "Willing, and able"),
        ("inclusion", "Score >= 4 [points]"),
        ("exclusion", "Well"),
    ]
    primary = r.result(r.primary_result or "")
    assert primary.outcome == "PRIM1"
    assert primary.week == 24
    assert (primary.contrast.kind, primary.contrast.value, primary.contrast.low) == ("difference", 2.5, 0.5)
    assert primary.contrast.label == "LS Mean Difference"
    assert primary.arms["drug_10_mg"].se == 0.6
    assert (primary.p[0].method, primary.p[0].value) == ("ancova", 0.0164)
    age = r.baseline[0]
    assert (age.statistic, age.values["ALL"]["drug_10_mg"].digits) == ("mean_sd", 2)
    assert age.groups["total"].value == 50.4
    assert r.baseline_value("SEX", set="ALL", arm="placebo").total == 20
    assert r.event("COMPLETED", set="ALL", arm="placebo").proportion == 0.9
    assert r.event("DEATH", set="ALL", arm="drug_10_mg").value == 1
    pneumonia = r.adverse_event("sae_1")
    assert (pneumonia.arms["drug_10_mg"].proportion, pneumonia.events["drug_10_mg"].value) == (0.05, 3)
    survival = r.find_results("SEC1")[0]
    assert (survival.arms["drug_10_mg"].value, survival.arms["drug_10_mg"].low) == (None, 9.0)
    assert "NA" in (survival.arms["drug_10_mg"].note or "")
    assert coherence_notes(r) == ()


def test_what_is_written_can_be_read_back_the_same() -> None:
    done = import_study(study())
    record, problems = parse_record(record_yaml(done.document).encode())
    assert problems == []
    assert record == done.record


def test_the_account_adds_up() -> None:
    done = import_study(study())
    assert done.mapped + sum(u.count for u in done.unmapped) == done.values == len(list(values(study())))
    assert {u.path for u in done.unmapped} == {
        "protocolSection.sponsorCollaboratorsModule.leadSponsor.class",
        "protocolSection.contactsLocationsModule.locations[].facility",
    }
    assert any("week 24" in a.what for a in done.assumed)
    lines = list(done.lines())
    assert lines[0].startswith("NCT01234567: ")
    assert any("locations[].facility (1): sites are counted" in line for line in lines)


_PATHS = sorted({p[:i] for p, _ in values(study()) for i in range(len(p) + 1)}, key=str)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=8), child, max_size=3),
    max_leaves=6,
)


def _at(entry: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        entry = entry[part]
    return entry


@given(st.sampled_from(_PATHS), st.text("abcXYZ", min_size=1, max_size=6))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_property_an_unknown_key_anywhere_is_listed(path: tuple[Any, ...], key: str) -> None:
    entry = study()
    node = _at(entry, path)
    if not isinstance(node, dict):
        return
    node[f"new_{key}"] = "a value nobody foresaw"
    done = import_study(entry)
    assert any(u.path.endswith(f"new_{key}") and "nobody" in u.example for u in done.unmapped)


@given(st.sampled_from(_PATHS), _JSON)
@example(("protocolSection", "armsInterventionsModule", "interventions", 0, "armGroupLabels"), True)
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
def test_property_nothing_that_is_posted_breaks_the_door(path: tuple[Any, ...], value: Any) -> None:
    """Any JSON in place of any part: a record that can be written and read, or an error with a hint."""
    entry = study()
    if path:
        _at(entry, path[:-1])[path[-1]] = value
    else:
        entry = value
    try:
        done = import_study(entry)
    except RecordError:
        return
    assert done.mapped + sum(u.count for u in done.unmapped) == done.values
    record, problems = parse_record(record_yaml(done.document).encode())
    assert [str(p) for p in problems] == []
    assert record == done.record
    coherence_notes(done.record)


# -- traps ------------------------------------------------------------------------------------------------------------


def test_a_contrast_posted_the_other_way_round_is_turned_and_told() -> None:
    entry = study()
    first(entry).update(paramValue="-2.5", ciLowerLimit="-4.5", ciUpperLimit="-0.5")
    done = import_study(entry)
    c = done.record.result("r_prim1").contrast
    assert (c.value, c.low, c.high, c.confidence) == (2.5, 0.5, 4.5, "derived")
    assert c.turned
    assert "-2.5 (-4.5 to -0.5)" in (c.note or "")
    assert any("turned round" in a.what for a in done.assumed)


def test_a_ratio_called_a_difference_is_kept_as_a_ratio() -> None:
    entry = study()
    first(entry).update(paramType="Difference in LS geometric mean ratio", paramValue="0.44")
    first(entry).update(ciLowerLimit="0.30", ciUpperLimit="0.65", pValue="<0.001")
    outcome(entry)["paramType"] = "GEOMETRIC_LEAST_SQUARES_MEAN"
    outcome(entry)["classes"][0]["categories"][0]["measurements"] = [
        {"groupId": "OG000", "value": "0.40"},
        {"groupId": "OG001", "value": "0.90"},
    ]
    record = import_study(entry).record
    c = record.result("r_prim1").contrast
    assert (c.kind, c.value) == ("ratio", 0.44)
    assert [n.kind for n in coherence_notes(record)] == ["ratio_called_difference"]


def test_one_sided_limits_and_missing_names_survive() -> None:
    entry = study()
    one = first(entry)
    del one["ciUpperLimit"], one["paramType"], one["statisticalMethod"]
    one.update(ciNumSides="ONE_SIDED", pValue="0.02 (approximately)")
    record = import_study(entry).record
    result = record.result("r_prim1")
    assert (result.contrast.low, result.contrast.high) == (0.5, None)
    assert result.p == ()
    assert "0.02 (approximately)" in (result.note or "")
    assert result.contrast.note == "one-sided interval"
    assert "one_sided_interval" not in [n.kind for n in coherence_notes(record)]  # the source says so: no slip


def test_a_rank_test_beside_a_models_estimate_keeps_both_names() -> None:
    entry = study()
    first(entry).update(statisticalMethod="Joint rank", pValue="0.5")
    record = import_study(entry).record
    result = record.result("r_prim1")
    assert result.method != result.p[0].method
    assert record.method(result.p[0].method).gives == ("p",)
    assert [n.kind for n in coherence_notes(record)] == ["p_and_interval"]


def test_numbers_that_contradict_each_other_are_kept_and_noted() -> None:
    entry = study()
    entry["resultsSection"]["adverseEventsModule"]["seriousEvents"][0]["stats"][0].update(numAffected=9, numAtRisk=50)
    done = import_study(entry)
    assert done.record.adverse_event("sae_1").arms["drug_10_mg"].total == 50
    assert len(done.contradictions) == 1
    kinds = [n.kind for n in coherence_notes(done.record)]
    assert kinds.count("arm_and_total") == 2, "more than the arm, and more than any serious event"


def test_an_analysis_of_one_row_among_many_finds_its_row() -> None:
    entry = study()
    cls = outcome(entry)["classes"]
    cls[0]["title"] = "Week 12"
    cls.append(copy.deepcopy(cls[0]) | {"title": "Week 24"})
    for m, v in zip(cls[1]["categories"][0]["measurements"], ("-3.0", "-7.0"), strict=True):
        m["value"] = v
    done = import_study(entry)
    rows = {r.row: r for r in done.record.find_results("PRIM1")}
    assert rows["Week 12"].contrast is not None
    assert rows["Week 24"].contrast is None
    assert (rows["Week 12"].week, rows["Week 24"].week) == (12, 24)
    assert any("Week 12" in a.what for a in done.assumed)


def test_a_single_arm_needs_no_control() -> None:
    entry = study()
    entry["protocolSection"]["designModule"]["designInfo"]["allocation"] = "NA"
    record = import_study(entry).record
    assert not record.design.randomised
    assert {a.role for a in record.arms} == {"active"}


def test_an_entry_without_results_is_a_record_of_the_plan() -> None:
    entry = study()
    del entry["resultsSection"]
    record = import_study(entry).record
    assert [(o.id, o.role) for o in record.outcomes] == [("PRIMP1", "primary")]
    assert record.results == ()
    assert record.primary_result is None
    assert [a.n.value for a in record.arms] == [None, None]


EVIL = (
    "<script>alert('x')</script> <img src=x onerror=alert(1)> \x1b[31m \u202e {{ 7 * 7 }} '; DROP TABLE --\n- no: yes"
)


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    entry = study()
    ident = entry["protocolSection"]["identificationModule"]
    ident["officialTitle"] = EVIL
    entry["protocolSection"]["descriptionModule"]["briefSummary"] = "A" * (LONGEST + 5000) + "\ud800"
    outcome(entry)["title"] = EVIL
    outcome(entry)["groups"][0]["title"] = EVIL
    entry["protocolSection"]["referencesModule"] = {
        "seeAlsoLinks": [{"label": "click", "url": "javascript:alert(1)"}, {"url": "https://example.org/a"}]
    }
    done = import_study(entry)
    title = done.record.title
    assert "<script>alert('x')</script>" in title, "kept as it is: escaping is the page's"
    assert "\x1b" not in title
    links = {c.text: c.url for c in done.record.citations}
    assert links["click: javascript:alert(1)"] is None
    assert links["https://example.org/a"] == "https://example.org/a"
    assert len(done.record.summary or "") < LONGEST + 20
    assert any("cut to" in c.what for c in done.changed)
    record, problems = parse_record(record_yaml(done.document).encode())
    assert problems == []
    assert record == done.record


@pytest.mark.parametrize(
    "raw", ["{", "[1, 2]", "null", '"text"', "{}", '{"protocolSection": []}', "[" * 100_000, "\xff", '{"a": NaN}']
)
def test_what_is_no_study_is_refused_with_a_hint(raw: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw.encode("latin-1"))
    with pytest.raises(RecordError):
        read_study(path)


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("1,234", (1234, 0)),
        ("-8.10", (-8.1, 2)),
        (".05", (0.05, 2)),
        ("−3", (-3, 0)),
        ("12 %", (12, 0)),
        ("1e3", (1000.0, 0)),
        ("NA", None),
        ("", None),
        ("1-2", None),
        ("<5", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("1e40", None),
        ("1,23", None),
    ],
)
def test_posted_numbers(raw: str, found: tuple[float, int] | None) -> None:
    assert parse_number(raw) == found


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("= 0.9689", ("=", 0.9689)),
        ("<0.0001", ("<", 0.0001)),
        ("< .001", ("<", 0.001)),
        (">0.99", (">", 0.99)),
        ("1", ("=", 1.0)),
        ("≤0.05", ("<", 0.05)),
        ("p = 0.03", ("=", 0.03)),
        ("NS", None),
        ("1.2", None),
        ("0.05 (one-sided)", None),
    ],
)
def test_posted_p_values(raw: str, found: tuple[str, float] | None) -> None:
    assert parse_p(raw) == found


@pytest.mark.parametrize(
    ("text", "week"),
    [
        ("Baseline, Week 28 (Day 197)", 28),
        ("Day 197 (Week 28)", 28),
        ("Weeks 28 to 52", None),
        ("12 months", 52.2),
        ("Baseline, Weeks 8, 12, 28 and 52", None),
        ("First six months", 26.1),
        ("through study completion", None),
        ("From enrolment to the end of the study, plus 30 days", None),
        ("Within 30 days post-last dose", None),
        ("Up to 52 weeks plus 30 days", 52),
        ("12 weeks after the first dose", 12),
    ],
)
def test_times(text: str, week: float | None) -> None:
    assert week_of(text) == week


def test_kinds_and_families() -> None:
    assert contrast_kind("Difference in LS geometric mean ratio") == "ratio"
    assert contrast_kind("Hodges-Lehmann median diff. vs placebo") == "difference"
    assert contrast_kind("Log Rank Test Statistic") is None
    assert contrast_kind("Hazard Ratio (HR)") == "hazard_ratio"
    assert family_of("Wilcoxon rank sum test") == ("other", ("p",))
    assert family_of("Regression, Cox")[0] == "cox"
    assert family_of("Mixed Model Repeated Measure (MMRM)")[0] == "mmrm"


# -- real entries -----------------------------------------------------------------------------------------------------


@needs_real
@pytest.mark.parametrize("path", REAL, ids=lambda p: p.stem)
def test_reference_real_entries_import_with_nothing_lost_silently(path: Path) -> None:
    done = read_study(path)
    entry = json.loads(path.read_text(encoding="utf-8"))
    assert done.values == sum(1 for _ in values(entry))
    assert done.mapped + sum(u.count for u in done.unmapped) == done.values
    assert all(u.why != "not known to this importer" for u in done.unmapped), "every omission has its reason"
    results = [u for u in done.unmapped if u.path.startswith("resultsSection")]
    assert all(u.path.startswith("resultsSection.moreInfoModule") for u in results), "no result is left out"
    record, problems = parse_record(record_yaml(done.document).encode())
    assert problems == []
    assert record == done.record
    known = {*record.index(), *record.blocks(), *record.sources}
    notes = coherence_notes(record)
    assert all(set(n.refs) <= known for n in notes)
    assert len({n.id for n in notes}) == len(notes)


@needs_real
@pytest.mark.parametrize("path", REAL, ids=lambda p: p.stem)
def test_independent_every_posted_result_is_in_the_record(path: Path) -> None:
    """The numbers of all result tables, gathered without the importer, are in the record at least as often."""
    results = json.loads(path.read_text(encoding="utf-8"))["resultsSection"]
    posted: Counter[float] = Counter()

    def add(raw: Any) -> None:
        with contextlib.suppress(ValueError):
            posted[abs(float(str(raw).replace(",", "")))] += 1

    tables = results["outcomeMeasuresModule"]["outcomeMeasures"] + results["baselineCharacteristicsModule"]["measures"]
    for table in tables:
        for cls in table.get("classes", []):
            for category in cls["categories"]:
                for m in category["measurements"]:
                    for key in ("value", "spread", "lowerLimit", "upperLimit"):
                        if key in m:
                            add(m[key])
        for a in table.get("analyses", []):
            for key in ("paramValue", "ciLowerLimit", "ciUpperLimit", "dispersionValue"):
                if key in a:
                    add(a[key])
    for kind in ("seriousEvents", "otherEvents"):
        for event in results["adverseEventsModule"].get(kind, []):
            for s in event["stats"]:
                for key in ("numAffected", "numEvents"):
                    if key in s:
                        add(s[key])
    record = read_study(path).record
    held = numbers([record.baseline, record.results, record.events, record.adverse_events, record.items])
    assert sum(posted.values()) > 10
    assert not posted - held


def real(number: str) -> Any:
    if number not in by_number:
        pytest.skip("the entry is not there")
    return read_study(by_number[number])


def test_independent_valor_as_posted_agrees_with_the_record_written_by_hand() -> None:
    posted, written = real("NCT02623699").record, load_record("valor")
    pairs = {
        "PRIM1": "alsfrs_f_w28",
        "SEC2": "sod1_f_w28",
        "SEC3": "nfl_f_w28",
        "SEC4": "svc_f_w28",
        "SEC5": "hhd_f_w28",
    }
    for theirs, ours in pairs.items():
        a = next(r for r in posted.find_results(theirs) if r.contrast is not None).contrast
        b = written.result(ours).contrast
        assert a.kind == b.kind
        for key in ("value", "low", "high"):
            assert getattr(a, key) == pytest.approx(getattr(b, key), abs=0.006), (ours, key)
    assert [a.n.value for a in posted.arms] == [36, 72]
    assert posted.result("r_prim1").p[0].value == written.result("alsfrs_f_w28").p[0].value


def test_reference_valors_20_mg_row_is_found() -> None:
    for record in (real("NCT02623699").record, load_record("valor")):
        notes = [n for n in coherence_notes(record) if n.kind == "contrast_and_arms"]
        assert len(notes) == 1
        assert "0.67 (0.53 to 0.84)" in notes[0].what
        assert notes[0].certainty == "certain"
        assert "same numbers are printed for" in (notes[0].explained or "")
        assert "100" in (notes[0].explained or "")


def test_reference_the_one_sided_p_values_of_daprodustat_are_one_note() -> None:
    notes = coherence_notes(real("NCT03029208").record)
    one = [n for n in notes if n.kind == "one_sided_p"]
    assert len(one) == 1
    assert len([r for r in one[0].refs if ".p." in r]) > 40


def test_reference_the_standard_errors_of_emperial_are_called_deviations() -> None:
    notes = coherence_notes(real("NCT03448406").record)
    assert [n.kind for n in notes] == ["sd_or_se", "sd_or_se"]
    assert all("Clinical Congestion Score" in n.what for n in notes)


@pytest.mark.parametrize("number", ["NCT00360568", "NCT01800968", "NCT02210780", "NCT02485938", "NCT06597084"])
def test_entries_that_hang_together_get_no_note(number: str) -> None:
    assert coherence_notes(real(number).record) == ()


def test_property_texts_without_bound_are_refused() -> None:
    """A text, or the name of a part, longer than any of the registry's is named with its place and its length."""
    entry = study()
    entry["protocolSection"]["descriptionModule"] = {"briefSummary": "x" * 100_001}
    with pytest.raises(RecordError, match=r"descriptionModule.briefSummary: a text of 100,001 letters"):
        import_study(entry)
    entry["protocolSection"]["descriptionModule"] = {"briefSummary": "x" * 99_999}
    import_study(entry)
    entry["protocolSection"]["y" * 5000] = 1
    with pytest.raises(RecordError, match="a part has a name of 5,000 letters"):
        import_study(entry)
