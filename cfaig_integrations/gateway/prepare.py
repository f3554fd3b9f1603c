"""A chat request and its route to the HTTP request that is sent, without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

from cfaig_integrations.core.chat import ChatRequest
from cfaig_integrations.core.forced_calls import forced_tools
from cfaig_integrations.core.legal import Names, legal
from cfaig_integrations.core.records import record
from cfaig_integrations.errors import ConfigError, invalid
from cfaig_integrations.gateway.actions import HttpRequest
from cfaig_integrations.gateway.connection import CallOptions, Connection
from cfaig_integrations.gateway.continuation import new_turns
from cfaig_integrations.gateway.models import routes
from cfaig_integrations.gateway.models.routes import Route
from cfaig_integrations.gateway.options import GatewayOptions, header_name
from cfaig_integrations.wire import jsonio
from cfaig_integrations.wire.codec import ChatCodec
from cfaig_integrations.wire.registry import codec

_HEADER_VALUE = re.compile(r"[!-~]{1,128}")


@record
class PreparedChat:
    """A chat request in the format of its route.

    Attributes:
        http: The HTTP request; a token that a function supplies is still to be added.
        route: Wire format, path and quirks of the model.
        codec: Reads the response.
        continues: Whether the body points to a stored reply in place of the turns before it.
        stops: Stop texts that the format has no field for: the reply is cut at them here.
        names: The user's names of tools that have another name in the body.
        forced: Names of the tools of which one must be called; empty unless a call may arrive as text.
    """

    http: HttpRequest
    route: Route
    codec: ChatCodec
    continues: bool
    stops: tuple[str, ...]
    names: Names
    forced: frozenset[str]


def prepare(
    connection: Connection,
    call: CallOptions,
    request: ChatRequest,
    route: Route,
    *,
    stream: bool,
    whole_history: bool = False,
    event_id: str | None = None,
) -> PreparedChat:
    """The HTTP request of a chat request over a route.

    Args:
        connection: Account, host and defaults.
        call: What this call changes.
        request: The conversation and its parameters.
        route: Where it goes, and in which format.
        stream: Whether the reply is streamed.
        whole_history: Send all turns, even those that the server may remember.
        event_id: `cf-aig-event-id` of the request, unless the user sets one.

    Raises:
        ConfigError: A value, a header or an option does not exist on the route.
    """
    options, wire = connection.options_of(call), codec(route.wire)
    features = route.features
    turns = () if whole_history or not features.stored_replies else new_turns(request)
    if turns and request.continues is not None:
        request = replace(request, turns=turns, previous_response_id=request.continues.response_id)
    stops = () if features.stop_texts else request.stop
    if stops:
        request = replace(request, stop=())
    request, names = legal(request)
    affinity = {} if call.conversation is None else affinity_headers(route.model, call.conversation, options)
    wire_headers = affinity if wire.headers is None else {**wire.headers(request, route.quirks), **affinity}
    headers = connection.headers_of(call, wire_headers, stream=stream, event_id=event_id)
    body = _body(wire.encode(request, stream=stream, quirks=route.quirks), route)
    fields = {} if options is None else options.body_options()
    if fields:
        if not features.body_options:
            raise ConfigError(
                f"The format {route.wire} has no place for {', '.join(fields)}.",
                field="gateway",
                value=fields,
                remedy="Leave it out, or use api='chat_completions' or api='run'.",
            )
        extra = cast("Mapping[str, Any]", body.get("options") or {})
        if not isinstance(extra, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's value
            raise invalid("extra_body['options']", extra, "is not a dict", "Use a dict.")
        body["options"] = {**fields, **extra}
    timeouts = connection.timeouts_of(call, stream=stream)
    return PreparedChat(
        HttpRequest("POST", connection.url(route.path), headers, jsonio.dump(body), timeouts, stream),
        route,
        wire,
        bool(turns),
        stops,
        names,
        forced_tools(request) if route.quirks.forced_as_text else frozenset(),
    )


def _body(encoded: dict[str, Any], route: Route) -> dict[str, Any]:
    if route.envelope:
        return {"model": route.model, "input": encoded}
    if route.model_in_body:
        encoded["model"] = route.model
    else:
        encoded.pop("model", None)
    return encoded


def affinity_headers(model: str, conversation: object, options: GatewayOptions | None) -> dict[str, str]:
    """The header by which the model's host keeps the calls of a conversation together; empty if it has none.

    An option that the user sets wins over it, and so does `no_session_affinity`.
    """
    option, value = routes.affinity_of(model), conversation_id(conversation)
    if option is None or value is None:
        return {}
    if options is not None and (options.no_session_affinity or getattr(options, option) is not None):
        return {}
    return {header_name(option): value}


def conversation_id(conversation: object) -> str | None:
    """A conversation's id as a header value: itself, or a digest if it is too long or not visible ASCII.

    None for anything but a string, an integer or a UUID.
    """
    if not isinstance(conversation, str | int | UUID) or isinstance(conversation, bool) or conversation == "":
        return None
    text = str(conversation)
    if _HEADER_VALUE.fullmatch(text):
        return text
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
