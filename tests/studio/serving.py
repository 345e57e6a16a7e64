"""A studio that is really served, on loopback, in a thread of the test."""

from __future__ import annotations

import html
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn


def files_in_report(report: str) -> dict[str, str]:
    """Name -> text of the files that a report in HTML carries."""
    told = re.findall(r'<h3[^>]*>([^<]+)</h3>\s*<p><code>([^<]+)</code></p>\s*<p><code class="lines">([^<]*)<', report)
    assert all(name in command for name, command, _ in told)
    return {html.unescape(name): html.unescape(text) for name, _, text in told}


@contextmanager
def registry(entries: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The address of a registry with these entries, by their numbers; it answers as the real one does."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            entry = entries.get(self.path.rpartition("/")[2])
            body = b"{}" if entry is None else json.dumps(entry).encode()
            self.send_response(404 if entry is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/api/v2"
        finally:
            server.shutdown()
            thread.join(timeout=60)


@contextmanager
def served(**settings: Any) -> Iterator[str]:
    """The address of a studio with these settings; it is closed at the end."""
    from equipoise.studio.app import create_app
    from equipoise.studio.settings import Settings

    app = create_app(Settings(**settings), before=None)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=60)
