"""Draws of parameters from a file as a world, and entries by their number from a registry."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from registry_study import study
from serving import registry, served

from equipoise.design import parse_study
from equipoise.errors import ScenarioError
from equipoise.studio.drawn import draws_file, draws_files
from equipoise.studio.settings import Settings

QUICK = "/what-if/valor?go=1&weeks=12&patients=40&primary=mmrm&mechanism=slowing&seed=5"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with draws of one mechanism and of two, a table that holds none, and a link that leads away."""
    data = tmp_path / "data"
    data.mkdir()
    one = pl.DataFrame({"effect.weight": [0.4, 0.5, 0.6], "weight": [0.2, 0.3, 0.5], "chain": [1, 1, 2]})
    one.write_csv(data / "posterior.csv")
    two = {"mechanism": ["slowing", "lagged"], "effect.weight": [0.5, 0.9], "effect.lag": [None, 4.0], "w": [1.0, 3.0]}
    pl.DataFrame(two).write_parquet(data / "two.parquet")
    pl.DataFrame({"a": [1]}).write_csv(data / "other.csv")
    one.write_csv(tmp_path / "secret.csv")
    (data / "linked.csv").symlink_to(tmp_path / "secret.csv")
    return data


@pytest.fixture
def client(tmp_path: Path, folder: Path) -> Iterator[httpx.Client]:
    with (
        served(workspace=tmp_path / "w", data=(folder,)) as address,
        httpx.Client(base_url=address, timeout=120) as made,
    ):
        yield made


def study_of(client: httpx.Client, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    key = re.search(r"/job/(\w+)/study.yaml", answer.text)
    assert key is not None
    end = time.monotonic() + 300
    while 'table class="cells"' not in (text := client.get(f"/job/{key[1]}").text):
        assert time.monotonic() < end
        assert 'class="problem"' not in text
        time.sleep(0.2)
    client.post(f"/job/{key[1]}", data={"form_token": client.cookies["equipoise_form"], "stop": "yes"})
    return parse_study(client.get(f"/job/{key[1]}/study.yaml").text, "study"), text


def test_property_draws_of_an_allowed_folder_are_a_world(client: httpx.Client, tmp_path: Path, folder: Path) -> None:
    files = {f.path.name: f for f in draws_files(Settings(tmp_path / "w", data=(folder,)))}
    assert set(files) == {"posterior.csv", "two.parquet"}, "no other table, and nothing a link leads to"
    shown = client.get("/design").text
    assert "posterior.csv (data)" in shown
    assert "linked.csv" not in shown
    made, text = study_of(client, f"{QUICK}&draws={files['posterior.csv'].name}")
    assert made.worlds["draws"].draws.weights == "weight"
    assert made.worlds["draws"].mechanism == "slowing"
    assert "draws of posterior.csv" in text


def test_property_draws_that_name_their_mechanism_are_a_world_each(
    client: httpx.Client, tmp_path: Path, folder: Path
) -> None:
    files = {f.path.name: f for f in draws_files(Settings(tmp_path / "w", data=(folder,)))}
    made, _ = study_of(client, f"{QUICK}&draws={files['two.parquet'].name}&weights=w")
    assert {"draws-slowing", "draws-lagged"} <= set(made.worlds)
    assert made.worlds["draws-lagged"].weight == pytest.approx(0.75)
    wrong = client.get(f"{QUICK}&draws={files['two.parquet'].name}&weights=nothing")
    assert wrong.status_code == 400
    assert "has no column" in wrong.text


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.csv", "posterior.csv", "0" * 20])
def test_property_draws_are_chosen_and_not_named(client: httpx.Client, tmp_path: Path, folder: Path, name: str) -> None:
    answer = client.get(QUICK, params={"draws": name})
    assert answer.status_code in (200, 400)
    answer = client.get(QUICK + "&draws=" + name.replace("/", "%2F"))
    assert answer.status_code == 400
    assert "no such file of draws" in answer.text
    with pytest.raises(ScenarioError):
        draws_file(Settings(tmp_path / "w", data=(folder,)), name)


def test_property_an_entry_comes_in_by_its_number(tmp_path: Path) -> None:
    entry = study()
    entry["protocolSection"]["identificationModule"]["nctId"] = "NCT07654321"
    with (
        registry({"NCT07654321": entry}) as there,
        served(workspace=tmp_path, registry=there) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        client.get("/import")

        def ask(number: str) -> httpx.Response:
            return client.post("/import", data={"form_token": client.cookies["equipoise_form"], "number": number})

        made = ask("nct07654321")
        assert made.status_code == 200, made.text
        assert "could not be mapped" in made.text
        found = re.search(r'href="(/trial/[^"]+)">Read its page', made.text)
        assert found is not None
        assert client.get(found[1]).status_code == 200
        for number in ("NCT00000000", "NCT1", "NCT07654321/../x", "http://evil.example/"):
            answer = ask(number)
            assert answer.status_code == 400, number
            assert "Traceback" not in answer.text


def test_property_draws_that_expand_beyond_measure_are_refused_before_they_are_read(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    pl.select(pl.lit(0.5).repeat_by(2_000_000).explode().alias("effect.weight")).write_parquet(data / "bomb.parquet")
    (data / "broken.parquet").write_bytes(b"PAR1" + b"\xff" * 64 + b"\x10\x00\x00\x00PAR1")
    settings = Settings(tmp_path / "w", data=(data,))
    (bomb,) = draws_files(settings)
    assert bomb.path.stat().st_size < 100_000
    with pytest.raises(ScenarioError, match="claims 2000000 rows"):
        draws_file(settings, bomb.name)
