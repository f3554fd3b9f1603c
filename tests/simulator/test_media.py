"""Images, sound and single tasks on `/ai/run`: the shapes of answers, files that open, results that come later."""

from __future__ import annotations

import io
import json
import wave
from base64 import b64decode, b64encode
from typing import Any

import pytest

from cfaig_integrations.simulator import Simulator
from cfaig_integrations.simulator.clock import Clock, Ids
from cfaig_integrations.simulator.gateway import cache
from tests.client.gateway_api import png, seconds_of, size_of, wav
from tests.simulator.conftest import Caller, error_of

KEY = {"keySource": "Unified"}
TTS = {"text": "Hello, world!", "voice": "alloy", "response_format": "mp3", "speed": 1}


def run(caller: Caller, model: str, fields: dict[str, Any], **options: Any) -> Any:
    """The JSON of a run: in the path for Workers AI, else wrapped."""
    if model.startswith("@"):
        answer = caller.post(f"/ai/run/{model}", fields)
    else:
        answer = caller.post("/ai/run", {"model": model, "input": fields, **({"options": options} if options else {})})
    assert answer.status_code == 200, answer.text
    return answer.json()


def raw(caller: Caller, model: str, data: bytes, content_type: str) -> Any:
    url = f"{caller.account}/ai/run/{model}"
    return caller.http.post(url, content=data, headers={"content-type": content_type})


def data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("model", "key", "outer"),
    [
        ("openai/gpt-image-2", "image", {"state": "Completed", "gatewayMetadata": KEY}),
        ("bytedance/seedream-5-pro", "images", {"state": "Completed", "gatewayMetadata": KEY}),
        ("cloudflare/image", "image", {}),
    ],
)
def test_an_image_at_a_url_that_expires(sim: Simulator, caller: Caller, model: str, key: str, outer: Any) -> None:
    body = run(caller, model, {"prompt": "a lighthouse"})
    url = body["result"].pop(key)
    url = url[0] if key == "images" else url
    assert body == {**outer, "result": {"model": "google/nano-banana-2"} if model == "cloudflare/image" else {}}
    file = caller.http.get(url, headers={"authorization": ""})
    assert (file.headers["content-type"], size_of(file.content)) == ("image/png", (512, 512))
    sim.advance(3601)
    assert caller.http.get(url).status_code == 403
    assert caller.http.get(f"{sim.url}/files/none").status_code == 403


def test_the_same_prompt_is_the_same_image(caller: Caller) -> None:
    first, second, other = (
        raw(caller, "@cf/lykon/dreamshaper-8-lcm", json.dumps({"prompt": prompt}).encode(), "application/json")
        for prompt in ("a cat", "a cat", "a dog")
    )
    assert first.headers["content-type"] == "image/png"
    assert first.content == second.content != other.content


def test_a_form(caller: Caller) -> None:
    url = f"{caller.account}/ai/run/@cf/black-forest-labs/flux-2-dev"
    form = {"prompt": (None, "ein Mädchen"), "width": (None, "128"), "height": (None, "96"), "input_image_0": png()}
    body = caller.http.post(url, files=form).json()
    assert body["success"] is True
    assert size_of(b64decode(body["result"]["image"])) == (128, 96)
    assert error_of(caller.http.post(url, json={"prompt": "a cat"}))[:2] == (400, 5006)


def test_an_image_without_its_background(caller: Caller) -> None:
    body = run(caller, "bria/remove-background", {"image": data_url(png(70, 80), "image/png")})
    assert (body.keys(), size_of(caller.http.get(body["result"]["image"]).content)) == ({"state", "result"}, (70, 80))


def test_speech_is_as_long_as_its_text(caller: Caller) -> None:
    body = run(caller, "google/gemini-3.8-flash-tts", {"text": "one two three four"})
    assert body["gatewayMetadata"] == KEY
    assert seconds_of(b64decode(body["audio"])) == pytest.approx(4 * 0.35)
    url = run(caller, "openai/tts-1", {**TTS, "response_format": "wav"})["result"]["audio"]
    with wave.open(io.BytesIO(caller.http.get(url).content)) as file:
        assert any(file.readframes(file.getnframes()))


