"""The LangChain decision model: Cloudflare's Clef."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import ensure_config
from pydantic import BaseModel, TypeAdapter, ValidationError

from cfaig_integrations.adapters.arguments import run_options
from cfaig_integrations.adapters.fields import ExtraBody
from cfaig_integrations.core.content import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from cfaig_integrations.core.decisions import DecisionReply, DecisionRequest
from cfaig_integrations.core.json_types import JsonObject, JsonValue
from cfaig_integrations.errors import ConfigError, UnsupportedContent, shown
from cfaig_integrations.gateway.connection import CallOptions
from cfaig_integrations.gateway.info import GatewayInfo
from cfaig_integrations.gateway.models.embeddings import DEFAULT_DECISION_MODEL, decision_route
from cfaig_integrations.langchain.base import LangChainFields
from cfaig_integrations.langchain.errors import langchain_errors
from cfaig_integrations.langchain.inbound import to_turn
from cfaig_integrations.langchain.inbound_blocks import block_parts
from cfaig_integrations.langchain.outbound import PROVIDER, to_usage
from cfaig_integrations.langchain.run_tracking import StreamRun, run_entries

try:
    from langchain_core.decisions import BaseDecisionModel, ClassifierResponse, Question, State
except ModuleNotFoundError as error:
    raise ImportError(
        "CloudflareAIGatewayDecisionModel needs langchain-core 1.8 or later: pip install -U langchain-core"
    ) from error

_MEDIA_TYPES = frozenset({"image", "image_url", "audio", "input_audio", "video", "file"})
_SOURCES = frozenset({"base64", "data", "url", "file_id", "image_url", "input_audio", "file", "source"})
"""Keys of which a media block has one; an object of the state without them only happens to have such a type."""


class CloudflareAIGatewayDecisionModel(LangChainFields, BaseDecisionModel):
    """Answers typed questions about a text, messages or any JSON value, with probabilities.

    Needs langchain-core 1.8 or later. Questions are `Noul`, `Choice` and `Score`, at most 64 in a call; the models
    answer no `Box`. The state may hold messages and at most four images, as base64 or `data:` URLs: an image is
    replaced by `{"type": "image", "index": n}` and sent beside the state.

    LangChain's own argument is `name`.

    Args:
        model (str, default "@cf/cloudflare/clef"): Decision model of Workers AI.
        extra_body (dict, default None): Further body fields, sent unchanged.
        account_id (str, default None): Cloudflare account, 32 hex digits. None reads `CLOUDFLARE_ACCOUNT_ID`.
        api_token (str | function, default None): Token with the permission Account > Workers AI > Read: a string, or a
            function, async or not, that returns one. By default `CLOUDFLARE_API_TOKEN` of the environment. On a custom
            domain, a Cloudflare Access token. None on the legacy host, together with a provider's key in
            `extra_headers`, is for a gateway without authentication. Alias `api_key`.
        gateway_id (str, default None): Gateway, at most 64 characters. By default `CLOUDFLARE_AI_GATEWAY_ID` of the
            environment, else `default`. With an explicit None, Workers AI models bypass the gateway and its log, cache
            and limits.
        base_url (str, default None): Another root than `https://api.cloudflare.com/client/v4`, a gateway's legacy
            `.../compat` address, or a custom domain's `https://host/compat`, which contains neither account nor
            gateway.
        gateway (GatewayOptions, default None): Options of the gateway, one per header. Alias `gateway_options`.
        gateway_metadata (dict, default None): At most five entries for the gateway's log, `cf-aig-metadata`.
        run_metadata (bool, default True): Whether data of the run fill the remaining entries: user, thread, agent, run
            ids.
        metadata_keys (list of str, default None): Which data of the run instead of the default ones; any key of the
            run's metadata is allowed.
        metadata_mapper (function, default None): Takes a `RunInfo` and returns the entries, in place of the two before.
        extra_headers (dict, default None): Further request headers.
        timeout (float | tuple of float | httpx.Timeout, default None): Seconds without progress of an answer, or
            (seconds to connect, seconds without progress), or an `httpx.Timeout`. None is (10, 600).
        stream_idle_timeout (float, default 300.0): Maximum seconds between two pieces of a streamed answer, pings not
            counted.
        max_retries (int, default None): Retries per call, 0 to 10. None is 2, or 0 if the gateway itself is to retry
            (`max_attempts`).
        retry_after_send (bool, default False): Whether a request that the model may have answered, and that may be
            billed, is sent again: after a timeout, a broken connection, a truncated answer, 409, 504 or 524.
        http_client (object, default None): An `httpx.Client` to use; it is never closed here.
        http_async_client (object, default None): An `httpx.AsyncClient` to use; it is never closed here.

    Raises:
        ConfigError: A constructor argument does not exist, or the model is no decision model.
        pydantic.ValidationError: A value has the wrong type or is out of range.

    Example:
        >>> from langchain_core.decisions import Noul  # doctest: +SKIP
        >>> urgent = Noul(instructions="Does this need an answer today?")  # doctest: +SKIP
        >>> model = CloudflareAIGatewayDecisionModel()  # doctest: +SKIP
        >>> answer = model.invoke({"state": "Production is down!", "questions": {"urgent": urgent}})  # doctest: +SKIP
        >>> answer.nouls["urgent"].noul  # doctest: +SKIP
        0.97
    """

    model: str = DEFAULT_DECISION_MODEL
    extra_body: ExtraBody = None

    @property
    def _provider(self) -> str:
        return PROVIDER

    def _connect(self) -> None:
        super()._connect()
        decision_route(self.model)

    def _classify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        with langchain_errors():
            request = self._request(state, questions)
            return self._response(*self._clients.sync.decide(request, self._call_options()))

    async def _aclassify(self, state: State, questions: dict[str, Question]) -> ClassifierResponse:
        with langchain_errors():
            request = self._request(state, questions)
            return self._response(*await self._clients.aio.decide(request, self._call_options()))

    def _request(self, state: State, questions: Mapping[str, Question]) -> DecisionRequest:
        images: list[str] = []
        value = _plain(state, images, "state")
        plain_questions = {key: _question(key, question) for key, question in questions.items()}
        return DecisionRequest(self.model, value, plain_questions, tuple(images), self.extra_body or {})

    def _call_options(self) -> CallOptions:
        # Core calls `_classify` within the run: what is called from here would have it as its parent.
        run = StreamRun(ensure_config())
        run.run_id, run.parent_run_id = run.parent_run_id, None
        return run_options(run_entries(self, run, "decision"))

    def _response(self, reply: DecisionReply, info: GatewayInfo) -> ClassifierResponse:
        self._report(info)
        usage = None if reply.usage is None else to_usage(reply.usage)
        answers, request_id = cast("dict[str, Any]", reply.answers), info.log_id or info.request_id
        return ClassifierResponse(model=self.model, answers=answers, usage=usage, request_id=request_id)


def _question(key: str, question: object) -> JsonObject:
    if not isinstance(question, BaseModel):
        try:
            question = TypeAdapter[BaseModel](Question).validate_python(question)
        except ValidationError as error:
            raise ConfigError(
                f"questions[{key!r}] is {shown(question)}, which is not a question.",
                field="questions",
                value=question,
                remedy="Give a Noul, a Choice or a Score of langchain_core.decisions.",
            ) from error
    images: list[str] = []
    fields = {name: value for name, value in question.model_dump().items() if value is not None}
    if fields["type"] == "noul" and "criteria" in fields:
        fields["criteria"] = {outcome: text for outcome, text in fields["criteria"].items() if text is not None}
    plain = _plain(fields, images, f"questions[{key!r}]")
    if images:
        raise UnsupportedContent(
            f"questions[{key!r}] holds an image, which decision models take in the state only.",
            field="questions",
            value=key,
            remedy="Move it to the state.",
        )
    return cast("JsonObject", plain)


def _plain(value: object, images: list[str], path: str) -> JsonValue:
    """A value as JSON; its images are appended to `images`.

    Raises:
        ConfigError: It is not JSON.
        UnsupportedContent: It holds media that the models do not take.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case BaseMessage():
            return _message(value, images, path)
        case {"type": str(kind)} if kind in _MEDIA_TYPES and not _SOURCES.isdisjoint(cast("Mapping[str, Any]", value)):
            [part] = block_parts([cast("Mapping[str, Any]", value)])
            return _part(part, images, path)
        case Mapping():
            return {str(key): _plain(entry, images, path) for key, entry in value.items()}  # pyright: ignore
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [_plain(entry, images, path) for entry in value]  # pyright: ignore
        case _:
            raise ConfigError(
                f"{path} holds a {type(value).__name__}, which is not JSON.",
                field=path,
                value=value,
                remedy="Give texts, numbers, booleans, None, lists, dicts and messages.",
            )


