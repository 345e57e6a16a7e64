"""Write the public pages of our numbers beside R's: ``python tests/parity_pages.py [page ...]``, by default all.

Needs the reference results and their data in EQUIPOISE_SHARED (by default ../shared beside the repository).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

TESTS = Path(__file__).parent
FOLDER = TESTS.parent / "docs" / "parity"
PAGES = {
    "mmrm": "estimate/mmrm_cases",
    "survival": "estimate/survival_cases",
    "ranks-and-wins": "estimate/rank_win_cases",
    "imputation": "estimate/imputation_cases",
    "delayed-start": "estimate/delayed_start_cases",
    "joint-models": "estimate/joint_model_cases",
    "group-sequential": "decision/sequential_cases",
    "surrogacy": "surrogate/surrogacy_cases",
}


def text(name: str) -> str:
    """The page as it would be written now."""
    folder, module = PAGES[name].split("/")
    for path in (str(TESTS), str(TESTS / folder)):
        if path not in sys.path:
            sys.path.insert(0, path)
    written: str = importlib.import_module(module).public_page()
    return written


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page in sys.argv[1:] or PAGES:
        (FOLDER / f"{page}.md").write_text(text(page), encoding="utf-8")
        print(f"docs/parity/{page}.md")
