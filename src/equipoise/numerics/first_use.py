"""Kernels compiled before they are needed, in several processes side by side, once.

Numba compiles one function at a time in a process. ``first_use.json`` lists, for each job, the kernels that its first
use compiles, with the types of their arguments, what each of them calls and how long it took. Processes of their own
compile them into the cache on disk, callees first; the job then only loads them. Whatever is not listed, or cannot be
compiled ahead, is compiled when it is used, as ever. ``.ci/first_use`` writes the list; a test keeps it true.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module, resources
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from numba.core import types as numba_types

from equipoise.numerics import compiler

types: Any = numba_types  # its stubs lack the classes of tuples
Report = Callable[[int, int], None]
MOST = 4
"""Processes at most: beyond that, kernels wait for one another."""


class Item(NamedTuple):
    """One kernel of a job: ``module:function``, types of its arguments, places of what it calls, seconds it took."""

    kernel: str
    types: list[Any]
    needs: list[int]
    seconds: float


def encode(of: Any) -> Any:
    """A Numba type as plain data; ValueError for one that no kernel here takes."""
    if isinstance(of, types.Array):
        return ["array", str(of.dtype), of.ndim, of.layout, of.mutable]
    if isinstance(of, types.NamedTuple | types.NamedUniTuple):
        own = of.instance_class
        return ["named", f"{own.__module__}:{own.__qualname__}", [encode(t) for t in of.types]]
    if isinstance(of, types.BaseTuple):
        return ["tuple", [encode(t) for t in of.types]]
    if isinstance(of, types.Literal):
        return ["literal", of.literal_value]
    if isinstance(of, types.Number | types.Boolean | types.NoneType):
        return str(of)
    raise ValueError(f"a kernel takes a {of}")


def decode(data: Any) -> Any:
    """The Numba type that :func:`encode` wrote."""
    if isinstance(data, str):
        return getattr(types, "boolean" if data == "bool" else data)
    kind, *rest = data
    if kind == "array":
        dtype, ndim, layout, mutable = rest
        return types.Array(decode(dtype), ndim, layout, readonly=not mutable)
    if kind == "literal":
        return types.literal(rest[0])
    if kind == "named":
        return types.BaseTuple.from_types([decode(t) for t in rest[1]], found(rest[0]))
    return types.BaseTuple.from_types([decode(t) for t in rest[0]])


def found(name: str) -> Any:
    """What ``module:name`` names."""
    module, _, own = name.partition(":")
    return getattr(import_module(module), own)


@cache
def listed(job: str) -> tuple[Item, ...]:
    """The kernels of a job, callees first."""
    text = (resources.files("equipoise.numerics") / "first_use.json").read_text(encoding="utf-8")
    return tuple(Item(*item) for item in json.loads(text).get(job, ()))


def missing(job: str) -> bool:
    """Whether a kernel that the job itself calls is not in the cache; False where nothing can be kept.

    False, too, where the list names a kernel that is no more: an old list costs time, never a job.
    """
    items = listed(job)
    inside = {i for item in items for i in item.needs}
    if not items:
        return False
    try:
        wanted = [(found(item.kernel), item.types) for i, item in enumerate(items) if i not in inside]
    except (ImportError, AttributeError):
        return False
    return compiler.kept() and not all(compiler.holds(k, tuple(decode(t) for t in ts)) for k, ts in wanted)


def order(items: Sequence[Item]) -> list[float]:
    """Seconds from the start of each kernel to the end of the last that waits for it: the longest goes first."""
    left = [item.seconds for item in items]
    for i in reversed(range(len(items))):
        for j in items[i].needs:
            left[j] = max(left[j], items[j].seconds + left[i])
    return left


def compile_ahead(job: str, report: Report | None = None, processes: int | None = None) -> bool:
    """Compile the kernels of a job side by side, where they are not yet in the cache; whether anything was done.

    report : called with kernels done and kernels in all. processes : default one a processor, at most four. Another
    process that does the same is waited for.

    >>> compile_ahead("mmrm", processes=1)
    False
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    n = min(processes or available, MOST)
    if n < 2 or not sys.executable or not missing(job):
        return False
    with contextlib.suppress(OSError), compiler.alone(found(listed(job)[-1].kernel), "ahead"):
        if missing(job):
            _side_by_side(listed(job), n, report or (lambda done, total: None))
            return True
    return False


@cache
def once(job: str) -> None:
    """Before the first use of a job in a process: compile its kernels side by side, and say so on standard error."""

    def say(done: int, total: int) -> None:
        if done == 0:
            seconds = 5 * max(1, round(sum(item.seconds for item in listed(job)) / 5))
            text = f"equipoise: compiling {total} kernels, once (about {seconds} s of processor time, shared)"
            print(text, file=sys.stderr, flush=True)

    compile_ahead(job, say)
    tell_if_not_kept()


@cache
def tell_if_not_kept() -> None:
    """One line where no compiled code can be kept."""
    if not compiler.kept():
        text = "equipoise: no folder for compiled code can be written, so that every run compiles; set NUMBA_CACHE_DIR"
        print(text, file=sys.stderr, flush=True)


def _side_by_side(items: Sequence[Item], n: int, report: Report) -> None:
    """Hand out kernels whose callees are done to ``n`` processes, until all are done or every process is gone."""
    urgent, events = order(items), SimpleQueue[tuple[int, bool]]()
    workers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import sys; sys.path[:0] = {sys.path!r}; from equipoise.numerics.first_use import work; work()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(n)
    ]

    def listen(w: int) -> None:
        out = workers[w].stdout
        for _ in out if out is not None else ():
            events.put((w, True))
        events.put((w, False))

    listeners = [Thread(target=listen, args=(w,), daemon=True) for w in range(n)]
    for listener in listeners:
        listener.start()
    busy: dict[int, int] = {}
    idle, waiting, done, alive = set(range(n)), set(range(len(items))), set[int](), n
    try:
        report(0, len(items))
        while len(done) < len(items) and alive:
            ready = sorted((i for i in waiting if done.issuperset(items[i].needs)), key=lambda i: -urgent[i])
            for i, w in zip(ready, sorted(idle), strict=False):
                idle.discard(w)
                waiting.discard(i)
                busy[w] = i
                _send(workers[w], items[i])
            w, answered = events.get()
            if not answered:
                alive -= 1
                idle.discard(w)
            else:
                idle.add(w)
            if w in busy:  # what failed is left to the process that uses it
                done.add(busy.pop(w))
                report(len(done), len(items))
    finally:
        for worker, listener in zip(workers, listeners, strict=True):
            worker.kill()
            worker.wait()
            listener.join()
            for pipe in (worker.stdin, worker.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _send(worker: subprocess.Popen[str], item: Item) -> None:
    with contextlib.suppress(OSError):
        if worker.stdin is not None:
            worker.stdin.write(json.dumps([item.kernel, item.types]) + "\n")
            worker.stdin.flush()


def work() -> None:
    """Compile what standard input asks for, a line each, and answer each with a line."""
    for line in sys.stdin:
        kernel, arguments = json.loads(line)
        with contextlib.suppress(Exception):  # left to the process that uses it, where the error is seen
            found(kernel).compile(tuple(decode(t) for t in arguments))
        print("done", flush=True)
