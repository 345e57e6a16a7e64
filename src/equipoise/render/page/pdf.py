"""A page as PDF, printed by the Chromium or Chrome that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from equipoise.errors import OutputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
"""What is looked for on the path, in this order."""
_QUIET = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-pdf-header-footer",
)
_SECONDS = 120
_HINT = "install Chromium or Chrome, or open the HTML page in any browser and print it to PDF"


def browser() -> str | None:
    """The browser that prints, or None where there is none on the path."""
    return next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)


def to_pdf(html: str) -> bytes:
    """A self-contained page, printed; raises :class:`OutputError` where there is no browser, or it prints nothing."""
    found = browser()
    if found is None:
        raise OutputError("a PDF needs Chromium or Chrome, and none was found on the path", hint=_HINT)
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        page, out = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(html, encoding="utf-8")
        command = [found, *_QUIET, f"--user-data-dir={folder}/profile", f"--print-to-pdf={out}", page.as_uri()]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium refuses its sandbox to root, as in containers
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
            content = out.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise OutputError(f"{Path(found).name} printed no PDF ({type(error).__name__})", hint=_HINT) from None
    if not content.startswith(b"%PDF"):
        raise OutputError(f"{Path(found).name} printed something else than a PDF", hint=_HINT)
    return content
