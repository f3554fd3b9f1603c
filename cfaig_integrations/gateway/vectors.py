"""Calls that embed texts, rank passages or decide: one request each, retried as a chat request is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from cfaig_integrations.core.decisions import DecisionReply, DecisionRequest
from cfaig_integrations.core.vectors import EmbedReply, EmbedRequest, Ranked, RerankReply, RerankRequest
from cfaig_integrations.errors import ApiError, ConfigError, GatewayError, NotFound
from cfaig_integrations.gateway.actions import Actions, HttpResponse
from cfaig_integrations.gateway.attempts import SimpleRequest
from cfaig_integrations.gateway.connection import NO_CALL_OPTIONS, CallOptions, Connection
from cfaig_integrations.gateway.info import Format, GatewayInfo, read_info
from cfaig_integrations.gateway.models.embeddings import EmbedApi, decision_route, embed_route, rerank_route
from cfaig_integrations.gateway.models.routes import require_author
from cfaig_integrations.wire import decisions, embeddings, rerank

_T = TypeVar("_T")


class _EmbedRequest(SimpleRequest[_T]):
    """Embeds; the error of a model that is not found says where such models are (facts §6.3)."""

    def _final_error(self, error: GatewayError) -> GatewayError:
        on_rest = self._path == "/ai/v1/embeddings"
        if on_rest and isinstance(error, ApiError) and (isinstance(error, NotFound) or error.code == 7003):
            error.hint = (
                "The REST API is documented to embed with Workers AI's models only: use one such as '@cf/baai/bge-m3', "
                "or the provider's model on the legacy host with a base_url that ends in /compat"
            )
        return error


def embed(
    connection: Connection, request: EmbedRequest, call: CallOptions = NO_CALL_OPTIONS, *, api: EmbedApi = "auto"
) -> Actions[tuple[EmbedReply, GatewayInfo]]:
    """Embeds the texts of one request.

    Raises:
        GatewayError: With `requests_sent`.
    """
    route = embed_route(request, api=api, legacy=connection.settings.legacy)
    require_author(request.model, connection.settings.base_url)
    length = route.row.dimensions or request.dimensions
    if route.row.dimensions is not None:
        request = replace(request, dimensions=None)  # it is fixed, and no field for it is documented
    match route.endpoint:
        case "run":
            body = embeddings.encode_run(request, route.row.inputs)
        case "embeddings":
            body = embeddings.encode_openai(replace(request, model=route.model), base64=route.row.base64)
    body |= _body_options(connection, call, takes=route.endpoint == "run")

    def read(response: HttpResponse, sent: int) -> tuple[EmbedReply, GatewayInfo]:
        reply = embeddings.decode(response.body or b"", count=len(request.texts), dimensions=length)
        return reply, _info(response, request.model, sent, route.endpoint)

    return _EmbedRequest(connection, route.path, read, body=body, call=call).run()


def rank(
    connection: Connection, request: RerankRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Actions[tuple[RerankReply, GatewayInfo]]:
    """Ranks the passages of one request.

    Empty ones, which servers refuse (facts §14.3), are not sent, and are left out of the ranking.

    Raises:
        GatewayError: With `requests_sent`.
    """
    path, top_k = rerank_route(request.model, legacy=connection.settings.legacy)
    indexes = [index for index, passage in enumerate(request.passages) if passage]
    if not indexes:
        return RerankReply(()), read_info({}, wire="run", model=request.model, attempts=0)
    passages = tuple([request.passages[index] for index in indexes])
    body = rerank.encode(replace(request, passages=passages), top_k=top_k)
    body |= _body_options(connection, call, takes=True)

    def read(response: HttpResponse, sent: int) -> tuple[RerankReply, GatewayInfo]:
        reply = rerank.decode(response.body or b"", count=len(indexes), top=request.top)
        ranking = reply.ranking
        if len(indexes) < len(request.passages):
            ranking = tuple([Ranked(indexes[ranked.index], ranked.score) for ranked in ranking])
        return replace(reply, ranking=ranking), _info(response, request.model, sent)

    return (yield from SimpleRequest(connection, path, read, body=body, call=call).run())


def decide(
    connection: Connection, request: DecisionRequest, call: CallOptions = NO_CALL_OPTIONS
) -> Actions[tuple[DecisionReply, GatewayInfo]]:
    """Answers the questions of one request.

    Raises:
        GatewayError: With `requests_sent`.
    """
    path = decision_route(request.model, legacy=connection.settings.legacy)
    body = decisions.encode(request) | _body_options(connection, call, takes=True)

    def read(response: HttpResponse, sent: int) -> tuple[DecisionReply, GatewayInfo]:
        reply = decisions.decode(response.body or b"", request.questions)
        return reply, _info(response, request.model, sent)

    return SimpleRequest(connection, path, read, body=body, call=call).run()


def _info(response: HttpResponse, model: str, sent: int, wire: Format = "run") -> GatewayInfo:
    earlier = response.earlier_log_ids
    return read_info(response.headers, wire=wire, model=model, attempts=sent, earlier_log_ids=earlier)


def _body_options(connection: Connection, call: CallOptions, *, takes: bool) -> dict[str, Any]:
    """The gateway options that are body fields; `/ai/v1/embeddings` is not among the endpoints that read them."""
    options = connection.options_of(call)
    fields = {} if options is None else options.body_options()
    if fields and not takes:
        raise ConfigError(
            f"/ai/v1/embeddings has no place for {', '.join(fields)}.",
            field="gateway",
            value=fields,
            remedy="Leave it out, or embed with a Workers AI model and api='run'.",
        )
    return {"options": fields} if fields else {}
