"""Fifty readers at once on loopback: every answer is right, and how long they took is printed.

``python -m pytest -s tests/studio/test_load.py`` prints the times; nothing here passes or fails by speed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

READERS, ROUNDS = 50, 2
VIEWS = {
    "/": "Trials on record",
    "/?q=tofersen": "VALOR",
    "/trial/centaur": "In brief",
    "/trial/centaur?role=editor": "In brief",
    "/landscape/als": "side by side",
    "/trial/centaur/judgements": "What follows",
}
JOB = "/what-if/valor?go=1&weeks=12&patients=40&primary=mmrm&mechanism=slowing&seed=8"


def test_property_many_readers_at_once_all_get_the_right_page(
    address: str, browser: httpx.Client, send: Callable[..., httpx.Response], record_property: Callable[..., None]
) -> None:
    end = time.monotonic() + 300
    while 'table class="cells"' not in browser.get(JOB).text:
        assert time.monotonic() < end
        time.sleep(0.2)
    key = browser.get(JOB).text.partition("/job/")[2].partition("/")[0].partition("?")[0].partition('"')[0]
    send(f"/job/{key}", {"stop": "yes"})
    while "Stopped at" not in browser.get(JOB).text:  # what is measured is the reading of stored results
        assert time.monotonic() < end
        time.sleep(0.1)
    wanted = {**VIEWS, JOB: "Probability of success"}
    for view in wanted:
        browser.get(view)  # made once
    with httpx.Client(base_url=address, timeout=120.0, limits=httpx.Limits(max_connections=READERS)) as client:

        def read(k: int) -> list[tuple[float, bool]]:
            out = []
            for j in range(ROUNDS):
                view = list(wanted)[(k + j) % len(wanted)]
                begun = time.perf_counter()
                answer = client.get(view)
                took = time.perf_counter() - begun
                out.append((took, answer.status_code == 200 and wanted[view] in answer.text))
            return out

        with ThreadPoolExecutor(READERS) as pool:
            answers = [one for found in pool.map(read, range(READERS)) for one in found]
    assert len(answers) == READERS * ROUNDS
    assert all(right for _, right in answers)
    times = sorted(took for took, _ in answers)
    p95 = statistics.quantiles(times, n=20)[-1]
    record_property("p95_seconds", round(p95, 3))
    print(f"\n{READERS} readers, {len(times)} answers: median {statistics.median(times):.3f} s, p95 {p95:.3f} s")


@pytest.mark.parametrize("view", VIEWS)
def test_property_the_measured_views_are_there(browser: httpx.Client, view: str) -> None:
    assert VIEWS[view] in browser.get(view).text
