"""Every fault of the table can be played, and looks as its row says."""

from __future__ import annotations

import email.utils
import json
import time
from typing import Any

import httpx
import pytest

from cfaig_integrations.simulator import FAULTS, Fault, Simulator
from tests.waiting import until

from .conftest import Caller

ERRORS = [fault for fault in FAULTS.values() if fault.kind == "error"]
WORDS = "one two three four five six"


def message_of(body: Any) -> str:
    """The message, wherever a shape puts it."""
    for key in ("error", "errors"):
        found = body.get(key)
        found = found[0] if isinstance(found, list) and found else found
        if isinstance(found, str):
            return found
        if isinstance(found, dict) and "message" in found:
            return str(found["message"])
    return str(body.get("message", ""))


@pytest.mark.parametrize("fault", ERRORS, ids=lambda fault: fault.name)
def test_error(sim: Simulator, caller: Caller, fault: Fault) -> None:
    sim.fault(fault.name)
    answer = caller.chat()
    assert answer.status_code == fault.status
    assert ("retry-after" in answer.headers) is (fault.details["retry_after"] is not None)
    expected = fault.message.replace("({request})", "").strip()
    if fault.shape in {"text", "html"}:
        assert expected in answer.text
        with pytest.raises(json.JSONDecodeError):
            answer.json()
    elif fault.shape != "websearch":
        assert expected in message_of(answer.json())
        assert "{request}" not in answer.text
    if fault.code is not None:
        assert str(fault.code) in answer.text or fault.shape in {
            "provider",
            "string",
            "anthropic",
            "policy",
            "text",
            "html",
        }
    assert ("cf-aig-log-id" in answer.headers) is (fault.layer != "edge")
    assert len(sim.logs(success=False)) == (fault.layer != "edge"), "also with status 200"
    assert caller.chat().status_code == 200, "a fault is played once"


def test_rows_are_sound() -> None:
    assert len(FAULTS) == len({fault.name for fault in FAULTS.values()})
    for fault in FAULTS.values():
        assert fault.source
        assert fault.kind != "error" or fault.retry is not None
        assert fault.kind != "error" or fault.message
    codes = {fault.code for fault in FAULTS.values()}
    table = (
        "3003 3006 3007 3008 3023 3036 4006 3039 3040 3041 5018 3042 4007 5004 5005 5006 5007 5016 5017 5019 5021 5035"
    )
    table += " 8001 8006 2001 2003 2005 2008 2009 2016 2017 2018 2019 2021 2028 2029 2030 2040 2041 2045 7000 7001 7003"
    table += " 7013 9106 10000"
    assert codes >= {int(code) for code in table.split()}, "every code of facts §5.6 and §5.7"


def test_retry_after(sim: Simulator, caller: Caller) -> None:
    sim.fault("provider_rate_limit", retry_after=7)
    assert caller.chat().headers["retry-after"] == "7"
    sim.fault("gateway_rate_limit_date", retry_after=90)
    before = time.time()
    moment = email.utils.parsedate_to_datetime(caller.chat().headers["retry-after"])
    assert before + 89 <= moment.timestamp() <= time.time() + 91
    sim.fault("gateway_rate_limit")
    assert "retry-after" not in caller.chat().headers


def test_details(sim: Simulator, caller: Caller) -> None:
    sim.fault("provider_error", status=503, message="Down for a while", shape="anthropic", headers={"x-a": "b"})
    answer = caller.chat()
    assert (answer.status_code, answer.headers["x-a"]) == (503, "b")
    assert answer.json()["error"] == {"type": "api_error", "message": "Down for a while"}
    with pytest.raises(ValueError, match="provider_error"):
        sim.fault("provider_eror")
    with pytest.raises(TypeError, match="speed"):
        sim.fault("cut", speed=1)


def test_times_and_after(sim: Simulator, caller: Caller) -> None:
    sim.fault("edge_520", times=2, after=1)
    assert [caller.chat().status_code for _ in range(4)] == [200, 520, 520, 200]
    sim.fault("edge_520", after=1)
    sim.fault("no_credits")
    assert [caller.chat().status_code for _ in range(4)] == [200, 520, 402, 200], "in their order"
    sim.fault("edge_520", times=None)
    assert [caller.chat().status_code for _ in range(4)] == [520] * 4


