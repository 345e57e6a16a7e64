"""A studio that the tests share, and a browser for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("uvicorn", reason="the studio is not installed: pip install 'equipoise[studio]'")

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "records")]

from serving import served  # noqa: E402


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="session")
def address(workspace: Path) -> Iterator[str]:
    """One studio that the tests share."""
    data = Path(__file__).parents[1] / "fixtures"
    with served(workspace=workspace, data=(data,)) as found:
        yield found


@pytest.fixture
def browser(address: str) -> Iterator[httpx.Client]:
    """A client with cookies of its own, as a fresh browser has."""
    with httpx.Client(base_url=address, timeout=120.0) as client:
        yield client


@pytest.fixture
def send(browser: httpx.Client) -> Callable[..., httpx.Response]:
    """Send a form as a page of the studio does: with its token, and from the same site."""

    def sent(path: str, data: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
        if "equipoise_form" not in browser.cookies:
            browser.get("/import")
        return browser.post(path, data={"form_token": browser.cookies["equipoise_form"], **(data or {})}, **options)

    return sent