@pytest.mark.parametrize("seconds", [2, 30])
def test_music_of_a_length(caller: Caller, seconds: int) -> None:
    fields = {"prompt": "a calm track", "music_length_ms": seconds * 1000}
    data = caller.http.get(run(caller, "elevenlabs/music-v2", fields)["result"]["audio"]).content
    frames = data.count(b"\xff\xfb\x18\xc0")
    assert data.startswith(b"ID3\x04")
    assert frames * 1152 / 32000 == pytest.approx(seconds, abs=0.04)


@pytest.mark.parametrize("model", ["@cf/deepgram/aura-2-en", "@cf/myshell-ai/melotts", "openai/tts-1"])
def test_what_was_spoken_is_transcribed(caller: Caller, model: str) -> None:
    text = "Grüße, world!"
    if model == "@cf/deepgram/aura-2-en":
        answer = caller.post(f"/ai/run/{model}", {"text": text})
        data = answer.content
        assert answer.headers["content-type"] == "audio/mpeg"
    elif model == "openai/tts-1":
        data = caller.http.get(run(caller, model, {**TTS, "text": text})["result"]["audio"]).content
    else:
        data = b64decode(run(caller, model, {"prompt": text})["result"]["audio"])
    spoken = data_url(data, "audio/mpeg")
    assert run(caller, "openai/gpt-4o-transcribe", {"file": spoken})["result"] == {"text": text}
    aliased = {"text": text, "model": "openai/gpt-4o-transcribe"}
    assert run(caller, "cloudflare/stt", {"audio": spoken}) == {"result": aliased}
    transcript = run(caller, "assemblyai/universal-3.5-pro", {"audio_url": spoken})
    assert (transcript["status"], transcript["text"], len(transcript["words"])) == ("completed", text, 2)
    whisper = run(caller, "@cf/openai/whisper-large-v3-turbo", {"audio": b64encode(data).decode()})["result"]
    assert (whisper["text"], whisper["word_count"]) == (text, 2)
    assert whisper["vtt"].startswith("WEBVTT\n\n00:00.000 --> 00:00.7")
    nova = raw(caller, "@cf/deepgram/nova-3", data, "audio/mpeg").json()["result"]["results"]
    assert nova["channels"][0]["alternatives"][0]["transcript"] == text
    turn = raw(caller, "@cf/pipecat-ai/smart-turn-v2", data, "audio/mpeg").json()["result"]
    assert turn == {"is_complete": True, "probability": 0.95}


def test_a_recording_from_elsewhere(caller: Caller) -> None:
    result = raw(caller, "@cf/openai/whisper", wav(0.5), "application/octet-stream").json()["result"]
    assert (result["text"], result["transcription_info"]["duration"]) == ("A recording of 0.5 seconds.", 0.5)
    flac = {"audio": data_url(b"fLaC" + bytes(40), "audio/flac")}
    assert run(caller, "cloudflare/stt", flac)["result"]["text"] == "A recording."
    text = run(caller, "cloudflare/stt", {"audio": "https://example.com/a.wav"})["result"]["text"]
    assert text == "The recording at https://example.com/a.wav."
    spoken = run(caller, "openai/tts-1", TTS)["result"]["audio"]
    assert run(caller, "cloudflare/stt", {"audio": spoken})["result"]["text"] == TTS["text"]


def test_what_was_drawn_is_described(caller: Caller) -> None:
    drawn = caller.post("/ai/run/@cf/lykon/dreamshaper-8-lcm", {"prompt": "a red cat", "width": 64, "height": 64})
    fields = {"image": list(drawn.content), "prompt": "What is it?"}
    described = run(caller, "@cf/llava-hf/llava-1.5-7b-hf", fields)["result"]
    assert described == {"description": "The picture shows a red cat. It has 64 x 64 pixels."}
    labels = raw(caller, "@cf/microsoft/resnet-50", drawn.content, "image/png").json()["result"]
    assert labels == [{"label": "red", "score": 0.9}, {"label": "cat", "score": 0.45}]
    boxes = run(caller, "@cf/facebook/detr-resnet-50", {"image": list(drawn.content)})["result"]
    assert [box["label"] for box in boxes] == ["red", "cat"]
    assert all(0 <= box["box"]["xmin"] < box["box"]["xmax"] <= 64 for box in boxes)
    elsewhere = raw(caller, "@cf/microsoft/resnet-50", b"\xff\xd8\xff" + bytes(20), "image/jpeg").json()["result"]
    assert elsewhere == [{"label": "picture", "score": 0.9}]


