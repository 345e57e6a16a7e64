"""The views as a browser asks for them: what they hold, what they refuse, and what they let nobody do."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import yaml
from registry_study import study
from serving import files_in_report, served

from equipoise.appraise.certainty import parse_judgements, shipped_text
from equipoise.design.study import parse_study, starter

VIEWS = (
    "/",
    "/trial/centaur",
    "/trial/centaur/judgements",
    "/landscape/als",
    "/import",
    "/what-if/valor",
    "/design",
    "/analyse",
    "/basket",
)
QUICK = "/what-if/valor?go=1&weeks=12&patients=40&primary=mmrm&mechanism=slowing"


class Reading(HTMLParser):
    """What a page has: text, links, scripts, labels."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.inline, self.mains, self.headings = "", 0, 0
        self.handlers: list[str] = []
        self.open: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open = tag
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.mains += tag == "main"
        self.headings += tag == "h1"
        if tag == "script":
            self.scripts.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        if self.open == "script":
            self.inline += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self.open = None


@pytest.mark.parametrize("view", VIEWS)
def test_property_every_view_is_a_page_without_script_of_its_own(browser: httpx.Client, view: str) -> None:
    answer = browser.get(view)
    assert answer.status_code == 200
    page = Reading(answer.text)
    assert page.mains == 1
    assert page.headings == 1
    assert not page.inline
    assert not page.handlers
    assert all(str(s["src"]).startswith("/static/") for s in page.scripts)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe-eval" not in policy
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_property_the_library_filters(browser: httpx.Client) -> None:
    def names(query: str) -> list[str]:
        return re.findall(r'<h2><a href="/trial/([^"]+)"', browser.get(f"/?{query}").text)

    everything = names("")
    assert len(everything) >= 32
    assert "valor" in names("q=tofersen")
    assert "centaur" not in names("q=tofersen")
    assert "valor" in names("verdict=missed")
    assert "valor" not in names("verdict=met")
    assert set(names("marker=yes")) | set(names("marker=no")) == set(everything)
    assert "riluzole1994" not in names("year=2020")
    part = browser.get("/?q=tofersen", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "/trial/valor" in part


def test_property_a_reader_is_in_the_address(browser: httpx.Client) -> None:
    whole, one = browser.get("/trial/centaur").text, browser.get("/trial/centaur?role=editor").text
    assert 'data-reader="patient"' in whole
    assert 'data-reader="editor"' in whole
    assert 'data-reader="editor"' in one
    assert 'data-reader="patient"' not in one
    assert "--role editor" in one
    wrong = browser.get("/trial/centaur?role=astronaut")
    assert wrong.status_code == 400
    assert "astronaut" in wrong.text


def test_property_a_copied_link_gives_the_same_bytes(address: str) -> None:
    def fresh(path: str) -> bytes:
        with httpx.Client(base_url=address, timeout=120.0) as client:
            return re.sub(rb'name="form_token" value="[^"]*"', b"", client.get(path).content)

    assert fresh("/trial/centaur?role=editor") == fresh("/trial/centaur?role=editor")


@pytest.mark.parametrize(
    ("what", "starts"), [("md", b"# CENTAUR"), ("json", b"{"), ("brief.html", b"<!doctype html>"), ("docx", b"PK")]
)
def test_property_downloads_are_what_the_command_writes(browser: httpx.Client, what: str, starts: bytes) -> None:
    answer = browser.get(f"/trial/centaur/download/{what}")
    assert answer.status_code == 200
    assert answer.content.startswith(starts)
    assert "attachment" in answer.headers["content-disposition"]


def test_property_judgements_change_what_follows_and_are_the_file_of_the_command(
    browser: httpx.Client, send: Callable[..., httpx.Response]
) -> None:
    before = browser.get("/trial/centaur/judgements").text
    assert "very low" in before.lower()
    changed = send(
        "/trial/centaur/judgements",
        {f"outcomes/{i}/{d}/concern": "none" for i in range(6) for d in ("risk_of_bias", "indirectness")},
    )
    assert changed.status_code == 303
    place = changed.headers["location"]
    after = browser.get(place).text
    kept = re.search(r"judgements=(\w+)", place)
    assert kept is not None
    text = browser.get(f"/trial/centaur/judgements.yaml?judgements={kept[1]}").text
    theirs, ours = parse_judgements(text, "file"), parse_judgements(str(shipped_text("centaur")), "shipped")
    assert {o.risk_of_bias.concern for o in theirs.outcomes} == {"none"}
    assert [o.label for o in theirs.outcomes] == [o.label for o in ours.outcomes]
    assert re.sub(r"\s", "", after) != re.sub(r"\s", "", before)
    page = browser.get(f"/trial/centaur?judgements={kept[1]}")
    assert page.status_code == 200
    assert "--judgements FILE" in page.text
    part = send("/trial/centaur/judgements", {"outcomes/0/importance": "important"}, headers={"HX-Request": "true"})
    assert part.status_code == 200
    assert "<fieldset" not in part.text, "what is being typed stays"
    assert f'value="{part.headers["hx-push-url"].partition("judgements=")[2]}"' in part.text
    assert "judgements=" in part.headers["hx-push-url"]
    wrong = send("/trial/centaur/judgements", {"outcomes/0/risk_of_bias/concern": "enormous"})
    assert wrong.status_code == 400
    assert "enormous" in wrong.text


def test_property_an_entry_comes_in_with_its_account(
    browser: httpx.Client, send: Callable[..., httpx.Response], workspace: Path
) -> None:
    files = {"entry": ("NCT01234567.json", json.dumps(study()).encode(), "application/json")}
    made = send("/import", files=files)
    assert made.status_code == 200, made.text
    record = re.search(r'href="/trial/([^"]+)"', made.text.partition("Read its page")[0].rpartition("<p>")[2])
    assert record is not None
    assert browser.get(f"/trial/{record[1]}").status_code == 200
    assert (workspace / "records" / f"{record[1]}.yaml").is_file()
    again = send("/import", files=files)
    assert again.status_code == 400
    assert "is there already" in again.text
    assert send("/forget", {"record": record[1]}).status_code == 303
    assert browser.get(f"/trial/{record[1]}").status_code == 400
    broken = send("/import", files={"entry": ("x.json", b"{", "application/json")})
    assert broken.status_code == 400
    assert "Traceback" not in broken.text


def test_property_hostile_records_are_inert(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "src/equipoise/library/centaur/record.yaml").read_text(encoding="utf-8")
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    title = re.search(r"^title: (.*)$", text, re.M)
    assert title is not None
    own = tmp_path / "records"
    own.mkdir()
    (own / "centaur.yaml").write_text(text.replace(title[0], f"title: {json.dumps(evil)}"), encoding="utf-8")
    with (
        served(workspace=tmp_path / "w", records=own) as address,
        httpx.Client(base_url=address, timeout=120) as client,
    ):
        for view in ("/", "/trial/centaur", "/trial/centaur?role=" + evil, "/nothing/" + evil):
            page = Reading(client.get(view).text)
            assert "alert(1)" not in page.inline
            assert not page.handlers


def test_property_a_first_answer_is_refined_and_its_files_are_there(
    browser: httpx.Client, send: Callable[..., httpx.Response]
) -> None:
    first = browser.get(QUICK)
    assert first.status_code == 200
    found = re.search(r'"/job/(\w+)/study.yaml"', first.text)
    assert found is not None
    key = found[1]
    end = time.monotonic() + 300
    while "Success" not in browser.get(f"/job/{key}").text:
        assert time.monotonic() < end
        time.sleep(0.3)
    send(f"/job/{key}", {"stop": "yes"})
    study = parse_study(browser.get(f"/job/{key}/study.yaml").text, "study")
    assert [d.label for d in study.designs()] == ["12 weeks, 40 patients, 1:2, all, mmrm"]
    rows = browser.get(f"/job/{key}/cells.csv").text.splitlines()
    assert rows[0].startswith("weeks,patients")
    assert len(rows) == 3
    assert "<svg" in browser.get(f"/job/{key}/success.svg").text
    assert browser.get(f"/job/{key}/success.csv").text.startswith("design,the drug does nothing,slowing\n")
    assert browser.get(f"/job/{key}/differences.csv").status_code == 400, "one design has no differences"
    example = browser.get(f"/job/{key}/example/slowing/3")
    assert example.status_code == 200
    assert "40" in example.text
    assert example.text.count("<tr>") == 41
    assert browser.get(f"/job/{key}/example/magic/3").status_code == 400
    send("/basket", {"add": f"d:{key}:cells"})
    report = browser.get("/basket/report.html").text
    ((name, kept),) = files_in_report(report).items()
    assert parse_study(kept, "kept") == study, "the report brings what its command reads"
    assert f"equipoise design {name} --replicates" in report
    assert "/job/" not in report
    part = browser.get(f"/job/{key}", headers={"HX-Request": "true"}).text
    assert part.lstrip().startswith('<div id="job"')


@pytest.mark.parametrize("query", ["weeks=abc", "patients=-3", "strength=9999999", "primary=magic", "mechanism=magic"])
def test_property_a_lever_that_cannot_be_is_told_on_the_page(browser: httpx.Client, query: str) -> None:
    answer = browser.get(f"/what-if/valor?go=1&{query}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "Traceback" not in answer.text


def test_property_a_folder_is_analysed_and_nothing_else_is_reached(
    browser: httpx.Client, send: Callable[..., httpx.Response], tmp_path: Path
) -> None:
    from equipoise.simulate import simulate
    from equipoise.trial.adam import from_trial, write_adam

    write_adam(from_trial(simulate("valor", 1, seed=3)[0]), tmp_path)
    files = [("files", (p.name, p.read_bytes(), "application/octet-stream")) for p in sorted(tmp_path.iterdir())]
    brought = send("/analyse", files=files)
    assert brought.status_code == 303, brought.text
    place = brought.headers["location"]
    form = browser.get(place)
    assert form.status_code == 200, form.text
    names = re.findall(r'name="analysis" value="([^"]+)"', form.text)
    plan = re.search(r'<textarea name="plan"[^>]*>(.*?)</textarea>', form.text, re.S)
    assert names
    assert plan is not None
    import html

    made = send(place, {"plan": html.unescape(plan[1]), "chosen": "yes", "analysis": names[0]})
    assert made.status_code == 303, made.text
    shown, end = browser.get(made.headers["location"]), time.monotonic() + 300
    while "<progress" in shown.text:
        assert time.monotonic() < end
        time.sleep(0.2)
        shown = browser.get(made.headers["location"])
    assert shown.status_code == 200
    assert "<iframe" in shown.text
    tables = browser.get(made.headers["location"] + "/tables")
    assert "script-src" not in tables.headers["content-security-policy"]
    held = zipfile.ZipFile(io.BytesIO(browser.get(made.headers["location"] + "/file/all.zip").content))
    assert {"tables.html", "results.csv", "plan.yaml"} <= set(held.namelist())
    wrong = send(place, {"plan": "analyses: 3"})
    assert wrong.status_code == 400
    assert 'role="alert"' in wrong.text
    for path in ("/analyse/%2e%2e%2f%2e%2e", "/analysis/..%2f..", "/static/..%2fapp.py", "/job/..%2f.."):
        assert browser.get(path).status_code in (307, 400, 404)
    evil = send("/analyse", files=[("files", ("../../evil.csv", b"a\n1\n", "text/csv"))])
    assert evil.status_code == 303
    assert not (tmp_path.parent / "evil.csv").exists()
    assert send("/analyse", files=[("files", ("run.sh", b"", "text/plain"))]).status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"base": "/etc/passwd"},
        {"base": "valor.yaml"},
        {"worlds": {"x": {"label": "x", "mechanism": "lagged", "kind": "none", "draws": {"file": "/etc/hosts.csv"}}}},
        {"primaries": {"p": {"label": "p", "function": "os:system"}}},
    ],
)
def test_property_a_study_that_is_brought_reaches_no_file_and_no_program(
    send: Callable[..., httpx.Response], change: dict[str, object]
) -> None:
    text = yaml.safe_dump({**yaml.safe_load(starter("valor")), **change})
    answer = send("/design/open", files={"study": ("s.yaml", text.encode(), "application/yaml")})
    assert answer.status_code == 400
    assert "opened here" in answer.text
    fine = send("/design/open", files={"study": ("s.yaml", b"base: [", "application/yaml")})
    assert fine.status_code == 400
    assert "Traceback" not in fine.text


