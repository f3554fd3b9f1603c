"""Small files of the kinds that the conformance suite fetches from the web."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import httpx


def png() -> bytes:
    """A white pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\xff\xff\xff"))
        + chunk(b"IEND", b"")
    )


def wav() -> bytes:
    """A tenth of a second of silence."""
    samples = b"\0\0" * 800
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    data = b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", 4 + len(form) + len(data)) + b"WAVE" + form + data


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def get(url: str, **_: Any) -> httpx.Response:
    """What `httpx.get` would bring."""
    content = wav() if url.endswith(".wav") else PDF if url.endswith(".pdf") else png()
    return httpx.Response(200, content=content, request=httpx.Request("GET", url))
