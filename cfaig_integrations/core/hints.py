"""Values that only one wire format understands, written and read without naming the format.

A framework's message may hold a cache marker, a signature, the id of an item or a provider's own block. Each belongs to
one format, which finds it in `extras` under its name or in an `Opaque`. Adapters write and read such values here: this
module knows which format each belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from cfaig_integrations.core.content import NO_EXTRAS, Extras, Json, Opaque, Refusal, Text, Wire, extras_of

Provider: TypeAlias = Literal["openai", "anthropic"]
"""Whose blocks and items an `Opaque` can hold in the provider's own form."""

_WIRES: Mapping[Provider, Wire] = {"openai": "responses", "anthropic": "messages"}
_PROVIDERS: Mapping[Wire, Provider] = {wire: provider for provider, wire in _WIRES.items()}

DEVELOPER_ROLE: Extras = {"chat_completions": {"role": "developer"}, "responses": {"role": "developer"}}
"""Extras of a system turn that OpenAI's formats send with the role `developer`."""


def anthropic_hints(*, cache_control: object = None, citations: object = None, context: object = None) -> Extras:
    """Anthropic's keys of a content block.

    Args:
        cache_control: Cache marker, such as `{"type": "ephemeral"}`.
        citations: Whether a document may be cited, `{"enabled": True}`.
        context: Further information about a document for the model.
    """
    return extras_of("messages", cache_control=cache_control, citations=citations, context=context)


def tool_hints(*, anthropic: Json | None = None, openai: Json | None = None) -> Extras:
    """Further keys of a function tool's object: in Anthropic's form, and in OpenAI's flat one."""
    extras: dict[str, Json] = {}
    if anthropic:
        extras["messages"] = anthropic
    if openai:
        extras["responses"] = openai
    return extras or NO_EXTRAS


def image_detail(detail: object) -> Extras:
    """How closely OpenAI's models look at an image: `low`, `high` or `auto`."""
    if detail is None:
        return NO_EXTRAS
    return {"chat_completions": {"detail": detail}, "responses": {"detail": detail}}


def audio_id(id_: str) -> Extras:
    """The id under which OpenAI keeps an audio reply, by which a history refers to it."""
    return extras_of("chat_completions", id=id_)


def reasoning_signature(signature: object) -> Extras:
    """Anthropic's signature of a thinking block."""
    return extras_of("messages", signature=signature)


def encrypted_reasoning(
    text: str, *, id_: object, encrypted_content: object, summary: Iterable[Json] | None = None
) -> Extras:
    """OpenAI's reasoning item; nothing without its encrypted content, because an id works only where it is stored.

    Args:
        text: The summary as one text.
        id_: Id of the item.
        encrypted_content: The encrypted reasoning.
        summary: The summary's parts as the provider wrote them, if they are known. A stream's `index` is removed.
    """
    if not encrypted_content:
        return NO_EXTRAS
    if summary is None:
        summary = [{"type": "summary_text", "text": text}] if text else []
    parts = [{key: value for key, value in part.items() if key != "index"} for part in summary]
    item = {"type": "reasoning", "id": id_, "summary": parts, "encrypted_content": encrypted_content}
    return extras_of("responses", item={key: value for key, value in item.items() if value is not None})


class ReasoningIdentity(NamedTuple):
    """What a provider recognizes its own reasoning by, as other packages show it in their messages.

    Attributes:
        signature: Anthropic's signature.
        id: Id of OpenAI's reasoning item.
        encrypted_content: The item's encrypted reasoning.
    """

    signature: Any = None
    id: Any = None
    encrypted_content: Any = None


def reasoning_identity(extras: Extras) -> ReasoningIdentity:
    """The signature and the item in the extras of a reasoning part."""
    value: object = extras.get("responses", {}).get("item")
    item: Json = cast("Json", value) if isinstance(value, Mapping) else {}
    signature = extras.get("messages", {}).get("signature")
    return ReasoningIdentity(signature, item.get("id"), item.get("encrypted_content"))


def redacted_thinking(data: str) -> Opaque:
    """Anthropic's encrypted thinking block."""
    return Opaque("messages", {"type": "redacted_thinking", "data": data})


def native_block(provider: Provider, raw: Json) -> Opaque:
    """A provider's content block or item in its own form. A stream's `index` is removed."""
    return Opaque(_WIRES[provider], {key: value for key, value in raw.items() if key != "index"})


def provider_of(block: Opaque) -> Provider | None:
    """The provider in whose form a block is; None if no single provider defines its format."""
    return _PROVIDERS.get(block.wire)


def refusal_category(refusal: Refusal) -> object:
    """Anthropic's category of a refusal, if there is one."""
    details: object = refusal.extras.get("messages", {}).get("stop_details")
    return cast("Json", details).get("category") if isinstance(details, Mapping) else None


def text_logprobs(text: Text) -> object:
    """The log probabilities of a text's tokens, where OpenAI sends them with the text and not with the reply."""
    part: object = text.extras.get("responses", {}).get("part")
    return cast("Json", part).get("logprobs") if isinstance(part, Mapping) else None
