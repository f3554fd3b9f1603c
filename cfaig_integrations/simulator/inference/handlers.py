"""The handlers of a model call: chat, embeddings, media, scripted bytes, batches; and results that come later."""

from __future__ import annotations

from base64 import b64encode
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from cfaig_integrations.simulator.catalogue import is_embedding, is_workers_ai
from cfaig_integrations.simulator.dialects import (
    Dialect,
    decide,
    embed,
    find_media,
    is_decision_model,
    run_media,
    search,
)
from cfaig_integrations.simulator.dialects.media import Files, MediaModel, Shape
from cfaig_integrations.simulator.fake_model import generate_answer, measure
from cfaig_integrations.simulator.gateway.rules import check
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.inference.forwarding import EVENT_STREAM, ForwardingHandler
from cfaig_integrations.simulator.inference.request_context import RequestContext, invalid_body
from cfaig_integrations.simulator.json_types import Record, encode, is_list, is_record, parse_json, records
from cfaig_integrations.simulator.scripting.script import QueuedFault, Step, fit_answer
from cfaig_integrations.simulator.types import Answer, InvalidBody, ModelRequest


@dataclass(slots=True)
class ChatHandler:
    """Answers with text and tool calls, from the script or the fake model."""

    context: RequestContext
    dialect: Dialect
    request: ModelRequest
    answer: Answer = field(default_factory=Answer)
    step: Step | None = None

    @property
    def stream(self) -> bool:
        """Whether a stream was requested."""
        return self.request.stream

    def next_fault(self) -> QueuedFault | None:
        """The fault of the next step of the script, whose answer `reply` then gives."""
        self.step = self.context.state.script.next_step(faulty=True)
        return self.step.fault if self.step is not None else None

    async def reply(self) -> Reply:
        """The rendered answer."""
        state = self.context.state
        step = self.step or state.script.next_step(faulty=False)
        scripted = step.answer if step is not None else None
        if scripted is None and state.script.strict:
            raise self._unscripted()
        if scripted is not None:
            fit_answer(scripted, self.request)
            measure(self.request, scripted)
        self.answer = answer = scripted if scripted is not None else generate_answer(self.request)
        custom = {tool.name for tool in self.request.tools if tool.custom}
        for call in answer.calls:
            call.custom = call.name in custom
        cached = state.prompts.recall(self.request)
        answer.tokens_cached = answer.tokens_cached or min(answer.tokens_in, cached)
        self.context.tokens_in, self.context.tokens_out = answer.tokens_in, answer.tokens_out
        self.context.tokens_cached = answer.tokens_cached
        if not self.stream:
            return Reply(chunks=[self._whole()])
        chunks = list(self.dialect.stream(self.request, answer))
        pauses = dict.fromkeys(range(len(chunks)), state.pace) if state.pace else {}
        return Reply(content_type=EVENT_STREAM, chunks=chunks, streamed=True, pauses=pauses, whole=self._whole)

    def _unscripted(self) -> ApiError:
        users = [message.text for message in self.request.messages if message.role == "user"]
        call = f"{self.request.model}: {users[-1][:200]!r}" if users else self.request.model
        self.context.state.script.unscripted.append(call)
        return ApiError(422, None, f"No scripted reply is left for the call of {call}")

    def _whole(self) -> bytes:
        return encode(_wrap(self.context, self.dialect.whole(self.request, self.answer)))


@dataclass(slots=True)
class FixedHandler:
    """Answers with a reply that was made before."""

    fixed: Reply

    @property
    def stream(self) -> bool:
        """Whether the reply is an event stream."""
        return self.fixed.content_type.startswith(EVENT_STREAM)

    async def reply(self) -> Reply:
        """A copy, which fault effects may change."""
        return deepcopy(self.fixed)


def _wrap(context: RequestContext, body: dict[str, Any]) -> dict[str, Any]:
    """The body in its endpoint's envelope (facts §5.1, §5.2); `gatewayMetadata` for third-party models."""
    if not is_workers_ai(context.model) and context.endpoint.name != "embeddings":
        body = {**body, "gatewayMetadata": {"keySource": context.key_source}}
    return success(body) if context.endpoint.name == "run" else body


def prepare(context: RequestContext, body: dict[str, Any]) -> Handler:
    """Check a body and choose its handler."""
    name, model = context.endpoint.name, context.model
    body = {**body, "model": model}
    if context.state.upstream is not None:
        return ForwardingHandler(context, context.state.upstream, body)
    check(model, name, body, legacy=context.endpoint.legacy)
    try:
        fixed = _fixed(context, body)
        if fixed is not None:
            return FixedHandler(fixed)
        return ChatHandler(context, context.dialect, context.dialect.read(body))
    except InvalidBody as error:
        raise invalid_body(context, error) from error