def _message(message: BaseMessage, images: list[str], path: str) -> JsonObject:
    turn = to_turn(message)
    parts: list[JsonValue] = [_part(part, images, path) for part in turn.parts]
    content: JsonValue = turn.text if all(isinstance(part, Text) for part in turn.parts) else parts
    return {"role": turn.role, **({"name": turn.name} if turn.name else {}), "content": content}


def _part(part: Part, images: list[str], path: str) -> JsonObject:
    match part:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text}
        case Reasoning(text):
            return {"type": "reasoning", "reasoning": text}
        case ToolCall(id_, name, arguments):
            return {"type": "tool_call", "id": id_, "name": name, "args": arguments}
        case ToolResult():
            content: list[JsonValue] = [_part(each, images, path) for each in part.parts]
            return {"type": "tool_result", "id": part.call_id, "failed": part.failed, "content": content}
        case Media("image", data=data) if data:
            images.append(f"data:{part.mime or 'image/png'};base64,{data}")
            return {"type": "image", "index": len(images) - 1}
        case Media():
            raise UnsupportedContent(
                f"{path} holds {part.kind} that a decision model does not take.",
                field=path,
                value=part.kind,
                remedy="Give images as base64 or data: URLs, and leave other media out.",
            )
        case Opaque():
            return {"type": "non_standard", "value": cast("JsonObject", dict(part.raw))}
