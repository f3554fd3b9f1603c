"""Runs of every modality over a real socket: requests, responses with real files, waiting, downloads, errors."""

from __future__ import annotations

import base64
import json
from email import message_from_bytes
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from cfaig_integrations import gateway_context
from cfaig_integrations.client.api import AIGateway
from cfaig_integrations.errors import (
    ApiError,
    ConfigError,
    GatewayError,
    InvalidRequest,
    NotFound,
    ProtocolError,
    ServerFault,
    TimeoutFault,
)
from tests.client.gateway_api import Api, file_reply, json_reply, png, seconds_of, size_of, wav
from tests.client.loopback import JSON, Loopback, Reply

PNG, WAV, MP3, MP4 = png(), wav(), b"ID3\x04" + bytes(64), b"\0\0\0\x18ftypmp42" + bytes(16)
IMAGE, SPEECH = "openai/gpt-image-2", "@cf/deepgram/aura-2-en"


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def api(request: pytest.FixtureRequest, server: Loopback) -> Api:
    return Api(server, asynchronous=request.param)


def sent(server: Loopback, index: int = 0) -> Any:
    return json.loads(server.seen[index].body)


def completed(result: Any, key_source: str | None = "Unified") -> dict[str, Any]:
    metadata = {} if key_source is None else {"gatewayMetadata": {"keySource": key_source}}
    return {"state": "Completed", "result": result, **metadata}


def success(result: Any) -> dict[str, Any]:
    return {"result": result, "success": True, "errors": [], "messages": []}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Shapes of responses


def test_a_url_is_downloaded_without_the_token_and_our_headers(server: Loopback, api: Api, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}/files/image.png?signature=abcdef"
    server.script += [json_reply(completed({"image": url}), **{"cf-aig-log-id": "log1"}), file_reply(PNG, "image/png")]
    result = api.run(IMAGE, {"prompt": "a cat"}, gateway_metadata={"team": "docs"}, gateway={"skip_cache": True})
    post, get = server.seen
    assert post.line == "POST /client/v4/accounts/acc/ai/run HTTP/1.1"
    assert sent(server) == {"model": IMAGE, "input": {"prompt": "a cat"}}
    assert post.headers["authorization"] == "Bearer secret-token"
    assert post.headers["accept"] == "*/*"
    assert post.headers["cf-aig-gateway-id"] == "gw"
    assert json.loads(post.headers["cf-aig-metadata"]) == {"team": "docs"}
    assert post.headers["cf-aig-skip-cache"] == "true"
    assert get.line == "GET /files/image.png?signature=abcdef HTTP/1.1"
    assert set(get.headers) == {"host"}
    assert size_of(result.bytes) == (3, 2)
    assert (result.media_type, result.key_source, result.info.log_id) == ("image/png", "Unified", "log1")
    assert (result.info.wire, result.info.requested_model, result.info.attempts) == ("run", IMAGE, 1)
    assert result.files[0].url == url
    assert result.json == {"image": url}
    assert PNG[:4] not in repr(result).encode()
    assert result.save(tmp_path / "cat.png").read_bytes() == PNG


FILE_SHAPES: dict[str, tuple[Any, list[bytes], str]] = {
    "data URL": (completed({"image": f"data:image/png;base64,{b64(PNG)}"}), [PNG], "image/png"),
    "data URL in capitals": (completed({"image": f"DATA:Image/PNG;BASE64,{b64(PNG)}"}), [PNG], "image/png"),
    "images": (completed({"images": [f"data:image/webp;base64,{b64(PNG)}", b64(WAV)]}), [PNG, WAV], "image/webp"),
    "without gatewayMetadata": (completed({"image": b64(PNG)}, None), [PNG], "image/png"),
    "audio without state": ({"audio": b64(WAV), "gatewayMetadata": {"keySource": "BYOK"}}, [WAV], "audio/wav"),
    "alias": ({"result": {"image": b64(PNG), "model": "openai/gpt-image-2"}}, [PNG], "image/png"),
    "Workers AI": (success({"image": b64(PNG)}), [PNG], "image/png"),
    "both envelopes": (success(completed({"audio": b64(MP3)})), [MP3], "audio/mpeg"),
    "wrapped base64": (success({"audio": base64.encodebytes(WAV).decode()}), [WAV], "audio/wav"),
    "video": (completed({"video": b64(MP4)}), [MP4], "video/mp4"),
}


