"""The arguments of a call and the fields of a model: what is sent, what tracers see, and what identifies a model."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import Secret

from cfaig_integrations.adapters.arguments import MODEL_PARAMETERS, CallArguments, output_schema, split_arguments
from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.adapters.secrets import for_traces
from cfaig_integrations.adapters.tools import closed_schema
from cfaig_integrations.core.chat import OutputSchema
from cfaig_integrations.gateway.failures.redaction import revealed
from cfaig_integrations.langchain.errors import SCHEMA_REMEDY, conversion_errors

USE_PREVIOUS = "use_previous_response_id"
STRICT = "strict"
_NOT_SENT = frozenset({"stream", "streaming", "output_version", STRICT, USE_PREVIOUS})
"""Arguments for langchain-core or for this package."""
# Dynamic routes may branch on metadata (Cloudflare's docs, features/dynamic-routing).
_IDENTITY = (*MODEL_PARAMETERS, "api", "account_id", "gateway_id", "base_url", "gateway_metadata")


def langchain_arguments(kwargs: Mapping[str, Any]) -> CallArguments:
    """The arguments of a call, sorted into those of this package and further body fields.

    Raises:
        ConfigError: An argument can only be given to the constructor.
    """
    sent: dict[str, Any] = {
        name: value.get_secret_value() if isinstance(value, Secret) else value
        for name, value in kwargs.items()
        if not name.startswith("ls_") and name not in _NOT_SENT
    }
    return split_arguments(sent, remedy="Give it to the constructor, or call model.model_copy(update={'{name}': ...}).")


def hide_secrets(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, those with secrets as `pydantic.Secret`: core passes all of them to tracers."""
    traced = for_traces(kwargs)
    return {name: value if traced[name] == value else Secret(value) for name, value in kwargs.items()}


def identity(fields: ChatFields) -> dict[str, Any]:
    """All fields of a model that shape its answers, so that no two models share an entry of LangChain's cache.

    Headers are only part of a `digest`; further body fields may hold secrets.
    """
    values = vars(fields)
    params = {name: value for name in _IDENTITY if (value := values[name]) is not None}
    if fields.gateway is not None:
        params["gateway"] = fields.gateway.model_dump(mode="json", exclude_none=True)
    return params


def public_identity(fields: ChatFields) -> dict[str, Any]:
    """The same without the secrets in further body fields, as the model's text and its traces show it."""
    values = identity(fields)
    public = for_traces(values)
    return public if public == values else {**public, "secrets": digest(sorted(values.items()))}


def digest(value: object) -> str:
    """A hash that tells two values apart and reveals neither."""
    return sha256(repr(revealed(value)).encode("utf-8", "surrogatepass")).hexdigest()


def to_output(response_format: Any, strict: bool | None = None) -> OutputSchema | None:
    """A `response_format`: OpenAI's object, which may hold `strict` itself, or a schema, to which `strict` applies.

    Raises:
        ConfigError: It is neither.
    """
    match response_format:
        case type() | {"title": str()} | {"properties": {}}:
            with conversion_errors(response_format, "response_format", "a schema", SCHEMA_REMEDY):
                schema = convert_to_json_schema(response_format)
            name = str(schema.get("title") or "answer")
            return OutputSchema(closed_schema(schema) if strict else schema, name, strict=strict)
        case _:
            return output_schema(response_format)
