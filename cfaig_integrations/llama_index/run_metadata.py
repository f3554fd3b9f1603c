"""What LlamaIndex knows of a call: the user's instrument tags, the workflow's run, the agent, and what it all serves.

Where a workflow keeps its step is private to its package: when it moves, the agent's name is missed and nothing breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeGuard, cast
from uuid import UUID

from llama_index.core.callbacks.base import global_stack_trace_ids
from llama_index_instrumentation.dispatcher import active_instrument_tags

from cfaig_integrations.adapters.run_metadata import Operation, RunEntries, RunInfo, automatic, conversation_of
from cfaig_integrations.gateway.metadata import can_be_kept
from cfaig_integrations.llama_index.fields import LlamaFields

_THEIRS = "llamaindex."
"""Beginning of the tags that workflows set; two of them hold the user's messages."""
_RUN_ID = (_THEIRS + "run_id", "run_id")
"""Tags that hold a workflow's run id, of the newer and of the older workflows."""


def _step_variable() -> ContextVar[Any] | None:
    """Where workflows keep the step that runs, if they still keep it there."""
    try:
        variable: ContextVar[Any] = import_module("workflows.runtime.types.results").StepWorkerStateContextVar
    except (ImportError, AttributeError):
        return None
    return variable if isinstance(cast("object", variable), ContextVar) else None


_STEP = _step_variable()


def run_info(operation: Operation) -> RunInfo:
    """What is known of the run, here and now.

    Args:
        operation: What the call is.
    """
    tags, traces = _tags(), global_stack_trace_ids.get()
    run_id = next(
        (found for key in _RUN_ID if isinstance(found := tags.get(key), str | int | UUID) and found != ""), None
    )
    return RunInfo(
        framework="llama_index",
        operation=operation,
        run_id=None if run_id is None else str(run_id),
        agent=_agent(),
        purpose=traces[0] if traces else None,
        metadata={key: value for key, value in tags.items() if _is_users(key) and can_be_kept(key, value)},
    )


def _tags() -> Mapping[object, object]:
    """The tags around the call. LlamaIndex takes whatever updates a dict; what is no mapping is none."""
    tags = cast("object", active_instrument_tags.get())
    return cast("Mapping[object, object]", tags) if isinstance(tags, Mapping) else {}


def _is_users(key: object) -> TypeGuard[str]:
    return isinstance(key, str) and key != "run_id" and not key.startswith(_THEIRS)


def _agent() -> str | None:
    """Name of the agent whose step calls; none inside its tools."""
    step = None if _STEP is None else _STEP.get(None)
    name: object = getattr(getattr(step, "event", None), "current_agent_name", None)
    return name if isinstance(name, str) else None


def run_entries(fields: LlamaFields, operation: Operation) -> RunEntries:
    """What a call's run says to the gateway's log.

    A tag takes the place of a constructor's entry of its name; the others fill what places are left.

    Args:
        fields: The constructor arguments that decide it.
        operation: What the call is.

    Raises:
        ConfigError: The mapper fails.
    """
    bound = fields.bound_metadata or {}
    run = run_info(operation)
    conversation = conversation_of(run.metadata)
    if not fields.run_metadata:
        return RunEntries(bound, conversation=conversation)
    found = automatic(run, fields.metadata_keys, fields.metadata_mapper)
    in_place = {key: value for key, value in _in_place(fields, run).items() if key not in bound}
    return RunEntries({**bound, **in_place}, found, conversation)


def _in_place(fields: LlamaFields, run: RunInfo) -> Mapping[str, Any]:
    """The tags that take the place of a constructor's entry; none if a mapper decides."""
    own, keys = fields.gateway_metadata, fields.metadata_keys
    if not own or fields.metadata_mapper is not None:
        return {}
    told = run.metadata if keys is None else [key for key in keys if key in run.metadata]
    return {key: run.metadata[key] for key in told if key in own and run.metadata[key] != ""}
