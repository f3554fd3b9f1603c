"""The run that a call belongs to, and the metadata that it contributes to the gateway's log.

LangChain passes the run to a chat model's `_generate` but not to its `_stream` (langchain-core 1.6 to 1.8). So the
models override methods around it: where `generate` streams for a handler, such a method receives the run; where
`stream` begins, they choose the run's id. (A handler of ours would see the run start, but core would also call it for
each token.) An LLM's `_generate` receives only the first prompt's run; the method that calls it receives all of them.
If a later core no longer calls these methods, some paths lose run ids, and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeAlias, TypeVar, cast
from uuid import UUID

import langsmith
from langchain_core.callbacks import BaseCallbackManager, BaseRunManager
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.utils.uuid import uuid7

from cfaig_integrations.adapters.fields import GatewayFields
from cfaig_integrations.adapters.run_metadata import (
    CONVERSATION_KEYS,
    Framework,
    Operation,
    RunEntries,
    RunInfo,
    automatic,
    conversation_of,
)
from cfaig_integrations.errors import ConfigError
from cfaig_integrations.gateway.context import current, holding, within

T = TypeVar("T")

CONFIG_KEY = "cf_aig_metadata"
"""Key of `config["metadata"]` that holds metadata for the gateway."""
_NOTHING: Mapping[str, Any] = {}
_LANGCHAIN = Framework(name="langchain")
_NO_CALLBACKS = BaseCallbackManager([])
_tracing_context = cache(lambda: langsmith.get_tracing_context)  # which is imported when it is first looked up
_AGENT_KEYS = frozenset({"lc_agent_name", "langgraph_node", "langgraph_checkpoint_ns"})


class StreamRun:
    """The run of one stream, with the attributes of a run manager: what its config says about it."""

    def __init__(self, config: RunnableConfig) -> None:
        callbacks = config.get("callbacks")
        self.context = current()
        self.configurable = config.get("configurable")
        self.name = config.get("run_name")
        self.run_id: UUID | None = None
        self.parent_run_id = callbacks.parent_run_id if isinstance(callbacks, BaseCallbackManager) else None
        self.tags: Sequence[str] = config.get("tags") or []
        self.metadata: Mapping[str, Any] = _NOTHING
        self.inheritable_metadata = config.get("metadata") or _NOTHING


_Run: TypeAlias = BaseRunManager | StreamRun
CURRENT_RUN: ContextVar[_Run | None] = ContextVar("cfaig_langchain_run", default=None)
"""The run that was caught on the way to `_generate` or `_stream`."""
CURRENT_CONFIG: ContextVar[RunnableConfig | None] = ContextVar("cfaig_langchain_config", default=None)
"""The config of `invoke`, whose `configurable` no run manager holds."""
PROMPT_RUNS: ContextVar[Sequence[BaseRunManager] | None] = ContextVar("cfaig_langchain_prompts", default=None)
"""The runs of an LLM's prompts, in their order."""


def run_entries(fields: GatewayFields | None, manager: _Run | None, operation: Operation) -> RunEntries:
    """What a call's run contributes to the gateway's log.

    Raises:
        ConfigError: `config["metadata"]["cf_aig_metadata"]` is not a dict, or the `metadata_mapper` fails.
    """
    run = _run_info(manager, operation)
    requested: object = run.metadata.get(CONFIG_KEY) or _NOTHING
    if not isinstance(requested, Mapping):
        raise ConfigError(
            f'config["metadata"]["{CONFIG_KEY}"]={requested!r} is not a dict.',
            field=CONFIG_KEY,
            value=requested,
            remedy="Give a dict.",
        )
    if fields is None:
        entries = automatic(run, _LANGCHAIN)
    elif fields.run_metadata:
        entries = automatic(run, _LANGCHAIN, fields.metadata_keys, fields.metadata_mapper)
    else:
        entries = _NOTHING
    return RunEntries(cast("Mapping[str, Any]", requested), entries, conversation_of(run.metadata))


def _run_info(manager: _Run | None, operation: Operation) -> RunInfo:
    """The run that LangChain passed, else the one that was caught, else that of the runnable around the call."""
    caught = CURRENT_RUN.get()
    run = manager or caught or StreamRun(ensure_config())
    # A caller's metadata has precedence over the model's; LangChain merges them the other way round.
    metadata = {**_conversation_ids(run), **run.metadata, **run.inheritable_metadata}
    return RunInfo(
        framework=_LANGCHAIN.name,
        operation=operation,
        run_id=None if run.run_id is None else str(run.run_id),
        parent_run_id=None if run.parent_run_id is None else str(run.parent_run_id),
        name=next((each.name for each in (caught, run) if isinstance(each, StreamRun)), None),
        agent=_agent_of(metadata),
        tags=tuple(run.tags),
        metadata=metadata,
    )