@pytest.mark.parametrize(
    ("model", "fields", "result"),
    [
        ("@cf/meta/m2m100-1.2b", {"text": "Hello", "target_lang": "fr"}, {"translated_text": "[fr] Hello"}),
        (
            "@cf/ai4bharat/indictrans2-en-indic-1B",
            {"text": ["a", "b"], "target_language": "hin_Deva"},
            {"translations": ["[hin_Deva] a", "[hin_Deva] b"]},
        ),
        ("@cf/facebook/bart-large-cnn", {"input_text": "One. Two. Three."}, {"summary": "One. Two."}),
        (
            "@cf/huggingface/distilbert-sst-2-int8",
            {"text": "This is great"},
            [{"label": "NEGATIVE", "score": 0.1192}, {"label": "POSITIVE", "score": 0.8808}],
        ),
    ],
)
def test_single_tasks(caller: Caller, model: str, fields: Any, result: Any) -> None:
    assert run(caller, model, fields)["result"] == result


@pytest.mark.parametrize(
    ("model", "fields", "code", "text"),
    [
        ("openai/tts-1", {"text": "a"}, 7003, "'voice'"),
        ("openai/tts-1", {**TTS, "x": 1}, 7003, "'x'"),
        ("openai/gpt-image-2", {}, 7003, "'prompt'"),
        ("openai/gpt-image-2", {"prompt": ["a"]}, 7003, "prompt"),
        ("google/gemini-omni-1.1-flash", {"prompt": "a"}, 7003, "no films"),
        ("cloudflare/stt", {"audio": "data:audio/wav;base64,?"}, 7003, "base64"),
        ("@cf/meta/m2m100-1.2b", {"text": "a"}, 5006, "target_lang"),
        ("@cf/lykon/dreamshaper-8-lcm", {"prompt": "a", "width": 5000}, 5006, "'/width' must be <= 2048"),
        ("@cf/facebook/detr-resnet-50", {"image": [300]}, 5006, "0 to 255"),
        ("@cf/facebook/detr-resnet-50", {"image": list(b"text")}, 5006, "not a picture"),
        ("@cf/openai/whisper", {"audio": b64encode(png()).decode()}, 5006, "not a recording"),
    ],
)
def test_a_wrong_input(caller: Caller, model: str, fields: Any, code: int, text: str) -> None:
    path, body = (f"/ai/run/{model}", fields) if model[0] == "@" else ("/ai/run", {"model": model, "input": fields})
    status, found, message = error_of(caller.post(path, body))
    assert (status, found) == (400, code)
    assert text in message


def test_other_formats_have_no_such_models(caller: Caller) -> None:
    assert error_of(caller.chat("openai/gpt-image-2"))[:2] == (400, 5007)
    assert error_of(caller.chat("cloudflare/nothing"))[:2] == (404, 7003)


def test_the_log_of_an_image(sim: Simulator, caller: Caller) -> None:
    headers = {"cf-aig-metadata": '{"team": "docs"}', "cf-aig-cache-ttl": "60"}
    body = {"model": "cloudflare/image", "input": {"prompt": "a cat", "width": 64, "height": 64}}
    answers = [caller.post("/ai/run", body, headers) for _ in range(2)]
    assert [each.headers["cf-aig-cache-status"] for each in answers] == ["MISS", "HIT"]
    first, second = sim.logs(metadata={"team": "docs"})
    assert (first["model"], first["model_type"], first["provider"]) == (
        "cloudflare/image",
        "Text-to-Image",
        "cloudflare",
    )
    assert first["cost"] > 0 == second["cost"]
    raw(caller, "@cf/openai/whisper", wav(), "audio/wav")
    assert not sim.logs(model="@cf/openai/whisper"), "Workers AI bypasses the gateway without its header"
    url = f"{caller.account}/ai/run/@cf/openai/whisper"
    caller.http.post(url, content=wav(), headers={"content-type": "audio/wav", "cf-aig-gateway-id": "default"})
    (heard,) = sim.logs(model="@cf/openai/whisper")
    assert (heard["request"], heard["cost"] > 0) == (f"[{len(wav())} bytes]", True)


