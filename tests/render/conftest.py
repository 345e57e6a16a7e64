"""The fixtures of the appraisal, for the renderers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_FILE = Path(__file__).parents[1] / "appraise" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("appraise_fixtures", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
_FIXTURES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_FIXTURES)

minimal_data = _FIXTURES.minimal_data
valor, tiny, replica = _FIXTURES.valor, _FIXTURES.tiny, _FIXTURES.replica
page, full_page = _FIXTURES.page, _FIXTURES.full_page
