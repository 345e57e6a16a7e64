"""Pictures of the brief, the page and the slides of VALOR at two widths: ``python docs/pictures.py [REPLICA.json]``.

Writes ``docs/images/{brief,page,slides}-{1280,390,390-dark}.png``. Needs Chromium or Chrome and Pillow (the extra
``office`` brings it). The replica, as ``equipoise replicate valor --json`` saves it, is made where none is given.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from equipoise.appraise import appraise, in_brief, in_slides
from equipoise.cli.appraise import saved_replica
from equipoise.document.document import Document
from equipoise.render import render
from equipoise.render.page.pdf import browser
from equipoise.replica.rebuild import replicate
from equipoise.replica.replica import Replica

PLACE = Path(__file__).parent / "images"
WIDTHS = (1280, 390)
HIGHEST = {"brief": 1500, "page": 2500, "slides": 2900}
"""Pixels after which a picture ends; all slides are shown at the larger width, side by side."""
WHOLE = 9000
COLOURS = 256
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
FRAME = (
    "<!doctype html><style>body{{margin:0}}iframe{{border:0;display:block}}</style>"
    '<iframe src="page.html" width="{width}" height="{height}"></iframe>'
)
"""A page in a frame of its own, since a window cannot be made as narrow as a phone."""


def picture(page: str, width: int, height: int, *, dark: bool = False) -> Image.Image:
    """A page as the browser shows it at ``width`` pixels, down to ``height`` or to where nothing more comes."""
    found = browser()
    if found is None:
        raise SystemExit("pictures need Chromium or Chrome, and none was found on the path")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "page.html").write_text(page, encoding="utf-8")
        (folder / "frame.html").write_text(FRAME.format(width=width, height=height), encoding="utf-8")
        command = [found, *QUIET, "--allow-file-access-from-files", "--virtual-time-budget=8000"]
        command += ["--blink-settings=preferredColorScheme=0"] if dark else []
        command += [f"--user-data-dir={folder / 'profile'}", f"--window-size={max(width, 500)},{height}"]
        command += [f"--screenshot={folder / 'shot.png'}", (folder / "frame.html").as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=180)
        shot = Image.open(io.BytesIO((folder / "shot.png").read_bytes())).convert("RGB").crop((0, 0, width, height))
    return shot.crop((0, 0, width, end(shot)))


def end(shot: Image.Image) -> int:
    """The row after the last one that is not of one colour, with a margin."""
    wide, high = shot.size
    for row in range(high - 1, 0, -1):
        colours = shot.crop((0, row, wide, row + 1)).getcolors(maxcolors=wide)
        if colours is None or len(colours) > 1:
            return min(high, row + 24)
    return high


def side_by_side(shot: Image.Image) -> Image.Image:
    """A long picture as two columns at half its size."""
    wide, high = shot.size
    half = -(-high // 2)
    out = Image.new("RGB", (wide, half // 2), shot.getpixel((0, high - 1)))
    for i in range(2):
        part = shot.crop((0, i * half, wide, min((i + 1) * half, high)))
        small = part.resize((part.size[0] // 2, part.size[1] // 2), Image.Resampling.LANCZOS)
        out.paste(small, (i * wide // 2, 0))
    return out


def documents(replica: Replica) -> dict[str, Document]:
    """What is shown."""
    return {
        "brief": in_brief("valor", replica),
        "page": appraise("valor", replica),
        "slides": in_slides("valor", replica),
    }


def main() -> None:
    """Make every picture, light and dark."""
    given = sys.argv[1:]
    replica = saved_replica(Path(given[0])) if given else replicate("valor", replicates=500)
    for name, document in documents(replica).items():
        page = render(document)
        for width in WIDTHS:
            for dark in (False, True) if width == WIDTHS[-1] else (False,):
                whole = name == "slides" and width == WIDTHS[0]
                shot = picture(page, width, WHOLE if whole else HIGHEST[name], dark=dark)
                shot = side_by_side(shot) if whole else shot
                path = PLACE / f"{name}-{width}{'-dark' if dark else ''}.png"
                shot.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
                    path, optimize=True
                )
                print(path.name, *shot.size, path.stat().st_size)


if __name__ == "__main__":
    main()
