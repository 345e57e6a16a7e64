"""The documentation site: ``python -m sphinx -W --keep-going docs site`` writes it, warnings are errors.

Sphinx with MyST: the pages are the Markdown files whose ``>>>`` lines the tests run; the search works from the files,
without server or network. The pages of the reference are written by ``reference_pages.py`` before the others are read.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE)]

import reference_pages  # noqa: E402

import equipoise  # noqa: E402

project = "Equipoise"
author = copyright = "The Equipoise developers"
version = release = equipoise.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # an annotation such as Value may mean several classes; the signature stands
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
pygments_style = "friendly"
html_theme = "furo"
html_title = "Equipoise"
html_copy_source = False
html_show_sphinx = False


def setup(app: Any) -> None:
    """Write the pages of the reference before Sphinx looks for pages; docstrings into field lists."""
    reference_pages.write(HERE / "reference")
    reference_pages.put_in_place()
    app.connect("autodoc-process-docstring", reference_pages.process)
