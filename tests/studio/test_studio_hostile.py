"""What is brought to the studio with bad intent: names, links, entries, studies, headers."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import polars as pl
import pytest
import yaml
from registry_study import study
from serving import served
from test_analyse import client_of, done, place, plan_of, send
from test_views import Reading
from trial_files import write_trial

from equipoise.design.study import starter

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def inert(text: str) -> bool:
    """Whether hostile words are words alone in a page."""
    page = Reading(text)
    return "alert(1)" not in page.inline and not page.handlers


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with served(workspace=tmp_path / "w", data=(tmp_path / "data",)) as address, client_of(address) as made:
        yield made


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    return write_trial(tmp_path / "data" / "trial")


def test_property_names_in_data_are_words_wherever_they_stand(client: httpx.Client, trial: Path) -> None:
    for path in trial.iterdir():
        frame = pl.read_csv(path)
        frame.with_columns(pl.col("TRT01P").replace({"Active": EVIL})).write_csv(path)
    at = place(client)
    page = client.get(at).text
    assert inert(page)
    title = {"at/analyses/2/title": EVIL, "at/title": EVIL, "at/study": EVIL}
    asked = {"plan": plan_of(page), "chosen": "yes", "analysis": ["ADEFF.ALSFRS.ANCOVA", "ADTTE.DEATH"], **title}
    here = send(client, at, asked).headers["location"]
    shown = done(client, here)
    assert inert(shown)
    assert "alert(1)" in shown, "what is tested is there"
    tables = client.get(f"{here}/tables")
    assert inert(tables.text)
    assert "alert(1)" in tables.text
    for item in re.findall(r'name="add" value="(a:[^"]+)"', shown):
        assert send(client, "/basket", {"add": item}).status_code == 303
    for path in ("/basket", "/basket/report.html"):
        text = client.get(path).text
        assert inert(text), path
        assert "alert(1)" in text
    assert client.get("/basket/report.docx").content.startswith(b"PK")


def test_property_no_link_leads_out_of_a_folder(client: httpx.Client, trial: Path, tmp_path: Path) -> None:
    secret = write_trial(tmp_path / "secret")
    (tmp_path / "data" / "away").symlink_to(secret)
    shown = client.get("/analyse").text
    assert "away" not in shown
    at = place(client)
    (trial / "adae.csv").symlink_to(secret / "adsl.csv")
    (trial / "loop.csv").symlink_to(trial / "loop.csv")
    answer = client.get(at)
    assert answer.status_code == 400
    assert "leads out of it" in answer.text
    assert client.get("/design").status_code == 200
    (trial / "adae.csv").unlink()
    (trial / "loop.csv").unlink()
    (trial / "plan.yaml").symlink_to("/etc/hostname")
    assert client.get(at).status_code == 400
    (trial / "plan.yaml").unlink()
    (trial / "nowhere.csv").symlink_to(trial / "gone.csv")
    assert client.get("/design").status_code == 200


@pytest.mark.parametrize("number", ["../../../evil", "NCT0765432/../../evil", "..", "a\nb", EVIL, ""])
def test_property_an_entry_cannot_choose_where_it_is_kept(client: httpx.Client, tmp_path: Path, number: str) -> None:
    entry = study()
    entry["protocolSection"]["identificationModule"]["nctId"] = number
    before = {p for p in tmp_path.rglob("*") if p.suffix == ".yaml"}
    form = {"form_token": client.cookies["equipoise_form"]}
    answer = client.post("/import", data=form, files={"entry": ("e.json", json.dumps(entry), "application/json")})
    assert answer.status_code in (200, 400)
    assert inert(answer.text)
    made = {p for p in tmp_path.rglob("*") if p.suffix == ".yaml"} - before
    assert all(p.parent == tmp_path / "w" / "records" for p in made)
    assert not list(tmp_path.parent.glob("evil*"))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 50_000, "NaN", "1" * 100_000, '"\\ud800"', "null", "[]", "\x00", "{" + '"a":1,' * 9],
    ids=range(9),
)
def test_property_no_json_is_a_fault(client: httpx.Client, text: str) -> None:
    form = {"form_token": client.cookies["equipoise_form"]}
    answer = client.post("/import", data=form, files={"entry": ("e.json", text.encode(), "application/json")})
    assert answer.status_code == 400, answer.text[-500:]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{','.join([f'*{chr(97 + k)}'] * 9)}]\n" for k in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 20_000,
        "!!python/object/apply:os.system [id]",
        "- 1\n- 2",
        "\x00",
        "base: valor\nworlds: 3",
        "base: valor\nworlds: {a: {grid: 3}}",
        "base: valor\nfactors: {weeks: {a: 1}}",
    ],
    ids=range(8),
)
def test_property_no_yaml_is_a_fault(client: httpx.Client, trial: Path, text: str) -> None:
    form = {"form_token": client.cookies["equipoise_form"]}
    answer = client.post("/design/open", data=form, files={"study": ("s.yaml", text.encode(), "application/yaml")})
    assert answer.status_code == 400, answer.text[-500:]
    answer = send(client, place(client), {"plan": text})
    assert answer.status_code == 400, answer.text[-500:]


@pytest.mark.parametrize(
    "change",
    [
        {"worlds": {"x": {"label": "x", "mechanism": "lagged", "grid": {"effect.lag": list(range(1, 99))}}}},
        {
            "worlds": {
                f"x{k}": {
                    "label": "x",
                    "mechanism": "lagged",
                    "grid": {"effect.lag": list(range(1, 3000)), "effect.weight": [0.1] * 3000},
                }
                for k in range(3)
            }
        },
    ],
    ids=["many", "enormous"],
)
def test_property_a_study_with_worlds_beyond_number_is_refused_at_once(
    client: httpx.Client, change: dict[str, Any]
) -> None:
    text = yaml.safe_dump({**yaml.safe_load(starter("valor")), **change})
    form = {"form_token": client.cookies["equipoise_form"]}
    answer = client.post("/design/open", data=form, files={"study": ("s.yaml", text.encode(), "application/yaml")})
    assert answer.status_code == 400
    assert "worlds, where 64 is most here" in answer.text or "larger" in answer.text or "many" in answer.text


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "/\t/evil.example", "http://evil.example", "javascript:alert(1)", ""]
)
def test_property_a_form_leads_back_into_the_studio_alone(client: httpx.Client, back: str) -> None:
    there = send(client, "/basket", {"empty": "yes", "back": back}).headers["location"]
    assert not urlsplit(there).netloc
    assert not urlsplit(there).scheme
    assert re.match(r"/[^/\\]|/$", there.replace("%5C", "x").replace("%09", "x")), there


def test_property_headers_that_cannot_be_read_are_refused(client: httpx.Client) -> None:
    where = urlsplit(str(client.base_url))
    hosts = (
        "[::1",
        "a:b:c",
        "127.0.0.1:port",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "e_vil.example:99999",
    )
    for host in (*hosts, "", "127.0.0.1.evil.example", "localhost."):
        with socket.create_connection((where.hostname, where.port), timeout=30) as raw:
            raw.sendall(f"GET /import HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            first = raw.makefile("rb").readline()
        assert first.split()[1] in (b"400", b"421"), (host, first)


def test_property_cookies_are_for_no_script_and_for_tls_where_a_reader_came_by_it(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url) as fresh:
        plain = fresh.get("/import").headers["set-cookie"]
    with httpx.Client(base_url=client.base_url, headers={"X-Forwarded-Proto": "https"}) as fresh:
        safe = fresh.get("/import").headers["set-cookie"]
    for told in (plain, safe):
        assert "HttpOnly" in told
        assert "SameSite=strict" in told
    assert "Secure" in safe
    assert "Secure" not in plain


def test_property_a_fault_tells_its_kind_alone_and_keeps_the_policy(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from equipoise.studio import library

    def broken(*args: Any) -> Any:
        raise RuntimeError("a secret of /home/somebody")

    monkeypatch.setattr(library, "catalogue", broken)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "a fault of the program (RuntimeError)" in answer.text
    assert "secret" not in answer.text
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_property_a_study_whose_draws_changed_is_told_and_is_no_fault(client: httpx.Client, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    file = data / "draws.csv"
    file.write_text("effect.weight\n0.5\n0.6\n", encoding="utf-8")
    name = re.search(r'<option value="(\w{20})"', client.get("/design").text)
    assert name is not None
    quick = "/what-if/valor?go=1&weeks=12&patients=40&primary=mmrm&mechanism=slowing&draws="
    key = re.search(r"/job/(\w+)/study.yaml", client.get(quick + name[1]).text)
    assert key is not None
    send(client, f"/job/{key[1]}", {"stop": "yes"})
    file.write_text("effect.weight\n0.7\n", encoding="utf-8")
    answer = client.get(f"/job/{key[1]}")
    assert answer.status_code == 400
    assert "has changed" in answer.text
