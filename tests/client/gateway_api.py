"""One interface for `AIGateway` and `AsyncAIGateway`, and files with real contents."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import wave
import zlib
from collections.abc import Callable
from typing import Any

from cfaig_integrations.client.api import AIGateway
from cfaig_integrations.client.async_api import AsyncAIGateway
from cfaig_integrations.simulator import Simulator
from tests.client.loopback import JSON, Loopback, Reply

ACCOUNT = {"account_id": "acc", "api_token": "secret-token", "gateway_id": "gw"}


class Api:
    """Calls a method of one of the two classes."""

    def __init__(self, server: Loopback | Simulator, *, asynchronous: bool, **arguments: Any) -> None:
        self._arguments = {"base_url": server.base_url, **ACCOUNT, **arguments}
        self.asynchronous = asynchronous

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not self.asynchronous:
                return getattr(AIGateway(**self._arguments), name)(*args, **kwargs)

            async def main() -> Any:
                return await getattr(AsyncAIGateway(**self._arguments), name)(*args, **kwargs)

            return asyncio.run(main())

        return call


def json_reply(value: Any, **headers: str) -> Reply:
    """A response with a JSON body."""
    return Reply([json.dumps(value).encode()], headers=JSON | headers)


def file_reply(data: bytes, media_type: str) -> Reply:
    """A response whose body is a file."""
    return Reply([data], headers={"content-type": media_type})


def png(width: int = 3, height: int = 2) -> bytes:
    """A red picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + b"\xff\0\0" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def size_of(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG that can be opened."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        return struct.unpack(">II", picture[16:24])
    with Image.open(io.BytesIO(picture)) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


def wav(seconds: float = 0.5, rate: int = 8000) -> bytes:
    """Silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\0" * int(seconds * rate))
    return file.getvalue()


def seconds_of(sound: bytes) -> float:
    """The length of a WAV file that can be opened."""
    with wave.open(io.BytesIO(sound)) as file:
        frames = file.readframes(file.getnframes())
        return len(frames) / file.getsampwidth() / file.getnchannels() / file.getframerate()