@pytest.mark.parametrize("name", ["record.yaml", "..", "~root", "a b"])
def test_property_a_trial_is_a_name_and_no_path(browser: httpx.Client, name: str) -> None:
    for view in ("", "/judgements", "/download/md"):
        assert browser.get(f"/trial/{name}{view}".replace("..", "%2e%2e")).status_code in (400, 404)


def test_property_the_basket_is_one_report_with_what_it_rests_on(
    browser: httpx.Client, send: Callable[..., httpx.Response]
) -> None:
    page = browser.get("/trial/centaur").text
    items = re.findall(r'name="add" value="(t:centaur:[^"]+)"', page)
    assert len(items) > 5
    for item in items[:3]:
        assert send("/basket", {"add": item, "back": "/trial/centaur"}).headers["location"] == "/trial/centaur"
    assert send("/basket", {"add": items[0], "back": "//evil.example/"}).headers["location"] == "/basket"
    shown = browser.get("/basket").text
    assert shown.count("Take out") == 6  # the words and the label of each
    report = browser.get("/basket/report.html").text
    assert report.startswith("<!doctype html>")
    assert 'id="sources"' in report
    assert "CENTAUR" in report
    assert report.count("<table") >= 3
    assert browser.get("/basket/report.docx").content.startswith(b"PK")
    send("/basket", {"remove": items[1]})
    assert browser.get("/basket").text.count("Take out") == 4
    send("/basket", {"empty": "yes"})
    assert "Nothing yet" in browser.get("/basket").text
    assert browser.get("/basket/report.html").status_code == 400
    assert send("/basket", {"add": "t:centaur:<script>"}).status_code == 400


