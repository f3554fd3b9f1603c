"""What a framework knows of a run, and which of it goes to the gateway's log by default.

An allow-list: a run's metadata may hold prompts and personal data, so an entry is sent only if its key is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.metadata import encode_metadata

Operation: TypeAlias = Literal[
    "chat", "completion", "embedding", "rerank", "decision", "web_search", "image", "speech", "transcription"
]

DEFAULT_KEYS = ("user_id", "thread_id", "agent", "run_id", "parent_run_id", "op")
"""Keys that are sent by default, the most useful first; as many of them as there is room for."""
CONVERSATION_KEYS = ("thread_id", "session_id", "conversation_id")
"""Keys of a run's metadata that identify its conversation; the first that has a value counts."""
_EMPTY: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """What the defaults of run metadata need to know of a framework; each adapter defines one.

    Attributes:
        name: As in `RunInfo.framework`.
        default_keys: Keys that are sent by default, the most useful first.
        max_entries: How many of them at most. Behind Cloudflare Access a user id may take one of the five.
        tags: Whether the run's metadata consists of tags that the user wrote for observers: all of them are sent by
            default, before `default_keys`, and a tag takes precedence over an entry of its name.
    """

    name: str
    default_keys: tuple[str, ...] = DEFAULT_KEYS
    max_entries: int = 5
    tags: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a framework knows of the run that calls the gateway.

    Attributes:
        framework (str): `langchain` or `llama_index`.
        operation (chat | completion | embedding | rerank | decision | web_search | image | speech | transcription):
            Kind of the call.
        run_id (str, default None): Id of this call in LangChain's traces, or of the workflow's run in LlamaIndex; None
            where the framework does not expose it.
        parent_run_id (str, default None): Id of the run that it is directly part of.
        name (str, default None): Name of the run; frameworks provide it on some paths only.
        purpose (str, default None): What the run is part of, such as `query` or `index_construction`, if the framework
            provides it.
        agent (str, default None): `agent:node`, or the one of the two that exists.
        tags (tuple of str, default empty): The run's tags.
        metadata (mapping, default empty): In LangChain all of the run's metadata, a call's own entries over those of
            the model object, which may hold anything. In LlamaIndex the user's instrument tags that the log can hold.
    """

    framework: str
    operation: Operation
    run_id: str | None = None
    parent_run_id: str | None = None
    name: str | None = None
    purpose: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class RunEntries(NamedTuple):
    """What a run adds to a call.

    Attributes:
        explicit: Entries of the log that the user wrote into the run.
        automatic: Entries of the log that are known without the user.
        conversation: Id of the conversation that the run is part of; for the host of the model, not for the log.
    """

    explicit: Mapping[str, Any] = _EMPTY
    automatic: Mapping[str, object] = _EMPTY
    conversation: object = None


Mapper: TypeAlias = Callable[[RunInfo], Mapping[str, Any] | None]
"""A user's function that chooses the entries; an entry of None is left out."""

_VALUES: Mapping[str, Callable[[RunInfo], object]] = {
    "thread_id": lambda run: conversation_of(run.metadata),
    "agent": lambda run: run.agent,
    "run_id": lambda run: run.run_id,
    "parent_run_id": lambda run: run.parent_run_id,
    "op": lambda run: run.purpose or run.operation,
    "run_name": lambda run: run.name,
    "tags": lambda run: ",".join(run.tags),
    "framework": lambda run: run.framework,
}
"""Keys whose value is computed; that of any other key is an entry of the run's metadata."""


def automatic(
    run: RunInfo, framework: Framework, keys: Collection[str] | None = None, mapper: Mapper | None = None
) -> Mapping[str, object]:
    """The entries that a run provides by itself, the most useful first.

    Args:
        run: The run.
        framework: The framework that it runs in.
        keys: Keys to send instead of the default ones: any of these, `run_name`, `tags`, `framework`, or a key of the
            run's metadata. Those without a value are left out.
        mapper: Chooses the entries, whatever `keys` says.

    Raises:
        ConfigError: The mapper fails, or returns entries that cannot be sent.
    """
    if mapper is not None:
        return _mapped(run, mapper)
    selected = keys
    if selected is None:
        selected = (*run.metadata, *framework.default_keys) if framework.tags else framework.default_keys
    entries: dict[str, object] = {}
    for key in selected:
        compute = None if framework.tags and key in run.metadata else _VALUES.get(key)
        value = run.metadata.get(key) if compute is None else compute(run)
        if value is not None and value != "":
            entries[key] = value
            if keys is None and len(entries) == framework.max_entries:
                break
    return entries


def conversation_of(metadata: Mapping[str, Any]) -> object:
    """The id of the thread, session or conversation in a run's metadata, or None."""
    for key in CONVERSATION_KEYS:
        value = metadata.get(key)
        if value is not None and value != "":
            return value
    return None


def _mapped(run: RunInfo, mapper: Mapper) -> Mapping[str, object]:
    try:
        result = mapper(run)
    except Exception as error:
        raise _mapper_error(f"raised {type(error).__name__}: {error}", run) from error
    if result is None:
        return _EMPTY
    if not isinstance(result, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise _mapper_error(f"returned {result!r}, which is not a dict", run)
    entries = {key: value for key, value in result.items() if value is not None}
    try:
        encode_metadata(entries)
    except ConfigError as error:
        raise _mapper_error(f"returned what cannot be sent. {error}", run) from error
    return entries


def _mapper_error(what: str, run: RunInfo) -> ConfigError:
    return ConfigError(
        f"metadata_mapper {what}.",
        field="metadata_mapper",
        value=run,
        remedy="Return a dict of at most five strings, numbers or booleans; entries of None are left out.",
    )
