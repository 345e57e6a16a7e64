"""`equipoise records`: list, show and check records of published trials."""

from __future__ import annotations

import typer

app = typer.Typer(help="List, show and check records of published trials.", no_args_is_help=True)
