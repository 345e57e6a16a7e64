"""What a reader, another site or a full disk may do to the studio, and what it says then."""

from __future__ import annotations

import errno
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from registry_study import study
from serving import files_in_report, served

from equipoise.design.study import starter
from equipoise.errors import OutputError
from equipoise.studio import jobs as jobs_module
from equipoise.studio.appraisal import READER, body_of, replica_of
from equipoise.studio.jobs import STAGES, Jobs
from equipoise.studio.settings import Settings

LIBRARY = Path(__file__).parents[2] / "src/equipoise/library"
Send = Callable[..., httpx.Response]


def test_property_what_is_added_under_own_judgements_is_reported_under_them(browser: httpx.Client, send: Send) -> None:
    place = send("/trial/centaur/judgements", {"judged_by": "A panel of our own"}).headers["location"]
    key = place.partition("judgements=")[2]
    page = browser.get(f"/trial/centaur?judgements={key}").text
    items = re.findall(r'name="add" value="([^"]+)"', page)
    assert items
    assert all(item.startswith(f"t:centaur.{key}:") for item in items)
    own = items[0]
    for item in (own, own.replace(f".{key}", "")):
        assert send("/basket", {"add": item}).status_code == 303
    assert browser.get("/basket").text.count("your own judgements") == 1
    report = browser.get("/basket/report.html")
    assert report.status_code == 200
    ((name, kept),) = files_in_report(report.text).items()
    assert kept == browser.get(f"/trial/centaur/judgements.yaml?judgements={key}").text
    assert f"equipoise appraise centaur --judgements {name}" in report.text
    assert report.text.count("judgements of the reader's own") + report.text.count("judgements of the reader&#39;s own")


def test_property_what_a_reader_changed_is_not_called_the_editors(browser: httpx.Client, send: Send) -> None:
    def by(query: str) -> str:
        return str(yaml.safe_load(browser.get(f"/trial/centaur/judgements.yaml{query}").text)["judged_by"])

    shipped = by("")
    same = send("/trial/centaur/judgements").headers["location"].partition("?")[2]
    assert by(f"?{same}") == shipped
    changed = send("/trial/centaur/judgements", {"outcomes/0/importance": "less important"}).headers["location"]
    assert by("?" + changed.partition("?")[2]) == READER
    told = {"outcomes/0/importance": "less important", "/judged_by": "Panel of May"}
    assert by("?" + send("/trial/centaur/judgements", told).headers["location"].partition("?")[2]) == "Panel of May"
    part = send(
        "/trial/centaur/judgements", {"outcomes/0/importance": "less important"}, headers={"HX-Request": "true"}
    )
    assert f'hx-swap-oob="true">{READER}</textarea>' in part.text


def test_property_every_why_says_of_what(browser: httpx.Client) -> None:
    page = browser.get("/trial/centaur/judgements").text
    why = re.findall(r'aria-label="(Why: [^"]+)"', page)
    assert len(why) == len(set(why)) == page.count("<label>Why") > 5


def test_property_a_page_that_is_made_holds_no_other_up(tmp_path: Path, monkeypatch: Any) -> None:
    from equipoise.studio import appraisal

    settings, gate, begun = Settings(tmp_path), threading.Event(), threading.Event()
    real = appraisal.document

    def slow(settings: Settings, record: str, reader: Any, judgements: str) -> Any:
        if record == "valor":
            begun.set()
            assert gate.wait(60)
        return real(settings, record, reader, judgements)

    body_of(settings, "centaur", {}, "")
    monkeypatch.setattr(appraisal, "document", slow)
    monkeypatch.setattr(appraisal, "hash", lambda asked: int(asked[1] == "valor"), raising=False)
    other = threading.Thread(target=body_of, args=(settings, "valor", {}, ""))
    other.start()
    assert begun.wait(60)
    answered = threading.Event()
    reader = threading.Thread(target=lambda: (body_of(settings, "centaur", {}, ""), answered.set()))
    reader.start()
    try:
        assert answered.wait(60)
    finally:
        gate.set()
        other.join()
        reader.join()


def test_property_what_is_shipped_is_read_once_however_many_ask(browser: httpx.Client, monkeypatch: Any) -> None:
    from equipoise.studio import levers

    browser.get("/design")
    read: list[str] = []
    for name in ("load_scenario", "load_study"):
        monkeypatch.setattr(levers, name, lambda base, name=name: read.append(name))
    assert browser.get("/design").status_code == 200
    assert not read