def _fixed(context: RequestContext, body: dict[str, Any]) -> Reply | None:
    """The reply of a model that does not chat; None for one that does."""
    name, model, media = context.endpoint.name, context.model, find_media(context.model)
    fields = {key: value for key, value in body.items() if key != "model"}
    if name == "websearch":
        return _web_search(context, fields)
    if name == "embeddings":
        output, context.tokens_in = embed(model, body, openai=True)
    elif media is None and not is_embedding(model) and not is_decision_model(model):
        return None
    elif name != "run":
        raise ApiError(400, 5007, f"No such model {model} or task")
    elif media is not None:
        return _media(context, media, fields)
    elif is_embedding(model):
        output, context.tokens_in = embed(model, fields, openai=False)
    else:
        sent = context.target.input if context.target is not None else {}
        short_name = {"model": sent["model"]} if "model" in sent else {}  # in addition to the path's or the wrapper's
        output, context.tokens_in = decide(model, {**fields, **short_name})
    return Reply(chunks=[encode(_wrap(context, output))])


def _web_search(context: RequestContext, fields: dict[str, Any]) -> Reply:
    try:
        output, context.tokens_in = search(fields)
    except InvalidBody:
        raise ApiError(400, "invalid_web_search_input", "", shape="websearch") from None
    return Reply(chunks=[encode(output)])


def _media(context: RequestContext, media: MediaModel, fields: dict[str, Any]) -> Reply:
    state, base = context.state, f"http://{context.headers.get('host', 'localhost')}/files/"

    def fetch(url: str) -> bytes | None:
        result = state.files.get(url.removeprefix(base)) if url.startswith(base) else None
        return None if result is None else result.data

    files = Files(lambda data, content_type: base + state.files.add(data, content_type), fetch)
    output = run_media(media, context.model, fields, files, is_form=context.is_upload)
    context.tokens_in, context.tokens_out = output.tokens_in, output.tokens_out
    value = _media_body(media.shape, output.value, {"keySource": context.key_source})
    return Reply(content_type=output.content_type, chunks=[output.data or encode(value)])


def _media_body(shape: Shape, value: Any, metadata: dict[str, str]) -> Any:
    """The output of a model of media in the envelope of its shape (facts §5.1, §9.8, §14.5)."""
    match shape:
        case "completed":
            return {"state": "Completed", "result": value, "gatewayMetadata": metadata}
        case "no_key":
            return {"state": "Completed", "result": value}
        case "alias":
            return {"result": value}
        case "bare":
            return {**value, "gatewayMetadata": metadata}
        case "object":
            return value
        case _:
            return success(value)


_MOST_BYTES = 10_000_000


def is_poll(body: Record) -> bool:
    """Whether a body asks for the result of a run."""
    return body.keys() == {"request_id"}


def poll(context: RequestContext, request_id: Any) -> Reply:
    """The result of a run; the answer to the first request for it is that the run has not ended."""
    result = context.state.jobs.get(str(request_id))
    if result is None:
        raise ApiError(404, 7003, f"Request not found: {request_id}")
    if result.polls == 1:
        return Reply(chunks=[encode(success({"status": "running", "request_id": request_id}))])
    return Reply(content_type=result.content_type, chunks=[result.data])


def defer(context: RequestContext, reply: Reply) -> Reply:
    """Keep a result for later; the reply has the id to ask for it with."""
    request_id = context.state.jobs.add(reply.body, reply.content_type)
    receipt = {"status": "queued", "request_id": request_id, "model": context.model}
    return Reply(chunks=[encode(success(receipt))])


@dataclass(slots=True)
class BatchHandler:
    """Runs the inputs of a batch, each of which may fail by itself."""

    context: RequestContext
    body: Record
    stream: bool = False

    async def reply(self) -> Reply:
        """The responses, which `defer` keeps for later."""
        context, requests = self.context, self.body.get("requests")
        is_batch = is_list(requests) and requests and all(map(is_record, requests))
        if not is_batch or not is_workers_ai(context.model):
            problem = "queueRequest: '/requests' must be inputs of an @cf/ model"
            raise ApiError(400, 5006, f"AiError: Bad input: Error: {problem}")
        if len(context.raw) >= _MOST_BYTES:
            raise ApiError(413, 3006, "AiError: AiError: Request is too large ({request})")
        responses: list[Record] = []
        tokens_in = tokens_out = 0
        for number, request in enumerate(records(requests)):
            context.tokens_in = context.tokens_out = 0
            responses.append({"id": number, **await _batch_response(context, request)})
            tokens_in, tokens_out = tokens_in + context.tokens_in, tokens_out + context.tokens_out
        context.tokens_in, context.tokens_out = tokens_in, tokens_out
        return Reply(chunks=[encode(success({"responses": responses}))])


async def _batch_response(context: RequestContext, request: Record) -> Record:
    named = {name: request[name] for name in ("external_reference",) if name in request}
    fields = {name: value for name, value in request.items() if name not in ("external_reference", "stream")}
    try:
        reply = await prepare(context, fields).reply()
    except ApiError as error:
        message = error.message.replace("{request}", context.request_id)
        return {**named, "success": False, "error": {"code": error.code, "message": message}}
    if reply.content_type.startswith("application/json"):
        return {**named, "success": True, "result": parse_json(reply.body).get("result")}
    kind = reply.content_type.partition("/")[0]
    return {**named, "success": True, "result": {kind: b64encode(reply.body).decode()}}


Handler = ChatHandler | FixedHandler | BatchHandler | ForwardingHandler