@pytest.mark.parametrize("name", FILE_SHAPES)
def test_files_in_json(server: Loopback, api: Api, name: str) -> None:
    body, files, media_type = FILE_SHAPES[name]
    server.usual = json_reply(body)
    result = api.run("author/some-model", {"prompt": "x"})
    assert len(server.seen) == 1
    assert [file.bytes for file in result.files] == files
    assert result.media_type == media_type
    for file in result.files:
        match file.bytes[:4]:
            case b"RIFF":
                assert seconds_of(file.bytes) == 0.5
            case b"\x89PNG":
                assert size_of(file.bytes) == (3, 2)


@pytest.mark.parametrize(
    ("data", "content_type", "media_type"),
    [
        (MP3, "audio/mpeg", "audio/mpeg"),
        (PNG, "image/png; charset=binary", "image/png"),
        (PNG, "application/json", "image/png"),
        (WAV, "application/octet-stream", "audio/wav"),
        (b"{\x01\x02 raw samples", "audio/pcm", "audio/pcm"),
        (b"<\x01\x02 raw samples", "audio/pcm", "audio/pcm"),
        (b"\x01\x02\x03", "application/octet-stream", None),
    ],
)
def test_raw_bytes(server: Loopback, api: Api, data: bytes, content_type: str, media_type: str | None) -> None:
    server.usual = file_reply(data, content_type)
    result = api.run(SPEECH, {"text": "Hello"})
    assert server.seen[0].line == f"POST /client/v4/accounts/acc/ai/run/{SPEECH} HTTP/1.1"
    assert sent(server) == {"text": "Hello"}
    assert (result.bytes, result.media_type, result.json) == (data, media_type, None)


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (success([{"label": "POSITIVE", "score": 0.99}]), [{"label": "POSITIVE", "score": 0.99}]),
        ([{"label": "cat", "score": 0.9, "box": {"xmin": 1}}], [{"label": "cat", "score": 0.9, "box": {"xmin": 1}}]),
        (success({"translated_text": "Bonjour"}), {"translated_text": "Bonjour"}),
        ({"is_complete": True, "probability": 0.9}, {"is_complete": True, "probability": 0.9}),
        (completed({"text": "Hello"}), {"text": "Hello"}),
        ({"result": {"text": "Hello", "model": "openai/x"}}, {"text": "Hello", "model": "openai/x"}),
        ({"id": "a", "status": "completed", "text": "Hi"}, {"id": "a", "status": "completed", "text": "Hi"}),
        ({"model": "clef", "answers": {"q": {"noul": 0.9}}}, {"model": "clef", "answers": {"q": {"noul": 0.9}}}),
        (success({"shape": [1, 2], "data": [[0.1, 0.2]]}), {"shape": [1, 2], "data": [[0.1, 0.2]]}),
        ({"choices": [{"message": {"content": "Hi"}}]}, {"choices": [{"message": {"content": "Hi"}}]}),
        ({"image": "no base64!"}, {"image": "no base64!"}),
        (success(None), None),
    ],
)
def test_output_without_files(server: Loopback, api: Api, body: Any, output: Any) -> None:
    server.usual = json_reply(body)
    result = api.run("@cf/author/model", {"text": "Hello"})
    assert result.json == output
    assert result.files == ()
    with pytest.raises(ProtocolError, match="no file"):
        result.bytes  # noqa: B018


