"""The tools of agents: what they send, and what the model and the program receive, from a server with real files."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from cfaig_integrations import errors
from cfaig_integrations.adapters.gateway_tools import (
    GatewayTool,
    ImageGeneration,
    SpeechToText,
    TextToSpeech,
    ToolResult,
    WebSearchTool,
)
from tests.client.gateway_api import ACCOUNT, file_reply, json_reply, png, seconds_of, size_of, wav
from tests.client.loopback import Loopback

both_modes = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
PICTURE, SOUND = png(), wav()
SOUND_URL = "data:audio/wav;base64," + b64encode(SOUND).decode()


def connection(server: Loopback, **more: Any) -> dict[str, Any]:
    return {"base_url": server.base_url, **ACCOUNT, **more}


def call(tool: GatewayTool, argument: str, asynchronous: bool) -> ToolResult:
    return asyncio.run(tool.acall(argument)) if asynchronous else tool.call(argument)


def sent(server: Loopback) -> Any:
    return json.loads(server.seen[-1].body)


@both_modes
def test_a_search_returns_pages(server: Loopback, asynchronous: bool) -> None:
    server.usual = json_reply(
        {"items": [{"url": "https://a", "title": "A", "description": "About a"}, {"url": "https://b"}]},
        **{"cf-aig-log-id": "log1"},
    )
    tool = WebSearchTool("search", provider="exa", limit=2, **connection(server, gateway_metadata={"team": "docs"}))
    text, data = call(tool, "What is a?", asynchronous)
    assert text == "1. A\nhttps://a\nAbout a\n\n2. \nhttps://b\n"
    assert [page["url"] for page in data["pages"]] == ["https://a", "https://b"]
    assert data["log_id"] == "log1"
    body = sent(server)
    assert (body["query"], body["provider"], body["limit"]) == ("What is a?", "exa", 2)
    assert json.loads(server.seen[0].headers["cf-aig-metadata"]) == {"team": "docs"}


def test_a_search_without_results_says_so(server: Loopback) -> None:
    server.usual = json_reply({"items": []})
    assert call(WebSearchTool("search", **connection(server)), "x", False).text == "No results."


@both_modes
def test_an_image_is_returned_to_the_program(server: Loopback, asynchronous: bool) -> None:
    image = "data:image/png;base64," + b64encode(PICTURE).decode()
    server.usual = json_reply({"state": "Completed", "result": {"image": image}})
    tool = ImageGeneration("draw", model="cloudflare/image", input={"quality": "draft"}, **connection(server))
    text, data = call(tool, "a red square", asynchronous)
    assert sent(server) == {"model": "cloudflare/image", "input": {"quality": "draft", "prompt": "a red square"}}
    assert "image/png" in text
    assert data["media_type"] == "image/png"
    assert size_of(b64decode(data["data"])) == (3, 2)
    assert json.loads(json.dumps(data)) == data


@both_modes
def test_speech_is_written_to_a_folder(server: Loopback, tmp_path: Path, asynchronous: bool) -> None:
    server.usual = file_reply(SOUND, "audio/wav")
    tool = TextToSpeech("speak", model="@cf/deepgram/aura-2-en", folder=tmp_path, **connection(server))
    text, data = call(tool, "Hello", asynchronous)
    (path,) = tmp_path.iterdir()
    assert (str(path), seconds_of(path.read_bytes())) == (data["path"], 0.5)
    assert path.name in text
    assert "data" not in data
    assert sent(server) == {"text": "Hello"}


@pytest.mark.parametrize(
    ("model", "audio", "field", "value"),
    [
        ("cloudflare/stt", SOUND_URL, "audio", SOUND_URL),
        ("cloudflare/stt", "https://a/x.wav", "audio", "https://a/x.wav"),
        ("openai/gpt-4o-transcribe", "https://a/x.wav", "file", "https://a/x.wav"),
        ("assemblyai/universal-3.5-pro", "x.wav", "audio_url", SOUND_URL),
        ("@cf/openai/whisper-large-v3-turbo", "x.wav", "audio", b64encode(SOUND).decode()),
        ("@cf/openai/whisper-large-v3-turbo", SOUND_URL, "audio", b64encode(SOUND).decode()),
    ],
)
@both_modes
def test_a_recording_is_sent_as_its_model_takes_it(
    server: Loopback, tmp_path: Path, model: str, audio: str, field: str, value: str, asynchronous: bool
) -> None:
    (tmp_path / "x.wav").write_bytes(SOUND)
    server.usual = json_reply({"result": {"text": "Hello"}, "success": True})
    result = call(SpeechToText("hear", model=model, folder=tmp_path, **connection(server)), audio, asynchronous)
    assert result.text == "Hello"
    body = sent(server)
    assert (body if model.startswith("@") else body["input"]) == {field: value}


@pytest.mark.parametrize("audio", ["x.wav", SOUND_URL])
@both_modes
def test_some_models_take_the_recording_as_the_body(
    server: Loopback, tmp_path: Path, audio: str, asynchronous: bool
) -> None:
    (tmp_path / "x.wav").write_bytes(SOUND)
    transcript = {"results": {"channels": [{"alternatives": [{"transcript": "Hello", "confidence": 1.0}]}]}}
    server.usual = json_reply({"result": transcript, "success": True})
    tool = SpeechToText("hear", model="@cf/deepgram/nova-3", folder=tmp_path, **connection(server))
    assert call(tool, audio, asynchronous).text == "Hello"
    assert (server.seen[0].body, server.seen[0].headers["content-type"]) == (SOUND, "audio/wav")


@pytest.mark.parametrize(
    ("audio", "input", "message"),
    [
        ("https://a/x.wav", {}, "data URL"),
        ("data:audio/wav;base64,!", {}, "base64"),
        ("data:audio/wav,QUJD", {}, "data URL in base64"),
        (SOUND_URL, {"language": "en"}, "Leave input out"),
    ],
)
def test_what_cannot_be_a_body_is_refused(server: Loopback, audio: str, input: dict[str, str], message: str) -> None:
    tool = SpeechToText("hear", model="@cf/deepgram/nova-3", input=input, **connection(server))
    with pytest.raises(errors.ConfigError, match=message):
        tool.call(audio)
    assert not server.seen


@pytest.mark.parametrize(
    "audio",
    [
        "../secret",
        "/etc/hostname",
        "http://a/x",
        "file:///etc/hostname",
        "absent.wav",
        "",
        "UklGR" * 60,
        "\0",
        "\ud800",
    ],
)
@pytest.mark.parametrize("with_folder", [True, False])
@both_modes
def test_only_files_of_the_folder_are_read(
    server: Loopback, tmp_path: Path, audio: str, with_folder: bool, asynchronous: bool
) -> None:
    (tmp_path / "secret").write_text("x")
    folder = tmp_path / "inside"
    folder.mkdir()
    tool = SpeechToText("hear", model="cloudflare/stt", folder=folder if with_folder else None, **connection(server))
    with pytest.raises(errors.ConfigError, match="audio="):
        call(tool, audio, asynchronous)
    assert not server.seen


def test_a_url_is_refused_for_a_model_that_cannot_read_it(server: Loopback) -> None:
    tool = SpeechToText("hear", model="@cf/openai/whisper-large-v3-turbo", **connection(server))
    with pytest.raises(errors.ConfigError, match="data URL"):
        tool.call("https://a/x.wav")
    assert not server.seen


def test_the_field_of_an_unknown_model_can_be_named(server: Loopback) -> None:
    server.usual = file_reply(SOUND, "audio/wav")
    TextToSpeech("speak", model="new/voice", field="script", **connection(server)).call("Hello")
    assert sent(server)["input"] == {"script": "Hello"}


def test_some_models_take_a_form(server: Loopback) -> None:
    server.usual = file_reply(PICTURE, "image/png")
    ImageGeneration("draw", model="@cf/black-forest-labs/flux-2-dev", **connection(server)).call("a red square")
    assert server.seen[0].headers["content-type"].startswith("multipart/form-data")
    assert b'name="prompt"' in server.seen[0].body


def test_a_field_that_the_model_fills_is_not_an_input(server: Loopback) -> None:
    with pytest.raises(errors.ConfigError, match="'prompt'"):
        ImageGeneration("draw", model="cloudflare/image", input={"prompt": "x"}, **connection(server))


def test_a_transcript_without_text_is_an_error(server: Loopback) -> None:
    server.usual = json_reply({"result": {"words": []}, "success": True})
    with pytest.raises(errors.ProtocolError, match="no text"):
        SpeechToText("hear", model="cloudflare/stt", **connection(server)).call("https://a/x.wav")


def test_a_folder_must_exist(server: Loopback, tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="folder="):
        TextToSpeech("speak", model="openai/tts-1", folder=tmp_path / "absent", **connection(server))
    with pytest.raises(errors.ConfigError, match="limit="):
        WebSearchTool("search", limit=0, **connection(server)).call("x")
    assert not server.seen
