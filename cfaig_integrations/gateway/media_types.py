"""Media types: of a file, recognized by its first bytes, and as a user writes them."""

from __future__ import annotations

import re

from cfaig_integrations.errors import invalid

_MEDIA_TYPE = re.compile(r"[!-~]+/[ -~]*[!-~]")
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"%PDF-", "application/pdf"),
)
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_BRANDS = {b"avif": "image/avif", b"heic": "image/heic", b"M4A ": "audio/mp4", b"qt  ": "video/quicktime"}
_EXTENSIONS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "pdf": "application/pdf",
}


def media_type_of(data: bytes, filename: str = "") -> str | None:
    """The media type of a file's bytes, else of its name's extension; None if neither is known."""
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2:  # a frame of MPEG audio, layer III
        return "audio/mpeg"
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:  # a frame of AAC
        return "audio/aac"
    return _EXTENSIONS.get(filename.rpartition(".")[2].lower())


def check_media_type(field: str, value: object) -> None:
    """Checks a user's media type, which a header or a form will have.

    Raises:
        ConfigError: It is not a media type.
    """
    if not isinstance(value, str) or not _MEDIA_TYPE.fullmatch(value):
        raise invalid(field, value, "is not a media type", "Use one such as 'image/png'.")
