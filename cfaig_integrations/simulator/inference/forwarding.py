"""Answers model calls with the upstream server's answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from cfaig_integrations.simulator.dialects import DIALECTS, find_media
from cfaig_integrations.simulator.dialects.chat_request import enveloped
from cfaig_integrations.simulator.dialects.run import conversation
from cfaig_integrations.simulator.http.bodies import ApiError, success
from cfaig_integrations.simulator.http.reply import Reply, SourceError
from cfaig_integrations.simulator.inference.request_context import RequestContext, invalid_body
from cfaig_integrations.simulator.json_types import Record, encode, is_list, is_record, parse_json, records
from cfaig_integrations.simulator.types import InvalidBody, ModelRequest
from cfaig_integrations.simulator.upstream.client import Upstream
from cfaig_integrations.simulator.upstream.translate import TRANSLATIONS, StreamMeter, Usage, obstacle

EVENT_STREAM = "text/event-stream"
_EMBEDDED = ("text", "documents", "queries")


@dataclass(slots=True)
class ForwardingHandler:
    """Forwards one call."""

    context: RequestContext
    upstream: Upstream
    body: Record  # the model's input, in the format of the endpoint

    @property
    def stream(self) -> bool:
        """Whether a stream was requested."""
        return self.body.get("stream") is True

    async def reply(self) -> Reply:
        """The upstream server's answer; a stream is passed on while it arrives."""
        try:
            return await self._answer()
        except InvalidBody as error:
            raise invalid_body(self.context, error) from error

    async def _answer(self) -> Reply:
        name = self.context.endpoint.name
        if name == "websearch" or find_media(self.context.model) is not None:
            raise self._refusal("web search" if name == "websearch" else "images and sound")
        if name != "run":
            return await self._forward(name, self.body)
        if any(field in self.body for field in _EMBEDDED):
            return await self._embed()
        if "contexts" in self.body:
            raise self._refusal("ranking")
        return await self._forward("chat_completions", enveloped(conversation(self.body)))

    async def _forward(self, form: str, body: Record) -> Reply:
        """Send in the requested format, else in one that the server has."""
        model = await self.upstream.model_name(self.context.model)
        sent = {**body, "model": model}
        hides_tail = False
        if form == "chat_completions" and self.stream:
            options = body.get("stream_options")
            hides_tail = not (is_record(options) and options.get("include_usage"))
            sent["stream_options"] = {**(options if is_record(options) else {}), "include_usage": True}
        response = None if self.upstream.lacks(form) else await self._send(form, sent)
        if response is None:
            return await self._translated(form, body, model)
        content_type = response.headers.get("content-type", "application/json")
        if content_type.startswith(EVENT_STREAM):
            return self._streamed(response, content_type, StreamMeter(hide_tail=hides_tail))
        raw = await self._read(response)
        self._count(raw)
        enveloped = self.context.endpoint.name == "run"
        return Reply(content_type=content_type, chunks=[encode(success(parse_json(raw))) if enveloped else raw])

    async def _send(self, form: str, body: Record) -> httpx.Response | None:
        return await self.context.client.unless_disconnected(
            self.upstream.send(form, body, self.context.headers), self.context.first_byte_seconds
        )

    async def _read(self, response: httpx.Response) -> bytes:
        try:
            return await self.context.client.unless_disconnected(response.aread(), None)
        except httpx.HTTPError as error:
            raise self.upstream.failure(error) from error
        finally:
            await response.aclose()

    def _streamed(self, response: httpx.Response, content_type: str, meter: StreamMeter) -> Reply:
        reply = Reply(content_type=content_type, source=_chunks(response, meter), streamed=True)
        reply.headers, reply.on_end = {"cache-control": "no-cache"}, lambda: self._take(meter.usage)
        return reply

    def _count(self, raw: bytes) -> Record:
        try:
            body = parse_json(raw)
        except ValueError:
            body = None
        if not is_record(body):
            raise self.upstream.failure(ValueError("its response is not a JSON object"))
        usage = Usage()
        usage.update(body)
        self._take(usage)
        return body

    def _take(self, usage: Usage) -> None:
        context = self.context
        context.tokens_in, context.tokens_out = usage.tokens_in, usage.tokens_out
        context.tokens_cached = usage.tokens_cached

    async def _translated(self, form: str, body: Record, model: str) -> Reply:
        """The answer to a translated request, in the requested format; a stream is made of the whole answer."""
        if form not in DIALECTS:
            raise self._refusal(form)
        dialect = DIALECTS[form]
        request = dialect.read({**body, "model": self.context.model})
        reason = obstacle(request)
        if reason is not None:
            raise self._refusal(f"{form} with {reason}")
        answer = await self._ask(form, request, model)
        answer.tokens_in, answer.tokens_out = self.context.tokens_in, self.context.tokens_out
        answer.tokens_cached = self.context.tokens_cached
        if request.stream:
            return Reply(content_type=EVENT_STREAM, chunks=list(dialect.stream(request, answer)), streamed=True)
        whole = dialect.whole(request, answer)
        return Reply(chunks=[encode(success(whole) if self.context.endpoint.name == "run" else whole)])

    async def _ask(self, form: str, request: ModelRequest, model: str) -> Any:
        for other, translation in TRANSLATIONS.items():
            if other == form or self.upstream.lacks(other):
                continue
            response = await self._send(other, {**translation.write(request), "model": model})
            if response is not None:
                body = self._count(await self._read(response))
                return translation.read(body)
        raise self._refusal(form)

    async def _embed(self) -> Reply:
        """The native embeddings of Workers AI, by way of OpenAI's format."""
        key = next(field for field in _EMBEDDED if field in self.body)
        model = await self.upstream.model_name(self.context.model)
        response = await self._send("embeddings", {"model": model, "input": self.body[key]})
        if response is None:
            raise self._refusal("embeddings")
        body = self._count(await self._read(response))
        rows = {
            row["index"] if isinstance(row.get("index"), int) else number: row.get("embedding")
            for number, row in enumerate(records(body.get("data")))
        }
        vectors = [vector for index in range(len(rows)) if is_list(vector := rows.get(index))]
        if not vectors or len(vectors) < len(rows):
            raise self.upstream.failure(ValueError("its response has no embeddings"))
        result = {"shape": [len(vectors), len(vectors[0])], "data": vectors, "usage": body.get("usage")}
        return Reply(chunks=[encode(success(result))])

    def _refusal(self, what: str) -> ApiError:
        message = f"The upstream server {self.upstream.url} does not serve {what}, and it cannot be translated"
        return ApiError(400, 7003, message)


async def _chunks(response: httpx.Response, meter: StreamMeter) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            if passed := meter.feed(chunk):
                yield passed
        if rest := meter.finish():
            yield rest
    except httpx.HTTPError as error:
        raise SourceError(str(error)) from error
    finally:
        await response.aclose()
