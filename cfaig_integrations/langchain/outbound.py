"""Replies to LangChain results."""

from __future__ import annotations

from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult

from cfaig_integrations.core.chat import ChatReply, Choice, Usage
from cfaig_integrations.core.content import Reasoning, Refusal, Turn
from cfaig_integrations.core.replay import replay_state
from cfaig_integrations.gateway.continuation import reply_digest
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.langchain.inbound import PROVIDER, REPLAY_KEY
from cfaig_integrations.langchain.tool_calls import sorted_calls

TRACER_KEY = "lc_gateway_metadata"
"""Key of `generation_info` that core hands to tracers and keeps out of the message (langchain-core 1.6 and later)."""


def to_result(reply: ChatReply, info: GatewayInfo, model: str) -> ChatResult:
    """A reply as a result; more than one generation only if `n` asked for it.

    A message's id is left to LangChain: the provider's comes again whenever the gateway answers from its cache, and
    programs put messages of one id in each other's place. It stands in `response_metadata`.
    """
    usage = None if reply.usage is None else to_usage(reply.usage)
    generations: list[ChatGeneration] = []
    for number, choice in enumerate(reply.choices):
        calls, broken = sorted_calls(choice.turn)
        metadata = {"model_provider": PROVIDER, **ending(reply, choice, info, model)}
        message = AIMessage(
            content=choice.turn.text,
            additional_kwargs=beside(choice.turn),
            tool_calls=calls,
            invalid_tool_calls=broken,
            usage_metadata=usage if number == 0 else None,
            response_metadata=metadata,
        )
        generations.append(ChatGeneration(message=message, generation_info=for_tracers(reply, model, info)))
    return ChatResult(generations=generations, llm_output={"model_name": model})


def beside(turn: Turn) -> dict[str, Any]:
    """What stands in `additional_kwargs`: reasoning, a refusal, and the skeleton."""
    found: dict[str, Any] = {}
    reasoning = "".join(part.text for part in turn.parts if isinstance(part, Reasoning))
    if reasoning:
        found["reasoning_content"] = reasoning
    refusal = "".join(part.text for part in turn.parts if isinstance(part, Refusal))
    if refusal:
        found["refusal"] = refusal
    state = replay_state(turn)
    if state is not None:
        found[REPLAY_KEY] = state
    return found


def ending(reply: ChatReply, choice: Choice, info: GatewayInfo, model: str) -> dict[str, Any]:
    """What `response_metadata` says of a complete answer; in a stream it stands on the last chunk alone.

    `model_name` is the id that was asked for, which can be asked for again; `model` is the provider's own name for it.
    """
    found: dict[str, Any] = {
        "model_name": model,
        "finish_reason": choice.finish_word or choice.finish,
        "gateway": info.as_dict(),
    }
    if info.history is not None:
        found["gateway"]["history"] = reply_digest(info.history, choice.turn)
    if reply.id:
        found["id"] = reply.id
    if reply.model:
        found["model"] = reply.model
    for values in (reply.facts, *choice.extras.values()):
        found |= {key: value for key, value in values.items() if key in _SHOWN_FACTS and value is not None}
    return found


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


def for_tracers(reply: ChatReply, asked: str, info: GatewayInfo) -> dict[str, Any]:
    """Lets tracers attribute the run to the model and the provider that really answered."""
    provider = info.provider or _provider_of(info.routed_model or asked)
    known = {"model": info.routed_model or reply.model or asked, "provider": provider, "log_id": info.log_id}
    return {TRACER_KEY: {key: value for key, value in known.items() if value}}


def _provider_of(model: str) -> str:
    """The author in a model's id; of Cloudflare's own models, the name that `cf-aig-provider` has for them."""
    return "workers-ai" if model.startswith("@") else model.partition("/")[0]


def to_usage(usage: Usage) -> UsageMetadata:
    """Token counts; the details are parts of the totals, never more."""
    made = UsageMetadata(input_tokens=usage.input, output_tokens=usage.output, total_tokens=usage.total)
    given = InputTokenDetails()
    if usage.cache_read is not None:
        given["cache_read"] = usage.cache_read
    if usage.cache_write is not None:
        given["cache_creation"] = usage.cache_write
    if usage.audio_in is not None:
        given["audio"] = usage.audio_in
    if given:
        made["input_token_details"] = given
    made_of = OutputTokenDetails()
    if usage.reasoning is not None:
        made_of["reasoning"] = usage.reasoning
    if usage.audio_out is not None:
        made_of["audio"] = usage.audio_out
    if made_of:
        made["output_token_details"] = made_of
    return made


def gateway_info(message: BaseMessage) -> GatewayInfo | None:
    """What the gateway said about the call that made a message: log id, cache status, the model that answered ...

    None for a message that did not come through this package.
    """
    found = message.response_metadata.get("gateway") if isinstance(message, AIMessage) else None
    if not isinstance(found, dict) or not {"wire", "requested_model"} <= found.keys():
        return None
    known = cast("dict[str, Any]", found)
    return GatewayInfo(**{name: value for name, value in known.items() if name in GatewayInfo.__dataclass_fields__})
