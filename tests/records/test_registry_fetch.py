"""Fetching from the registry, against a server on this machine; and the command."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer
from registry_study import study
from typer.testing import CliRunner

from equipoise.errors import EquipoiseError, RecordError
from equipoise.records import load_record
from equipoise.records.registry import fetch_study, is_number

Answer = Callable[[BaseHTTPRequestHandler, int], None]
NUMBER = "NCT01234567"


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that answers each request by ``answer(handler, how many came before)``; its address and the paths."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            with suppress(BrokenPipeError, ConnectionResetError):
                answer(self, len(paths) - 1)

        def log_message(self, *args: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_address[1]}/api/v2", paths
    finally:
        made.shutdown()
        made.server_close()
        thread.join(5)


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def good(handler: BaseHTTPRequestHandler, before: int = 0) -> None:
    send(handler, 200, json.dumps(study()).encode())


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_study_is_fetched_and_imported() -> None:
    with server(good) as (address, paths):
        done = fetch_study("nct01234567", registry=address)
    assert done.record.id == NUMBER
    assert paths == [f"/api/v2/studies/{NUMBER}"]


@pytest.mark.parametrize(("host", "followed"), [("127.0.0.1", True), ("localhost", False)])
def test_the_registry_leads_to_no_other_machine(host: str, followed: bool) -> None:
    def moved(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before:
            good(handler)
        else:
            send(handler, 302, b"", Location=f"{address.replace('127.0.0.1', host)}/there")

    with server(moved) as (address, paths):
        if followed:
            assert fetch_study(NUMBER, registry=address).record.id == NUMBER
        else:
            with pytest.raises(RecordError, match="leads to another machine, localhost"):
                fetch_study(NUMBER, registry=address, retries=0)
    assert len(paths) == 1 + followed


def test_it_tries_again_when_the_registry_is_busy_and_waits_as_asked() -> None:
    waited: list[float] = []

    def busy(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before == 0:
            send(handler, 503, b"")
        elif before == 1:
            send(handler, 429, b"", Retry_After="2")
        else:
            good(handler)

    with server(busy) as (address, paths):
        done = fetch_study(NUMBER, registry=address, wait=waited.append)
    assert done.record.id == NUMBER
    assert len(paths) == 3
    assert waited == [0.5, 2.0]


def test_it_gives_up_and_says_how_to_go_on_by_hand() -> None:
    waited: list[float] = []
    with server(lambda h, n: send(h, 503, b"")) as (address, paths), pytest.raises(RecordError) as error:
        fetch_study(NUMBER, registry=address, retries=2, wait=waited.append)
    assert "503" in error.value.message
    assert f"{address}/studies/{NUMBER}" in (error.value.hint or "")
    assert "equipoise import FILE.json" in (error.value.hint or "")
    assert (len(paths), len(waited)) == (3, 2)


def test_a_study_that_is_not_there_is_not_asked_for_twice() -> None:
    with (
        server(lambda h, n: send(h, 404, b"")) as (address, paths),
        pytest.raises(RecordError, match="no study NCT01234567"),
    ):
        fetch_study(NUMBER, registry=address, wait=lambda s: None)
    assert len(paths) == 1


def test_a_refusal_is_not_repeated() -> None:
    with server(lambda h, n: send(h, 403, b"")) as (address, paths), pytest.raises(RecordError, match="403"):
        fetch_study(NUMBER, registry=address, wait=lambda s: None)
    assert len(paths) == 1


def test_no_answer_in_time() -> None:
    def slow(handler: BaseHTTPRequestHandler, before: int) -> None:
        time.sleep(0.6)
        good(handler)

    with server(slow) as (address, _), pytest.raises(RecordError, match=r"no answer within 0\.1 s"):
        fetch_study(NUMBER, registry=address, timeout=0.1, retries=1, wait=lambda s: None)


def test_no_network() -> None:
    with server(good) as (address, _):
        pass
    with pytest.raises(RecordError, match="could not be fetched") as error:
        fetch_study(NUMBER, registry=address, retries=1, wait=lambda s: None)
    assert "browser" in (error.value.hint or "")


@pytest.mark.parametrize("body", [b"<html>maintenance</html>", b"{}", b"", b"\xff\xfe", b"[" * 50_000])
def test_an_answer_that_is_no_study(body: bytes) -> None:
    with server(lambda h, n: send(h, 200, body)) as (address, _), pytest.raises(RecordError):
        fetch_study(NUMBER, registry=address, wait=lambda s: None)


def test_a_connection_that_breaks_off() -> None:
    def broken(handler: BaseHTTPRequestHandler, before: int) -> None:
        if before:
            good(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        handler.wfile.write(b'{"protocolSection"')
        handler.close_connection = True

    with server(broken) as (address, paths):
        assert fetch_study(NUMBER, registry=address, wait=lambda s: None).record.id == NUMBER
    assert len(paths) == 2


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("equipoise.records.registry.fetch.MAX_BYTES", 1000)
    with server(good) as (address, _), pytest.raises(RecordError, match="more than 1,000 bytes"):
        fetch_study(NUMBER, registry=address, wait=lambda s: None)


@pytest.mark.parametrize(
    ("text", "is_one"), [("NCT01234567", True), ("nct01234567", True), ("NCT0123456", False), ("x.json", False)]
)
def test_numbers(text: str, is_one: bool) -> None:
    assert is_number(text) is is_one


@pytest.mark.parametrize("number", ["NCT1", "../../etc/passwd", "NCT01234567/../x", ""])
def test_what_is_no_number_is_never_asked_for(number: str) -> None:
    with pytest.raises(RecordError, match="no registry number"):
        fetch_study(number, registry="http://127.0.0.1:9", wait=lambda s: None)


# -- the command ------------------------------------------------------------------------------------------------------


def command() -> typer.Typer:
    from equipoise.cli.importing import import_study

    app = typer.Typer()
    app.command()(import_study)
    return app


def test_the_command_writes_a_record_and_tells_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text(json.dumps(study()), encoding="utf-8")
    done = CliRunner().invoke(command(), ["x.json"])
    assert done.exit_code == 0, done.output
    assert "locations[].facility (1)" in done.output
    assert "assumed:" in done.output
    record = load_record(tmp_path / "nct01234567.yaml")
    assert record.result(record.primary_result or "").contrast.value == 2.5
    again = CliRunner().invoke(command(), ["x.json"])
    assert isinstance(again.exception, EquipoiseError)
    assert "there already" in again.exception.message
    assert CliRunner().invoke(command(), ["x.json", "--force", "--quiet"]).output.count("\n") == 3


def test_the_command_fetches_by_number(tmp_path: Path) -> None:
    with server(good) as (address, _):
        done = CliRunner().invoke(command(), [NUMBER, "--registry", address, "--out", str(tmp_path / "a.yaml")])
    assert done.exit_code == 0, done.output
    assert load_record(tmp_path / "a.yaml").id == NUMBER


@pytest.mark.parametrize(
    "args", [["absent.json"], [NUMBER, "--timeout", "0"], ["absent.json", "--out", "no/such/folder/a.yaml"]]
)
def test_mistakes_are_told(args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command(), args)
    assert isinstance(done.exception, EquipoiseError)
    assert done.exception.hint


def test_text_of_an_entry_does_not_steer_the_terminal(tmp_path: Path) -> None:
    entry = study()
    entry["\x1b[31mred"] = "\x1b]0;title\x07"
    (tmp_path / "x.json").write_text(json.dumps(entry), encoding="utf-8")
    done = CliRunner().invoke(command(), [str(tmp_path / "x.json"), "--out", str(tmp_path / "a.yaml")])
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
