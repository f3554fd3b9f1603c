"""Runs calls of the gateway against a script of responses, without a network."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from cfaig_integrations.core.chat import ChatRequest, FunctionTool
from cfaig_integrations.core.content import Text, Turn
from cfaig_integrations.errors import GatewayError
from cfaig_integrations.gateway.actions import Action, Actions, HttpRequest, HttpResponse, Send, Sleep
from cfaig_integrations.gateway.connection import Connection
from cfaig_integrations.gateway.settings import resolve

JSON = {"content-type": "application/json", "cf-aig-log-id": "log1"}
SSE = {"content-type": "text/event-stream; charset=utf-8", "cf-aig-log-id": "log1"}
WHOLE = json.dumps(
    {
        "id": "1",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi there"}, "finish_reason": "stop"}],
    }
).encode()
RESPONSES = json.dumps(
    {
        "id": "r1",
        "object": "response",
        "status": "completed",
        "model": "m",
        "output": [
            {
                "type": "message",
                "id": "m1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "From responses", "annotations": []}],
            }
        ],
    }
).encode()
PIECES = [
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}\n\n',
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":" there"},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]
REQUEST = ChatRequest("openai/gpt-5.4", (Turn("user", (Text("Hello"),)),))
WITH_A_TOOL = replace(REQUEST, tools=(FunctionTool("add", "Adds.", {"type": "object", "properties": {}}),))


def error(status: int, code: int, message: str, **headers: str) -> HttpResponse:
    body = {"success": False, "errors": [{"code": code, "message": message}], "result": None}
    return HttpResponse(status, {**JSON, **headers}, json.dumps(body).encode())


BUSY = error(429, 3040, "out of capacity")
WRONG_SHAPE = error(400, 7003, "Model execution failed (User Input Error): Invalid value at input")


def connect(**arguments: Any) -> Connection:
    settings = resolve(
        account_id="acc",
        api_token=arguments.pop("api_token", "tok"),
        base_url=arguments.pop("base_url", "http://host/client/v4"),
    )
    return Connection(settings=settings, **arguments)


@dataclass
class Ended:
    """A call that has ended, and its actions."""

    result: Any
    raised: BaseException | None
    actions: list[Action]

    @property
    def calls(self) -> list[HttpRequest]:
        return [action.request for action in self.actions if isinstance(action, Send)]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(call.body) for call in self.calls]

    @property
    def pauses(self) -> list[float]:
        return [action.seconds for action in self.actions if isinstance(action, Sleep)]


def run(call: Actions[Any], *outcomes: Any) -> Ended:
    """Runs a call against a script: the outcome of `Sleep` is None, that of other actions is the next in the script."""
    script = list(outcomes)
    actions: list[Action] = []
    try:
        action = next(call)
        while True:
            actions.append(action)
            outcome = None if isinstance(action, Sleep) else script.pop(0)
            action = call.throw(outcome) if isinstance(outcome, Exception) else call.send(outcome)
    except StopIteration as end:
        assert not script, "the call ended before its script"
        return Ended(end.value, None, actions)
    except GatewayError as raised:
        assert not script, "the call ended before its script"
        return Ended(None, raised, actions)
