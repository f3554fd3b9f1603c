"""`upstream`: calls are forwarded to a real server, here one that writes exact bytes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import Simulator, Upstream
from tests.waiting import until

from .conftest import Caller, error_of

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10, "prompt_tokens_details": {"cached_tokens": 4}}
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
CALLS = [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi there", **message}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "model": "llama3.2:latest", "choices": [choice], "usage": USAGE}


def chunk(text: str) -> bytes:
    return (
        b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n' % text.encode()
    )


STREAM = [chunk("Hi"), chunk(" there"), b'data: {"choices":[],"usage":%s}\n\n' % json.dumps(USAGE).encode()]
CLAUDE = {
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "text", "text": "Hi there"},
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 3},
}


class Raw:
    """A server with chosen paths; it keeps what it was sent."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.replies: dict[str, Callable[[dict[str, Any]], tuple[int, str, Iterable[bytes]]]] = {}
        self.models = ["llama3.2:latest", "nomic-embed-text"]
        self.before_models: Callable[[], object] = lambda: None
        self.cut = False
        self.location: str | None = None
        raw = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                return

            def do_GET(self) -> None:
                raw.before_models()
                self.send(200, "application/json", [json.dumps({"data": [{"id": m} for m in raw.models]}).encode()])

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                raw.received.append((self.path, body, {k.lower(): v for k, v in self.headers.items()}))
                reply = raw.replies.get(self.path)
                self.send(*(reply(body) if reply else (404, "text/plain", [b"404 page not found"])))

            def send(self, status: int, content_type: str, pieces: Iterable[bytes]) -> None:
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("transfer-encoding", "chunked")
                if raw.location:
                    self.send_header("location", raw.location)
                self.end_headers()
                for piece in pieces:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()
                if raw.cut:
                    self.close_connection = True
                else:
                    self.wfile.write(b"0\r\n\r\n")

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # the client may leave early

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def json(self, path: str, body: dict[str, Any], status: int = 200) -> None:
        self.replies[path] = lambda _: (status, "application/json", [json.dumps(body).encode()])

    def stream(self, path: str, pieces: list[bytes]) -> None:
        self.replies[path] = lambda _: (200, "text/event-stream", pieces)


