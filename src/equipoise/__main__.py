"""`python -m equipoise`: the same as the command `equipoise`."""

from __future__ import annotations

from equipoise.cli.main import main

main()
