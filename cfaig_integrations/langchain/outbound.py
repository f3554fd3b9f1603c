"""Replies to LangChain messages and results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall
from langchain_core.messages import ToolCall as LangChainToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from cfaig_integrations.core.chat import ChatReply, Choice, Usage
from cfaig_integrations.core.content import Reasoning, Refusal, ToolCall, Turn
from cfaig_integrations.core.replay import replay_state
from cfaig_integrations.core.text import read_arguments
from cfaig_integrations.gateway.continuation import reply_digest
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.models.routes import is_route

PROVIDER = "cloudflare_ai_gateway"
"""`model_provider` of this package's messages, and `ls_provider` of its runs."""
REPLAY_KEY = "cf_aig_turn"
"""Key of `additional_kwargs` that holds a message's replay state."""
CUSTOM_INPUT = "__arg1"
"""The argument under which LangChain shows the input of a free-text tool."""
TRACER_KEY = "lc_gateway_metadata"
"""Key of `generation_info` that core passes to tracers and keeps out of the message (langchain-core 1.6 and later)."""
_SHOWN_FACTS = frozenset(
    {
        "service_tier",
        "system_fingerprint",
        "logprobs",
        "stop_sequence",
        "stop_details",
        "incomplete_details",
        "previous_response_id",
        "container",
        "context_management",
        "citations",
        "search_results",
        "key_source",
    }
)
"""Facts about a reply, by the provider's key, that go into `response_metadata`."""


def to_result(reply: ChatReply, info: GatewayInfo, model: str) -> ChatResult:
    """A reply as a result, with several generations only if `n` asked for them.

    LangChain makes the message's id: a cached response has the same provider id each time, and programs replace a
    message by another of the same id. The provider's id is in `response_metadata`.
    """
    generations: list[ChatGeneration] = []
    usage = None if reply.usage is None else to_usage(reply.usage)
    for number, choice in enumerate(reply.choices):
        calls, invalid_calls = sorted_calls(choice.turn)
        message = AIMessage(
            content=choice.turn.text,
            additional_kwargs=additional_kwargs_of(choice.turn),
            tool_calls=calls,
            invalid_tool_calls=invalid_calls,
            usage_metadata=usage if number == 0 else None,  # it is that of all answers
            response_metadata={"model_provider": PROVIDER, **response_metadata_of(reply, choice, info, model)},
        )
        generation_info = generation_info_of(reply, choice, message.usage_metadata, info, model)
        generations.append(ChatGeneration(message=message, generation_info=generation_info))
    return ChatResult(generations=generations, llm_output=to_llm_output([] if usage is None else [usage], model))


def parsed_arguments(call: ToolCall) -> tuple[dict[str, Any], str | None]:
    """A call's arguments, and an error message if they are not a complete JSON object."""
    if call.kind == "custom":
        return {CUSTOM_INPUT: call.arguments}, None
    try:
        return read_arguments(call.arguments), None
    except ValueError as error:
        return {}, f"The arguments are not one JSON object: {error}."


