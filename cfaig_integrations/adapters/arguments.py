"""One call of a model: its own fields and what the caller added, as a request and as what the gateway is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast, get_args

from pydantic import TypeAdapter, ValidationError

from cfaig_integrations.adapters.fields import ALIASES, CONNECTION_PARAMETERS, ChatFields, EmbedFields
from cfaig_integrations.adapters.run_metadata import RunEntries
from cfaig_integrations.adapters.tools import closed_schema
from cfaig_integrations.core.chat import ChatRequest, Continuation, OutputSchema, ToolChoice, ToolSpec
from cfaig_integrations.core.content import Json, Turn, Wire
from cfaig_integrations.core.vectors import EmbedRequest, Side, checked_texts
from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.gateway.connection import Api, CallOptions
from cfaig_integrations.gateway.context import current
from cfaig_integrations.gateway.options import GatewayOptions

__all__ = [
    "CALL_PARAMETERS",
    "MODEL_PARAMETERS",
    "CallArguments",
    "call_options",
    "chat_request",
    "embed_requests",
    "output_schema",
    "refuse_several",
    "run_options",
    "split_arguments",
]

_REQUEST_PARAMETERS = (
    "temperature",
    "max_tokens",
    "top_p",
    "top_k",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "n",
    "logprobs",
    "top_logprobs",
    "reasoning_effort",
    "thinking",
    "reasoning",
    "service_tier",
    "store",
    "stream_usage",
)
"""Fields of the model that a call may override, under the same name in the request."""
MODEL_PARAMETERS = (*_REQUEST_PARAMETERS, "model", "stop", "extra_body")
"""Fields of the model that shape an answer."""
CALL_PARAMETERS = frozenset(
    {
        *MODEL_PARAMETERS,
        "api",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "previous_response_id",
        "gateway",
        "gateway_metadata",
        "extra_headers",
        "timeout",
        "session_affinity",
    }
)
"""Arguments that a call may have; any other goes into the request body."""
_CONSTRUCTOR_PARAMETERS = CONNECTION_PARAMETERS - CALL_PARAMETERS
"""Words that a call cannot change; one of them is the token, which must never stand in a body."""
_APIS: tuple[str, ...] = ("auto", *get_args(Wire))


@dataclass(frozen=True, slots=True)
class CallArguments:
    """What a call was given.

    Attributes:
        words: Arguments that this package knows, under their own names.
        body: All others; they go into the request body as they are.
    """

    words: Mapping[str, Any] = field(repr=False)
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


def split_arguments(kwargs: Mapping[str, Any], *, remedy: str = "Give it to the constructor.") -> CallArguments:
    """Tells the arguments of a call apart.

    Args:
        kwargs: The call's arguments.
        remedy: What to do about a word of the constructor; `{word}` stands for it.

    Raises:
        ConfigError: One of them belongs to the constructor.
    """
    words: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for word, value in kwargs.items():
        ours = ALIASES.get(word, word)
        if ours in CALL_PARAMETERS:
            words[ours] = value
        elif ours in _CONSTRUCTOR_PARAMETERS:
            raise ConfigError(
                f"{word!r} cannot be changed for one call.", field=word, remedy=remedy.replace("{word}", ours)
            )
        else:
            body[word] = value
    return CallArguments(words, body)


def chat_request(
    own: ChatFields,
    given: CallArguments,
    turns: tuple[Turn, ...],
    *,
    continues: Continuation | None = None,
    tools: tuple[ToolSpec, ...] = (),
    tool_choice: ToolChoice | None = None,
    parallel_tool_calls: bool | None = None,
    output: OutputSchema | None = None,
    stop: Sequence[str] | None = None,
) -> ChatRequest:
    """The request of a call.

    Args:
        own: The model's own fields.
        given: What the call adds.
        turns: The conversation.
        continues: What of it the server may remember; an explicit `previous_response_id` goes before it.
        tools: What the model may call.
        tool_choice: What it must call.
        parallel_tool_calls: Whether it may call several at once.
        output: The form of the answer.
        stop: Stop texts, over those of `given` and `own`; none at all if it is empty.

    Raises:
        ConfigError: Something in it cannot be right.
    """
    words = given.words
    for word in ("model", "previous_response_id"):
        if not isinstance(words.get(word), str | None):
            raise _wrong(word, words[word], "Give a str.")
    sampling = {
        word: _typed(word, words[word]) if word in words else getattr(own, word) for word in _REQUEST_PARAMETERS
    }
    return ChatRequest(
        model=words.get("model") or own.model,
        turns=turns,
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=parallel_tool_calls,
        output=output,
        stop=_stop_texts(stop, words.get("stop"), own.stop),
        previous_response_id=words.get("previous_response_id"),
        continues=None if words.get("previous_response_id") else continues,
        extra_body={**(own.extra_body or {}), **given.body, **_object(words, "extra_body")},
        **sampling,
    )


def call_options(given: CallArguments, api: Api, run: RunEntries, *, affinity: bool | str = False) -> CallOptions:
    """What the call tells the gateway: by itself, in the name of the blocks around it, and of its run.

    Args:
        given: What the call adds.
        api: The model's own choice of a wire.
        run: The run.
        affinity: The model's `session_affinity`.

    Raises:
        ConfigError: Something in it cannot be right.
    """
    words = given.words
    metadata = _object(words, "gateway_metadata")
    wanted = words.get("api") or api
    if wanted not in _APIS:
        raise ConfigError(
            f"api={shown(wanted)} is not a wire format.",
            field="api",
            value=wanted,
            remedy=f"Use one of {', '.join(_APIS)}.",
        )
    around, own = current(), words.get("gateway")
    asked: object = words.get("session_affinity", affinity)
    if not isinstance(asked, bool | str) or asked == "":
        raise ConfigError(
            f"session_affinity={shown(asked)} is not a valid id.",
            field="session_affinity",
            value=asked,
            remedy="Give a text, True for the id of the run's conversation, or False.",
        )
    return CallOptions(
        api=wanted,
        options=around.options if own is None else GatewayOptions.of(own).over(around.options),
        metadata=(metadata, *around.metadata, run.asked),
        automatic=run.automatic,
        extra_headers=_object(words, "extra_headers"),
        timeout=words.get("timeout"),
        conversation=run.conversation if asked is True else asked or None,
    )


def run_options(run: RunEntries) -> CallOptions:
    """What a call without words of its own tells the gateway: the blocks around it, and its run."""
    around = current()
    return CallOptions(options=around.options, metadata=(*around.metadata, run.asked), automatic=run.automatic)


def refuse_several(request: ChatRequest, because: str) -> None:
    """Refuses a request for more than one answer, which must not be mixed into one.

    Args:
        request: The request; its `extra_body` may ask for them, too.
        because: Why there is place for one only.

    Raises:
        ConfigError: More than one is asked for.
    """
    answers: object = request.extra_body.get("n", request.n)
    if isinstance(answers, int) and answers > 1:
        raise ConfigError(
            f"n={shown(answers)}: {because}",
            field="n",
            value=answers,
            remedy="Leave n out, and call as often as you need answers.",
        )


def embed_requests(own: EmbedFields, texts: Sequence[str], side: Side, *, model: str, size: int) -> list[EmbedRequest]:
    """The requests that embed texts, in the order of the texts.

    Args:
        own: The model's own fields.
        texts: What to embed.
        side: What the texts are.
        model: Model id.
        size: Most texts in one request.

    Raises:
        ConfigError: A text is empty; its index is named.
    """
    checked = checked_texts(texts)
    return [
        EmbedRequest(
            model=model,
            texts=checked[start : start + size],
            side=side,
            dimensions=own.dimensions,
            pooling=own.pooling,
            instruction=own.instruction,
            truncate=own.truncate_inputs,
            extra_body=own.extra_body or {},
        )
        for start in range(0, len(checked), size)
    ]


def _object(words: Mapping[str, Any], word: str) -> Mapping[str, Any]:
    given: object = words.get(word) or {}
    if isinstance(given, Mapping):
        return cast("Mapping[str, Any]", given)
    raise _wrong(word, given, "Give a dict.")


def _wrong(word: str, value: object, remedy: str) -> ConfigError:
    # A header may be a key, so that headers are not shown.
    said = word if word == "extra_headers" else f"{word}={shown(value)}"
    kept = None if word == "extra_headers" else value
    return ConfigError(f"{said} is a {type(value).__name__}.", field=word, value=kept, remedy=remedy)


@cache
def _type_of(word: str) -> TypeAdapter[Any]:
    return TypeAdapter(cast("Any", ChatFields.model_fields[word].annotation))


def _typed(word: str, value: object) -> Any:
    """The value of a call's argument, of the type that the constructor takes.

    Raises:
        ConfigError: It is of another type.
    """
    try:
        return _type_of(word).validate_python(value, strict=isinstance(value, str))
    except ValidationError as error:
        reason = error.errors(include_url=False, include_context=False)[0]["msg"]
        raise ConfigError(
            f"{word}={shown(value)} has the wrong type: {reason}.",
            field=word,
            value=value,
            remedy="Give what the constructor takes.",
        ) from None


def _stop_texts(*layers: Sequence[str] | str | None) -> tuple[str, ...]:
    for layer in layers:
        if layer is not None:
            return tuple(_typed("stop", layer)) if not isinstance(layer, str) else (layer,) if layer else ()
    return ()


def output_schema(wanted: Any) -> OutputSchema | None:
    """A `response_format` in OpenAI's form; a strict one is closed, for the classes that make schemas leave them open.

    Raises:
        ConfigError: It is of no known form.
    """
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return OutputSchema(wanted.get("schema"), loose=True)
        case {"type": "json_schema", "json_schema": {"schema": schema} as held}:
            strict = held.get("strict")
            ready = closed_schema(cast("Json", schema)) if strict and isinstance(schema, Mapping) else schema
            return OutputSchema(ready, str(held.get("name") or "answer"), str(held.get("description") or ""), strict)
        case _:
            raise ConfigError(
                f"response_format {shown(wanted)} is of no known form.",
                field="response_format",
                value=wanted,
                remedy='Use {"type": "json_object"} or {"type": "json_schema", "json_schema": {"name", "schema"}}.',
            )