@pytest.fixture
def raw() -> Iterator[Raw]:
    server = Raw()
    thread = threading.Thread(target=server.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def up(raw: Raw, tmp_path: Path) -> Iterator[Simulator]:
    prices = tmp_path / "prices.json"
    prices.write_text('{"ollama/*": {"input": 1000000, "output": 2000000, "cached_input": 500000}}')
    with Simulator(upstream=Upstream(raw.url, key="sk-upstream"), prices=prices) as simulator:
        yield simulator


@pytest.fixture
def ask(up: Simulator) -> Iterator[Caller]:
    with Caller(up) as caller:
        yield caller


def test_chat_keeps_log_metadata_and_cost(raw: Raw, up: Simulator, ask: Caller) -> None:
    raw.json("/v1/chat/completions", completion())
    answer = ask.chat("ollama/llama3.2", temperature=0.5, headers={"cf-aig-metadata": '{"user": "ann"}'})
    assert answer.json() == completion()
    path, body, headers = raw.received[0]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"]) == ("llama3.2:latest", 0.5)
    assert headers["authorization"] == "Bearer sk-upstream"
    assert up.api_token not in str(raw.received), "the gateway's token stays here"
    (entry,) = up.logs()
    assert (entry["model"], entry["provider"], entry["metadata"]) == ("ollama/llama3.2", "ollama", {"user": "ann"})
    assert (entry["tokens_in"], entry["tokens_out"], entry["cost"]) == (7, 3, 3 * 1 + 4 * 0.5 + 3 * 2)
    assert answer.headers["cf-aig-log-id"] == entry["id"]


@pytest.mark.parametrize(
    ("requested", "asked"),
    [
        ("ollama/llama3.2", "llama3.2:latest"),
        ("openai/gpt-4.1", "gpt-4.1"),
        ("@cf/meta/llama3.2", "llama3.2:latest"),
        ("meta-llama/Llama-3-8B", "meta-llama/Llama-3-8B"),
        ("llama3.2", "llama3.2:latest"),
    ],
)
def test_the_name_of_the_model(raw: Raw, ask: Caller, requested: str, asked: str) -> None:
    raw.models.append("meta-llama/Llama-3-8B")
    raw.json("/v1/chat/completions", completion())
    assert ask.chat(requested, headers={"cf-aig-gateway-id": "default"}).status_code == 200
    assert raw.received[0][1]["model"] == asked


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_stream_is_counted_and_shows_usage_on_request(
    raw: Raw, up: Simulator, ask: Caller, *, wants_usage: bool
) -> None:
    raw.stream("/v1/chat/completions", [*STREAM, b"data: [DONE]\n\n"])
    options = {"include_usage": True} if wants_usage else None
    answer = ask.chat("ollama/llama3.2", stream=True, stream_options=options)
    assert raw.received[0][1]["stream_options"] == {"include_usage": True}
    expected = STREAM if wants_usage else STREAM[:2]
    assert answer.content == b"".join([*expected, b"data: [DONE]\n\n"])
    (entry,) = up.logs()
    assert (entry["tokens_in"], entry["tokens_out"], entry["success"]) == (7, 3, True)
    assert entry["response"] == answer.text


def test_events_pass_as_they_arrive(raw: Raw, ask: Caller) -> None:
    seen, goes_on = [], threading.Event()

    def pieces() -> Iterator[bytes]:
        yield chunk("first")
        goes_on.wait(30)
        yield b"data: [DONE]\n\n"

    raw.replies["/v1/chat/completions"] = lambda _: (200, "text/event-stream", pieces())
    body = {"model": "ollama/llama3.2", "messages": HELLO, "stream": True}
    with ask.http.stream("POST", ask.account + "/ai/v1/chat/completions", json=body) as response:
        for piece in response.iter_bytes():
            seen.append(piece)
            goes_on.set()
    assert seen[0] == chunk("first")


def test_a_stream_that_breaks_is_broken_for_the_client(raw: Raw, up: Simulator, ask: Caller) -> None:
    raw.cut = True
    raw.stream("/v1/chat/completions", STREAM)
    with pytest.raises(httpx.TransportError):
        ask.chat("ollama/llama3.2", stream=True)
    assert up.logs()[0]["success"] is False


def test_cache_and_rate_limit_hold(raw: Raw, up: Simulator, ask: Caller) -> None:
    raw.json("/v1/chat/completions", completion())
    up.gateway(rate_limiting_limit=2, rate_limiting_interval=3600)
    keyed = {"cf-aig-cache-key": "k"}
    statuses = [ask.chat("ollama/llama3.2", headers=keyed).headers["cf-aig-cache-status"] for _ in range(2)]
    assert statuses == ["MISS", "HIT"]
    assert len(raw.received) == 1
    assert error_of(ask.chat("ollama/llama3.2"))[:2] == (429, 2003)


def test_an_error_passes_and_is_retried_on_request(raw: Raw, up: Simulator, ask: Caller) -> None:
    raw.json("/v1/chat/completions", {"error": {"message": "model 'x' not found"}}, 404)
    answer = ask.chat("ollama/x")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "model 'x' not found")
    raw.json("/v1/chat/completions", {"error": {"message": "busy"}}, 503)
    assert ask.chat("ollama/x", headers={"cf-aig-max-attempts": "3"}).status_code == 503
    assert len(raw.received) == 1 + 3
    assert [entry["status_code"] for entry in up.logs()] == [404, 503]


def test_a_server_that_is_not_there() -> None:
    with Simulator(upstream="http://127.0.0.1:9/v1") as sim, Caller(sim) as caller:
        status, code, message = error_of(caller.chat())
        assert (status, code) == (502, 2005)
        assert "http://127.0.0.1:9/v1" in message


def test_a_timeout_and_a_chain_of_models(raw: Raw) -> None:
    answered = threading.Event()

    def slow(body: dict[str, Any]) -> tuple[int, str, list[bytes]]:
        if body["model"] == "slow":
            answered.wait(30)
        return 200, "application/json", [json.dumps(completion()).encode()]

    raw.replies["/v1/chat/completions"] = slow
    routes = {"chain": ["ollama/slow", "ollama/llama3.2"]}
    with Simulator(upstream=raw.url, dynamic_routes=routes) as sim, Caller(sim) as caller:
        answer = caller.chat("dynamic/chain", headers={"cf-aig-request-timeout": "200"})
        assert (answer.status_code, answer.headers["cf-aig-model"]) == (200, "ollama/llama3.2")
        assert answer.headers["cf-aig-step"] == "1"
    answered.set()


