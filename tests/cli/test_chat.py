"""`cfaig chat`: one prompt, what is piped in, and a conversation in a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.kit import Outcome, RawServer, Request, Response, environment, error, raw_server, run, start
from tests.waiting import PATIENCE

PATH = "POST /ai/v1/chat/completions"


def stream(*texts: str, end: bool = True, reasoning: str = "") -> Response:
    deltas: list[dict[str, Any]] = [{"reasoning_content": reasoning}] if reasoning else []
    deltas += [{"content": text} for text in texts]
    events = [{"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    final = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
    if end:
        events.append(final)
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + ("data: [DONE]\n\n" if end else "")
    return Response(
        body, content_type="text/event-stream", headers={"cf-aig-log-id": "01LOG", "cf-aig-cache-status": "MISS"}
    )


def chat(*arguments: str, route: Response | None = None, stdin: str | None = None) -> tuple[Outcome, list[Request]]:
    with raw_server({PATH: route or stream("Hello", " there")}) as server:
        return run("chat", *arguments, env=environment(server), stdin=stdin), server.requests


def test_a_line_break_at_the_end_of_a_reply_is_printed_once() -> None:
    assert chat("Hi", route=stream("Hello", "\n"))[0].stdout == "Hello\n"


def test_the_reply_is_printed() -> None:
    outcome, (request,) = chat("Say hi", "--system", "Be brief.", "--max-tokens", "50", "--temperature", "0.5")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "Hello there\n", "")
    assert request.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hi"},
    ]
    assert (request.body["stream"], request.body["max_tokens"], request.body["temperature"]) == (True, 50, 0.5)


def test_json_has_text_usage_and_log_id() -> None:
    outcome, _ = chat("Say hi", "--json", route=stream("Hello", reasoning="Hm."))
    assert outcome.json["text"] == "Hello"
    assert outcome.json["reasoning"] == "Hm."
    assert outcome.json["usage"] == {"input": 7, "output": 2, "reasoning": None, "cached": None}
    assert (outcome.json["gateway"]["log_id"], outcome.json["gateway"]["cache_status"]) == ("01LOG", "MISS")


def test_options_reach_the_gateway() -> None:
    outcome, (request,) = chat("Hi", "--gateway", "prod", "--metadata", "team=docs", "--model", "openai/gpt-4.1")
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert outcome.code == 0
    assert headers["cf-aig-gateway-id"] == "prod"
    assert json.loads(headers["cf-aig-metadata"]) == {"team": "docs"}
    assert request.body["model"] == "openai/gpt-4.1"


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompt"),
    [((), "From a pipe.\n", "From a pipe."), (("Summarize:",), "A text.\n", "Summarize:\n\nA text.")],
)
def test_what_is_piped_in_is_the_prompt(arguments: tuple[str, ...], stdin: str, prompt: str) -> None:
    outcome, (request,) = chat(*arguments, stdin=stdin)
    assert outcome.code == 0
    assert request.body["messages"][-1]["content"] == prompt


def test_bytes_that_are_no_text_are_not_sent(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(b"\x89PNG\xff")
    with raw_server({}) as server, image.open("rb") as stdin:
        running = start(server, "chat", "Describe it:", stdin=stdin, stderr=subprocess.PIPE, text=True)
        _, text = running.communicate(timeout=PATIENCE)
        assert (running.returncode, "Standard input is not utf-8" in text, server.requests) == (2, True, [])


def test_reasoning_is_shown_on_request_apart_from_the_reply() -> None:
    outcome, _ = chat("Hi", "--reasoning", route=stream("Hello", reasoning="Let me [think]."))
    assert outcome.stdout == "Hello\n"
    assert "Let me [think]." in outcome.stderr


def test_a_truncated_stream_fails() -> None:
    outcome, _ = chat("Hi", route=stream("Hel", end=False))
    assert outcome.code == 1
    assert outcome.stdout.startswith("Hel")
    assert "StreamBroken" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "route", "code", "text"),
    [
        ((), None, 2, "The prompt is empty"),
        (("Hi", "--model", "@cf/baai/bge-m3"), None, 2, "embedding model"),
        (("Hi", "--api", "soap"), None, 2, "--api"),
        (("Hi", "--metadata", "x"), None, 2, "KEY=VALUE"),
        (("Hi",), error(401, 10000, "Authentication error"), 1, "Workers AI > Read"),
    ],
)
def test_a_failure_is_named_and_has_its_exit_code(
    arguments: tuple[str, ...], route: Response | None, code: int, text: str
) -> None:
    outcome, _ = chat(*arguments, route=route)
    assert (outcome.code, text in " ".join(outcome.stderr.split())) == (code, True)


@contextmanager
def terminal(server: RawServer, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command in a terminal, and the terminal's other end."""
    ours, theirs = pty.openpty()
    with start(server, *arguments, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        try:
            yield running, ours
        finally:
            running.kill()
            os.close(ours)


def read_until(end: int, text: str) -> str:
    seen = b""
    while text.encode() not in seen:
        assert select.select([end], [], [], PATIENCE)[0], f"{text!r} did not come after {seen!r}"
        try:
            data = os.read(end, 1000)
        except OSError:  # the other side has ended
            data = b""
        assert data, f"{text!r} did not come after {seen!r}"
        seen += data
    return seen.decode()


def test_a_conversation_keeps_its_history_and_survives_a_failure() -> None:
    answers = [stream("First."), error(400, 5006, "Cannot do that"), stream("Third.")]
    with raw_server({PATH: lambda _: answers.pop(0)}) as server, terminal(server, "chat") as (running, end):
        read_until(end, "> ")
        os.write(end, b"one\n")
        seen = read_until(end, "log 01LOG")
        assert "First." in seen
        assert "7 in, 2 out" in seen
        os.write(end, b"two\n")
        read_until(end, "Cannot do that")
        os.write(end, b"three\n")
        read_until(end, "Third.")
        os.write(end, b"/exit\n")
        assert running.wait(PATIENCE) == 0
        last = server.requests[-1].body["messages"]
    assert [(message["role"], message["content"]) for message in last] == [
        ("user", "one"),
        ("assistant", "First."),
        ("user", "three"),
    ]


def test_a_setting_that_is_not_valid_ends_a_conversation() -> None:
    arguments = ("chat", "--model", "@cf/baai/bge-m3")
    with raw_server({}) as server, terminal(server, *arguments) as (running, end):
        read_until(end, "> ")
        os.write(end, b"one\n/exit\n")
        read_until(end, "embedding model")
        assert (running.wait(PATIENCE), server.requests) == (2, [])


@pytest.mark.parametrize(("answer", "calls"), [("n", 0), ("y", 1)])
def test_doctor_asks_before_it_sends_what_costs(answer: str, calls: int) -> None:
    reply = {"choices": [{"message": {"content": "OK"}, "finish_reason": "stop"}]}
    routes = {PATH: Response(reply), "GET /ai-gateway/gateways/default": Response({"result": {}, "success": True})}
    arguments = ("doctor", "--model", "openai/gpt-4.1", "--api", "chat_completions")
    with raw_server(routes) as server:
        with terminal(server, *arguments) as (running, end):
            read_until(end, "[y/N]")
            assert not server.sent_to("POST")
            os.write(end, f"{answer}\n".encode())
            read_until(end, "No problem.")
            assert running.wait(PATIENCE) == 0
        assert len(server.sent_to("POST")) == calls
