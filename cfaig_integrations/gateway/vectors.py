"""The conversations that embed and rerank: one POST, tried again as a chat request is."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest, RerankReply, RerankRequest
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.actions import Action, Outcome
from cfaig_integrations.gateway.attempts import post
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.info import GatewayInfo, read_info
from cfaig_integrations.gateway.models.embeddings import EmbedApi, embed_route, rerank_route
from cfaig_integrations.wire import embeddings, rerank


def embed(
    connection: Connection, request: EmbedRequest, call: CallOptions = NO_CALL_OPTIONS, *, api: EmbedApi = "auto"
) -> Generator[Action, Outcome, tuple[EmbedReply, GatewayInfo]]:
    """The conversation that embeds the texts of one request.

    Raises:
        GatewayError: With `requests_sent`.
    """
    route = embed_route(request, api=api, legacy=connection.settings.legacy)
    length = route.known.dimensions or request.dimensions
    if route.known.dimensions is not None:
        request = replace(request, dimensions=None)  # it can be no other, and no field for it is documented
    match route.endpoint:
        case "run":
            body = embeddings.encode_run(request, route.known.inputs)
        case "embeddings":
            body = embeddings.encode_openai(replace(request, model=route.model))
    body |= _body_options(connection, call, takes=route.endpoint == "run")
    read = partial(embeddings.decode, count=len(request.texts), dimensions=length)
    reply, answer, sent = yield from post(connection, route.path, body, read, call)
    return reply, read_info(answer.headers, wire=route.endpoint, model=request.model, attempts=sent)


def rank(
    connection: Connection, request: RerankRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Generator[Action, Outcome, tuple[RerankReply, GatewayInfo]]:
    """The conversation that ranks the passages of one request.

    Empty ones, which servers refuse (facts §14.3), are not sent, and have no place in the ranking.

    Raises:
        GatewayError: With `requests_sent`.
    """
    route = rerank_route(request.model, legacy=connection.settings.legacy)
    places = [place for place, passage in enumerate(request.passages) if passage]
    if not places:
        return RerankReply(()), read_info({}, wire="run", model=request.model, attempts=0)
    sent_request = replace(request, passages=tuple([request.passages[place] for place in places]))
    body = rerank.encode(sent_request, top_k=route.top_k) | _body_options(connection, call, takes=True)
    read = partial(rerank.decode, count=len(places), top=request.top)
    reply, answer, sent = yield from post(connection, route.path, body, read, call)
    ranking = tuple([replace(ranked, index=places[ranked.index]) for ranked in reply.ranking])
    return replace(reply, ranking=ranking), read_info(answer.headers, wire="run", model=request.model, attempts=sent)


def _body_options(connection: Connection, call: CallOptions, *, takes: bool) -> dict[str, Any]:
    """What the gateway is told in the body; `/ai/v1/embeddings` is not among the endpoints that read it."""
    options = connection.options_of(call)
    fields = {} if options is None else options.body_options()
    if fields and not takes:
        raise ConfigError(
            f"/ai/v1/embeddings has no place for {', '.join(fields)}.",
            field="gateway",
            value=fields,
            remedy="Take it out, or embed with a Workers AI model and api='run'.",
        )
    return {"options": fields} if fields else {}