def _conversation_ids(run: _Run) -> dict[str, Any]:
    """The ids of a conversation that a config has under `configurable`, as `RunnableWithMessageHistory` wants them."""
    configurable = run.configurable if isinstance(run, StreamRun) else None
    if not configurable:
        config = CURRENT_CONFIG.get()
        if config is None and var_child_runnable_config.get() is None:
            return {}
        configurable = ensure_config(config).get("configurable")
    configurable = configurable or {}
    return {key: configurable[key] for key in CONVERSATION_KEYS if configurable.get(key) not in (None, "")}


def _agent_of(metadata: Mapping[str, Any]) -> str | None:
    """`agent:node`. Without a name, an agent is the node of the graph around it, as in supervisor and swarm graphs.

    LangGraph's namespace is `node:task` for each graph, the outermost first, with a `|` between them; a number stands
    there if a node calls several graphs.
    """
    if _AGENT_KEYS.isdisjoint(metadata):
        return None
    agent, node = metadata.get("lc_agent_name"), metadata.get("langgraph_node")
    if not agent:
        levels = [part.partition(":")[0] for part in str(metadata.get("langgraph_checkpoint_ns") or "").split("|")]
        agent = next((level for level in reversed(levels[:-1]) if not level.isdigit()), None)
    return ":".join(str(part) for part in (agent, node) if part) or None


def prompt_runs(prompts: Sequence[str], first: BaseRunManager | None) -> Sequence[BaseRunManager | None]:
    """The run of each prompt of an LLM call, whose first LangChain passed; None where it is not known."""
    caught = PROMPT_RUNS.get()
    if caught and len(caught) == len(prompts) and caught[0] is first:
        return caught
    return [first] if len(prompts) == 1 else [None] * len(prompts)


def within_run(run: StreamRun, stream: Iterator[T]) -> Iterator[T]:
    """A stream whose request is sent for a run and in the gateway context where the run was made, whoever reads it."""
    with closing(cast("Generator[T]", stream)) as chunks:
        # The request is sent when the first chunk is read, and only until then are variables set: a generator runs in
        # its reader's context, which would stay changed if the stream is abandoned.
        with within(run.context), holding(CURRENT_RUN, run):
            first = next(chunks, None)
        if first is not None:
            yield first
            yield from chunks


async def awithin_run(run: StreamRun, stream: AsyncIterator[T]) -> AsyncIterator[T]:
    """The asynchronous form of `within_run`."""
    async with aclosing(cast("AsyncGenerator[T]", stream)) as chunks:
        with within(run.context), holding(CURRENT_RUN, run):
            first = await _first(chunks)
        if first is not None:
            yield first
            async for chunk in chunks:
                yield chunk


def _first(chunks: AsyncGenerator[T]) -> Awaitable[T | None]:
    """The first chunk of a stream that is closed by its reader alone; None if there is none.

    At its end an event loop closes all asynchronous generators that it saw start, at once, and reports those that
    their readers close at the same time. It does not see this one.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return anext(chunks, None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def track_stream(
    config: RunnableConfig | None,
    model: GatewayFields,
    get_ls_params: Callable[..., Mapping[str, Any]],
    arguments: Mapping[str, Any],
) -> tuple[RunnableConfig, StreamRun]:
    """A stream's config with the id of its run, and the run.

    Args:
        config: As `stream` received it.
        model: Its own tags and metadata are the run's too.
        get_ls_params: Returns what core adds to the config's metadata, which no default key needs.
        arguments: Those of `get_ls_params`.
    """
    config = ensure_config(config)
    run = StreamRun(config)
    if model.run_metadata:
        # What core's `CallbackManager.configure` merges; to call it takes 15 times as long.
        fields, callbacks, traced = cast("Any", model), config.get("callbacks"), _tracing_context()()
        run.run_id = config["run_id"] = config.get("run_id") or uuid7()
        parent = traced["parent"]
        if parent is not None and (run.parent_run_id is None or str(run.parent_run_id) in parent.dotted_order):
            run.parent_run_id = parent.id
        inherited = callbacks if isinstance(callbacks, BaseCallbackManager) else _NO_CALLBACKS
        run.tags = list(dict.fromkeys((*inherited.tags, *run.tags, *(fields.tags or ()), *(traced["tags"] or ()))))
        chosen = model.metadata_keys is not None or model.metadata_mapper is not None
        ls_params = get_ls_params(**arguments) if chosen else _NOTHING
        run.metadata = {**inherited.metadata, **run.inheritable_metadata, **ls_params, **(fields.metadata or {})}
    return config, run
