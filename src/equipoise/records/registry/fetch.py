"""Fetching a study from the registry, where the network allows it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from equipoise.errors import RecordError, needed
from equipoise.records.registry.importer import MAX_BYTES, import_study, parse_json
from equipoise.records.registry.report import Import

REGISTRY = "https://clinicaltrials.gov/api/v2"
_AGAIN = (429, 500, 502, 503, 504)


def is_number(text: str) -> bool:
    """Whether a text is a registry number, ``NCT`` and eight digits."""
    return re.fullmatch(r"NCT[0-9]{8}", text.strip().upper()) is not None


def fetch_study(
    number: str,
    *,
    registry: str = REGISTRY,
    timeout: float = 15.0,
    retries: int = 3,
    wait: Callable[[float], None] = time.sleep,
) -> Import:
    """Fetch a study by its number and import it.

    Parameters
    ----------
    number : ``NCT`` and eight digits.
    registry : address of the API, for a mirror.
    timeout : seconds for connecting, and for every read.
    retries : how often to try again when the registry is busy or the connection breaks; waits 0.5, 1, 2 ... s, or
        as long as the registry asks for, 10 s at most.
    wait : what waits (for tests).

    Raises
    ------
    RecordError : no such study, no network, no answer in time, or an answer that is no study record. The hint tells
        how to go on by hand.
    """
    number = number.strip().upper()
    if not is_number(number):
        raise RecordError(f"{number!r} is no registry number", hint="a number is NCT and eight digits: NCT02623699")
    address = f"{registry.rstrip('/')}/studies/{number}"
    return import_study(parse_json(_get(address, number, timeout, retries, wait), address))


def _get(address: str, number: str, timeout: float, retries: int, wait: Callable[[float], None]) -> bytes:
    httpx = needed("registry", "fetching", error=RecordError, besides="or " + _by_hand(address))
    failed, asked = "", []

    def stays(request: Any) -> None:  # what answers decides no other machine that is asked
        asked.append(request.url.host)
        if asked[-1] != asked[0]:
            raise RecordError(f"{address} leads to another machine, {asked[-1]}", hint=_by_hand(address))

    with httpx.Client(
        timeout=timeout, follow_redirects=True, headers={"Accept": "application/json"}, event_hooks={"request": [stays]}
    ) as client:
        for attempt in range(retries + 1):
            pause = min(0.5 * 2**attempt, 10.0)
            try:
                with client.stream("GET", address) as answer:
                    if answer.status_code == 404:
                        raise RecordError(
                            f"the registry has no study {number}", hint="look the number up on clinicaltrials.gov"
                        )
                    if answer.status_code == 200:
                        return _body(answer, address)
                    failed = f"the registry answered {answer.status_code}"
                    if answer.status_code not in _AGAIN:
                        break
                    pause = _asked(answer.headers.get("retry-after"), pause)
            except httpx.TimeoutException:
                failed = f"no answer within {timeout:g} s"
            except httpx.InvalidURL as error:
                raise RecordError(f"{address} is no address: {error}") from None
            except (httpx.TransportError, httpx.TooManyRedirects, httpx.DecodingError) as error:
                failed = str(error) or type(error).__name__
            if attempt < retries:
                wait(pause)
    raise RecordError(f"{number} could not be fetched: {failed}", hint=_by_hand(address))


def _body(answer: Any, address: str) -> bytes:
    parts, size = [], 0
    for part in answer.iter_bytes():
        size += len(part)
        if size > MAX_BYTES:
            raise RecordError(f"{address} answers with more than {MAX_BYTES:,} bytes", hint="one study is far smaller")
        parts.append(part)
    return b"".join(parts)


def _asked(header: str | None, pause: float) -> float:
    return min(float(header), 10.0) if header is not None and re.fullmatch(r"\d{1,4}", header.strip()) else pause


def _by_hand(address: str) -> str:
    return f"open {address} in a browser, save what it shows as FILE.json, then: equipoise import FILE.json"