def stream(caller: Caller, **body: Any) -> tuple[list[bytes], httpx.TransportError | None]:
    """The chunks of a streamed answer, and how its connection failed."""
    chunks: list[bytes] = []
    sent = {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "hi"}], "stream": True, **body}
    try:
        with caller.http.stream("POST", caller.account + "/ai/v1/chat/completions", json=sent) as response:
            chunks.extend(response.iter_raw())
    except httpx.TransportError as wrong:
        return chunks, wrong
    return chunks, None


@pytest.fixture
def clean(sim: Simulator, caller: Caller) -> list[bytes]:
    """The events of the undisturbed answer, which every following request gets as well."""
    sim.reply(WORDS, times=None)
    chunks, wrong = stream(caller)
    assert wrong is None
    events = b"".join(chunks).split(b"\n\n")[:-1]
    assert len(events) >= 5
    assert events[-1] == b"data: [DONE]"
    return events


EFFECTS = [fault.name for fault in FAULTS.values() if fault.kind != "error"]


@pytest.mark.parametrize("name", EFFECTS)
def test_every_effect_does_something_and_is_over(sim: Simulator, caller: Caller, clean: list[bytes], name: str) -> None:
    sim.fault(name)
    before = time.monotonic()
    chunks, wrong = stream(caller)
    took = time.monotonic() - before
    fault_applied = b"".join(chunks).split(b"\n\n")[:-1]
    assert (
        wrong
        or len(fault_applied) != len(clean)
        or took > 0.04
        or len(chunks) > 2 * len(clean)
        or _marks(chunks) != _marks([event + b"\n\n" for event in clean])
    )
    chunks, wrong = stream(caller)
    assert wrong is None
    assert len(b"".join(chunks).split(b"\n\n")) == len(clean) + 1
    assert until(lambda: sim.in_flight == 0)


def _marks(chunks: list[bytes]) -> tuple[bool, bool, bool]:
    text = b"".join(chunks)
    return b"\r\n" in text, b"data: " in text, text.endswith(b"data: [DONE]\n\n")


def test_cut_closes_the_connection_in_the_middle_of_an_event(
    sim: Simulator, caller: Caller, clean: list[bytes]
) -> None:
    opened = sim.connections_total
    sim.fault("cut", after_events=3)
    chunks, wrong = stream(caller)
    assert isinstance(wrong, httpx.RemoteProtocolError)
    received = b"".join(chunks)
    assert received.count(b"\n\n") == 3
    assert not received.endswith(b"\n\n")
    assert until(lambda: sim.connections == 0)
    assert stream(caller)[1] is None
    assert sim.connections_total == opened + 1


def test_cut_of_a_whole_answer(sim: Simulator, caller: Caller) -> None:
    sim.fault("cut")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        caller.chat()


def test_cut_clean_ends_without_any_mark(sim: Simulator, caller: Caller, clean: list[bytes]) -> None:
    sim.fault("cut_clean", after_events=2)
    chunks, wrong = stream(caller)
    assert wrong is None
    assert b"".join(chunks).count(b"\n\n") == 2
    assert b"[DONE]" not in b"".join(chunks)
    assert b'"finish_reason":"' not in b"".join(chunks).replace(b" ", b"")


def test_missing_double_and_bare_done(sim: Simulator, caller: Caller, clean: list[bytes]) -> None:
    for name, ending in (
        ("missing_done", clean[-2] + b"\n\n"),
        ("double_done", b"data: [DONE]\n\ndata: [DONE]\n\n"),
        ("bare_done", clean[-2] + b"\n\n[DONE]\n\n"),
    ):
        sim.fault(name)
        # ids differ from answer to answer, so only the ends are compared
        assert b"".join(stream(caller)[0])[-12:] == ending[-12:]


def test_close_before_response(sim: Simulator, caller: Caller) -> None:
    sim.fault("close_before_response", times=2)
    for _ in range(2):
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            caller.chat()
    assert caller.chat().status_code == 200