def sorted_calls(turn: Turn) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    """The valid and the invalid calls of a turn."""
    valid: list[LangChainToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in turn.tool_calls:
        args, error = parsed_arguments(call)
        if error is None:
            valid.append({"name": call.name, "args": args, "id": call.id, "type": "tool_call"})
        else:
            invalid.append(
                {"name": call.name, "args": call.arguments, "id": call.id, "error": error, "type": "invalid_tool_call"}
            )
    return valid, invalid


def additional_kwargs_of(turn: Turn) -> dict[str, Any]:
    """A message's `additional_kwargs`: reasoning, refusal and replay state."""
    if turn.is_plain_text:
        return {}
    kwargs: dict[str, Any] = {}
    if reasoning := "".join(part.text for part in turn.parts if isinstance(part, Reasoning)):
        kwargs["reasoning_content"] = reasoning
    if refusal := "".join(part.text for part in turn.parts if isinstance(part, Refusal)):
        kwargs["refusal"] = refusal
    state = replay_state(turn)
    return kwargs if state is None else {**kwargs, REPLAY_KEY: state}


def response_metadata_of(reply: ChatReply, choice: Choice, info: GatewayInfo, model: str) -> dict[str, Any]:
    """A message's `response_metadata`.

    `model_name` is the model id of the request, `model` the provider's name; `finish_reason` is the provider's word,
    `normalized_finish_reason` OpenAI's for it, and `finish_state` says what became of the answer.
    """
    gateway = info.as_dict()
    if info.history is not None:
        gateway["history"] = reply_digest(info.history, choice.turn)
    metadata: dict[str, Any] = {
        "model_name": model,
        "finish_reason": choice.provider_finish or choice.finish,
        "normalized_finish_reason": choice.normalized_finish,
        "finish_state": choice.finish_state,
        "gateway": gateway,
    }
    if reply.id:
        metadata["id"] = reply.id
    if reply.model:
        metadata["model"] = reply.model
    for facts in (reply.facts, *choice.extras.values()):
        metadata |= {key: value for key, value in facts.items() if key in _SHOWN_FACTS and value is not None}
    return metadata


def tracer_info(reply: ChatReply, model: str, info: GatewayInfo) -> dict[str, Any]:
    """A `generation_info` that lets tracers attribute the run to the model and the provider that answered."""
    # A provider's own name for the model would give one model several names in traces.
    routed = info.routed_model or (is_route(model) and reply.model) or model
    # The author in the model's id; for Cloudflare's own models the name that `cf-aig-provider` has for them.
    author = "workers-ai" if routed.startswith("@") else routed.partition("/")[0]
    facts = {"model": routed, "provider": info.provider or author, "log_id": info.log_id}
    return {TRACER_KEY: {key: value for key, value in facts.items() if value}}


def generation_info_of(
    reply: ChatReply, choice: Choice, usage: UsageMetadata | None, info: GatewayInfo, model: str
) -> dict[str, Any]:
    """The `generation_info` of a chat's answer, with the keys and the finish reason that readers know from OpenAI.

    Core adds those that `response_metadata` lacks to the message; its `finish_reason` remains the provider's word.
    """
    generation_info: dict[str, Any] = {"finish_reason": choice.normalized_finish, "model_name": model}
    if usage is not None:
        generation_info["token_usage"] = token_usage([usage])
    return generation_info | tracer_info(reply, model, info)


def token_usage(usages: Sequence[UsageMetadata]) -> dict[str, int]:
    """The sum of token counts, by OpenAI's names, which LangChain's cost handlers read; empty if there are none."""
    if not usages:
        return {}
    return {
        "prompt_tokens": sum(usage["input_tokens"] for usage in usages),
        "completion_tokens": sum(usage["output_tokens"] for usage in usages),
        "total_tokens": sum(usage["total_tokens"] for usage in usages),
    }


def to_llm_output(usages: Sequence[UsageMetadata], model: str) -> dict[str, Any]:
    """The `llm_output` of a result."""
    return {"token_usage": token_usage(usages), "model_name": model}


def combined_llm_output(outputs: Iterable[Mapping[str, Any] | None]) -> dict[str, Any]:
    """The `llm_output` of several results: the sum of their token counts."""
    present = [output for output in outputs if output]
    total: Counter[str] = Counter()
    for output in present:
        total.update(output["token_usage"])
    return {"token_usage": dict(total), "model_name": present[0]["model_name"]} if present else {}


def to_usage(usage: Usage) -> UsageMetadata:
    """Token counts; the details are parts of the totals."""
    counts = UsageMetadata(input_tokens=usage.input, output_tokens=usage.output, total_tokens=usage.total)
    inputs = {"cache_read": usage.cache_read, "cache_creation": usage.cache_write, "audio": usage.audio_in}
    outputs = {"reasoning": usage.reasoning, "audio": usage.audio_out}
    if details := {key: count for key, count in inputs.items() if count is not None}:
        counts["input_token_details"] = cast("InputTokenDetails", details)
    if details := {key: count for key, count in outputs.items() if count is not None}:
        counts["output_token_details"] = cast("OutputTokenDetails", details)
    return counts


def gateway_info(message: BaseMessage) -> GatewayInfo | None:
    """What the gateway reports about the call that made a message: log id, cache status, the model that answered.

    Args:
        message: A message of a chat model of this package. None is returned for any other.
    """
    gateway = message.response_metadata.get("gateway") if isinstance(message, AIMessage) else None
    if not isinstance(gateway, dict) or not {"wire", "requested_model"} <= gateway.keys():
        return None
    fields = cast("dict[str, Any]", gateway)
    return GatewayInfo(**{name: value for name, value in fields.items() if name in GatewayInfo.__dataclass_fields__})
