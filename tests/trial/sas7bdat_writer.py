"""A small uncompressed SAS7BDAT file (32-bit, little-endian), written from the layout in M. Shotwell, "SAS7BDAT
Database Binary Format" (2013), so that the reader can be tested on a file whose content is known."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = bytes.fromhex("000000000000000000000000c2ea8160b31411cfbd92080009c7318c181f1011")
PAGE, HEADER = 8192, 1024
ROW_SIZE, COLUMN_SIZE, FORMAT = 0xF7F7F7F7, 0xF6F6F6F6, 0xFFFFFBFE
ATTRIBUTES, TEXT, NAME = 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFF


def write_sas7bdat(
    path: Path, name: str, columns: list[tuple[str, str, str, int]], rows: list[tuple[object, ...]]
) -> None:
    """``columns``: name, label, SAS format name (or empty), width of text or 0 for a number."""
    widths = [width or 8 for *_, width in columns]
    order = sorted(range(len(columns)), key=lambda i: columns[i][3] > 0)  # numbers first, as SAS has them
    offsets = [0] * len(columns)
    position = 0
    for i in order:
        offsets[i] = position
        position += widths[i]
    row_length = position

    text = bytearray(b"\0" * 32)
    refs: dict[str, tuple[int, int]] = {}
    for word in dict.fromkeys(w for c in columns for w in c[:3] if w):
        raw = word.encode()
        refs[word] = (len(text), len(raw))
        text += raw + b"\0" * (-len(raw) % 4)

    def ref(word: str) -> bytes:
        offset, length = refs.get(word, (0, 0))
        return struct.pack("<HHH", 0, offset, length)

    def listed(signature: int, body: bytes) -> bytes:
        """Signature, remaining length, entries, and the twelve bytes that close such a subheader."""
        whole = 4 + 8 + len(body) + 8
        return struct.pack("<IHHI", signature, whole - 12, 0, 0) + body + b"\0" * 8

    size = bytearray(480)
    struct.pack_into("<I", size, 0, ROW_SIZE)
    struct.pack_into("<II", size, 20, row_length, len(rows))
    struct.pack_into("<II", size, 36, len(columns), 0)
    struct.pack_into("<I", size, 60, (PAGE - 24) // row_length)
    blob = bytes(text) + b"\0" * (-len(text) % 4)
    whole = 4 + len(blob)
    text_part = bytearray(struct.pack("<I", TEXT) + blob)
    struct.pack_into("<H", text_part, 4, whole - 12)
    parts = [
        bytes(size),
        struct.pack("<III", COLUMN_SIZE, len(columns), 0),
        bytes(text_part),
        listed(NAME, b"".join(ref(c[0]) + b"\0\0" for c in columns)),
        listed(
            ATTRIBUTES,
            b"".join(
                struct.pack("<IIHBB", offsets[i], widths[i], 4, 2 if columns[i][3] else 1, 0)
                for i in range(len(columns))
            ),
        ),
    ]
    for _, label, format_, _ in columns:
        part = bytearray(52)
        struct.pack_into("<I", part, 0, FORMAT)
        struct.pack_into("<HH", part, 12, 9 if format_ else 0, 0)
        part[34:40], part[40:46] = ref(format_), ref(label)
        parts.append(bytes(part))

    meta = bytearray(PAGE)
    struct.pack_into("<HHH", meta, 16, 0, len(parts), len(parts))
    end = PAGE
    for i, part in enumerate(parts):
        end -= len(part) + (-len(part) % 4)
        meta[end : end + len(part)] = part
        struct.pack_into("<IIBBH", meta, 24 + 12 * i, end, len(part), 0, 1 if i > 4 else 0, 0)
    assert end > 24 + 12 * len(parts)

    pages = [bytes(meta)]
    for first in range(0, len(rows), (PAGE - 24) // row_length):
        chunk = rows[first : first + (PAGE - 24) // row_length]
        page = bytearray(PAGE)
        struct.pack_into("<HHH", page, 16, 0x0100, len(chunk), 0)
        for j, row in enumerate(chunk):
            at = 24 + j * row_length
            for i, value in enumerate(row):
                if columns[i][3]:
                    raw = str(value or "").encode().ljust(widths[i])
                    page[at + offsets[i] : at + offsets[i] + widths[i]] = raw
                else:
                    missing = struct.pack("<Q", 0xFFFFFE0000000000)  # the missing value "."
                    raw = missing if value is None else struct.pack("<d", value)
                    page[at + offsets[i] : at + offsets[i] + 8] = raw
        pages.append(bytes(page))

    head = bytearray(HEADER)
    head[:32] = MAGIC
    head[32], head[35], head[37], head[39], head[70] = 0x22, 0x22, 0x01, ord("1"), 20  # 32-bit, little-endian, UTF-8
    head[84:92], head[92:124] = b"SAS FILE", name.encode().ljust(32)
    head[156:164] = b"DATA    "
    struct.pack_into("<dd", head, 164, 1.0e9, 1.0e9)
    struct.pack_into("<III", head, 196, HEADER, PAGE, len(pages))
    head[216:224] = b"9.0401M7"
    path.write_bytes(bytes(head) + b"".join(pages))
