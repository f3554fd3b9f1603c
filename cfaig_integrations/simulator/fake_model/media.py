"""Pictures and sounds without a neural network: files that open, the same for the same text.

Each file holds the text that it was made from, as a comment of its format. So what was spoken can be transcribed, and
what was drawn described.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from cfaig_integrations.simulator.fake_model.text import STOP_WORDS, word_set

RATE = 8000  # samples per second of a WAV file
_TONES = (220.0, 247.0, 262.0, 294.0, 330.0, 349.0, 392.0, 440.0)
_WORD_SECONDS, _PAUSE_SECONDS = 0.25, 0.1
_MOST_WORDS = 2000
_MP3_FRAME = b"\xff\xfb\x18\xc0" + bytes(140)  # a silent frame: MPEG-1 layer III, 32 kbit/s, 32 kHz, mono
_MP3_FRAME_SECONDS = 0.036
_LYRICS, _COMMENT, _DESCRIPTION = b"USLT", b"ICMT", b"iTXt"


@dataclass(frozen=True, slots=True)
class Picture:
    """What can be seen of a picture without a neural network."""

    width: int
    height: int
    text: str  # what it was drawn from; empty for a picture from elsewhere


@dataclass(frozen=True, slots=True)
class Recording:
    """What can be heard of a recording without a neural network."""

    seconds: float  # zero if it is unknown
    text: str  # what is spoken; empty for a recording from elsewhere


def seconds_to_say(text: str) -> float:
    """How long a text takes: the same for each word."""
    return max(1, min(_MOST_WORDS, len(text.split()))) * (_WORD_SECONDS + _PAUSE_SECONDS)


def wav(text: str) -> bytes:
    """A WAV file with one tone for each word."""
    words = text.split()[:_MOST_WORDS] or [""]
    sound = b"".join(_tone(len(word) % len(_TONES)) for word in words)
    comment = text.encode("utf-8", "replace") + b"\0"
    info = b"INFO" + _COMMENT + struct.pack("<I", len(comment)) + comment + b"\0" * (len(comment) % 2)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    body = head + b"data" + struct.pack("<I", len(sound)) + sound + b"LIST" + struct.pack("<I", len(info)) + info
    return b"RIFF" + struct.pack("<I", len(body)) + body


@lru_cache(maxsize=len(_TONES))
def _tone(number: int) -> bytes:
    count = round(_WORD_SECONDS * RATE)
    step = 2 * math.pi * _TONES[number] / RATE
    samples = (round(9000 * math.sin(math.pi * n / count) * math.sin(step * n)) for n in range(count))
    return struct.pack(f"<{count}h", *samples) + bytes(2 * round(_PAUSE_SECONDS * RATE))


def mp3(text: str, seconds: float | None = None) -> bytes:
    """A silent MP3 file as long as the text takes, or of so many seconds."""
    lyrics = b"\x03eng\0" + text.encode("utf-8", "replace") + b"\0"
    tag = _LYRICS + _synchsafe(len(lyrics)) + b"\0\0" + lyrics
    frames = math.ceil((seconds or seconds_to_say(text)) / _MP3_FRAME_SECONDS)
    return b"ID3\x04\0\0" + _synchsafe(len(tag)) + tag + _MP3_FRAME * frames


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def png(text: str, width: int, height: int, model: str = "") -> bytes:
    """A PNG file: a landscape of two colors and a disc, chosen by the text and the model."""
    digest = hashlib.sha256(f"{model}|{text}".encode("utf-8", "replace")).digest()
    top, bottom, light = (tuple(digest[at : at + 3]) for at in (0, 3, 6))
    radius = min(width, height) / (4 + digest[9] % 4)
    left, middle = width * (0.25 + digest[10] / 510), height * (0.25 + digest[11] / 1020)
    rows = [b"\0" + _row(y / height, y - middle, (top, bottom, light), radius, left, width) for y in range(height)]
    description = b"Description\0\0\0\0\0" + text.encode("utf-8", "replace")
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (_DESCRIPTION, description), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def _row(down: float, off: float, colors: tuple[tuple[int, ...], ...], radius: float, left: float, width: int) -> bytes:
    """The pixels of one row, a share `down` from the top, and `off` pixels below the middle of the disc."""
    top, bottom, light = colors
    sky = bytes(round(a + (b - a) * down) for a, b in zip(top, bottom, strict=True))
    if abs(off) >= radius:
        return sky * width
    half = math.sqrt(radius**2 - off**2)
    start, end = max(0, round(left - half)), min(width, round(left + half))
    return sky * start + bytes(light) * (end - start) + sky * (width - end)


def read_picture(data: bytes) -> Picture | None:
    """A picture: its size if it is a PNG file, else zeros; None if the bytes are no picture."""
    if data[:3] == b"\xff\xd8\xff" or data[:4] == b"GIF8" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return Picture(0, 0, "")
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 33:
        return None
    width, height = struct.unpack(">II", data[16:24])
    at = data.find(_DESCRIPTION)
    size = int.from_bytes(data[at - 4 : at], "big") if at > 0 else 0
    return Picture(width, height, data[at + 4 : at + 4 + size].rpartition(b"\0")[2].decode("utf-8", "replace"))


def read_recording(data: bytes) -> Recording | None:
    """A recording; None if the bytes are neither WAV nor MP3 nor another known format."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return _read_wav(data)
    if data[:3] == b"ID3" or data[:2] in (b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"):
        at = data.find(_LYRICS)
        size = sum(byte << shift for byte, shift in zip(data[at + 4 : at + 8], (21, 14, 7, 0), strict=False))
        text = data[at + 15 : at + 10 + size] if at >= 0 else b""
        return Recording(round(data.count(_MP3_FRAME[:4]) * _MP3_FRAME_SECONDS, 2), _decode(text))
    if data[:4] in (b"OggS", b"fLaC", b"\x1aE\xdf\xa3") or data[4:8] == b"ftyp":
        return Recording(0.0, "")
    return None


def _read_wav(data: bytes) -> Recording:
    bytes_per_second = int.from_bytes(data[28:32], "little") or 1
    match = re.search(rb"data(.{4})", data[:4096], re.DOTALL)
    seconds = int.from_bytes(match[1], "little") / bytes_per_second if match else 0.0
    at = data.rfind(_COMMENT)
    size = int.from_bytes(data[at + 4 : at + 8], "little")
    return Recording(round(seconds, 2), _decode(data[at + 8 : at + 8 + size] if at >= 0 else b""))


def _decode(text: bytes) -> str:
    return text.rstrip(b"\0").decode("utf-8", "replace")


def timed_words(recording: Recording) -> list[tuple[str, float, float]]:
    """The words of a recording with the seconds of their start and end, evenly distributed."""
    words = recording.text.split()
    ends = list(accumulate(recording.seconds / len(words) for _ in words))
    return [(word, round(end - ends[0], 2), round(end, 2)) for word, end in zip(words, ends, strict=True)]


def sentiment(text: str) -> float:
    """How positive a text is, from 0 to 1, by the words in it."""
    words = re.findall(r"\w+", text.lower())
    score = sum((word in _GOOD) - (word in _BAD) for word in words)
    return round(1 / (1 + math.exp(-2.0 * (score or 0.1))), 4)


_GOOD = word_set("good great love excellent happy nice best wonderful perfect like beautiful thanks fast")
_BAD = word_set("bad terrible hate awful sad worst broken poor wrong slow never ugly angry fails failed")


def labels(picture: Picture) -> list[tuple[str, float]]:
    """What may be in a picture, the most probable first: the words of its description, else that it is a picture."""
    words = [word for word in re.findall(r"[a-z]{3,}", picture.text.lower()) if word not in STOP_WORDS]
    found = list(dict.fromkeys(words))[:5] or ["picture"]
    return [(word, round(0.9 / 2**place, 4)) for place, word in enumerate(found)]
