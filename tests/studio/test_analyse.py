"""A trial of one's own: the plan as a form, its tables as a job that can be stopped and that survives the server."""

from __future__ import annotations

import html
import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import yaml
from serving import files_in_report, served
from trial_files import FIXTURES, write_trial

from equipoise.plan import carry_out
from equipoise.plan.analysis_plan import parse_plan

WEEK_28, CHANGE, DEATH = "ADEFF.ALSFRS.ANCOVA", "ADEFF.ALSFRS.MMRM", "ADTTE.DEATH"


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    write_trial(tmp_path / "data" / "trial")
    return tmp_path


@pytest.fixture
def reader(folders: Path) -> Iterator[httpx.Client]:
    """A client of a studio that may read the trial."""
    with serving(folders) as address, client_of(address) as client:
        yield client


def serving(folders: Path) -> Any:
    return served(workspace=folders / "workspace", data=(folders / "data",))


@contextmanager
def client_of(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=120.0) as client:
        client.get("/import")
        yield client


def send(client: httpx.Client, path: str, data: dict[str, Any] | None = None) -> httpx.Response:
    return client.post(path, data={"form_token": client.cookies["equipoise_form"], **(data or {})})


def place(client: httpx.Client) -> str:
    found = re.search(r'href="(/analyse/\w+)">[^<]*trial</a>', client.get("/analyse").text)
    assert found is not None
    return found[1]


def plan_of(page: str) -> str:
    held = re.search(r'<input type="hidden" name="plan" value="(.*?)">', page, re.S)
    assert held is not None
    return html.unescape(held[1])


def done(client: httpx.Client, address: str) -> str:
    """The page of an analysis, once it is done."""
    end = time.monotonic() + 120
    while "These are stored results" not in (text := client.get(address).text):
        assert time.monotonic() < end
        assert 'class="problem"' not in text, text
        time.sleep(0.1)
    return text


def test_reference_a_plan_filled_in_the_form_gives_the_numbers_of_r(reader: httpx.Client) -> None:
    at = place(reader)
    page = reader.get(at).text
    assert "Nothing is wrong with the data" in page
    change = {
        "at/analyses/2/sections/2/label": "Change from baseline",
        "at/analyses/2/sections/3/formula": "CHG ~ TRT01P + BASE + ONSETMO + RILFL",
        "at/title": "As the reader wants it",
    }
    asked = {"plan": plan_of(page), "chosen": "yes", "analysis": [WEEK_28, DEATH], **change}
    answer = send(reader, at, asked)
    assert answer.status_code == 303, answer.text
    here = answer.headers["location"]
    shown = done(reader, here)
    assert "<iframe" in shown
    tables = reader.get(f"{here}/tables").text
    assert "Change from baseline" in tables
    assert "As the reader wants it" in tables
    rows = pl.read_csv(io.StringIO(reader.get(f"{here}/file/results.csv").text))
    assert set(rows["analysis"]) == {WEEK_28, DEATH}
    expected = json.loads((FIXTURES / "trial_other.json").read_text(encoding="utf-8"))["ancova_week28"]["beta"]
    wanted = expected["values"][expected["names"].index("TRT01PActive")]
    found = rows.filter((pl.col("analysis") == WEEK_28) & (pl.col("quantity") == "difference"))["estimate"]
    assert found.to_list() == pytest.approx([wanted], rel=1e-9)
    kept = zipfile.ZipFile(io.BytesIO(reader.get(f"{here}/file/all.zip").content))
    assert {"tables.html", "results.csv", "plan.yaml", "ars.json", "tables.rtf"} <= set(kept.namelist())
    assert parse_plan(kept.read("plan.yaml").decode(), "plan").title == "As the reader wants it"
    assert reader.get(f"{here}/file/..%2f..%2frequest.json").status_code in (400, 404)
    assert send(reader, at, asked).headers["location"] == here, "asked for again, it is there"


