"""Results that come later: runs in the background, and batches (facts §1.2, §9.6)."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from cfaig_integrations.simulator.catalogue import is_workers_ai
from cfaig_integrations.simulator.http.bodies import ApiError, encode, success
from cfaig_integrations.simulator.http.reply import Reply
from cfaig_integrations.simulator.inference.handlers import prepare
from cfaig_integrations.simulator.inference.request_context import RequestContext
from cfaig_integrations.simulator.json_types import is_list, is_record, parse_json, records
from cfaig_integrations.simulator.scripting.faults.effects import EffectContext

Record = dict[str, Any]

_MOST_BYTES = 10_000_000


def is_poll(body: Record) -> bool:
    """Whether a body asks for the result of a run."""
    return body.keys() == {"request_id"}


def poll(context: RequestContext, request_id: Any) -> Reply:
    """The result of a run, or the notice that it is still running: so for the first question.

    Raises:
        ApiError: 404/7003 for an id that does not exist.
    """
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
        """The responses, which `defer` keeps for later.

        Raises:
            ApiError: 400/5006 for a body that is no batch, 413/3006 for one that is too large.
        """
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
            responses.append({"id": number, **await _response(context, request)})
            tokens_in, tokens_out = tokens_in + context.tokens_in, tokens_out + context.tokens_out
        context.tokens_in, context.tokens_out = tokens_in, tokens_out
        return Reply(chunks=[encode(success({"responses": responses}))])

    def effect_context(self) -> EffectContext:
        """A batch is no stream: effects change its one body."""
        return EffectContext(lambda: b"", self.context.dialect.error_event)


async def _response(context: RequestContext, request: Record) -> Record:
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
