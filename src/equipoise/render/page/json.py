"""The document as JSON, and back."""

from __future__ import annotations

import json

from equipoise.document.document import Document, DocumentError, from_dict, to_dict


def to_json(document: Document) -> str:
    """The whole document; every part says what it ``is``. NaN and infinity are refused, since JSON has neither."""
    return json.dumps(to_dict(document), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def from_json(text: str) -> Document:
    """The inverse of :func:`to_json`; raises :class:`DocumentError` on anything that is not a sound document."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}") from None
    document = from_dict(data)
    if not isinstance(document, Document):
        raise DocumentError(f"not a document but {type(document).__name__}")
    return document