def test_text(server: Loopback, api: Api) -> None:
    server.usual = file_reply(b"WEBVTT\n", "text/vtt")
    assert api.run("@cf/openai/whisper", b"RIFF").json == "WEBVTT\n"


# Requests


@pytest.mark.parametrize(
    ("media_type", "sent_type"), [(None, "audio/wav"), ("audio/x-wav", "audio/x-wav")], ids=["told by bytes", "set"]
)
def test_a_raw_body(server: Loopback, api: Api, media_type: str | None, sent_type: str) -> None:
    server.usual = json_reply(success({"text": "hello"}))
    assert api.run("@cf/deepgram/nova-3", WAV, media_type=media_type).json == {"text": "hello"}
    (seen,) = server.seen
    assert (seen.body, seen.headers["content-type"]) == (WAV, sent_type)


def test_a_form(server: Loopback, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    path.write_bytes(PNG)
    server.usual = json_reply(success({"image": b64(PNG)}))
    files = {"input_image_0": path, "input_image_1": ('a"b.png', PNG, "image/x-png"), "mask": PNG}
    result = api.run("@cf/black-forest-labs/flux-2-dev", {"prompt": "ein Mädchen", "steps": 4, "x": True}, files=files)
    assert size_of(result.bytes) == (3, 2)
    (seen,) = server.seen
    form = message_from_bytes(b"content-type: " + seen.headers["content-type"].encode() + b"\r\n\r\n" + seen.body)
    parts = {
        part.get_param("name", header="content-disposition"): (
            part.get_filename(),
            part.get("content-type"),
            part.get_payload(decode=True),
        )
        for part in form.walk()
        if not part.is_multipart()
    }
    assert parts == {
        "prompt": (None, None, "ein Mädchen".encode()),
        "steps": (None, None, b"4"),
        "x": (None, None, b"true"),
        "input_image_0": ("in.png", "image/png", PNG),
        "input_image_1": ("a%22b.png", "image/x-png", PNG),
        "mask": ("mask", "image/png", PNG),
    }


def test_a_form_without_files(server: Loopback, api: Api) -> None:
    server.usual = json_reply(success({"image": b64(PNG)}))
    api.run("@cf/black-forest-labs/flux-2-dev", {"prompt": "a cat"}, files={})
    assert server.seen[0].headers["content-type"].startswith("multipart/form-data; boundary=")


INVALID: dict[str, tuple[str, Any, dict[str, Any], str, str]] = {
    "text": (IMAGE, "a cat", {}, "input", "{'prompt': 'a cat'}"),
    "bytes in JSON": ("@cf/a/b", {"image": PNG}, {}, "input['image']", "base64"),
    "a secret": ("@cf/a/b", {"key": SecretStr("k")}, {}, "input['key']", "get_secret_value()"),
    "a path": ("@cf/a/b", {"image": [{"file": Path("x.png")}]}, {}, "input['image'][0]['file']", "files="),
    "not finite": (IMAGE, {"x": float("nan")}, {}, "input['x']", "finite"),
    "a set": (IMAGE, {"x": {1}}, {}, "input['x']", "set"),
    "a key": (IMAGE, {"x": {1: 2}}, {}, "input['x']", "str keys"),
    "a stream": (IMAGE, {"stream": True}, {}, "input['stream']", "chat model"),
    "raw bytes elsewhere": (IMAGE, PNG, {}, "input", "data URL"),
    "files elsewhere": (IMAGE, {"prompt": "x"}, {"files": {"image": PNG}}, "files", "data URL"),
    "a list in a form": ("@cf/a/b", {"x": [1]}, {"files": {}}, "input['x']", "json.dumps"),
    "a missing file": ("@cf/a/b", {}, {"files": {"image": Path("missing.png")}}, "files['image']", "missing.png"),
    "a file of another type": ("@cf/a/b", {}, {"files": {"image": 1}}, "files['image']", "Path"),
    "a file of an invalid media type": (
        "@cf/a/b",
        {},
        {"files": {"image": ("a.png", PNG, "image/png\r\nX-Other: 1")}},
        "files['image']",
        "media type",
    ),
    "an invalid media type": ("@cf/deepgram/nova-3", WAV, {"media_type": "audio/wav\n"}, "media_type", "media type"),
    "input options that are no dict": (
        "@cf/a/b",
        {"options": ["background"]},
        {"gateway": {"reject_if_busy": True}},
        "input['options']",
        "dict",
    ),
    "a media type of JSON": (IMAGE, {}, {"media_type": "image/png"}, "media_type", "bytes"),
    "a route": ("dynamic/route", {}, {}, "model", "chat model"),
    "a model id": ("a model", {}, {}, "model", "author/model"),
    "a webhook in the foreground": (
        IMAGE,
        {},
        {"options": {"webhookUrl": "https://a.example"}},
        "options['webhookUrl']",
        "background",
    ),
    "an open webhook": (
        IMAGE,
        {},
        {"options": {"background": True, "webhookUrl": "http://a.example"}},
        "options['webhookUrl']",
        "https",
    ),
    "a webhook of an invalid URL": (
        IMAGE,
        {},
        {"options": {"background": True, "webhookUrl": "//[a"}},
        "options['webhookUrl']",
        "https",
    ),
    "a format without webhook": (
        IMAGE,
        {},
        {"options": {"webhookFormat": "chat"}},
        "options['webhookFormat']",
        "webhookUrl",
    ),
    "options of a form": ("@cf/a/b", {}, {"files": {}, "gateway": {"reject_if_busy": True}}, "options", "mapping"),
    "an option": (IMAGE, {}, {"gateway": {"cache_ttl": 1}}, "gateway.cache_ttl", "60"),
    "metadata": (IMAGE, {}, {"gateway_metadata": {"a": None}}, "gateway_metadata", "a"),
    "an interval": (IMAGE, {}, {"poll_interval": 0}, "poll_interval", "above zero"),
    "a wait": (IMAGE, {}, {"wait": -1}, "wait", "zero"),
    "progress": (IMAGE, {}, {"progress": 1}, "progress", "function"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_argument_is_not_sent(server: Loopback, api: Api, name: str) -> None:
    model, value, arguments, field, text = INVALID[name]
    with pytest.raises(ConfigError) as caught:
        api.run(model, value, **arguments)
    assert caught.value.field.partition(".")[0] == field.partition(".")[0]
    assert text in str(caught.value)
    assert not server.seen


def test_a_file_as_a_list_of_its_bytes(server: Loopback, api: Api) -> None:
    server.usual = json_reply(success([{"label": "cat", "score": 0.9}]))
    api.run("@cf/facebook/detr-resnet-50", {"image": list(PNG)})
    assert bytes(sent(server)["image"]) == PNG


def test_the_legacy_host_is_refused(server: Loopback, api: Api) -> None:
    old = Api(server, asynchronous=api.asynchronous, base_url=f"http://127.0.0.1:{server.port}/v1/acc/gw/compat")
    with pytest.raises(ConfigError, match="no run endpoint"):
        old.run(IMAGE, {})


def test_options_and_metadata_of_all_layers(server: Loopback, api: Api) -> None:
    server.usual = json_reply(completed({"text": "x"}))
    both = Api(
        server,
        asynchronous=api.asynchronous,
        gateway={"cache_ttl": 60, "cache_key": "mine"},
        gateway_metadata={"a": 1, "b": 1, "c": 1},
    )
    with gateway_context(metadata={"b": 2, "c": 2}, options={"cache_ttl": 120, "gateway_id": "other"}):
        both.run(IMAGE, {}, gateway_metadata={"c": 3}, gateway={"reject_if_busy": True}, options={"tags": ["t"]})
    headers = server.seen[0].headers
    assert json.loads(headers["cf-aig-metadata"]) == {"a": 1, "b": 2, "c": 3}
    assert (headers["cf-aig-cache-ttl"], headers["cf-aig-cache-key"]) == ("120", "mine")
    assert headers["cf-aig-gateway-id"] == "other"
    assert sent(server)["options"] == {"rejectIfBusy": True, "tags": ["t"]}


def test_options_beside_a_bare_input(server: Loopback, api: Api) -> None:
    server.usual = json_reply(success({"summary": "x"}))
    api.run("@cf/a/b", {"input_text": "long"}, gateway={"reject_if_busy": True})
    assert sent(server) == {"input_text": "long", "options": {"rejectIfBusy": True}}


# Downloads


def test_a_failed_download_does_not_lose_the_result(server: Loopback, api: Api, pauses: list[float]) -> None:
    url = f"http://127.0.0.1:{server.port}/gone.png"
    server.script += [
        json_reply(completed({"images": [url, b64(PNG)]}), **{"cf-aig-log-id": "log1"}),
        Reply([b"<Error>expired</Error>"], status=403, headers={"content-type": "application/xml"}),
    ]
    result = api.run(IMAGE, {})
    assert (result.info.log_id, result.files[0].url) == ("log1", url)
    assert isinstance(result.files[0].error, ApiError)
    assert result.files[1].bytes == PNG
    with pytest.raises(GatewayError):
        result.bytes  # noqa: B018


@pytest.mark.parametrize("failure", [Reply(status=503), Reply(end="reset", silent=True)], ids=["503", "reset"])
def test_a_download_is_retried(server: Loopback, api: Api, pauses: list[float], failure: Reply) -> None:
    url = f"http://127.0.0.1:{server.port}/a.wav"
    server.script += [json_reply(completed({"audio": url})), failure, file_reply(WAV, "audio/wav")]
    result = api.run("openai/tts-1", {})
    assert seconds_of(result.bytes) == 0.5
    assert len(server.seen) == 3


def test_a_page_in_place_of_a_file_is_an_error(server: Loopback, api: Api) -> None:
    url = f"http://127.0.0.1:{server.port}/a.png"
    page = file_reply(b"<!doctype html><title>Sign in</title>", "text/html")
    server.script += [json_reply(completed({"image": url})), page]
    with pytest.raises(ProtocolError, match="Sign in"):
        api.run(IMAGE, {}).bytes  # noqa: B018


def test_a_redirected_download(server: Loopback, api: Api) -> None:
    base = f"http://127.0.0.1:{server.port}"
    server.script += [
        json_reply(completed({"image": f"{base}/a.png"})),
        Reply(status=302, headers={"location": "/b.png"}),
        file_reply(PNG, "image/png"),
    ]
    assert api.run(IMAGE, {}).bytes == PNG
    assert [seen.line.split()[1] for seen in server.seen[1:]] == ["/a.png", "/b.png"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "/a.png"], ids=["another scheme", "for ever"])
def test_a_redirect_that_is_not_followed(server: Loopback, api: Api, location: str) -> None:
    server.script += [json_reply(completed({"image": f"http://127.0.0.1:{server.port}/a.png"}))]
    server.usual = Reply(status=302, headers={"location": location})
    error = api.run(IMAGE, {}).files[0].error
    assert isinstance(error, ApiError)
    assert "5 redirects" in str(error)
    assert len(server.seen) == (2 if location.startswith("file") else 7)


def test_a_redirect_without_a_target_is_not_followed(server: Loopback, api: Api) -> None:
    server.script += [json_reply(completed({"image": f"http://127.0.0.1:{server.port}/a.png"}))]
    server.usual = Reply(status=300)
    assert isinstance(api.run(IMAGE, {}).files[0].error, ApiError)
    assert len(server.seen) == 2


@pytest.mark.parametrize("invalid", ["http://[/a.png", "http://a.example:99999/", "https:///a.png", "http://a..b/"])
@pytest.mark.parametrize("redirected", [False, True], ids=["in the result", "redirected to"])
def test_an_invalid_url_of_a_file_is_the_error_of_that_file(
    server: Loopback, api: Api, invalid: str, redirected: bool
) -> None:
    url = f"http://127.0.0.1:{server.port}/a.png" if redirected else invalid
    server.script += [json_reply(completed({"image": url}))]
    server.usual = Reply(status=302, headers={"location": invalid})
    error = api.run(IMAGE, {}).files[0].error
    assert isinstance(error, ProtocolError)
    assert "invalid URL" in str(error)


def test_other_schemes_are_not_downloaded(server: Loopback, api: Api) -> None:
    server.usual = json_reply(completed({"image": "file:///etc/passwd"}))
    assert api.run(IMAGE, {}).files == ()


PRIVATE = (
    *("169.254.169.254", "127.0.0.1", "127.1", "0x7f.0.0.1", "[::1]", "localhost", "localhost.", "metadata.internal."),
    "100.100.100.200",
)


@pytest.mark.parametrize(
    ("host", "redirected"),
    [
        *product(PRIVATE, (False, True)),
        *product(("169.254.169\u3002254", "metadata.google\uff0einternal"), (False,)),  # full stops of IDNA
    ],
)
def test_private_addresses_are_not_downloaded(host: str, redirected: bool) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        if request.method == "POST":
            return httpx.Response(200, json=completed({"image": url}))
        return httpx.Response(302, headers={"location": f"http://{host}/latest"})

    url = "https://files.example.com/a.png" if redirected else f"http://{host}/latest"
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        gateway = AIGateway(account_id="acc", api_token="tok", http_client=client)
        error = gateway.run(IMAGE, {}).files[0].error
    assert isinstance(error, ProtocolError)
    assert "private" in str(error)
    assert seen == ["api.cloudflare.com", "files.example.com"][: len(seen)]
    assert len(seen) == (2 if redirected else 1)


def test_without_download(server: Loopback, api: Api) -> None:
    server.usual = json_reply(completed({"image": "https://host.invalid/a.png"}))
    result = api.run(IMAGE, {}, download=False)
    assert (result.files[0].url, result.files[0].error) == ("https://host.invalid/a.png", None)
    with pytest.raises(ConfigError, match="download"):
        result.bytes  # noqa: B018


def test_a_users_client_sends_its_credentials_to_the_gateway_alone(server: Loopback) -> None:
    url = f"http://127.0.0.1:{server.port}/a.png"
    server.script += [json_reply(completed({"image": url})), file_reply(PNG, "image/png")]
    with httpx.Client(headers={"x-company": "key"}, cookies={"session": "key"}, auth=("user", "key")) as client:
        arguments = {"base_url": server.base_url, "account_id": "acc", "api_token": "tok", "http_client": client}
        assert AIGateway(**arguments).run(IMAGE, {}).bytes == PNG
    assert server.seen[0].headers["x-company"] == "key"
    assert set(server.seen[1].headers) == {"host"}


# Results that come later


QUEUED = success({"status": "queued", "request_id": "req1", "model": "@cf/a/b"})
RUNNING = success({"status": "running", "request_id": "req1"})


def test_a_result_that_comes_later(server: Loopback, api: Api, pauses: list[float]) -> None:
    done = json_reply(success({"image": b64(PNG)}), **{"cf-aig-log-id": "poll"})
    server.script += [json_reply(QUEUED, **{"cf-aig-log-id": "log1"}), json_reply(RUNNING), done]
    seen: list[tuple[str, int]] = []
    result = api.run("@cf/a/b", {"prompt": "x"}, progress=lambda *state: seen.append(state), poll_interval=5)
    assert seen == [("queued", 0), ("running", 1)]
    assert pauses == [5, 5]
    assert [sent(server, index) for index in range(3)] == [
        {"prompt": "x"},
        {"request_id": "req1"},
        {"request_id": "req1"},
    ]
    assert len({each.line for each in server.seen}) == 1
    assert (size_of(result.bytes), result.info.attempts, result.info.log_id) == ((3, 2), 3, "log1")


def test_a_run_in_the_background(server: Loopback, api: Api, pauses: list[float]) -> None:
    server.script += [json_reply({"request_id": "req1"}), json_reply(completed({"text": "done"}))]
    assert api.run("@cf/a/b", {"prompt": "x"}, options={"background": True}).json == {"text": "done"}
    assert server.seen[0].line == "POST /client/v4/accounts/acc/ai/run HTTP/1.1"
    assert sent(server) == {"model": "@cf/a/b", "input": {"prompt": "x"}, "options": {"background": True}}
    assert sent(server, 1) == {"request_id": "req1"}


def test_a_webhook_receives_the_result(server: Loopback, api: Api, pauses: list[float]) -> None:
    server.usual = json_reply(success({"request_id": "req1"}))
    options = {"background": True, "webhookUrl": "https://me.example/hook", "webhookFormat": "raw"}
    assert api.run(IMAGE, {}, options=options).json == {"request_id": "req1"}
    assert len(server.seen) == 1


def test_a_result_that_does_not_come(server: Loopback, api: Api, pauses: list[float]) -> None:
    server.usual = json_reply(RUNNING)
    with pytest.raises(TimeoutFault, match=r"req1.*running.*wait=10") as caught:
        api.run("@cf/a/b", {}, poll_interval=4, wait=10)
    assert (caught.value.requests_sent, len(server.seen), pauses) == (3, 3, [4, 4])
    assert (caught.value.maybe_billed, caught.value.retryable) == (True, False)


def test_a_poll_is_retried(server: Loopback, api: Api, pauses: list[float]) -> None:
    server.script += [json_reply(QUEUED), Reply(status=503), json_reply(success({"text": "done"}))]
    result = api.run("@cf/a/b", {})
    assert (result.json, result.info.attempts) == ({"text": "done"}, 3)


LOGGED_RUN = [
    Reply(status=503, headers=JSON | {"cf-aig-log-id": "refused"}),
    json_reply(QUEUED, **{"cf-aig-log-id": "run"}),
    json_reply(RUNNING, **{"cf-aig-log-id": "poll1"}),
]


def test_log_ids_of_all_requests_of_a_run(server: Loopback, api: Api, pauses: list[float]) -> None:
    server.script += [*LOGGED_RUN, json_reply(success({"text": "done"}), **{"cf-aig-log-id": "poll2"})]
    info = api.run("@cf/a/b", {}).info
    assert (info.log_id, info.log_ids, info.attempts) == ("run", ("refused", "run", "poll1", "poll2"), 4)
    server.script += [
        Reply(status=503, headers=JSON | {"cf-aig-log-id": "first"}),
        json_reply(success({"responses": [{"id": 0, "result": {"response": "one"}}]}), **{"cf-aig-log-id": "second"}),
    ]
    (result,) = api.run_batch("@cf/a/b", [{"prompt": "a"}])
    assert result.info.log_ids == ("first", "second")


@pytest.mark.parametrize(
    ("last", "ids"),
    [
        (json_reply(RUNNING), ()),
        (Reply([b"{}"], status=400, headers=JSON | {"cf-aig-log-id": "poll2"}), ("poll2",)),
    ],
    ids=["too late", "an error"],
)
def test_log_ids_of_a_run_that_fails(
    server: Loopback, api: Api, pauses: list[float], last: Reply, ids: tuple[str, ...]
) -> None:
    server.script += [*LOGGED_RUN, last]
    with pytest.raises(GatewayError) as caught:
        api.run("@cf/a/b", {}, poll_interval=4, wait=8)
    assert caught.value.log_ids == ("refused", "run", "poll1", *ids)


# Errors


@pytest.mark.parametrize(
    "body",
    [
        {"state": "Failed", "request_id": "req1", "result": None},
        {"state": "Failed", "request_id": "req1", "error": {"message": "NSFW content"}},
        success({"state": "Failed", "request_id": "req1", "result": {"error": "NSFW content"}}),
    ],
)
def test_another_state_is_an_error(server: Loopback, api: Api, body: Any) -> None:
    server.usual = json_reply(body, **{"cf-aig-log-id": "log1"})
    with pytest.raises(ApiError) as caught:
        api.run(IMAGE, {})
    error = caught.value
    assert "'Failed'" in str(error)
    assert ("NSFW" in str(error)) == ("NSFW" in json.dumps(body))
    assert (error.request_id, error.log_id, error.requests_sent) == ("req1", "log1", 1)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply([b'{"errors":[{"code":7003,"message":"bad"}]}'], status=400), InvalidRequest),
        (Reply([b'{"errors":[{"code":7003,"message":"Model not found"}]}'], status=404), NotFound),
        (json_reply({"success": False, "errors": [{"code": 5007, "message": "no"}], "result": {}}), ApiError),
        (json_reply({"id": "a", "status": "error", "error": "audio too long"}), ServerFault),
        (Reply([b"<html>"], headers={"content-type": "text/html"}), ProtocolError),
        (Reply([b""], headers=dict(JSON)), ProtocolError),
        (Reply([b"not json"], headers=dict(JSON)), ProtocolError),
    ],
)
def test_errors(server: Loopback, api: Api, reply: Reply, kind: type[GatewayError]) -> None:
    server.usual = reply
    with pytest.raises(kind) as caught:
        api.run(IMAGE, {})
    assert caught.value.requests_sent == 1


