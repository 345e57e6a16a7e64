"""`equipoise studio`: the appraisal and the next trial in the browser."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import typer


def studio(
    port: int = typer.Option(8725, "--port", "-p", min=0, max=65535, help="0: any that is free."),
    host: str = typer.Option("127.0.0.1", "--host", help="Any but this machine's own needs --token."),
    token: str | None = typer.Option(None, "--token", help="A long random word that readers give once."),
    workspace: Path | None = typer.Option(
        None, "--workspace", help="Where jobs, uploads and results are kept; default ~/.equipoise/studio."
    ),
    records_dir: Path | None = typer.Option(None, "--records", help="A folder with records of your own."),
    data: list[Path] | None = typer.Option(None, "--data", help="A folder of ADaM files, or of such folders."),
    registry: str | None = typer.Option(
        None, "--registry", help="The address of the registry's API, for a mirror; default ClinicalTrials.gov."
    ),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open it in the browser."),
) -> None:
    """Open the studio: library, appraisal, what if, design, analysis, report."""
    from equipoise.cli.common import compile_once, say
    from equipoise.errors import DataError, OutputError, needed
    from equipoise.files.reading import reason

    needed("studio", "the studio")
    import uvicorn

    from equipoise.studio.app import create_app
    from equipoise.studio.settings import DEFAULT_WORKSPACE, Settings
    from equipoise.studio.work import warm

    for folder in (*(data or ()), *((records_dir,) if records_dir else ())):
        if not folder.is_dir():
            raise DataError(f"{folder}: no folder", hint="name one that is there")
    settings = Settings(workspace or DEFAULT_WORKSPACE, records_dir, tuple(data or ()), host, token, registry=registry)

    def ready() -> None:
        compile_once(lambda what, done, total: None)
        warm()

    app = create_app(settings, before=ready)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise OutputError(
                f"{host}:{port}: cannot be listened to ({reason(error)})", hint="choose another with --port"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}/"
        say(f"the studio is at {address}; its things are kept in {settings.workspace}; Ctrl-C ends it")
        if browser:
            import threading
            import webbrowser

            known = f"{address}?token={token}" if token else address
            threading.Timer(0.8, webbrowser.open, (known,)).start()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))
        server.run(sockets=[listening])
    if not app.state.jobs.close():
        os._exit(0)  # a thread that compiles cannot be stopped, and must not outlive the interpreter