def test_property_a_full_basket_says_so(browser: httpx.Client, send: Send) -> None:
    added = 0
    while (answer := send("/basket", {"add": f"t:centaur:{added:0120d}"})).status_code == 303:
        added += 1
        assert added < 40
    assert "the basket is full" in answer.text
    assert len(browser.cookies["equipoise_basket"]) < 4_000


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_property_a_page_follows_its_record(tmp_path: Path, suffix: str) -> None:
    own, settings = tmp_path / "records", Settings(tmp_path / "w", tmp_path / "records")
    own.mkdir()
    text = (LIBRARY / "centaur/record.yaml").read_text(encoding="utf-8")
    title = re.search(r"^title: .*$", text, re.M)
    assert title is not None
    made, asked = [], []
    for word in ("First", "Second"):
        (own / f"centaur{suffix}").write_text(text.replace(title[0], f"title: {word} title"), encoding="utf-8")
        made.append(body_of(settings, "centaur", {}, "")[0])
        asked.append(replica_of(settings, "centaur"))
    assert "First title" in made[0]
    assert "Second title" in made[1]
    assert asked[0] != asked[1], "the replica of another text is not shown"


def test_property_a_command_names_the_folder_of_records(tmp_path: Path) -> None:
    own = tmp_path / "my records"
    own.mkdir()
    text = (LIBRARY / "centaur/record.yaml").read_text(encoding="utf-8")
    (own / "centaur.yaml").write_text(text, encoding="utf-8")
    with (
        served(workspace=tmp_path / "w", records=own) as address,
        httpx.Client(base_url=address, timeout=120) as client,
    ):
        assert "--records &#39;" in client.get("/trial/centaur").text


@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_property_another_site_starts_no_work(browser: httpx.Client, mode: str) -> None:
    for site in ("cross-site", "same-site"):
        told = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "image"}
        assert browser.get("/what-if/valor?go=1&seed=99", headers=told).status_code == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert browser.get("/import", headers=link).status_code == 200