# Batches


def test_a_batch_in_the_order_of_its_inputs(server: Loopback, api: Api, pauses: list[float]) -> None:
    responses = [
        {"id": 2, "external_reference": "2", "success": True, "result": completed({"audio": b64(WAV)}, "BYOK")},
        {"id": 1, "external_reference": "1", "success": False, "error": {"message": "AiError: bad input"}},
        {"id": 0, "success": True, "result": {"response": "one"}},
        "noise",
    ]
    server.script += [json_reply(QUEUED), json_reply(success({"responses": responses, "usage": {}}))]
    seen: list[tuple[str, int]] = []
    inputs = [{"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"}, {"prompt": "d"}]
    one, two, three, four = api.run_batch("@cf/a/b", inputs, progress=lambda *state: seen.append(state))
    line = "POST /client/v4/accounts/acc/ai/run/@cf/a/b?queueRequest=true HTTP/1.1"
    assert [each.line for each in server.seen] == [line, line]
    assert sent(server) == {"requests": [{**each, "external_reference": str(i)} for i, each in enumerate(inputs)]}
    assert sent(server, 1) == {"request_id": "req1"}
    assert seen == [("queued", 0)]
    assert one.json == {"response": "one"}
    assert isinstance(two, ApiError)
    assert "bad input" in str(two)
    assert (seconds_of(three.bytes), three.key_source, one.key_source) == (0.5, "BYOK", None)
    assert isinstance(four, ProtocolError)
    assert "input 3" in str(four)


def test_an_empty_batch_is_not_sent(server: Loopback, api: Api) -> None:
    assert api.run_batch("@cf/a/b", []) == []
    assert not server.seen


@pytest.mark.parametrize(
    ("model", "inputs", "field"),
    [
        (IMAGE, [{}], "model"),
        ("@cf/a/b", {"a": 1}, "inputs"),
        ("@cf/a/b", ["text"], "inputs[0]"),
        ("@cf/a/b", [{}, {"image": b""}], "inputs[1]['image']"),
        ("@cf/a/b", [{"external_reference": "x"}], "inputs[0]['external_reference']"),
    ],
)
def test_an_invalid_batch_is_not_sent(server: Loopback, api: Api, model: str, inputs: Any, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        api.run_batch(model, inputs)
    assert caught.value.field == field
    assert not server.seen