def test_error_events(sim: Simulator, caller: Caller, clean: list[bytes]) -> None:
    sim.fault("error_event", after_events=1, message="Overloaded now")
    events = b"".join(stream(caller)[0]).split(b"\n\n")[:-1]
    assert len(events) == 2
    assert json.loads(events[1].removeprefix(b"data: "))["error"]["message"] == "Overloaded now"
    sim.fault("error_event_envelope", after_events=0)
    events = b"".join(stream(caller)[0]).split(b"\n\n")[:-1]
    assert json.loads(events[0].removeprefix(b"data: "))["success"] is False


def test_malformed(sim: Simulator, caller: Caller, clean: list[bytes]) -> None:
    sim.fault("malformed_event")
    events = b"".join(stream(caller)[0]).split(b"\n\n")[:-1]
    assert len(events) == len(clean) + 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(events[2].removeprefix(b"data: "))
    sim.fault("malformed_event")
    with pytest.raises(json.JSONDecodeError):
        caller.chat().json()


def test_json_instead_of_stream(sim: Simulator, caller: Caller) -> None:
    sim.fault("json_instead_of_stream")
    answer = caller.chat(stream=True)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["choices"][0]["message"]["content"]


def test_stream_faults_wait_for_a_stream(sim: Simulator, caller: Caller) -> None:
    sim.fault("cut_clean")
    assert caller.chat().status_code == 200
    assert sim.queued == (0, 1)
    assert b"[DONE]" not in b"".join(stream(caller)[0])
    assert sim.queued == (0, 0)


def test_framing(sim: Simulator, caller: Caller, clean: list[bytes]) -> None:
    sim.fault("crlf")
    text = b"".join(stream(caller)[0])
    assert text.count(b"\r\n") == text.count(b"\n")
    sim.fault("comments")
    assert b"".join(stream(caller)[0]).count(b": keep-alive\n\n") == len(clean)
    sim.fault("no_space")
    assert b"data: " not in b"".join(stream(caller)[0])
    sim.fault("crlf+bytes")
    chunks, _ = stream(caller)
    assert b"\r\n\r\n" in b"".join(chunks)
    assert len(chunks) > len(clean)


def test_stall_and_slow(sim: Simulator, caller: Caller, clean: list[bytes]) -> None:
    sim.fault("stall", after_events=2, seconds=0.3)
    before = time.monotonic()
    chunks, wrong = stream(caller)
    assert wrong is None
    assert time.monotonic() - before >= 0.3
    assert b"".join(chunks).count(b"\n\n") == len(clean)
    sim.fault("slow_stream", seconds=0.02)
    before = time.monotonic()
    stream(caller)
    assert time.monotonic() - before >= 0.02 * len(clean)


def test_errors_cannot_be_combined(sim: Simulator) -> None:
    with pytest.raises(ValueError, match="combined"):
        sim.fault("edge_502+crlf")


BODIES: dict[str, dict[str, Any]] = {
    "/ai/v1/chat/completions": {"model": "openai/gpt-4.1", "messages": [{"role": "user", "content": "hi"}]},
    "/ai/v1/responses": {"model": "openai/gpt-4.1", "input": "hi"},
    "/ai/v1/messages": {
        "model": "anthropic/claude-haiku-4.5",
        "max_tokens": 99,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "/ai/run/@cf/meta/llama-3.1-8b-instruct": {"prompt": "hi"},
    "/ai/run/@cf/moonshotai/kimi-k2.6": {"messages": [{"role": "user", "content": "hi"}]},
    "/ai/v1/embeddings": {"model": "@cf/baai/bge-m3", "input": ["hi"]},
}


@pytest.mark.parametrize("path", BODIES)
def test_every_fault_on_every_endpoint(sim: Simulator, caller: Caller, path: str) -> None:
    headers = {"cf-aig-gateway-id": "default"}
    for fault in FAULTS.values():
        streams = [False] if path.endswith("embeddings") else [False, True]
        for streamed in streams:
            if fault.fits not in {"any", "stream" if streamed else "whole"}:
                continue
            sim.fault(fault.name)
            body = {**BODIES[path], "stream": True} if streamed else BODIES[path]
            try:
                answer = caller.post(path, body, headers)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                assert fault.name in {"cut", "close_before_response"}
            else:
                assert answer.status_code == fault.status, f"{fault.name}: {answer.text}"
                assert fault.name not in {"cut", "close_before_response"}
            assert sim.queued == (0, 0), fault.name
    assert caller.post(path, BODIES[path], headers).status_code == 200