def test_property_the_token_goes_and_the_rest_stays(tmp_path: Path) -> None:
    with (
        served(workspace=tmp_path, host="0.0.0.0", token="long-word") as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        given = client.get("/design?mechanism=a&mechanism=b&token=long-word")
        assert given.headers["location"] == "/design?mechanism=a&mechanism=b"
        client.cookies.clear()
        assert client.get(f"{address}//evil.example/?token=long-word").headers["location"] == "/evil.example/"


@pytest.mark.parametrize("token", ["gücken", "\u2028"])
def test_property_a_form_with_odd_letters_is_refused(browser: httpx.Client, token: str) -> None:
    browser.get("/import")
    assert browser.post("/basket", data={"form_token": token}).status_code == 403


@pytest.mark.parametrize("place", ["/", "//", "outcomes/²/importance", "outcomes/9/x"])
def test_property_a_place_that_no_form_has_changes_nothing(send: Send, place: str) -> None:
    assert send("/trial/centaur/judgements", {place: "x"}).status_code == 303


@pytest.mark.parametrize("path", ["/job/x/example/w/abc", "/job/x/example/w/1?design=abc"])
def test_property_what_is_no_number_is_told_on_a_page(browser: httpx.Client, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "abc" in answer.text


def test_property_an_odd_year_filters_nothing(browser: httpx.Client) -> None:
    assert browser.get("/", params={"year": "²"}).status_code == 200


@pytest.mark.parametrize("names", [("a.csv", "b.sh"), ("a.csv", "x" * 200 + ".csv"), ("a.csv", "a.csv")])
def test_property_of_files_that_are_refused_none_is_kept(send: Send, workspace: Path, names: tuple[str, ...]) -> None:
    before = set((workspace / "uploads").glob("*"))
    files = [("files", (name, b"a\n1\n", "text/csv")) for name in names]
    assert send("/analyse", files=files).status_code == 400
    assert set((workspace / "uploads").glob("*")) == before


def test_property_a_plan_that_is_no_text_is_told(tmp_path: Path) -> None:
    from equipoise.simulate import simulate
    from equipoise.trial.adam import from_trial, write_adam

    data = tmp_path / "trial"
    write_adam(from_trial(simulate("valor", 1, seed=3)[0]), data)
    (data / "plan.yaml").write_bytes(b"\xff\xfe\xfa")
    with served(workspace=tmp_path / "w", data=(data,)) as address, httpx.Client(base_url=address, timeout=120) as at:
        place = re.search(r'href="(/analyse/\w+)"', at.get("/analyse").text)
        assert place is not None
        answer = at.get(place[1])
    assert answer.status_code == 400
    assert "plan.yaml" in answer.text


def test_property_a_folder_that_may_not_be_read_is_not_offered(tmp_path: Path, monkeypatch: Any) -> None:
    from equipoise.studio.analysis import _folders

    for name in ("open", "shut"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "adsl.csv").write_text("a\n")
    real = Path.iterdir

    def guarded(path: Path) -> Any:
        if path.name == "shut":
            raise PermissionError(errno.EACCES, "no")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", guarded)
    found = _folders(Settings(tmp_path / "w", data=(tmp_path / "data",)))
    assert [Path(path).name for _, path, _ in found] == ["open"]


@pytest.mark.parametrize(
    "factors",
    [
        {"weeks": list(range(4, 204)), "patients": list(range(10, 210)), "extension": list(range(200))},
        {"patients": [50_000_000]},
    ],
)
def test_property_a_study_that_is_too_large_is_left_to_the_command_line(send: Send, factors: dict[str, Any]) -> None:
    large = yaml.safe_load(starter("valor"))
    large["factors"] |= factors
    answer = send("/design/open", files={"study": ("s.yaml", yaml.safe_dump(large).encode(), "application/yaml")})
    assert answer.status_code == 400
    assert "on the command line" in answer.text


def test_property_a_mistake_is_told_where_a_part_was_asked_for(browser: httpx.Client, send: Send) -> None:
    part = {"HX-Request": "true"}
    wrong = send("/trial/centaur/judgements", {"outcomes/0/risk_of_bias/concern": "enormous"}, headers=part)
    assert 'role="alert"' in wrong.text
    assert "<html" not in wrong.text
    assert "<html" not in browser.get("/job/none", headers=part).text
    assert '"code": "..."' in browser.get("/import").text, "answers that tell a mistake are shown, too"


def test_property_a_poll_leaves_the_figures_alone(tmp_path: Path) -> None:
    with served(workspace=tmp_path) as address, httpx.Client(base_url=address, timeout=120) as client:
        page = client.get("/what-if/valor?go=1&weeks=12&patients=40&primary=mmrm&mechanism=slowing&seed=77").text
        found = re.search(r'hx-get="(/job/\w+\?seen=\d+)&amp;status=(\w+)"', page)
        if found is None:
            pytest.skip("it was finished at once")
        key = found[1].partition("?")[0]
        part = {"HX-Request": "true"}
        for _ in range(3):
            now = client.get(key, headers=part).text
            found = re.search(r'hx-get="(/job/\w+\?seen=\d+)&amp;status=(\w+)"', now)
            assert found is not None
            again = client.get(f"{found[1]}&status={found[2]}", headers=part)
            if "hx-retarget" not in again.headers:
                break
        assert "<progress" in again.text
        assert "<form" not in again.text
        other = client.get(f"{key}?seen=7&status=running", headers=part)
        assert other.headers["hx-retarget"] == "closest #job"
        assert 'id="job"' in other.text
        token = client.cookies["equipoise_form"]
        client.post(key, data={"form_token": token, "stop": "yes"})


def test_property_a_full_disk_fails_one_job_and_not_the_next(tmp_path: Path, monkeypatch: Any) -> None:
    full, real = [True], jobs_module.write_text

    def write(path: Path, text: str) -> None:
        if full[0] and path.name != "request.json":
            raise OutputError(f"{path}: no space left")
        real(path, text)

    monkeypatch.setattr(jobs_module, "write_text", write)
    jobs = Jobs(tmp_path, {"replica": lambda request, n, folder, progress: {"name": request["name"]}})
    jobs.start()
    lost = jobs.ask("replica", {"name": "a"})
    assert jobs.wait(lost, 30).status == "stopped"
    full[0] = False
    (goal,) = STAGES["replica"]
    assert jobs.wait(jobs.ask("replica", {"name": "b"}), 30, goal).status == "done"
    jobs.resume(lost)
    assert jobs.wait(lost, 30, goal).status == "done"
    assert jobs.close()


@pytest.mark.parametrize("text", ["{", "{}", '{"kind": "magic"}', "[]"])
def test_property_a_broken_folder_of_jobs_does_not_keep_the_studio_shut(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "request.json").write_text(text)
    jobs = Jobs(tmp_path, {})
    jobs.start()
    assert jobs.close()


@pytest.mark.parametrize("token", ["", "short", "with a space", "gücken-gücken"])
def test_property_a_token_that_is_soon_guessed_is_refused(tmp_path: Path, token: str) -> None:
    with pytest.raises(OutputError, match="--token"):
        Settings(tmp_path, host="0.0.0.0", token=token)


def test_property_a_folder_of_ones_own_offers_no_removal(tmp_path: Path) -> None:
    own = tmp_path / "records"
    own.mkdir()
    entry = {"entry": ("e.json", json.dumps(study()).encode(), "application/json")}
    for records, offered in ((None, 1), (own, 0)):
        with (
            served(workspace=tmp_path / "w", records=records) as address,
            httpx.Client(base_url=address, timeout=60) as client,
        ):
            client.get("/import")
            made = client.post("/import", data={"form_token": client.cookies["equipoise_form"]}, files=entry)
            assert made.status_code == 200
            assert made.text.count('action="/forget"') == offered