def test_property_forms_of_other_sites_are_refused(browser: httpx.Client, send: Callable[..., httpx.Response]) -> None:
    browser.get("/import")
    token = browser.cookies["equipoise_form"]
    assert browser.post("/basket", data={"empty": "yes"}).status_code == 403
    assert browser.post("/basket", data={"empty": "yes", "form_token": "guess"}).status_code == 403
    told = {"empty": "yes", "form_token": token}
    assert browser.post("/basket", data=told, headers={"Origin": "http://evil.example"}).status_code == 403
    assert browser.post("/basket", data=told, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert browser.post("/basket", data=told).status_code == 303
    assert browser.request("DELETE", "/basket").status_code == 405


def test_property_every_form_is_checked(browser: httpx.Client) -> None:
    from equipoise.studio import analysis, appraisal, basket, library, workbench

    browser.get("/import")
    views = (analysis, appraisal, basket, library, workbench)
    posts = [r.path for view in views for r in view.router.routes if "POST" in r.methods]
    assert len(posts) >= 8
    for path in posts:
        filled = re.sub(r"\{\w+\}", "valor", path)
        assert browser.post(filled, data={"form_token": "guess"}).status_code == 403, path


def test_property_other_names_for_this_machine_are_refused(address: str) -> None:
    with httpx.Client(base_url=address, headers={"Host": "evil.example"}) as client:
        assert client.get("/").status_code == 421


def test_property_a_token_is_given_once(tmp_path: Path) -> None:
    with (
        served(workspace=tmp_path, host="0.0.0.0", token="long-word") as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        assert client.get("/import").status_code == 401
        assert client.get("/import?token=wrong").status_code == 401
        given = client.get("/import?token=long-word&x=1")
        assert given.status_code == 303
        assert given.headers["location"] == "/import?x=1"
        assert client.get("/import").status_code == 200


def test_property_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with served(workspace=tmp_path, upload_limit=1000) as address, httpx.Client(base_url=address) as client:
        client.get("/import")
        told = {"form_token": client.cookies["equipoise_form"]}
        assert client.post("/import", data=told, files={"entry": ("a.json", b" " * 2000)}).status_code == 413
