"""What a framework knows of a run, and which of it goes to the gateway's log when nobody says.

An allow-list: a run's metadata may hold prompts and personal data, so nothing is forwarded because it is there. Knows
no framework, and not how a run is found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.metadata import encode_metadata

__all__ = ["DEFAULT_KEYS", "Framework", "Mapper", "Operation", "RunEntries", "RunInfo", "automatic", "conversation_of"]

Framework: TypeAlias = Literal["langchain", "llama_index"]
Operation: TypeAlias = Literal["chat", "completion", "embedding", "rerank"]

DEFAULT_KEYS = ("user_id", "thread_id", "agent", "run_id", "parent_run_id", "op")
"""What is sent when nobody chooses, in the order of its worth; the first entries that exist find room."""
_LLAMA_KEYS = ("run_id", "agent", "op")
"""The same for LlamaIndex, after the user's own tags."""
_THREAD_KEYS = ("thread_id", "session_id", "conversation_id")
# Behind Cloudflare Access a user id may take one of the five places.
_MOST: Mapping[Framework, int] = MappingProxyType({"langchain": 5, "llama_index": 4})
_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a framework knows of the run that calls the gateway.

    Attributes:
        framework: Who runs it.
        operation: What is asked of the gateway.
        run_id: Id of this very call in LangChain's traces, of the workflow's run in LlamaIndex; None where the
            framework keeps it to itself.
        parent_run_id: Id of the run that it is directly part of.
        name: Name of the run; frameworks tell it on some paths only.
        purpose: What it all serves in the end, such as `query` or `index_construction`, where a framework says so.
        agent: `agent:node`, or the one of the two that exists.
        tags: The run's tags.
        metadata: In LangChain all of the run's metadata, a call's own entries over those of the model object, which may
            hold anything. In LlamaIndex the user's instrument tags that the log can hold.
    """

    framework: Framework
    operation: Operation
    run_id: str | None = None
    parent_run_id: str | None = None
    name: str | None = None
    purpose: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class RunEntries(NamedTuple):
    """What a run says to the gateway's log.

    Attributes:
        asked: The layer that somebody wrote into the run.
        automatic: What nobody asked for.
        conversation: Id of the conversation that the run is part of; for the host of the model, not for the log.
    """

    asked: Mapping[str, Any] = _NOTHING
    automatic: Mapping[str, object] = _NOTHING
    conversation: object = None


Mapper: TypeAlias = Callable[[RunInfo], Mapping[str, Any] | None]
"""A user's own choice of entries; an entry of None is left out."""

_FINDERS: Mapping[str, Callable[[RunInfo], object]] = MappingProxyType(
    {
        "thread_id": lambda run: conversation_of(run.metadata),
        "agent": lambda run: run.agent,
        "run_id": lambda run: run.run_id,
        "parent_run_id": lambda run: run.parent_run_id,
        "op": lambda run: run.purpose or run.operation,
        "run_name": lambda run: run.name,
        "tags": lambda run: ",".join(run.tags),
        "framework": lambda run: run.framework,
    }
)
"""Keys that are not simply an entry of the run's metadata."""


def automatic(run: RunInfo, keys: Collection[str] | None = None, mapper: Mapper | None = None) -> Mapping[str, object]:
    """The entries that a run gives without being asked, in the order of their worth.

    Args:
        run: The run.
        keys: What to send in place of `DEFAULT_KEYS`: any of these, `run_name`, `tags`, `framework`, or an entry of the
            run's metadata. What does not exist is left out.
        mapper: Decides alone; `keys` is not looked at.

    Raises:
        ConfigError: The mapper fails, or gives something that cannot be sent.
    """
    if mapper is not None:
        return _mapped(run, mapper)
    entries: dict[str, object] = {}
    for key in _defaults(run) if keys is None else keys:
        value = _value(run, key)
        if value is not None and value != "":
            entries[key] = value
            if keys is None and len(entries) == _MOST[run.framework]:
                break
    return entries


def _defaults(run: RunInfo) -> Collection[str]:
    """LlamaIndex's tags are written for observers, one by one; LangChain's metadata may hold anything."""
    return DEFAULT_KEYS if run.framework == "langchain" else (*run.metadata, *_LLAMA_KEYS)


def _value(run: RunInfo, key: str) -> object:
    finder = _FINDERS.get(key)
    if finder is None or (run.framework == "llama_index" and key in run.metadata):
        return run.metadata.get(key)
    return finder(run)


def conversation_of(metadata: Mapping[str, Any]) -> object:
    """The id of the conversation in a run's metadata: of its thread, session or conversation; None if there is none."""
    return next((metadata[key] for key in _THREAD_KEYS if metadata.get(key) not in (None, "")), None)


def _mapped(run: RunInfo, mapper: Mapper) -> Mapping[str, object]:
    try:
        given = mapper(run)
    except Exception as error:
        raise _no_entries(f"raised {type(error).__name__}: {error}", run) from error
    if given is None:
        return _NOTHING
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise _no_entries(f"returned {given!r}, which is not a dict", run)
    entries = {key: value for key, value in given.items() if value is not None}
    try:
        encode_metadata(entries)
    except ConfigError as error:
        raise _no_entries(f"returned what cannot be sent. {error}", run) from error
    return entries


def _no_entries(what: str, run: RunInfo) -> ConfigError:
    return ConfigError(
        f"metadata_mapper {what}.",
        field="metadata_mapper",
        value=run,
        remedy="Return a dict of at most five strings, numbers or booleans; entries of None are left out.",
    )