def test_embeddings_on_both_paths(raw: Raw, up: Simulator, ask: Caller) -> None:
    rows = [{"index": 1, "embedding": [0.3, 0.4]}, {"index": 0, "embedding": [0.1, 0.2]}]
    raw.json("/v1/embeddings", {"data": rows, "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    openai = ask.post("/ai/v1/embeddings", {"model": "ollama/nomic-embed-text", "input": ["a", "b"]})
    assert openai.json()["data"] == rows
    native = ask.post("/ai/run/@cf/baai/nomic-embed-text", {"text": ["a", "b"]})
    assert native.json()["result"]["data"] == [[0.1, 0.2], [0.3, 0.4]]
    assert [received[1]["input"] for received in raw.received] == [["a", "b"]] * 2
    assert up.logs()[0]["tokens_in"] == 2


@pytest.mark.parametrize("stream", [True, False])
def test_run_has_its_envelope(raw: Raw, ask: Caller, *, stream: bool) -> None:
    raw.stream("/v1/chat/completions", STREAM) if stream else raw.json("/v1/chat/completions", completion())
    answer = ask.post("/ai/run", {"model": "ollama/llama3.2", "input": {"prompt": "Hello", "stream": stream}})
    assert raw.received[0][1]["messages"] == [{"role": "user", "content": "Hello"}]
    if stream:
        assert answer.text.startswith("data: ")
    else:
        assert answer.json()["result"] == completion()


MESSAGES = {"model": "ollama/llama3.2", "max_tokens": 50, "messages": HELLO, "system": "Be brief"}
RESPONSES = {"model": "ollama/llama3.2", "instructions": "Be brief", "input": "Hello"}


@pytest.mark.parametrize(("path", "body"), [("/messages", MESSAGES), ("/responses", RESPONSES)])
def test_a_format_that_the_server_has_passes_untouched(raw: Raw, ask: Caller, path: str, body: dict[str, Any]) -> None:
    raw.json(f"/v1{path}", {"anything": 1, "usage": {"input_tokens": 5, "output_tokens": 6}})
    assert ask.post(f"/ai/v1{path}", {**body, "extra": {"a": 1}}).json()["anything"] == 1
    assert raw.received[0][1]["extra"] == {"a": 1}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), [("/messages", MESSAGES), ("/responses", RESPONSES)])
def test_a_format_that_the_server_lacks_is_translated(
    raw: Raw, up: Simulator, ask: Caller, path: str, body: dict[str, Any], *, stream: bool
) -> None:
    raw.json("/v1/chat/completions", completion(tool_calls=CALLS))
    for _ in range(2):
        answer = ask.post(f"/ai/v1{path}", {**body, "stream": stream})
        assert answer.status_code == 200, answer.text
        assert "Hi there" in answer.text or '"Hi"' in answer.text
        assert '"add"' in answer.text
    paths = [received[0] for received in raw.received]
    assert paths == [f"/v1{path}", "/v1/chat/completions", "/v1/chat/completions"], "it is tried once"
    sent = raw.received[-1][1]["messages"]
    assert sent == [{"role": "system", "content": "Be brief"}, *HELLO]
    assert (up.logs()[0]["tokens_in"], up.logs()[0]["tokens_out"]) == (7, 3)


def test_tools_are_translated_with_their_history(raw: Raw, ask: Caller) -> None:
    raw.json("/v1/chat/completions", completion(tool_calls=CALLS))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    history = [
        *HELLO,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 2}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "4"}]},
    ]
    tools = [{"name": "add", "description": "Adds", "input_schema": schema}]
    body = {**MESSAGES, "messages": history, "tools": tools, "tool_choice": {"type": "any"}}
    answer = ask.post("/ai/v1/messages", body).json()
    call = answer["content"][-1]
    assert (call["id"], call["name"], call["input"]) == ("call_1", "add", {"a": 1})
    sent = raw.received[-1][1]
    assert sent["tool_choice"] == "required"
    assert sent["tools"][0]["function"] == {"name": "add", "description": "Adds", "parameters": schema}
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][-1] == {"role": "tool", "tool_call_id": "t1", "content": "4"}


def test_an_anthropic_server_answers_chat_completions(raw: Raw, up: Simulator, ask: Caller) -> None:
    raw.json("/v1/messages", CLAUDE)
    answer = ask.chat("ollama/llama3.2", messages=[{"role": "system", "content": "Be brief"}, *HELLO], tools=[TOOL])
    message = answer.json()["choices"][0]["message"]
    assert (message["content"], message["tool_calls"][0]["function"]["name"]) == ("Hi there", "add")
    _, body, headers = raw.received[-1]
    assert (body["system"], body["max_tokens"]) == ("Be brief", 4096)
    assert (headers["anthropic-version"], headers["x-api-key"]) == ("2023-06-01", "sk-upstream")
    assert (up.logs()[0]["tokens_in"], up.logs()[0]["tokens_out"]) == (7, 3)


