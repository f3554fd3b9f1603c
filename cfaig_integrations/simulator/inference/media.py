"""Models on `/ai/run` that neither chat nor embed: pictures, speech, transcripts, translations (wire-facts §9.8).

Knows no conversation. Pictures and sounds are tiny but real files; texts are made from the input.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import wave
import zlib
from collections.abc import Callable
from typing import Any

from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.types import InvalidBody

Body = dict[str, Any]
Medium = Callable[[Body], "Body | Reply | list[Any]"]

_RATE = 8000


def picture(seed: str, side: int = 8) -> bytes:
    """A PNG file in one colour, which depends on the prompt."""
    colour = hashlib.sha256(seed.encode()).digest()[:3]
    rows = b"".join(b"\0" + colour * side for _ in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sound(text: str) -> bytes:
    """A WAV file of silence, 50 ms for every word."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE)
        out.writeframes(b"\0\0" * (_RATE // 20) * max(1, len(text.split())))
    return file.getvalue()


def _text(body: Body, *names: str) -> str:
    for name in names:
        if isinstance(body.get(name), str) and body[name]:
            return str(body[name])
    raise InvalidBody(f"required properties at '/' are '{names[0]}'", param=names[0])


def _image(body: Body) -> Body:
    return {"image": base64.b64encode(picture(_text(body, "prompt"))).decode()}


def _raw_image(body: Body) -> Reply:
    return Reply(content_type="image/png", chunks=[picture(_text(body, "prompt"))])


def _third_party_image(body: Body) -> Body:
    return {"state": "Completed", "result": {"image": _url(_text(body, "prompt"), "png")}}


def _third_party_speech(body: Body) -> Body:
    return {"state": "Completed", "result": {"audio": _url(_text(body, "text", "prompt"), "mp3")}}


def _url(seed: str, suffix: str) -> str:
    return f"https://examples.invalid/{hashlib.sha256(seed.encode()).hexdigest()[:16]}.{suffix}"


def _speech(body: Body) -> Body:
    return {"audio": base64.b64encode(sound(_text(body, "text", "prompt"))).decode()}


def _raw_speech(body: Body) -> Reply:
    return Reply(content_type="audio/wav", chunks=[sound(_text(body, "text", "prompt"))])


def _transcript(body: Body) -> Body:
    audio = body.get("body", body.get("audio"))
    if not audio:
        raise InvalidBody("required properties at '/' are 'audio'", param="audio")
    words = ["hello", "world"]
    return {"text": " ".join(words), "word_count": len(words), "words": [{"word": word} for word in words]}


def _deepgram(body: Body) -> Body:
    transcript = _transcript(body)["text"]
    return {"results": {"channels": [{"alternatives": [{"transcript": transcript, "confidence": 1.0}]}]}}


def _translation(body: Body) -> Body:
    return {"translated_text": f"[{_text(body, 'target_lang')}] {_text(body, 'text')}"}


def _summary(body: Body) -> Body:
    return {"summary": re.split(r"(?<=[.!?])\s", _text(body, "input_text"), maxsplit=1)[0]}


def _sentiment(body: Body) -> list[Any]:
    sour = bool(re.search(r"\b(bad|awful|hate|terrible|sad|not)\b", _text(body, "text"), re.IGNORECASE))
    scores = (0.98, 0.02) if sour else (0.02, 0.98)
    return [{"label": "NEGATIVE", "score": scores[0]}, {"label": "POSITIVE", "score": scores[1]}]


_MEDIA: tuple[tuple[re.Pattern[str], Medium], ...] = (
    (re.compile(r"@cf/.*(flux|lucid|phoenix)"), _image),
    (re.compile(r"@cf/.*(stable-diffusion|dreamshaper)"), _raw_image),
    (re.compile(r"@cf/.*melotts"), _speech),
    (re.compile(r"@cf/.*aura"), _raw_speech),
    (re.compile(r"@cf/.*whisper"), _transcript),
    (re.compile(r"@cf/.*nova-3"), _deepgram),
    (re.compile(r"@cf/.*m2m100"), _translation),
    (re.compile(r"@cf/.*bart-large-cnn"), _summary),
    (re.compile(r"@cf/.*distilbert"), _sentiment),
    (re.compile(r"(?!@).*/.*(image|flux)"), _third_party_image),
    (re.compile(r"(?!@).*/(.*tts.*|eleven.*)"), _third_party_speech),
)


def medium_for(model: str) -> Medium | None:
    """The maker of such a model's output; None for models that chat or embed."""
    return next((make for pattern, make in _MEDIA if pattern.match(model)), None)
