"""What LlamaIndex knows of a call's run: instrument tags, the workflow's run, the agent, and the purpose of the run.

The step of a workflow is private to its package: if it moves, the agent's name is missing and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeGuard, cast
from uuid import UUID

from llama_index.core.callbacks.base import global_stack_trace_ids
from llama_index_instrumentation.dispatcher import active_instrument_tags

from cfaig_integrations.adapters.run_metadata import (
    CONVERSATION_KEYS,
    Framework,
    Operation,
    RunEntries,
    RunInfo,
    automatic,
    conversation_of,
)
from cfaig_integrations.gateway.metadata import can_be_kept
from cfaig_integrations.llama_index.fields import LlamaFields

_LLAMA_INDEX = Framework(name="llama_index", default_keys=("run_id", "agent", "op"), max_entries=4, tags=True)
_WORKFLOW_PREFIX = "llamaindex."
"""Prefix of the tags that workflows set; two of them hold the user's messages."""
_RUN_ID_TAGS = (_WORKFLOW_PREFIX + "run_id", "run_id")
"""Tags that hold a workflow's run id, in newer and in older workflows."""
_IDENTIFYING_TAGS = frozenset({"user_id", *CONVERSATION_KEYS})


def _find_step_variable() -> ContextVar[Any] | None:
    try:
        variable: ContextVar[Any] = import_module("workflows.runtime.types.results").StepWorkerStateContextVar
    except (ImportError, AttributeError):
        return None
    return variable if isinstance(cast("object", variable), ContextVar) else None


_STEP = _find_step_variable()
"""Where workflows keep the running step, if they still keep it there."""


def run_info(operation: Operation) -> RunInfo:
    """What LlamaIndex knows of the current run."""
    current = cast("object", active_instrument_tags.get())
    # LlamaIndex accepts any value that can update a dict.
    tags: Mapping[object, object] = cast("Mapping[object, object]", current) if isinstance(current, Mapping) else {}
    traces = global_stack_trace_ids.get()
    run_ids = (tags.get(key) for key in _RUN_ID_TAGS)
    # Inside the tools of an agent there is no step.
    step_event = getattr(None if _STEP is None else _STEP.get(None), "event", None)
    agent: object = getattr(step_event, "current_agent_name", None)
    user_tags = {key: value for key, value in tags.items() if _is_user_tag(key) and can_be_kept(key, value)}
    return RunInfo(
        framework=_LLAMA_INDEX.name,
        operation=operation,
        run_id=next((str(value) for value in run_ids if isinstance(value, str | int | UUID) and value != ""), None),
        agent=agent if isinstance(agent, str) else None,
        purpose=traces[0] if traces else None,
        # The tags that identify a user or a conversation come first, because only the first few are sent.
        metadata=dict(sorted(user_tags.items(), key=lambda tag: tag[0] not in _IDENTIFYING_TAGS)),
    )


def _is_user_tag(key: object) -> TypeGuard[str]:
    return isinstance(key, str) and key != "run_id" and not key.startswith(_WORKFLOW_PREFIX)


def tool_entries(operation: Operation) -> RunEntries:
    """What the run of a tool adds to its call."""
    return RunEntries(automatic=automatic(run_info(operation), _LLAMA_INDEX))


def run_entries(fields: LlamaFields, operation: Operation) -> RunEntries:
    """What a call's run adds to the call.

    A tag replaces the constructor's entry of the same name; the other tags fill the remaining entries.

    Raises:
        ConfigError: The mapper fails.
    """
    bound = fields.bound_metadata or {}
    run = run_info(operation)
    conversation = conversation_of(run.metadata)
    if not fields.run_metadata:
        return RunEntries(bound, conversation=conversation)
    entries = automatic(run, _LLAMA_INDEX, fields.metadata_keys, fields.metadata_mapper)
    replaced: dict[str, Any] = {}
    if fields.gateway_metadata and fields.metadata_mapper is None:
        keys = (*run.metadata,) if fields.metadata_keys is None else fields.metadata_keys
        tags = {key: run.metadata.get(key, "") for key in keys if key in fields.gateway_metadata and key not in bound}
        replaced = {key: tag for key, tag in tags.items() if tag != ""}
    return RunEntries({**bound, **replaced}, entries, conversation)