def test_a_scripted_failure(sim: Simulator, caller: Caller) -> None:
    sim.fault("no_credits")
    assert caller.post("/ai/run", {"model": "openai/gpt-image-2", "input": {"prompt": "a"}}).status_code == 402


def test_a_run_in_the_background(sim: Simulator, caller: Caller) -> None:
    receipt = run(caller, "cloudflare/stt", {"audio": data_url(wav(), "audio/wav")}, background=True)["result"]
    assert (receipt["status"], receipt["model"]) == ("queued", "cloudflare/stt")
    poll = {"request_id": receipt["request_id"]}
    assert caller.post("/ai/run", poll).json()["result"] == {"status": "running", **poll}
    assert caller.post("/ai/run", poll).json()["result"]["text"] == "A recording of 0.5 seconds."
    assert len(sim.logs()) == 1, "polls are no calls"
    assert error_of(caller.post("/ai/run", {"request_id": "none"}))[:2] == (404, 7003)


def test_a_run_in_the_background_is_not_cached(caller: Caller) -> None:
    body = {"model": "cloudflare/image", "input": {"prompt": "a"}, "options": {"background": True}}
    answers = [caller.post("/ai/run", body, {"cf-aig-cache-ttl": "60"}).json()["result"] for _ in range(2)]
    assert len({answer["request_id"] for answer in answers}) == 2


def test_webhooks_are_refused(caller: Caller) -> None:
    options = {"background": True, "webhookUrl": "https://a.example"}
    body = {"model": "cloudflare/image", "input": {"prompt": "a"}, "options": options}
    assert "no webhooks" in error_of(caller.post("/ai/run", body))[2]


def test_a_batch(sim: Simulator, caller: Caller) -> None:
    path, headers = "/ai/run/@cf/deepgram/aura-2-en?queueRequest=true", {"cf-aig-gateway-id": "default"}
    requests = [{"text": "one", "external_reference": "a"}, {"speaker": "luna"}]
    poll = {"request_id": caller.post(path, {"requests": requests}, headers).json()["result"]["request_id"]}
    assert caller.post(path, poll).json()["result"]["status"] == "running"
    first, second = caller.post(path, poll).json()["result"]["responses"]
    assert (first["id"], first["external_reference"], first["success"]) == (0, "a", True)
    assert b64decode(first["result"]["audio"]).startswith(b"ID3")
    assert (second["id"], second["success"], second["error"]["code"]) == (1, False, 5006)
    (entry,) = sim.logs()
    assert entry["tokens_in"] == 1


def test_a_batch_that_the_gateway_refuses(sim: Simulator, caller: Caller) -> None:
    sim.fault("out_of_capacity")
    path, body = "/ai/run/@cf/baai/bge-m3?queueRequest=true", {"requests": [{"text": "a"}]}
    assert caller.post(path, body).status_code == 429
    assert caller.post(path, body).status_code == 200


@pytest.mark.parametrize("body", [{"requests": []}, {"requests": ["a"]}, {"text": "a"}])
def test_a_batch_that_is_none(caller: Caller, body: Any) -> None:
    assert error_of(caller.post("/ai/run/@cf/baai/bge-m3?queueRequest=true", body))[:2] == (400, 5006)


def test_results_that_are_replaced_take_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST_BYTES", 100)
    clock = Clock()
    results = cache.Results(clock, Ids(clock))
    for name in "abbb":
        results.add(bytes(40), "text/plain", name)
    assert [results.get(name) is not None for name in "ab"] == [True, True]
    results.add(bytes(40), "text/plain", "c")
    assert [results.get(name) is not None for name in "abc"] == [False, True, True]