def test_property_a_plan_is_a_form_a_text_and_a_file(reader: httpx.Client) -> None:
    at = place(reader)
    page = reader.get(at).text
    text = plan_of(page)
    kept = send(reader, at, {"plan": text, "keep": "yes", "at/analyses/3/sections/0/covariance": "us, ar1"})
    assert "attachment" in kept.headers["content-disposition"]
    assert yaml.safe_load(kept.text)["analyses"][3]["sections"][0]["covariance"] == ["us", "ar1"]
    assert send(reader, at, {"plan": text, "keep": "yes"}).text == text, "where nothing is changed, its words stay"
    shown = send(reader, at, {"plan": text, "show": "yes", "at/analyses/2/where/AVISITN": "24"}).text
    assert yaml.safe_load(plan_of(shown))["analyses"][2]["where"]["AVISITN"] == 24
    wrong = send(reader, at, {"plan": text, "at/analyses/2/where/AVISITN": "soon"})
    assert wrong.status_code == 400
    assert "is no number" in wrong.text
    unknown = send(reader, at, {"plan": text, "at/analyses/2/population": "EVERYBODY"})
    assert unknown.status_code == 400
    assert "EVERYBODY" in unknown.text
    for hostile in ("at/analyses/99/title", "at/__class__/x", "at/analyses/-1/title", "at/"):
        assert send(reader, at, {"plan": text, "keep": "yes", hostile: "x"}).text == text
    none = send(reader, at, {"plan": text, "chosen": "yes"})
    assert none.status_code == 400
    assert "tick at least one" in none.text


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Sections wait until it is open."""
    opened, real = threading.Event(), carry_out.check_data

    def waiting(*args: Any) -> None:
        assert opened.wait(60)
        real(*args)

    monkeypatch.setattr(carry_out, "check_data", waiting)
    yield opened
    opened.set()


def begun(client: httpx.Client) -> str:
    at = place(client)
    here = str(send(client, at, {"plan": plan_of(client.get(at).text)}).headers["location"])
    end = time.monotonic() + 60
    while "Carrying out the plan" not in client.get(here).text:
        assert time.monotonic() < end
        time.sleep(0.02)
    return here


def test_property_an_analysis_says_how_far_it_is_stops_and_goes_on(reader: httpx.Client, gate: threading.Event) -> None:
    here = begun(reader)
    end = time.monotonic() + 60
    while "Populations, Population" not in (text := reader.get(here).text):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert "<progress" in text
    part = reader.get(f"{here}?seen=running", headers={"HX-Request": "true"}).text
    assert "<progress" in part
    assert "<h1" not in part
    for file in ("/tables", "/file/all.zip"):
        assert reader.get(here + file).status_code == 400, "nothing is given before it is there"
    send(reader, here, {"stop": "yes"})
    gate.set()
    while "Stopped" not in reader.get(here).text:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert reader.get(f"{here}/tables").status_code == 400
    send(reader, here)
    done(reader, here)


def test_property_an_analysis_survives_the_server_and_data_that_changed_do_not(
    folders: Path, gate: threading.Event
) -> None:
    with serving(folders) as address, client_of(address) as client:
        here = begun(client)
        threading.Timer(0.2, gate.set).start()  # the section at work ends while the server does
    with serving(folders) as address, client_of(address) as client:
        done(client, here)
        before = client.get(f"{here}/file/results.csv").content
        subjects, at = folders / "data" / "trial" / "adsl.csv", place(client)
        gate.clear()
        late = send(client, at, {"plan": plan_of(client.get(at).text), "at/title": "Later"}).headers["location"]
        subjects.write_text(subjects.read_text(encoding="utf-8").replace(",44.5,", ",46.5,"), encoding="utf-8")
        second = send(client, at, {"plan": plan_of(client.get(at).text)}).headers["location"]
        assert second not in (here, late), "other data are another analysis"
        gate.set()
        done(client, second)
        assert client.get(f"{here}/file/results.csv").content == before, "what was done stays"
        assert client.get(f"{second}/file/results.csv").content != before


def test_property_tables_and_drawings_of_an_analysis_go_into_the_report(reader: httpx.Client) -> None:
    at = place(reader)
    asked = {"plan": plan_of(reader.get(at).text), "chosen": "yes", "analysis": [CHANGE, DEATH]}
    here = send(reader, at, asked).headers["location"]
    items = re.findall(r'name="add" value="(a:[^"]+)"', done(reader, here))
    assert len(items) == 4
    for item in items:
        assert send(reader, "/basket", {"add": item}).status_code == 303
    assert "Figure" in reader.get("/basket").text
    report = reader.get("/basket/report.html").text
    assert report.count('<svg xmlns="http://www.w3.org/2000/svg"') == 2
    ((name, kept),) = files_in_report(report).items()
    assert f"equipoise analyse {name} --data" in report
    assert parse_plan(kept, "kept").analyses
    assert "SHA-256" in report
    assert "script-src &#39;sha256-" in report
    word = zipfile.ZipFile(io.BytesIO(reader.get("/basket/report.docx").content))
    assert len([n for n in word.namelist() if n.startswith("word/media/")]) == 2