def test_what_cannot_be_translated_is_an_error(raw: Raw, ask: Caller) -> None:
    raw.json("/v1/chat/completions", completion())
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    body = {**MESSAGES, "messages": [{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}]}
    status, _, message = error_of(ask.post("/ai/v1/messages", body))
    assert (status, "images" in message, "/v1" in message) == (400, True, True)
    custom = ask.post("/ai/v1/responses", {**RESPONSES, "tools": [{"type": "custom", "name": "shell"}]})
    assert (custom.status_code, "custom tools" in custom.text) == (400, True)
    ranked = ask.post("/ai/run/@cf/baai/bge-reranker-base", {"query": "a", "contexts": [{"text": "b"}]})
    assert (ranked.status_code, "ranking" in ranked.text) == (400, True)
    unserved = ask.post("/ai/v1/embeddings", {"model": "ollama/x", "input": "a"})
    assert (unserved.status_code, "embeddings" in unserved.text) == (400, True)


def test_scripted_answers_and_faults_come_first(raw: Raw, up: Simulator, ask: Caller) -> None:
    up.reply_raw(200, "{}")
    up.fault("provider_error", after=1)
    assert ask.chat("ollama/x").json() == {}
    assert ask.chat("ollama/x").status_code == 500
    assert raw.received == []


def test_odd_text_and_headers_are_forwarded(raw: Raw, ask: Caller) -> None:
    raw.json("/v1/chat/completions", completion())
    messages = [{"role": "user", "content": "half a pair: \ud800"}]
    body = json.dumps({"model": "ollama/llama3.2", "messages": messages})
    url = ask.account + "/ai/v1/chat/completions"
    assert ask.http.post(url, content=body, headers={"user-agent": "Grüße".encode()}).status_code == 200
    assert raw.received[0][1]["messages"] == messages


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:80", "ftp://a", "http://", "http://127.0.0.1:99999/v1", "http://a\x00/v1", "http://[::1/v1",
        "http://a/v1?x=1", "http://a/v1#x",
    ],
)  # fmt: skip
def test_an_upstream_that_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="upstream"):
        Simulator(upstream=url)


def test_credentials_in_the_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="without user name and password") as caught:
        Upstream("http://me:hunter2@127.0.0.1/v1")
    assert "hunter2" not in str(caught.value)


def test_calls_at_the_same_time_all_know_the_models(raw: Raw, up: Simulator) -> None:
    raw.models = ["openai/gpt-oss-20b"]
    raw.json("/v1/chat/completions", completion())
    others_came = threading.Event()
    raw.before_models = lambda: others_came.wait(30)

    def call() -> None:
        with Caller(up) as caller:
            caller.chat("openai/gpt-oss-20b")

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert until(lambda: up.in_flight == 3)
    others_came.set()
    for thread in threads:
        thread.join()
    assert [body["model"] for _, body, _ in raw.received] == ["openai/gpt-oss-20b"] * 3


def test_the_key_is_shown_nowhere(raw: Raw, up: Simulator, ask: Caller) -> None:
    raw.json("/v1/chat/completions", {"error": {"message": "Incorrect API key: sk-upstream"}}, 401)
    assert ask.chat("ollama/llama3.2").json()["error"]["message"] == "Incorrect API key: ***"
    raw.json("/v1/chat/completions", completion(content="Your key is sk-upstream"))
    ask.chat("ollama/llama3.2")
    assert "sk-upstream" not in json.dumps(up.logs())


def test_a_redirect_is_an_error_that_names_its_target(raw: Raw, ask: Caller) -> None:
    raw.location = "http://127.0.0.1:1/other"
    raw.replies["/v1/chat/completions"] = lambda _: (307, "text/html", [b"moved"])
    status, code, message = error_of(ask.chat("ollama/llama3.2", headers={"cf-aig-max-attempts": "3"}))
    assert (status, code) == (502, 2005)
    assert "redirects to http://127.0.0.1:1/other" in message
    assert len(raw.received) == 1


@pytest.mark.parametrize("answer", [b"null", b"[1]", b"<html>", b"[" * 100_000, b""])
def test_an_answer_that_is_no_object_is_an_error(raw: Raw, ask: Caller, answer: bytes) -> None:
    raw.replies["/v1/chat/completions"] = lambda _: (200, "application/json", [answer] if answer else [])
    status, code, message = error_of(ask.chat("ollama/llama3.2"))
    assert (status, code) == (502, 2005)
    assert "not a JSON object" in message


@pytest.mark.parametrize("rows", [[], [1], [{"index": "a"}, {"index": 1}], [{"embedding": "text"}], [{"index": []}], 5])
def test_embeddings_that_are_none_are_an_error(raw: Raw, ask: Caller, rows: Any) -> None:
    raw.json("/v1/embeddings", {"data": rows})
    status, code, message = error_of(ask.post("/ai/run/@cf/baai/bge-m3", {"text": ["a"]}))
    assert (status, code) == (502, 2005)
    assert "no embeddings" in message
